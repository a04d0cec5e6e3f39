"""Writes metrics.json and tests.json beside itself; see README.md."""

import itertools
import json
import pathlib

import numpy as np
import scipy.ndimage
from scipy import stats
from skimage.morphology import skeletonize
from sklearn.metrics import roc_auc_score

# surface-distance 0.1 uses names that NumPy 2 and SciPy 1.15 took away.
np.Inf, np.NaN = np.inf, np.nan
scipy.ndimage.filters = scipy.ndimage.morphology = scipy.ndimage

import surface_distance  # noqa: E402
from medpy.metric import binary  # noqa: E402

here = pathlib.Path(__file__).parent
rng = np.random.default_rng(20260901)


def packed(mask):
    return np.packbits(mask.astype(np.uint8).ravel()).tobytes().hex()


def blob(shape, sigma, share):
    noise = scipy.ndimage.gaussian_filter(rng.standard_normal(shape), sigma)
    return noise > np.quantile(noise, 1 - share)


def pair(i):
    shape = tuple(int(n) for n in rng.integers(1, 45, 2))
    sigma, share = rng.choice([0, 0.7, 1.5, 4]), rng.choice([0.02, 0.1, 0.3, 0.6, 0.95])
    truth = blob(shape, sigma, share)
    kind = i % 4
    if kind == 0:
        pred = blob(shape, sigma, share)
    elif kind == 1:
        pred = np.roll(truth, tuple(rng.integers(-2, 3, 2)), (0, 1))
    elif kind == 2:
        pred = truth ^ (rng.random(shape) < 0.05)
    else:
        pred = scipy.ndimage.binary_dilation(truth)
    valid = np.ones(shape, bool)
    if i % 3 == 0:
        y, x = np.ogrid[: shape[0], : shape[1]]
        valid = ((y / shape[0] - 0.5) ** 2 + (x / shape[1] - 0.5) ** 2) < 0.2
    spacing = [(1.0, 1.0), (2.0, 0.5), (0.7, 1.3)][i % 3 if i % 2 else 0]
    return pred, truth, valid, spacing


def scores(pred, truth, valid, spacing, tolerance, levels):
    p, t = pred & valid, truth & valid
    out = {"hd95": None, "assd": None, "cldice": None, "nsd": None, "auc": None}
    if p.any() and t.any():
        out["hd95"] = float(binary.hd95(p, t, voxelspacing=spacing))
        out["assd"] = float(binary.assd(p, t, voxelspacing=spacing))
        sp, st = skeletonize(p), skeletonize(t)
        a, b = (sp & t).sum() / sp.sum(), (st & p).sum() / st.sum()
        out["cldice"] = float(2 * a * b / (a + b)) if a + b else 0.0
    if p.any() or t.any():
        d = surface_distance.compute_surface_distances(t, p, spacing)
        out["nsd"] = float(surface_distance.compute_surface_dice_at_tolerance(d, tolerance))
    labels = t[valid]
    if labels.any() and not labels.all():
        out["auc"] = float(roc_auc_score(labels, levels[valid]))
    return out, skeletonize(p)


cases = []
for i in range(200):
    pred, truth, valid, spacing = pair(i)
    tolerance = float(rng.choice([0, 0.5, 1, 2, 2.5]))
    levels = rng.integers(0, 12, truth.shape) + 4 * truth  # few levels: many ties
    values, skeleton = scores(pred, truth, valid, spacing, tolerance, levels)
    cases.append(
        {
            "height": truth.shape[0], "width": truth.shape[1], "spacing": spacing, "tolerance": tolerance,
            "pred": packed(pred), "truth": packed(truth), "valid": packed(valid), "skeleton": packed(skeleton),
            "levels": bytes(levels.astype(np.uint8).ravel()).hex(), **values,
        }
    )
(here / "metrics.json").write_text("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")


def by_enumeration(d):
    """Exact two-sided p over all signs of the mid-ranks, zeros dropped."""
    d = d[d != 0]
    ranks = stats.rankdata(np.abs(d))
    seen = ranks[d > 0].sum()
    sums = np.array([sum(c) for c in itertools.product(*[(0, r) for r in ranks])])
    return float(min(1, 2 * min((sums <= seen + 1e-9).mean(), (sums >= seen - 1e-9).mean())))


wilcoxon = []
for n in list(range(1, 26)) + [40, 50]:
    for shift in (0, 0.4):
        d = rng.standard_normal(n) + shift
        p = stats.wilcoxon(d, method="exact").pvalue
        wilcoxon.append({"name": f"exact n={n} shift={shift}", "differences": d.tolist(), "p": float(p)})
for n in range(2, 14):
    d = rng.integers(-3, 5, n) / 8
    if not d.any():
        d[0] = 1
    p = by_enumeration(d)
    wilcoxon.append({"name": f"ties and zeros n={n}", "differences": d.tolist(), "p": p})
for n in (60, 80, 200):
    for levels in (None, 20):
        d = rng.standard_normal(n) + 0.2
        if levels:
            d = np.round(d * 4) / 4
        p = stats.wilcoxon(d, zero_method="wilcox", correction=False, method="asymptotic").pvalue
        wilcoxon.append({"name": f"approximate n={n} levels={levels}", "differences": d.tolist(), "p": float(p)})

bca = []
for name, v in {
    "normal": rng.standard_normal(20) * 0.05 + 0.7,
    "skewed": rng.exponential(1, 20),
    "negative skew": 1 - rng.beta(1, 8, 12),
    "eight": np.array([0.31, 0.52, 0.55, 0.613, 0.9, 0.77, 0.481, 0.6]),
}.items():
    r = stats.bootstrap((v,), np.mean, method="BCa", n_resamples=400_000, batch=10_000, rng=np.random.default_rng(1))
    low, high = r.confidence_interval
    bca.append({"name": name, "values": v.tolist(), "low": float(low), "high": float(high)})

(here / "tests.json").write_text(json.dumps({"wilcoxon": wilcoxon, "bca": bca}, indent=1) + "\n")
