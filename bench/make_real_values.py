"""Makes data/testdata/real.json: what nibabel, pydicom and Pillow read in real files, and what label volumes hold.

Run with nibabel, pydicom, Pillow and numpy installed: python bench/make_real_values.py DATA data/testdata/real.json
DATA is the folder with the data sets. No voxel is kept: of each file its size, spacing and the SHA-256 of its values,
float32 x fastest for volumes and series, R, G, B bytes for pictures; of JPEG, which decoders round otherwise, the mean.
"""
import glob, hashlib, json, os, sys
import numpy as np, nibabel as nib, pydicom
from PIL import Image

root, out = sys.argv[1:3]
files, labels = [], {}
rel = lambda p: os.path.relpath(p, root)
MOST = 8  # files of a kind and data set


def some(pattern):
    found = sorted(glob.glob(os.path.join(root, pattern), recursive=True))
    return found[:: max(1, len(found) // MOST)][:MOST]


def digest(a):
    return hashlib.sha256(np.ascontiguousarray(a).tobytes()).hexdigest()[:32]


for d in sorted(os.listdir(root)):
    for p in some(d + "/**/*.nii.gz"):
        img = nib.load(p)
        a = np.asarray(img.dataobj).astype(np.float64).T.astype("<f4")
        files.append({"file": rel(p), "size": list(img.shape), "spacing": [float(z) for z in img.header.get_zooms()[:3]],
                      "affine": [[float(v) for v in r] for r in img.affine[:3]], "sha256": digest(a)})
    for ext in ("png", "bmp", "gif", "tif", "jpg"):
        for p in some(f"{d}/**/*.{ext}"):
            img = Image.open(p)
            a = np.asarray(img.convert("RGB"))
            row = {"file": rel(p), "size": [img.width, img.height, 1]}
            row.update({"mean": float(a.mean())} if ext == "jpg" else {"sha256": digest(a)})
            files.append(row)

for p in sorted(glob.glob(os.path.join(root, "CHAOS_CT/Train_Sets/CT/*/"))):
    slices = [pydicom.dcmread(f) for f in glob.glob(p + "DICOM_anon/*.dcm")]
    number = lambda d: int(os.path.basename(d.filename)[1:5])
    slices.sort(key=lambda d: float(d.ImagePositionPatient[2]))
    hu = np.stack([d.pixel_array.astype(np.float64) * float(d.RescaleSlope) + float(d.RescaleIntercept) for d in slices])
    mask = np.stack([np.asarray(Image.open(p + f"Ground/liver_GT_{number(d):03d}.png").convert("L")) > 127 for d in slices])
    files.append({"file": rel(p + "DICOM_anon"), "series": True, "size": list(hu.T.shape),
                  "spacing": [float(slices[0].PixelSpacing[1]), float(slices[0].PixelSpacing[0]),
                              (float(slices[-1].ImagePositionPatient[2]) - float(slices[0].ImagePositionPatient[2])) / (len(slices) - 1)],
                  "names": [os.path.basename(d.filename) for d in slices], "sha256": digest(hu.astype("<f4"))})
    labels["chaos_ct"] = {"voxels": int(mask.sum()), "mean": float(hu[mask].mean()), "deviation": float(hu[mask].std())}


def count(name, image_label, targets):
    """Voxels of each target over all volumes, and the image's mean there."""
    total = {t: [0, 0.0] for t in targets}
    for image, label in image_label:
        a, m = np.asarray(nib.load(image).dataobj).astype(np.float64), np.asarray(nib.load(label).dataobj)
        for t, values in targets.items():
            inside = np.isin(np.round(m), values)
            total[t][0] += int(inside.sum())
            total[t][1] += float(a[inside].sum())
    labels[name] = {"volumes": len(image_label), **{t: {"voxels": n, "mean": s / n} for t, (n, s) in total.items()}}


g = lambda pattern: sorted(glob.glob(os.path.join(root, pattern)))
count("acdc", [(p.replace("_gt.nii.gz", ".nii.gz"), p) for p in g("ACDC/training/*/*_gt.nii.gz")], {"right_ventricle": [1], "myocardium": [2], "left_ventricle": [3]})
count("msd_hippocampus", [(p.replace("labelsTr", "imagesTr"), p) for p in g("Task04_Hippocampus/labelsTr/*.nii.gz")], {"anterior": [1], "posterior": [2]})
count("brats", [(p + "Flair_subtrMeanDivStd.nii.gz", p + "OTMultiClass.nii.gz") for p in g("BraTS2015_deepmedic/*/")],
      {"whole_tumour": [1, 2, 3, 4], "tumour_core": [1, 3, 4], "enhancing_tumour": [4]})
n, s, files_ = 0, 0.0, g("LVSD_liver_vessel/dataset/*/*.nii.gz")
for p in files_:
    a = np.asarray(nib.load(p).dataobj)
    inside = a[..., 0] > 127
    n, s = n + int(inside.sum()), s + float(a[..., 4][inside].astype(np.float64).sum())
labels["lvsd"] = {"volumes": len(files_), "vessels": {"voxels": n, "mean": s / n}}

with open(out, "w") as f:
    f.write('{"files": [\n' + ",\n".join(json.dumps(r) for r in files) + '\n],\n"labels": ' + json.dumps(labels, indent=1) + "}\n")
print(len(files), "files", json.dumps(labels))
