"""Writes testdata/parity/hf_small.safetensors and hf_small_vectors.safetensors: a small SamModel of transformers as it is
saved, and what it makes of an input. Needs: pip install torch transformers safetensors"""
import os
import shutil
import sys

import torch
from safetensors.torch import load_file, save_file
from transformers import SamConfig, SamMaskDecoderConfig, SamModel, SamPromptEncoderConfig, SamVisionConfig

out = sys.argv[1] if len(sys.argv) > 1 else "testdata/parity"
torch.manual_seed(0)
model = SamModel(SamConfig(
    vision_config=SamVisionConfig(hidden_size=32, output_channels=16, num_hidden_layers=2, num_attention_heads=2, image_size=64,
                                  patch_size=16, window_size=3, global_attn_indexes=[1], mlp_dim=64, num_pos_feats=8),
    prompt_encoder_config=SamPromptEncoderConfig(hidden_size=16, image_size=64, patch_size=16, mask_input_channels=16),
    mask_decoder_config=SamMaskDecoderConfig(hidden_size=16, mlp_dim=32, num_attention_heads=4, iou_head_hidden_dim=16))).eval()
with torch.no_grad():
    for p in list(model.parameters()) + [model.shared_image_embedding.positional_embedding]:
        p.copy_(torch.randn_like(p) * (0.3 if p.ndim > 1 else 0.1) + (1.0 if p.ndim == 1 and p.mean() > 0.5 else 0.0))
    model.save_pretrained(out + "/hf_small")
    x = torch.randn(1, 3, 64, 64)
    y = model(pixel_values=x, input_points=torch.tensor([[[[20.0, 40.0], [50.0, 10.0]]]]), input_labels=torch.tensor([[[1, 0]]]), multimask_output=True)
    embedding = model.get_image_embeddings(x)

save_file(load_file(out + "/hf_small/model.safetensors"), out + "/hf_small.safetensors")
shutil.rmtree(out + "/hf_small")
save_file({"input": x, "embedding": embedding.contiguous(), "logits": y.pred_masks[0].contiguous(), "iou": y.iou_scores[0].contiguous()},
          out + "/hf_small_vectors.safetensors")
print(os.path.getsize(out + "/hf_small.safetensors"), "bytes")
