"""Makes testdata/everything: a drawn picture, a tiny SAM that knows it, and what the official generator finds with it.

Run: python bench/make_everything_vectors.py testdata/everything
Needs torch, torchvision, segment-anything 1.0, safetensors, Pillow, opencv-python-headless (clean-up of small regions) and
pycocotools (compressed RLE). The authority is segment_anything 1.0's SamAutomaticMaskGenerator on its own Sam class.
LiteMedSAM is trained for boxes alone, and no point gives it a stable mask. So the model here is a tiny SAM that was trained
for a minute on the shapes of the picture, until it answers points with the three masks and the estimates that a SAM gives. With
the weights there already, they are used as they are: only the vectors are made again.
"""
import json, sys
from pathlib import Path

import numpy as np, torch, torch.nn.functional as F
from PIL import Image, ImageDraw
from pycocotools import mask as coco
from safetensors.torch import load_file, save_file
from segment_anything import SamAutomaticMaskGenerator
from segment_anything.modeling import ImageEncoderViT, MaskDecoder, PromptEncoder, Sam, TwoWayTransformer
from segment_anything.predictor import SamPredictor

WIDTH, HEIGHT, SIDE, GRID = 300, 220, 128, 16
BACK = (0, 0, 0)
SHAPES = [  # drawn in this order, each with its colour
    ("ellipse", (20, 25, 100, 105), (200, 60, 50)),
    ("ellipse", (48, 50, 72, 74), (240, 220, 120)),
    ("rectangle", (130, 20, 200, 70), (40, 60, 160)),
    ("rectangle", (150, 35, 175, 55), (220, 220, 230)),
    ("polygon", (220, 30, 285, 60, 240, 110), (60, 170, 80)),
    ("ellipse", (150, 110, 215, 190), (150, 40, 130)),
    ("polygon", (10, 150, 20, 140, 130, 200, 120, 210), (20, 20, 20)),
    ("rectangle", (235, 140, 299, 219), (190, 140, 60)),
    ("ellipse", (252, 160, 272, 180), (30, 30, 90)),
    ("rectangle", (20, 112, 60, 132), (230, 120, 40)),
    ("rectangle", (80, 112, 126, 132), (230, 120, 40)),
]


def draw(only=None):
    """The picture, or the mask of one of its shapes with what lies on it."""
    img = Image.new("RGB", (WIDTH, HEIGHT), BACK)
    if only is None:
        y, x = np.mgrid[:HEIGHT, :WIDTH]
        texture = (x * 7 + y * 13 + x * y) % 11
        img = Image.fromarray(np.stack([90 + x // 5 + texture, 120 - y // 6 + texture, 70 + (x + y) // 9 + texture], -1).astype(np.uint8))
    d = ImageDraw.Draw(img)
    for i, (kind, where, colour) in enumerate(SHAPES):
        if only is None:
            getattr(d, kind)(where, fill=colour)
        elif only == i:
            getattr(d, kind)(where, fill=(255, 255, 255))
    return np.array(img) if only is None else np.array(img)[..., 0] > 0


def build():
    dim = 32
    return Sam(
        image_encoder=ImageEncoderViT(img_size=SIDE, patch_size=SIDE // GRID, embed_dim=48, depth=2, num_heads=4, out_chans=dim,
                                      qkv_bias=True, use_rel_pos=True, window_size=4, global_attn_indexes=(1,)),
        prompt_encoder=PromptEncoder(embed_dim=dim, image_embedding_size=(GRID, GRID), input_image_size=(SIDE, SIDE), mask_in_chans=16),
        mask_decoder=MaskDecoder(num_multimask_outputs=3, transformer_dim=dim, iou_head_depth=3, iou_head_hidden_dim=dim,
                                 transformer=TwoWayTransformer(depth=2, embedding_dim=dim, mlp_dim=64, num_heads=4)),
        pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])


def views(image, masks):
    """The whole picture and four overlapping quarters, each with the shapes in it."""
    for x0, y0, x1, y1 in [(0, 0, WIDTH, HEIGHT), (0, 0, 188, 148), (112, 0, 300, 148), (0, 72, 188, 220), (112, 72, 300, 220)]:
        yield image[y0:y1, x0:x1], [m[y0:y1, x0:x1] for m in masks]


def train(sam, image, steps=1500):
    masks = [draw(i) for i in range(len(SHAPES))]
    cases = []
    for picture, shapes in views(image, masks):
        predictor = SamPredictor(sam)
        small = predictor.transform.apply_image(picture)
        h, w = small.shape[:2]
        x = sam.preprocess(torch.as_tensor(small).permute(2, 0, 1)[None].float())
        target = torch.zeros(len(shapes), 4 * GRID, 4 * GRID)
        for i, s in enumerate(shapes):
            full = F.interpolate(torch.as_tensor(s)[None, None].float(), (h, w), mode="area")
            full = F.pad(full, (0, SIDE - w, 0, SIDE - h))
            target[i] = F.interpolate(full, (4 * GRID, 4 * GRID), mode="area")[0, 0]
        cases.append((x, target, [np.argwhere(s) for s in shapes], (h / picture.shape[0], w / picture.shape[1])))
    optimiser = torch.optim.AdamW(sam.parameters(), 2e-3, weight_decay=1e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 4e-3, steps)
    draws = np.random.default_rng(1)
    for step in range(steps):
        x, target, inside, (sy, sx) = cases[0 if step % 2 else draws.integers(1, 5)]
        usable = [i for i, p in enumerate(inside) if len(p) > 40]
        picks = draws.choice(usable, 24)
        points = np.array([inside[i][draws.integers(len(inside[i]))] for i in picks])
        coords = torch.as_tensor(np.stack([points[:, 1] * sx, points[:, 0] * sy], -1)).float()[:, None]
        sparse, dense = sam.prompt_encoder(points=(coords, torch.ones(len(picks), 1)), boxes=None, masks=None)
        logits, iou = sam.mask_decoder(image_embeddings=sam.image_encoder(x), image_pe=sam.prompt_encoder.get_dense_pe(),
                                       sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=True)
        t = target[picks][:, None].expand_as(logits)
        p = logits.sigmoid()
        dice = 1 - (2 * (p * t).sum((2, 3)) + 1) / (p.sum((2, 3)) + t.sum((2, 3)) + 1)
        loss = F.binary_cross_entropy_with_logits(logits, t, reduction="none").mean((2, 3)) * 4 + dice
        with torch.no_grad():
            a, b = logits > 0, t > 0.5
            truth = (a & b).sum((2, 3)) / (a | b).sum((2, 3)).clamp(min=1)
        total = loss.min(1).values.mean() + 0.05 * loss.mean() + ((iou - truth) ** 2).mean()
        optimiser.zero_grad()
        total.backward()
        torch.nn.utils.clip_grad_norm_(sam.parameters(), 1)
        optimiser.step()
        schedule.step()
        if step % 100 == 99:
            print(f"step {step + 1}: loss {total.item():.4f}, IoU {truth.max(1).values.mean():.3f}", flush=True)


CASES = {
    "defaults": dict(),
    "whole": dict(pred_iou_thresh=0.7, stability_score_thresh=0.85),
    "open": dict(points_per_side=12, pred_iou_thresh=0.3, stability_score_thresh=0.5, box_nms_thresh=0.5),
    "crops": dict(points_per_side=12, crop_n_layers=1, crop_n_points_downscale_factor=2, pred_iou_thresh=0.5, stability_score_thresh=0.8),
    "clean": dict(points_per_side=12, pred_iou_thresh=0.3, stability_score_thresh=0.5, min_mask_region_area=120),
}


def main(folder):
    image = draw()
    Image.fromarray(image).save(folder / "picture.png", optimize=True)
    torch.manual_seed(3)
    sam, weights = build(), folder / "tiny_sam.safetensors"
    if weights.exists():
        sam.load_state_dict(load_file(weights))
    else:
        train(sam, image)
        save_file({k: v.contiguous() for k, v in sam.state_dict().items()}, weights)
    sam.eval()
    for name, options in CASES.items():
        found = SamAutomaticMaskGenerator(sam, output_mode="uncompressed_rle", **options).generate(image)
        for i, m in enumerate(found):
            rle = m.pop("segmentation")
            m["counts"] = coco.frPyObjects(rle, *rle["size"])["counts"].decode()
            if i == 0:
                m["uncompressed"] = rle["counts"]
        text = json.dumps({"torch": torch.__version__, "options": options, "masks": found}, separators=(",", ":"))
        (folder / f"{name}.json").write_text(text)
        print(f"{name}: {len(found)} masks, {len(text)} bytes, IoU {[round(m['predicted_iou'], 3) for m in found][:30]}")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
