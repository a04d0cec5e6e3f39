"""The convex head's fit in scikit-learn, on made features that both sides read.

    python bench/python_head.py make FOLDER         writes features.f32 [blocks, features+1, pixels] and labels.f32 [blocks, pixels]
    python bench/python_head.py fit FOLDER --solver lbfgs --loss 0.25"""
import argparse
import json
import os
import sys
import time

import numpy as np

BLOCKS, PIXELS, FEATURES = 5, 30000, 390  # 150,000 x 391 with the intercept
RIDGE = 1e-3
SLACK = 1e-6  # how much worse a loss may be and still count as equal


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("what", choices=["make", "fit"])
    p.add_argument("folder")
    p.add_argument("--solver", default="lbfgs")
    p.add_argument("--loss", type=float, help="penalised loss that has to be reached")
    args = p.parse_args()
    {"make": make, "fit": fit}[args.what](args)


def make(args):
    """Features that go together as an encoder's do: 60 causes, a little noise, each feature standardised."""
    r = np.random.default_rng(0)
    causes, mixing = r.standard_normal((BLOCKS * PIXELS, 60)), r.standard_normal((60, FEATURES))
    x = causes @ mixing + 2 * r.standard_normal((BLOCKS * PIXELS, FEATURES))
    x = (x - x.mean(0)) / x.std(0)
    z = x @ (r.standard_normal(FEATURES) * (r.random(FEATURES) < 0.1)) / 4 - 3
    y = r.random(BLOCKS * PIXELS) < 1 / (1 + np.exp(-z))
    rows = np.concatenate([x, np.ones((len(x), 1))], 1).reshape(BLOCKS, PIXELS, FEATURES + 1).transpose(0, 2, 1)
    os.makedirs(args.folder, exist_ok=True)
    y.astype("<f4").tofile(os.path.join(args.folder, "labels.f32"))
    np.ascontiguousarray(rows, "<f4").tofile(os.path.join(args.folder, "features.f32.part"))
    os.rename(os.path.join(args.folder, "features.f32.part"), os.path.join(args.folder, "features.f32"))


def fit(args):
    from sklearn.linear_model import LogisticRegression
    y = np.fromfile(os.path.join(args.folder, "labels.f32"), "<f4")
    rows = np.memmap(os.path.join(args.folder, "features.f32"), "<f4", "r").reshape(BLOCKS, FEATURES + 1, PIXELS)
    x = np.empty((len(y), FEATURES), np.float32)
    for block, part in zip(rows, np.split(x, BLOCKS)):
        part[:] = block[:-1].T
    # The loosest tolerance that reaches the loss is the one that is timed: a user would not ask for more.
    for tolerance in (1e-2, 1e-3, 1e-4, 1e-5, 1e-6, 1e-7, 1e-8):
        model = LogisticRegression(C=1 / (2 * RIDGE * len(y)), solver=args.solver, tol=tolerance, max_iter=2000)
        began = time.perf_counter()
        model.fit(x, y)
        seconds = time.perf_counter() - began
        loss = penalised(model, x, y)
        if args.loss is None or loss <= args.loss + SLACK:
            # not through side.py: torch would count as scikit-learn's memory
            print("BENCH " + json.dumps({"seconds": seconds, "values": {"loss": loss, "tolerance": tolerance, "steps": int(model.n_iter_[0])}}))
            return
    sys.exit(f"{args.solver} ends at the loss {loss}, want {args.loss}")


def penalised(model, x, y):
    """Mean cross-entropy and ridge penalty, in float64."""
    w = model.coef_[0].astype(np.float64)
    z = np.concatenate([part @ w for part in np.array_split(x, 50)]) + model.intercept_[0]
    return float(np.mean(np.logaddexp(0, z) - y * z) + RIDGE * w @ w)


if __name__ == "__main__":
    sys.exit(main())
