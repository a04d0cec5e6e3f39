"""The main job in Python: LiteMedSAM's mask decoder fine-tuned on the first pictures of DRIVE with the recipe of
configs/benchmarks/drive.toml, and the test pictures scored: Dice inside the field of view at the pictures' own size.

    python bench/python_finetune.py DATA --shots 5              cached embeddings, the encoder runs once for each view
    python bench/python_finetune.py DATA --shots 5 --encode     MedSAM's loop: the encoder runs in each step"""
import math
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F

import side
from python_step import Training

FEATHER = 24
MIN_VALID = 0.15
WARMUP = 10
PROFILES = {"recipe": {"grid": 3, "steps": 300, "every": 50}, "fast": {"grid": 1, "steps": 100, "every": 25}}


class View:
    """A region of a picture: where it lies, its input, or its embedding once that is cached."""

    def __init__(self, region, x, vessels, field):
        self.region, self.x, self.path = region, x, None
        y, left, h, w = region
        self.size = side.fitted(h, w)
        self.field, self.vessels = (torch.from_numpy(m[y:y + h, left:left + w]).float()[None, None] for m in (field, vessels))


class Case:
    """A picture with its views."""

    def __init__(self, picture, vessels, field, grid):
        self.vessels, self.field = vessels, field
        x = side.unit(picture)
        self.views = [View((t, l, h, w), side.network_input(x[:, :, t:t + h, l:l + w]), vessels, field) for t, l, h, w in tiles(*vessels.shape, grid)]
        self.views = [v for v in self.views if v.field.any()]


def tiles(height, width, grid):
    """Regions (top, left, height, width) that cover a picture evenly, as model.Tiles lays them."""
    if grid == 1:
        return [(0, 0, height, width)]
    tile = math.ceil(max(height, width) / grid * 10 / 9)

    def starts(length):
        size = min(tile, length)
        n = 1 if length <= size else max(grid, math.ceil((length - size) / (size * 7 / 8)) + 1)
        return [round(i * (length - size) / max(n - 1, 1)) for i in range(n)], size
    (tops, h), (lefts, w) = starts(height), starts(width)
    return [(t, l, h, w) for t in tops for l in lefts]


def feather(height, width):
    """What the pixels of a tile weigh where tiles are blended: less towards its edges."""
    rows, columns = (torch.minimum(torch.arange(n) + 1, n - torch.arange(n)) for n in (height, width))
    return torch.minimum(rows[:, None], columns[None]).clamp(max=FEATHER).float()


class Job:
    """One fine-tuning and its test."""

    def __init__(self, args, cache):
        self.args, self.cache, self.files = args, cache, 0
        model = side.lite_medsam()
        self.encoder, self.training = side.fast_encoder(model), Training(model)
        self.random = np.random.default_rng(args.seed)

    def encode(self, view):
        with torch.inference_mode():
            return self.encoder(view.x.contiguous(memory_format=torch.channels_last))

    def fill(self, cases):
        """Encodes every view into the cache and forgets its input."""
        for view in (v for c in cases for v in c.views):
            view.path = Path(self.cache) / f"{self.files}.npy"
            np.save(view.path, self.encode(view).half().numpy())
            view.x, self.files = None, self.files + 1

    def embedding(self, view):
        e = torch.from_numpy(np.load(view.path)).float() if view.path else self.encode(view)
        return e.clone()  # an ordinary tensor, which autograd takes

    def logits(self, view, dims=()):
        """Logits at the region's own size, of the region mirrored along dims."""
        e = self.embedding(view)
        low = self.training.logits(e.flip(dims) if dims else e, *view.size)
        return F.interpolate(low[:, :, :view.size[0], :view.size[1]], view.region[2:], mode="bilinear", align_corners=False)

    def loss(self, view):
        dims = [d for d in (2, 3) if self.random.random() < 0.5] if view.size == (side.SIDE, side.SIDE) else []
        target, valid = (t.flip(dims) if dims else t for t in (view.vessels, view.field))
        return self.training.loss(self.logits(view, dims), target, valid)

    def dice(self, case):
        total, weight = (torch.zeros(case.vessels.shape) for _ in range(2))
        with torch.inference_mode():
            for view in case.views:
                t, l, h, w = view.region
                share = feather(h, w)
                total[t:t + h, l:l + w] += torch.sigmoid(self.logits(view))[0, 0] * share
                weight[t:t + h, l:l + w] += share
        found = (total / weight.clamp_min(1)).numpy() > 0.5
        found, truth = found & case.field, case.vessels & case.field
        return 2 * (found & truth).sum() / (found.sum() + truth.sum())

    def train(self, cases):
        """Trains with a fifth of the shots held out, on which the best step is chosen."""
        args, held = self.args, max(1, len(cases) // 5) if len(cases) > 2 else 0
        validation, rest = cases[:held], cases[held:]
        views = [v for c in rest for v in c.views if v.field.mean() >= MIN_VALID]
        parameters, best, kept, order = self.training.parameters, -1.0, None, []
        for step in range(args.steps):
            if not order:
                order = list(self.random.permutation(len(views)))
            view = views[order.pop()]
            factor = max(0.01, min(1, (step + 1) / WARMUP) * 0.5 * (1 + math.cos(math.pi * step / args.steps)))
            self.training.optimiser.param_groups[0]["lr"] = self.training.lr * factor
            self.training.step([lambda: self.loss(view)])
            if validation and ((step + 1) % args.every == 0 or step + 1 == args.steps):
                dice = np.mean([self.dice(c) for c in validation])
                if dice > best:
                    best, kept = dice, [p.detach().clone() for p in parameters]
        with torch.no_grad():
            for p, value in zip(parameters, kept or []):
                p.copy_(value)


def main():
    def add(p):
        p.add_argument("data")
        p.add_argument("--shots", type=int, default=5)
        p.add_argument("--seed", type=int, default=1)
        p.add_argument("--test", type=int, default=20)
        p.add_argument("--profile", choices=PROFILES, default="recipe")
        p.add_argument("--steps", type=int)
        p.add_argument("--encode", action="store_true")
    args = side.settings(__doc__, add)
    profile = PROFILES[args.profile]
    args.steps, args.every = args.steps or profile["steps"], profile["every"]
    clock = side.Clock()
    with tempfile.TemporaryDirectory() as cache:
        job = Job(args, cache)
        shots, tests = ([Case(*c, profile["grid"]) for c in side.drive(args.data, split, n)] for split, n in (("training", args.shots), ("test", args.test)))
        if not args.encode:
            job.fill(shots + tests)
        job.train(shots)
        dice = [job.dice(c) for c in tests]
        side.report(clock.seconds(), dice=float(np.mean(dice)))


if __name__ == "__main__":
    sys.exit(main())
