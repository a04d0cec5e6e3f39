"""One metric of a pair of made masks by one library; eval/bench_test.go draws the same masks.

    python bench/python_metrics.py tubes hd95 medpy"""
import statistics
import sys
import time

import numpy as np

SIDE = 1024
TOLERANCE = 2.0
REPEATS = 3


def masks(kind):
    """Two masks of 1024 x 1024 pixels, or of a volume of 64 x 256 x 256 voxels that are 3 x 1 x 1 mm, and the spacing."""
    if kind == "volume":
        z, y, x = np.mgrid[0:64, 0:256, 0:256]
        return (9 * (z - 32)**2 + (y - 120)**2 + (x - 128)**2 < 80**2), (9 * (z - 31)**2 + (y - 124)**2 + (x - 126)**2 < 82**2), (3.0, 1.0, 1.0)
    y, x = np.mgrid[0:SIDE, 0:SIDE]
    if kind == "tubes":
        draw = lambda shift, width: (y + abs((x + shift) % 128 - 64) // 2 + (x + shift) // 3) % 45 < width
        return draw(0, 6), draw(3, 5), (1.0, 1.0)
    disc = lambda y0, x0, radius: (y - y0)**2 + (x - x0)**2 < radius**2
    return disc(500, 480, 300), disc(510, 500, 310), (1.0, 1.0)


def medpy(metric, spacing):
    from medpy.metric import binary
    return lambda p, t: getattr(binary, metric)(p, t, voxelspacing=spacing)


def surface_distance(metric, spacing):
    import surface_distance as sd
    of = {"hd95": lambda d: sd.compute_robust_hausdorff(d, 95), "assd": lambda d: np.mean(sd.compute_average_surface_distance(d)),
          "nsd": lambda d: sd.compute_surface_dice_at_tolerance(d, TOLERANCE)}[metric]
    return lambda p, t: of(sd.compute_surface_distances(t, p, spacing))


def monai(metric, spacing):
    import torch
    from monai import metrics
    compute = {"hd95": lambda p, t: metrics.compute_hausdorff_distance(p, t, include_background=True, percentile=95, spacing=list(spacing)),
               "assd": lambda p, t: metrics.compute_average_surface_distance(p, t, include_background=True, symmetric=True, spacing=list(spacing)),
               "nsd": lambda p, t: metrics.compute_surface_dice(p, t, [TOLERANCE], include_background=True, spacing=list(spacing))}[metric]
    return lambda p, t: compute(torch.from_numpy(p)[None, None], torch.from_numpy(t)[None, None])


def scikit_image(metric, spacing):
    """The centre-line Dice of Shit et al. with scikit-image's skeletons, as its authors' code computes it."""
    from skimage.morphology import skeletonize

    def compute(p, t):
        skeleton = skeletonize(p)
        precision = np.sum(skeleton & t) / np.sum(skeleton)
        skeleton = skeletonize(t)
        sensitivity = np.sum(skeleton & p) / np.sum(skeleton)
        return 2 * precision * sensitivity / (precision + sensitivity)
    return compute


def main(kind, metric, library):
    p, t, spacing = masks(kind)
    compute = {"medpy": medpy, "surface-distance": surface_distance, "monai": monai, "scikit-image": scikit_image}[library](metric, spacing)
    compute(p, t)
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        value = float(compute(p, t))
        times.append(time.perf_counter() - began)
    # not through side.py: three of the four libraries do without torch, which would count as their memory
    print(f'BENCH {{"seconds": {statistics.median(times)}, "values": {{"value": {value}}}}}', flush=True)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
