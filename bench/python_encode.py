"""Encoders in Python: LiteMedSAM's over a folder of pictures into a cache, SAM ViT-B's, and how fast these cores multiply matrices.

    python bench/python_encode.py drive FOLDER [--count 20] [--compiled]
    python bench/python_encode.py vit WEIGHTS       SAM ViT-B's image encoder on made input
    python bench/python_encode.py lite              LiteMedSAM's
    python bench/python_encode.py weights FILE      writes ViT-B's parameters by the formula
    python bench/python_encode.py sgemm"""
import os
import sys
import tempfile
from pathlib import Path

import numpy as np
import torch

import side


def main():
    def add(p):
        p.add_argument("what", choices=["drive", "vit", "lite", "weights", "sgemm"])
        p.add_argument("path", nargs="?")
        p.add_argument("--count", type=int, default=20)
        p.add_argument("--batch", type=int, default=1)
        p.add_argument("--precision", default="float32")
        p.add_argument("--passes", type=int, default=1, help="of vit and lite")
        p.add_argument("--fused", action="store_true", help="attention by PyTorch's fused kernel")
        p.add_argument("--compiled", action="store_true", help="beside torch.compile with freezing on the folded, channels-last model")
    args = side.settings(__doc__, add)
    args.dtype = getattr(torch, args.precision)
    {"drive": drive, "vit": vit, "lite": lite, "weights": weights, "sgemm": sgemm}[args.what](args)


def drive(args):
    model = side.lite_medsam()
    if args.compiled:
        from torch._inductor import config
        config.freezing = True
        encoder = torch.compile(side.fast_encoder(model).to(args.device, args.dtype).eval())
    else:
        encoder = model.image_encoder.to(args.device, args.dtype).eval()  # TinyViT takes its attention biases over then
        encoder = side.fuse_attention(encoder) if args.fused else encoder
    memory = torch.channels_last if args.compiled else torch.contiguous_format

    def encode(pictures):
        x = torch.cat([side.network_input(side.unit(p)) for p in pictures])
        return encoder(x.to(args.device, args.dtype, memory_format=memory)).half().cpu().numpy()

    paths = sorted(Path(args.path).glob("*.*"))[:args.count]
    with tempfile.TemporaryDirectory() as folder, torch.inference_mode():
        encode([side.read_picture(p) for p in paths[:args.batch]])  # what the first pass sets up, and compiling, are no part of an image's cost
        if args.compiled and len(paths) % args.batch:
            encode([side.read_picture(p) for p in paths[:len(paths) % args.batch]])
        clock = side.Clock()
        for at in range(0, len(paths), args.batch):
            part = paths[at:at + args.batch]
            for path, embedding in zip(part, encode([side.read_picture(p) for p in part])):
                np.save(os.path.join(folder, path.stem + ".npy"), embedding)
        seconds = clock.seconds()
        first = np.load(os.path.join(folder, paths[0].stem + ".npy"))
    side.report(seconds, **side.moments(torch.from_numpy(first)))


def vit(args):
    from segment_anything import sam_model_registry
    passes(args, sam_model_registry["vit_b"](args.path).image_encoder, 1024)


def lite(args):
    passes(args, side.lite_medsam().image_encoder, side.SIDE)


def passes(args, encoder, width):
    """Passes of an encoder over a grey picture."""
    encoder = encoder.eval().to(args.device, args.dtype).eval()  # TinyViT takes its attention biases over when it is told again
    encoder = side.fuse_attention(encoder) if args.fused else encoder
    encode = lambda: side.moments(encoder(torch.full((args.batch, 3, width, width), 0.5, device=args.device, dtype=args.dtype)))
    with torch.inference_mode():
        if args.device != "cpu":  # the first passes choose kernels
            encode(), encode()
        clock = side.Clock()
        for _ in range(args.passes):
            values = encode()
        side.report(clock.seconds() / args.passes, **values)


def weights(args):
    from segment_anything import sam_model_registry

    import formula
    state = sam_model_registry["vit_b"]().state_dict()
    torch.save({k: torch.from_numpy(formula.values(k, tuple(v.shape))) for k, v in state.items()}, args.path + ".part")
    os.rename(args.path + ".part", args.path)


def sgemm(args):
    n, times = 3072, []
    a, b = torch.rand(n, n), torch.rand(n, n)
    with torch.inference_mode():
        torch.mm(a, b)
        for _ in range(3):
            clock = side.Clock()
            torch.mm(a, b)
            times.append(clock.seconds())
    side.report(min(times), gflops=2 * n**3 / min(times) / 1e9)


if __name__ == "__main__":
    sys.exit(main())
