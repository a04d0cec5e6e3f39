"""Writes testdata/parity/mobile_hash.safetensors: MobileSAM's official code with weights by the formula of README.md (and
running_var: 1, 0.1) on the input of vitb_hash. Run it with the official repository's folder on PYTHONPATH; needs torch, timm,
safetensors, numpy."""
import sys
import torch
from safetensors.torch import save_file, load_file
from mobile_sam import sam_model_registry

import formula

torch.set_num_threads(2)
m = sam_model_registry['vit_t']()
m.load_state_dict({k: (torch.from_numpy(formula.values(k, tuple(v.shape))) if v.is_floating_point() else v) for k, v in m.state_dict().items()}, strict=True)
m.eval()
image = load_file(sys.argv[1] + '/vitb_hash.safetensors')['image_u8_small']
x = m.preprocess(image.repeat_interleave(32, 2).repeat_interleave(32, 3)[0].float()[None])
with torch.no_grad():
    e = m.image_encoder(x)
    d = {'emb_strided': e[:, :, ::8, ::8]}
    sparse, dense = m.prompt_encoder(points=None, boxes=torch.tensor([[100., 50., 900., 700.]]), masks=None)
    low, iou = m.mask_decoder(image_embeddings=e, image_pe=m.prompt_encoder.get_dense_pe(), sparse_prompt_embeddings=sparse,
                              dense_prompt_embeddings=dense, multimask_output=True)
    d['box.low_res_strided'], d['box.iou'] = low[:, :, ::4, ::4], iou
save_file({k: v.contiguous().clone() for k, v in d.items()}, sys.argv[1] + '/mobile_hash.safetensors', metadata={'torch': torch.__version__})
with open(sys.argv[1] + '/mobile_keys.txt', 'w') as f:
    for k, v in m.state_dict().items(): f.write(f'{k}\t{list(v.shape)}\t{v.dtype}\n')
print({k: (tuple(v.shape), float(v.std())) for k, v in d.items()})
