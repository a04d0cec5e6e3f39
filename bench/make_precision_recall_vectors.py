"""Writes testdata/stats/precision_recall.json: probabilities, truths, and what scikit-learn makes of them.

Run it in an environment with numpy and scikit-learn: python bench/make_precision_recall_vectors.py
"""
import json
import pathlib

import numpy as np
import sklearn
from sklearn.metrics import average_precision_score, precision_recall_curve

OUT = pathlib.Path(__file__).resolve().parent.parent / "testdata" / "stats" / "precision_recall.json"


def case(name, probability, truth):
    probability = np.array([float(f"{p:.6g}") for p in probability])
    precision, recall, threshold = precision_recall_curve(truth, probability)
    at = np.unique(np.linspace(0, len(threshold) - 1, 25).astype(int))
    return {
        "name": name,
        "probability": list(probability),
        "truth": [int(t) for t in truth],
        "average_precision": average_precision_score(truth, probability),
        "points": [[float(threshold[i]), float(precision[i]), float(recall[i])] for i in at],
    }


def main():
    rng = np.random.default_rng(15)
    n = 1000
    truth = (rng.random(n) < 0.12).astype(int)
    sigmoid = lambda x: 1 / (1 + np.exp(-x))
    cases = [
        case("overlapping", sigmoid(rng.normal(truth * 2.5 - 2, 1.2)), truth),
        case("crowded near zero", sigmoid(rng.normal(truth * 1.0 - 9, 0.6)), truth),
        case("saturated", sigmoid(rng.normal(truth * 24 - 14, 9)), truth),
        case("few values", rng.choice([0.0, 0.05, 0.3, 0.5, 0.8, 1.0], n), truth),
        case("no skill", np.full(n, 0.4), truth),
    ]
    OUT.write_text(json.dumps({"made_by": f"scikit-learn {sklearn.__version__}", "cases": cases}) + "\n")


if __name__ == "__main__":
    main()
