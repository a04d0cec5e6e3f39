"""Parameters by the formula of testdata/parity/README.md, as internal/testkit/formula.go makes them."""
import math

import numpy as np

GOLDEN = 0x9E3779B97F4A7C15


def fnv1a(text):
    h = 0xCBF29CE484222325
    for c in text.encode():
        h = ((h ^ c) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return h


def uniform(name, n):
    """The first n numbers in 0..1 of a name's sequence."""
    with np.errstate(over="ignore"):
        z = np.arange(n, dtype=np.uint64) + np.uint64(fnv1a(name))
        z = z * np.uint64(GOLDEN) + np.uint64(GOLDEN)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / (1 << 24)


def values(name, shape):
    """A parameter, float32."""
    n = math.prod(shape)
    if name.endswith(".running_var"):
        base, spread = 1, 0.1
    elif len(shape) == 1:
        base, spread = (1, 0.1) if name.endswith(".weight") else (0, 0.05)
    elif "gaussian_matrix" in name:
        base, spread = 0, 1
    elif any(part in name for part in ("pos_embed", "rel_pos", "point_embeddings", "not_a_point", "no_mask", "iou_token", "mask_tokens")):
        base, spread = 0, 0.3
    else:
        base, spread = 0, math.sqrt(3 / (n / shape[0]))
    return (base + spread * (2 * uniform(name, n) - 1)).astype(np.float32).reshape(shape)
