"""Writes testdata/stats/volumes.json: pairs of small volumes, and what MedPy and surface-distance make of their surfaces.

Run it in an environment with medpy 0.5.2 and surface-distance 0.1: python bench/make_volume_vectors.py
"""
import importlib.metadata
import json
import pathlib

import numpy as np
from scipy import ndimage

np.Inf = np.inf  # which surface-distance 0.1 asks for and numpy 2 lacks

import surface_distance  # noqa: E402
from medpy.metric import binary  # noqa: E402

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "stats" / "volumes.json"
PACKAGES = ["medpy", "surface-distance", "scipy", "numpy"]


def case(name, pred, truth, spacing, tolerance):
    """Masks [slices, rows, columns], their spacing in that order; a value that a library does not have is null."""
    pred, truth = pred.astype(bool), truth.astype(bool)
    medpy = {"hd95": None, "assd": None}
    if pred.any() and truth.any():
        medpy = {m: float(getattr(binary, m)(pred, truth, voxelspacing=spacing)) for m in medpy}
    nsd = None
    if pred.any() or truth.any():
        nsd = float(surface_distance.compute_surface_dice_at_tolerance(surface_distance.compute_surface_distances(truth, pred, spacing), tolerance))
    pack = lambda m: np.packbits(m.ravel()).tobytes().hex()
    return {"name": name, "size": list(pred.shape), "spacing": list(spacing), "tolerance": tolerance, "pred": pack(pred), "truth": pack(truth), **medpy, "nsd": nsd}


def areas(spacing):
    """The area of the surfel of each neighbourhood code."""
    from surface_distance import lookup_tables
    return {"spacing": list(spacing), "areas": [float(a) for a in lookup_tables.create_table_neighbour_code_to_surface_area(spacing)]}


def main():
    rng = np.random.default_rng(27)
    random = lambda shape, share: rng.random(shape) < share
    smooth = lambda shape, sigma: ndimage.gaussian_filter(rng.standard_normal(shape), sigma) > 0.02
    one = np.zeros((5, 6, 7))
    one[2, 3, 4] = 1
    other = np.zeros((5, 6, 7))
    other[4, 0, 6] = 1
    nothing = np.zeros((3, 4, 5))
    inside = np.pad(np.ones((4, 5, 6)), 2)
    cases = [
        case("random, isotropic", random((6, 9, 11), 0.3), random((6, 9, 11), 0.4), (1, 1, 1), 1),
        case("random, sparse, thick slices", random((7, 10, 12), 0.02), random((7, 10, 12), 0.03), (5, 0.78125, 0.78125), 3),
        case("random, dense, three spacings", random((5, 8, 13), 0.8), random((5, 8, 13), 0.7), (2.5, 0.7, 1.3), 0.7),
        case("smooth, thin slices", smooth((8, 12, 12), 1.5), smooth((8, 12, 12), 1.5), (0.5, 1.25, 1), 1.25),
        case("smooth, whole numbers", smooth((9, 14, 10), 2), smooth((9, 14, 10), 2), (3, 1, 1), 2),
        case("touching the border on all sides", np.ones((4, 5, 6)), smooth((4, 5, 6), 1), (3, 1, 2), 1),
        case("box inside its volume", inside, np.roll(inside, (1, 0, -1), (0, 1, 2)), (2, 1, 1.5), 1.5),
        case("single voxels", one, other, (3, 1, 1), 2),
        case("the same", one, one, (3, 0.6, 0.8), 0),
        case("one slice", random((1, 12, 13), 0.4), random((1, 12, 13), 0.4), (4, 1, 1.5), 1),
        case("no prediction", nothing, random((3, 4, 5), 0.5), (2, 1, 1), 1),
        case("nothing", nothing, nothing, (2, 1, 1), 1),
    ]
    versions = {p: importlib.metadata.version(p) for p in PACKAGES}
    tables = [areas(s) for s in ((1, 1, 1), (5, 0.7, 1.3))]
    OUT.write_text(json.dumps({"made_by": versions, "cases": cases, "surfels": tables}) + "\n")


if __name__ == "__main__":
    main()
