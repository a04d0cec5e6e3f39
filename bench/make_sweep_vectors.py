"""Writes testdata/stats/sweep.json: Wilcoxon p and effect sizes of paired differences, and power laws fitted to shot curves.

Wilcoxon's p is SciPy's (exact, or by its PermutationMethod over all signs with ties), the matched-pairs rank-biserial correlation is
pingouin's and Cohen's dz a one-sample t statistic of SciPy's over the root of n. The power laws are scipy.optimize.curve_fit's within
the same bounds, the best of many starts.

    pip install numpy==2.4.6 scipy==1.17.1 pingouin==0.7.0
    python bench/make_sweep_vectors.py
"""

import json
import pathlib

import numpy as np
import pingouin
from scipy import optimize, stats

rng = np.random.default_rng(20261126)


def paired(name, d):
    d = np.asarray(d, float)
    kept = d[d != 0]
    tied = len(np.unique(np.abs(kept))) < len(kept)
    method = stats.PermutationMethod(n_resamples=np.inf) if tied else "exact"
    row = pingouin.wilcoxon(kept, np.zeros(len(kept))).iloc[0]
    return {
        "name": name, "differences": d.tolist(),
        "p": float(stats.wilcoxon(kept, method=method).pvalue),
        "rank_biserial": float(row["RBC"]),
        "cohen_dz": float(stats.ttest_1samp(d, 0).statistic / np.sqrt(len(d))),
    }


pairs = [paired(f"normal n={n} shift={shift}", rng.normal(shift, 0.05, n)) for n in (5, 10, 20, 40) for shift in (0, 0.02, 0.06)]
pairs += [
    paired("all positive", [0.01, 0.03, 0.02, 0.05, 0.08, 0.13]),
    paired("all negative", [-0.01, -0.03, -0.02, -0.05, -0.08]),
    paired("ties and zeros", [0, 0.25, 0.25, -0.25, 0.5, 0.5, 0, -0.125, 0.75, 0.5]),
    paired("ties and zeros, balanced", [0.25, -0.25, 0.5, -0.5, 0]),
]


def law(n, a, b, c):
    return a - b * n ** (-c)


def fitted(name, n, y, se):
    n, y, se = (np.asarray(v, float) for v in (n, y, se))
    bounds = ([-np.inf, 0, 0.01], [1, np.inf, 10])
    best = None
    for c in np.geomspace(0.02, 9, 25):
        for b in (0.01, 0.1, 0.5):
            p, _ = optimize.curve_fit(
                law, n, y, (min(0.99, y.max()), b, c), sigma=se, absolute_sigma=True, bounds=bounds, xtol=1e-15, ftol=1e-15, gtol=1e-15,
                max_nfev=20_000, x_scale=(0.1, 0.1, 1),
            )
            loss = float(np.sum(((law(n, *p) - y) / se) ** 2))
            if best is None or loss < best["loss"]:
                best = {"a": float(p[0]), "b": float(p[1]), "c": float(p[2]), "loss": loss, "predicted": float(law(2 * n[-1], *p))}
    return {"name": name, "shots": n.tolist(), "means": y.tolist(), "se": se.tolist(), **best}


shots = np.array([1, 3, 5, 10, 20])
curves = [
    fitted("exact", shots, law(shots, 0.85, 0.3, 0.7), np.full(5, 0.01)),
    fitted("exact, steep", shots, law(shots, 0.8, 0.2, 2.0), [0.03, 0.02, 0.015, 0.01, 0.01]),
    fitted("noisy", shots, law(shots, 0.85, 0.3, 0.7) + [0.011, -0.006, 0.004, -0.003, 0.002], [0.02, 0.012, 0.01, 0.008, 0.006]),
    fitted("noisy, other weights", shots, law(shots, 0.85, 0.3, 0.7) + [0.011, -0.006, 0.004, -0.003, 0.002], [0.005, 0.01, 0.02, 0.02, 0.03]),
    fitted("three points", [1, 5, 20], [0.55, 0.71, 0.76], [0.02, 0.01, 0.01]),
    fitted("four points, grid from 2", [2, 4, 8, 16], [0.61, 0.68, 0.705, 0.73], [0.02, 0.02, 0.01, 0.01]),
    fitted("logarithmic: a is 1", shots, 0.5 + 0.1 * np.log(shots) + [0.002, -0.004, 0.003, 0.0, -0.001], np.full(5, 0.01)),
    fitted("hardly rising: a is 1", shots, [0.70, 0.69, 0.72, 0.71, 0.72], np.full(5, 0.01)),
    fitted("flat", shots, [0.7, 0.7, 0.7, 0.7, 0.7], np.full(5, 0.01)),
    fitted("falling", shots, [0.75, 0.73, 0.72, 0.70, 0.69], [0.02, 0.01, 0.01, 0.01, 0.005]),
]

out = pathlib.Path(__file__).parent.parent / "testdata" / "stats" / "sweep.json"
out.write_text(json.dumps({"pairs": pairs, "curves": curves}, indent=1) + "\n")
