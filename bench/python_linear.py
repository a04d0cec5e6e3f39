"""The convex head's job in Python: early features of LiteMedSAM's frozen encoder at two scales, logistic regression on 30,000 pixels of
each shot by Newton's method, the test pictures of DRIVE scored.

    python bench/python_linear.py DATA --shots 5"""
import sys

import numpy as np
import torch
import torch.nn.functional as F

import side
from python_finetune import feather, tiles

SCALES = (1, 2)
CHANNELS = 3 + 64 + 128  # of the input and the two stages
PIXELS = 30000
RIDGE = 1e-3
STEPS = 20


class Features:
    """The encoder's input and first two stages, at a picture's own size and standardised inside its field of view."""

    def __init__(self):
        self.encoder, self.seen = side.fast_encoder(side.lite_medsam()), {}
        for stage in (0, 1):
            self.encoder.layers[stage].blocks[-1].register_forward_hook(lambda module, given, out, stage=stage: self.seen.update({stage: out}))

    def view(self, x):
        """[1, CHANNELS, 256, 256] of an input."""
        self.encoder(x.contiguous(memory_format=torch.channels_last))
        half = side.SIDE // 2
        stage1 = self.seen[1].reshape(1, half, half, -1).permute(0, 3, 1, 2)
        return torch.cat([x, self.seen[0], F.interpolate(stage1, scale_factor=2, mode="bilinear", align_corners=False)], 1)

    def picture(self, picture, field):
        x, (height, width) = side.unit(picture), field.shape
        inside, scales = torch.from_numpy(field), []
        for grid in SCALES:
            total, weight = torch.zeros(CHANNELS, height, width), torch.zeros(height, width)
            for t, l, h, w in tiles(height, width, grid):
                high, wide = side.fitted(h, w)
                f = F.interpolate(self.view(side.network_input(x[:, :, t:t + h, l:l + w]))[:, :, :high, :wide], (h, w), mode="bilinear", align_corners=False)[0]
                share = feather(h, w)
                total[:, t:t + h, l:l + w] += f * share
                weight[t:t + h, l:l + w] += share
            scales.append(total / weight)
        features = torch.cat(scales)
        valid = features[:, inside]
        return (features - valid.mean(1)[:, None, None]) / (valid.std(1)[:, None, None] + 1e-6)


def newton(x, y):
    """Minimises mean cross-entropy + RIDGE |w|^2 with a free intercept, which is w's last."""
    x = torch.cat([x, torch.ones(len(x), 1)], 1)
    w, penalty = torch.zeros(x.shape[1]), torch.full((x.shape[1],), 2 * RIDGE)
    penalty[-1] = 0
    last = float("inf")
    for _ in range(STEPS):
        z = x @ w
        loss = float(F.binary_cross_entropy_with_logits(z, y) + (penalty * w * w).sum() / 2)
        if last - loss < 1e-6:
            break
        last, p = loss, torch.sigmoid(z)
        curvature = (p * (1 - p)).clamp_min(1e-6) / len(x)
        hessian = (x * curvature[:, None]).T @ x + torch.diag(penalty + 1e-9)
        gradient = x.T @ (p - y) / len(x) + penalty * w
        w = w - torch.cholesky_solve(gradient[:, None].double(), torch.linalg.cholesky(hessian.double()))[:, 0].float()
    return w


def main():
    def add(p):
        p.add_argument("data")
        p.add_argument("--shots", type=int, default=5)
        p.add_argument("--test", type=int, default=20)
    args = side.settings(__doc__, add)
    clock, features, random = side.Clock(), Features(), torch.Generator().manual_seed(0)
    with torch.inference_mode():
        x, y = [], []
        for picture, vessels, field in side.drive(args.data, "training", args.shots):
            inside = torch.from_numpy(field).flatten().nonzero()[:, 0]
            chosen = inside[torch.randperm(len(inside), generator=random)[:PIXELS]]
            x.append(features.picture(picture, field).flatten(1)[:, chosen].T.contiguous())
            y.append(torch.from_numpy(vessels).flatten()[chosen])
        w = newton(torch.cat(x), torch.cat(y).float())
        dice = []
        for picture, vessels, field in side.drive(args.data, "test", args.test):
            z = torch.einsum("c,chw->hw", w[:-1], features.picture(picture, field)) + w[-1]
            found, truth = (z > 0).numpy() & field, vessels & field
            dice.append(2 * (found & truth).sum() / (found.sum() + truth.sum()))
    side.report(clock.seconds(), dice=float(np.mean(dice)))


if __name__ == "__main__":
    sys.exit(main())
