"""Makes testdata/loss/vectors.json: values and gradients of segmentation losses on small random maps.

Run with torch and monai installed: python bench/make_loss_vectors.py testdata/loss/vectors.json
Authorities: torch's binary_cross_entropy_with_logits (pos_weight), MONAI's DiceLoss, FocalLoss, TverskyLoss and
SoftclDiceLoss. Each term is over the pixels where valid is 1: logits elsewhere are cut out (cross-entropy, focal) or
probabilities and targets are set to 0 there (the others). The boundary term is the mean of p * d with a distance map made
by scipy's distance_transform_edt as in Kervadec et al.'s code.
"""
import json, sys
import numpy as np, torch, torch.nn.functional as F, monai
from monai.losses import DiceLoss, FocalLoss, TverskyLoss, SoftclDiceLoss
from scipy.ndimage import distance_transform_edt as edt

torch.manual_seed(7)
H, W = 20, 26
logits = (torch.randn(2, 1, H, W) * 3).double()
target = torch.zeros(2, 1, H, W).double()
target[0, 0, 4:12, 3:20] = 1
target[0, 0, 14:17, :] = 1
target[1, 0, 8:9, 2:24] = 1
target[1, 0, :, 15:18] = 1
valid = torch.ones(2, 1, H, W).double()
valid[0, 0, :, :4] = 0
valid[1, 0, 15:, 10:] = 0
inside = valid > 0


def distance(mask):
    pos = mask.astype(bool)
    return edt(~pos) * ~pos - (edt(pos) - 1) * pos if pos.any() else np.zeros(mask.shape)


dist = torch.from_numpy(np.stack([distance(t[0].numpy()) for t in target])[:, None])
p = lambda z: torch.sigmoid(z) * valid
t = target * valid
terms = {
    "bce": lambda z: F.binary_cross_entropy_with_logits(z[inside], target[inside]),
    "bce, positive 3": lambda z: F.binary_cross_entropy_with_logits(z[inside], target[inside], pos_weight=torch.tensor(3.0)),
    "dice": lambda z: DiceLoss(smooth_nr=1, smooth_dr=1)(p(z), t),
    "focal": lambda z: FocalLoss(gamma=2, alpha=0.25, reduction="none")(z, target)[inside].mean(),
    "tversky": lambda z: TverskyLoss(alpha=0.3, beta=0.7, smooth_nr=1, smooth_dr=1)(p(z), t),
    "cldice": lambda z: torch.stack([SoftclDiceLoss(iter_=4, smooth=1e-12)(p(z)[i:i + 1], t[i:i + 1]) for i in range(2)]).mean(),
    "boundary": lambda z: (p(z) * dist).sum() / valid.sum(),
}
out = {"torch": torch.__version__, "monai": monai.__version__, "shape": [2, 1, H, W],
       "logits": logits.flatten().tolist(), "target": target.flatten().tolist(), "valid": valid.flatten().tolist(),
       "distance": dist.flatten().tolist(), "terms": {}}
for name, term in terms.items():
    z = logits.clone().requires_grad_()
    value = term(z)
    value.backward()
    out["terms"][name] = {"value": value.item(), "gradient": z.grad.flatten().tolist()}
round8 = lambda v: [float(f"{x:.8g}") for x in v]
for key in ("logits", "target", "valid", "distance"):
    out[key] = round8(out[key])
for term in out["terms"].values():
    term["gradient"] = round8(term["gradient"])
json.dump(out, open(sys.argv[1], "w"), separators=(",", ":"))
