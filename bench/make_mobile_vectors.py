"""Writes testdata/parity/mobile_hash.safetensors: MobileSAM's official code with weights by the formula of README.md (and
running_var: 1, 0.1) on the input of vitb_hash. Run it with the official repository's folder on PYTHONPATH; needs torch, timm,
safetensors, numpy."""
import sys, math, json
import numpy as np, torch
from safetensors.torch import save_file, load_file
from mobile_sam import sam_model_registry

def fnv1a(s):
    h = 0xcbf29ce484222325
    for c in s.encode(): h = ((h ^ c) * 0x100000001b3) & 0xFFFFFFFFFFFFFFFF
    return h

def uniform(name, n):
    with np.errstate(over='ignore'):
        z = np.arange(n, dtype=np.uint64) + np.uint64(fnv1a(name))
        z = z * np.uint64(0x9E3779B97F4A7C15) + np.uint64(0x9E3779B97F4A7C15)
        z = (z ^ (z >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
        z = (z ^ (z >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
        z = z ^ (z >> np.uint64(31))
    return (z >> np.uint64(40)).astype(np.float64) / 16777216.0

def values(name, shape):
    n = int(np.prod(shape)); c = 2 * uniform(name, n) - 1
    if name.endswith('.running_var'): b, s = 1, .1
    elif len(shape) == 1: b, s = (1, .1) if name.endswith('.weight') else (0, .05)
    elif 'gaussian_matrix' in name: b, s = 0, 1.0
    elif any(t in name for t in ('pos_embed', 'rel_pos', 'point_embeddings', 'not_a_point', 'no_mask', 'iou_token', 'mask_tokens')): b, s = 0, .3
    else: b, s = 0, math.sqrt(3 / (n / shape[0]))
    return torch.from_numpy((b + s * c).astype(np.float32).reshape(shape))

torch.set_num_threads(2)
m = sam_model_registry['vit_t']()
m.load_state_dict({k: (values(k, tuple(v.shape)) if v.is_floating_point() else v) for k, v in m.state_dict().items()}, strict=True)
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
