"""Makes data/format/testdata/vectors.tar.gz and vectors.json: small files of each kind and variant with what they hold.

Run with nibabel, SimpleITK, pydicom, tifffile, imagecodecs, Pillow and numpy installed:
python bench/make_format_vectors.py data/format/testdata

Each file is read back by an authority other than its writer where there is one: NIfTI by nibabel (and SimpleITK for the
types that it knows), MetaImage and series of DICOM by SimpleITK, single DICOM by pydicom, npy by numpy, pictures by Pillow
or tifffile. FILE.want in the archive holds the values as read: float32, little-endian, x fastest, channel by channel; of
pictures R, G, B, A bytes.
"""
import gzip, io, json, os, struct, sys, tarfile, tempfile, warnings, zlib
import numpy as np, nibabel as nib, SimpleITK as sitk, pydicom, tifffile
from PIL import Image
from pydicom.dataset import FileDataset, FileMetaDataset, Dataset
from pydicom.sequence import Sequence

warnings.simplefilter("ignore")
out = sys.argv[1]
root = tempfile.mkdtemp()
rng = np.random.default_rng(5)
cases, want = [], {}
NX, NY, NZ = 5, 4, 3


def path(name):
    p = os.path.join(root, name)
    os.makedirs(os.path.dirname(p), exist_ok=True)
    return p


def put(name, data):
    with open(path(name), "wb") as f:
        f.write(data)


def volume(name, kind, channels, spacing=None, affine=None, way="volume"):
    """channels: arrays of [z, y, x]."""
    values = [np.ascontiguousarray(np.asarray(c, np.float64).astype("<f4")) for c in channels]
    z, y, x = values[0].shape
    want[name] = b"".join(v.tobytes() for v in values)
    cases.append({"file": name, "as": way, "kind": kind, "size": [x, y, z], "channels": len(values),
                  "spacing": None if spacing is None else [float(s) for s in spacing],
                  "affine": None if affine is None else [[float(e) for e in row[:4]] for row in np.asarray(affine)[:3]],
                  "first": [repr(float(v)) for v in values[0].ravel()[:3]], "sum": repr(float(sum(np.nansum(v.astype(np.float64)) for v in values)))})


def picture(name, rgba, tolerance=0):
    rgba = np.asarray(rgba, np.uint8)
    want[name] = rgba.tobytes()
    cases.append({"file": name, "as": "picture", "size": [rgba.shape[1], rgba.shape[0], 1], "tolerance": tolerance,
                  "first": [int(v) for v in rgba[0, 0]], "sum": str(int(rgba.astype(int).sum()))})


def refused(name, says, way="volume", error="unsupported"):
    cases.append({"file": name, "as": way, "refused": says, "error": error})


def numbers(dtype, shape, integers=True):
    dtype = np.dtype(dtype)
    if dtype.kind == "b":
        return rng.integers(0, 2, shape).astype(bool)
    if dtype.kind in "iu":
        info = np.iinfo(dtype)
        a = rng.integers(info.min, info.max, shape, dtype=dtype, endpoint=True)
        a.flat[0], a.flat[1] = info.min, info.max
        return a
    a = (rng.standard_normal(shape) * 1000).astype(dtype)
    a.flat[0], a.flat[1] = np.inf, np.nan
    return a


# NIfTI --------------------------------------------------------------------------------------------------------------
OBLIQUE = np.array([[0.8, -0.1, 0.2, -11.5], [0.1, 1.4, 0.3, 7.25], [-0.15, -0.2, 2.5, 33.0], [0, 0, 0, 1]])
PLAIN = np.diag([0.75, 1.25, 3.0, 1.0]); PLAIN[:3, 3] = [-10, 20, -30]


def rotation(a, b, c):
    ca, sa, cb, sb, cc, sc = np.cos(a), np.sin(a), np.cos(b), np.sin(b), np.cos(c), np.sin(c)
    return np.array([[cb * cc, -cb * sc, sb], [ca * sc + sa * sb * cc, ca * cc - sa * sb * sc, -sa * cb], [sa * sc - ca * sb * cc, sa * cc + ca * sb * sc, ca * cb]])


TURNED = np.eye(4); TURNED[:3, :3] = rotation(0.3, -0.2, 0.5) @ np.diag([0.75, 1.25, 3.0]); TURNED[:3, 3] = [4, 5, 6]
MIRRORED = TURNED.copy(); MIRRORED[:3, 2] *= -1


def by_itk(name, data, affine):
    """Holds what nibabel read against SimpleITK, where that reads the file."""
    try:
        img = sitk.ReadImage(path(name))
    except RuntimeError:
        return False
    got = sitk.GetArrayFromImage(img).astype(np.float64)
    if got.shape != data.shape:
        return False
    finite = np.isfinite(data)  # ITK reads 0 for what is no number
    assert np.allclose(got[finite], data[finite], rtol=1e-6), name
    if affine is not None and img.GetDimension() == 3:
        direction = np.array(img.GetDirection()).reshape(3, 3) @ np.diag(img.GetSpacing())
        itk = np.diag([-1, -1, 1]) @ np.c_[direction, img.GetOrigin()]
        assert np.allclose(itk, affine[:3], atol=1e-4), (name, itk, affine)
    return True


checked = {"nifti by ITK": 0}


def nifti(name, data, affine=PLAIN, cls=nib.Nifti1Image, endian="<", sform=1, qform=0, slope=None, patch=None, unit=1.0, oriented=True, ext=None, itk=True):
    """data: [x, y, z, ...]"""
    hdr = cls.header_class(endianness=endian)
    hdr.set_data_dtype(data.dtype)
    img = cls(data, affine, hdr)
    img.header.set_xyzt_units(2)
    img.set_sform(affine if sform else None, sform)
    img.set_qform(affine if qform else None, qform)
    if not sform and not qform:
        img.header["pixdim"][1:4] = [0.75, 1.25, 3.0]
    if slope:
        img.header.set_slope_inter(*slope)
    if ext:
        img.header.extensions.append(nib.nifti1.Nifti1Extension(6, ext))
    nib.save(img, path(name))
    if patch:
        for at, b in patch.items():
            with open(path(name), "r+b") as f:
                f.seek(at)
                f.write(b)
    back = nib.load(path(name))
    assert back.header.endianness == endian
    got = np.asarray(back.dataobj).astype(np.float64)
    if patch is None and slope is None:
        assert np.array_equal(got, data.astype(np.float64), equal_nan=True)
    flat = got.reshape(got.shape[:3] + (-1,)) if got.ndim > 3 else got.reshape(got.shape + (1,) * (4 - got.ndim))
    channels = [flat[..., c].T for c in range(flat.shape[3])]
    # Where nothing says how the volume lies nibabel makes an affine up, which is no orientation.
    a = back.affine.copy() if oriented else None
    zooms = [float(z) for z in back.header.get_zooms()[:3]] + [1.0] * (3 - min(3, got.ndim))
    if a is not None:
        a[:3] *= unit
    if itk and by_itk(name, channels[0] if got.ndim == 3 else got.T, a):
        checked["nifti by ITK"] += 1
    volume(name, "NIfTI-1" if cls in (nib.Nifti1Image, nib.Nifti1Pair) else "NIfTI-2", channels, [z * unit for z in zooms], a)


for version, cls in ((1, nib.Nifti1Image), (2, nib.Nifti2Image)):
    for t in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
        for endian, e in (("<", "little"), (">", "big")):
            nifti(f"nifti/{version}_{np.dtype(t).name}_{e}.nii", numbers(t, (NX, NY, NZ)).astype(np.dtype(t).newbyteorder(endian)), cls=cls, endian=endian)
    small = rng.integers(-1000, 3000, (NX, NY, NZ)).astype("i2")
    nifti(f"nifti/{version}_packed.nii.gz", small, cls=cls)
    nifti(f"nifti/{version}_sform.nii", small, OBLIQUE, cls)
    nifti(f"nifti/{version}_qform.nii", small, TURNED, cls, sform=0, qform=1)
    nifti(f"nifti/{version}_qform_mirrored.nii", small, MIRRORED, cls, sform=0, qform=2)
    nifti(f"nifti/{version}_no_form.nii", small, PLAIN, cls, sform=0, qform=0, oriented=False)
    nifti(f"nifti/{version}_big_qform.nii", small.astype(">i2"), TURNED, cls, sform=0, qform=1, endian=">")
    nifti(f"nifti/{version}_extension.nii", small, PLAIN, cls, ext=b"some words of a scanner")
    nifti(f"nifti/{version}_time.nii.gz", rng.integers(0, 99, (NX, NY, NZ, 3)).astype("u1"), PLAIN, cls)
    nifti(f"nifti/{version}_vector.nii", rng.integers(0, 99, (NX, NY, NZ, 1, 2)).astype("f4"), PLAIN, cls)
    for what, slope in (("scaled", (0.5, -1024)), ("falling", (-2.5, 3)), ("shifted", (1, -1000))):
        nifti(f"nifti/{version}_{what}.nii", small, PLAIN, cls, slope=slope)
    nifti(f"nifti/{version}_scaled_big.nii", rng.integers(0, 255, (NX, NY, NZ)).astype("u1"), PLAIN, cls, slope=(1 / 3, 0.25), endian=">")
small = rng.integers(-1000, 3000, (NX, NY, NZ)).astype("i2")
nifti("nifti/slope_0.nii", small, patch={112: struct.pack("<ff", 0, 7)}, itk=False)  # ITK adds the 7, against the standard
nifti("nifti/slope_nan.nii", small, patch={112: struct.pack("<ff", np.nan, 7)}, itk=False)
nifti("nifti/two_dimensions.nii", rng.integers(0, 9, (NX, NY)).astype("u1"))
nifti("nifti/both_forms.nii", small, TURNED, sform=2, qform=1, patch={280: struct.pack("<12f", *PLAIN[:3].ravel())}, itk=False)  # as nibabel, the sform first; ITK goes by their codes
nifti("nifti/metres.nii", small, PLAIN, patch={123: b"\x01"}, unit=1000.0)
nifti("nifti/micrometres.nii", small, PLAIN, patch={123: b"\x03"}, unit=0.001)
nifti("nifti/seconds_too.nii", small, PLAIN, patch={123: b"\x0a"})
nifti("nifti/offset.nii", small, PLAIN, patch={108: struct.pack("<f", 352)})
for cls, v in ((nib.Nifti1Pair, 1), (nib.Nifti2Pair, 2)):
    nifti(f"nifti/pair{v}.hdr", small, OBLIQUE, cls)
raw = open(path("nifti/pair1.img"), "rb").read()
put("nifti/packed_pair.hdr", open(path("nifti/pair1.hdr"), "rb").read()); put("nifti/packed_pair.img.gz", gzip.compress(raw, mtime=0))
volume("nifti/packed_pair.hdr", "NIfTI-1", [small.T], [c for c in np.sqrt((OBLIQUE[:3, :3] ** 2).sum(0))], nib.load(path("nifti/pair1.hdr")).affine)
put("nifti/lonely.hdr", open(path("nifti/pair1.hdr"), "rb").read())
refused("nifti/lonely.hdr", "lonely.img", error="corrupt")
nib.save(nib.AnalyzeImage(small, np.eye(4)), path("nifti/analyze.hdr"))
refused("nifti/analyze.hdr", "Analyze")
for t, says in ((np.complex64, "complex"), (np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")]), "colours")):
    n = f"nifti/{says}.nii"
    nib.save(nib.Nifti1Image(np.zeros((NX, NY, NZ), t), PLAIN), path(n))
    refused(n, says)

# MetaImage ----------------------------------------------------------------------------------------------------------


def itk_volume(name, kind="MetaImage"):
    img = sitk.ReadImage(path(name))
    a = sitk.GetArrayFromImage(img).astype(np.float64)
    n = img.GetNumberOfComponentsPerPixel()
    channels = [a[..., c] for c in range(n)] if n > 1 else [a]
    affine = None
    spacing = list(img.GetSpacing())[:3] + [1.0] * (3 - img.GetDimension())
    if img.GetDimension() == 3:
        direction = np.array(img.GetDirection()).reshape(3, 3) @ np.diag(img.GetSpacing())
        affine = np.diag([-1, -1, 1]) @ np.c_[direction, img.GetOrigin()]
    elif img.GetDimension() == 4:
        channels = list(a)
    channels = [c if c.ndim == 3 else c[None] for c in channels]
    volume(name, kind, channels, spacing, affine)


def itk_image(a, vector=False):
    img = sitk.GetImageFromArray(a, isVector=vector)
    if img.GetDimension() == 3:
        img.SetSpacing((0.7, 0.8, 2.5)); img.SetOrigin((-12.5, 30, 400)); img.SetDirection(rotation(0.1, 0.2, -0.3).ravel())
    elif img.GetDimension() == 2:
        img.SetSpacing((0.7, 0.8))
    return img


for t in ("u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f4", "f8"):
    img = itk_image(numbers(t, (NZ, NY, NX)))
    base = f"meta/{np.dtype(t).name}"
    sitk.WriteImage(img, path(base + ".mha")); itk_volume(base + ".mha")
    sitk.WriteImage(img, path(base + "_packed.mha"), True); itk_volume(base + "_packed.mha")
    if t in ("i2", "f4"):
        sitk.WriteImage(img, path(base + "_beside.mhd")); itk_volume(base + "_beside.mhd")
        sitk.WriteImage(img, path(base + "_zraw.mhd"), True); itk_volume(base + "_zraw.mhd")
small = rng.integers(-1000, 3000, (NZ, NY, NX)).astype("i2")
sitk.WriteImage(itk_image(small[0]), path("meta/flat.mha")); itk_volume("meta/flat.mha")
sitk.WriteImage(itk_image(rng.integers(0, 255, (NZ, NY, NX, 3)).astype("u1"), True), path("meta/vector.mha")); itk_volume("meta/vector.mha")
sitk.WriteImage(sitk.GetImageFromArray(rng.integers(0, 255, (2, NZ, NY, NX)).astype("u1"), isVector=False), path("meta/time.mha")); itk_volume("meta/time.mha")


def meta(name, fields, body=b"", end="\n"):
    put(name, (end.join(f"{k} = {v}" for k, v in fields) + end).encode() + body)


def header(*more, file="LOCAL", **change):
    fields = [("ObjectType", "Image"), ("NDims", "3"), ("BinaryData", "True"), ("BinaryDataByteOrderMSB", "False"), ("DimSize", f"{NX} {NY} {NZ}"),
              ("ElementSpacing", "0.7 0.8 2.5"), ("Offset", "-12.5 30 400"), ("TransformMatrix", "1 0 0 0 1 0 0 0 1"), ("ElementType", "MET_SHORT")]
    return [(k, change.get(k, v)) for k, v in fields if change.get(k, v) is not None] + list(more) + [("ElementDataFile", file)]


body = small.astype("<i2").tobytes()
meta("meta/msb.mha", header(BinaryDataByteOrderMSB="True"), small.astype(">i2").tobytes()); itk_volume("meta/msb.mha")
meta("meta/msb_float.mha", header(BinaryDataByteOrderMSB="True", ElementType="MET_FLOAT"), small.astype(">f4").tobytes()); itk_volume("meta/msb_float.mha")
meta("meta/tool.mha", header(("CenterOfRotation", "0 0 0"), ("AnatomicalOrientation", "RAI"), ("Comment", "made = by hand")), body); itk_volume("meta/tool.mha")
put("meta/skip.raw", b"x" * 100 + body)
meta("meta/skip.mhd", header(("HeaderSize", "100"), file="skip.raw")); itk_volume("meta/skip.mhd")
meta("meta/tail.mhd", header(("HeaderSize", "-1"), file="skip.raw")); itk_volume("meta/tail.mhd")
meta("meta/long.mha", header(ElementType="MET_LONG"), small.astype("<i4").tobytes()); itk_volume("meta/long.mha")
meta("meta/element_size.mha", header(("ElementSize", "0.7 0.8 2.5"), ElementSpacing=None), body); itk_volume("meta/element_size.mha")
meta("meta/orientation.mha", [("Orientation" if k == "TransformMatrix" else "Position" if k == "Offset" else k, "0 1 0 -1 0 0 0 0 1" if k == "TransformMatrix" else v) for k, v in header()], body)
itk_volume("meta/orientation.mha")
meta("meta/crlf.mha", header(), body, end="\r\n"); itk_volume("meta/crlf.mha")
meta("meta/list.mhd", header(file="LIST")); refused("meta/list.mhd", "files of their own")
meta("meta/numbered.mhd", header(file="slice%03d.raw 0 2 1")); refused("meta/numbered.mhd", "files of their own")
meta("meta/text.mha", header(BinaryData="False"), b"1 2 3\n"); refused("meta/text.mha", "as text")
meta("meta/no_raw.mhd", header(file="nothing.raw")); refused("meta/no_raw.mhd", "nothing.raw", error="corrupt")
meta("meta/outside.mhd", header(file="../../etc/passwd")); refused("meta/outside.mhd", "beside the header")

# numpy --------------------------------------------------------------------------------------------------------------


def npy(name, a, kind="npy", version=None):
    with open(path(name), "wb") as f:
        np.lib.format.write_array(f, a, version=version)
    array(name, np.load(path(name)), kind)


def array(name, b, kind):
    b = b.astype(np.float64)
    if b.ndim == 4:
        channels = [b[..., c] for c in range(b.shape[3])]
    else:
        channels = [b if b.ndim == 3 else b[None]]
    volume(name, kind, channels)


for t in ("b1", "u1", "i1", "u2", "i2", "u4", "i4", "u8", "i8", "f2", "f4", "f8"):
    for endian, e in (("<", "little"), (">", "big")):
        if np.dtype(t).itemsize > 1 or e == "little":
            npy(f"numpy/{np.dtype(t).name}_{e}.npy", numbers(t, (NZ, NY, NX)).astype(np.dtype(t).newbyteorder(endian)))
npy("numpy/flat.npy", numbers("i2", (NY, NX)))
npy("numpy/fortran.npy", np.asfortranarray(numbers("i2", (NZ, NY, NX))))
npy("numpy/fortran_flat.npy", np.asfortranarray(numbers("f4", (NY, NX))))
npy("numpy/channels.npy", numbers("u1", (NZ, NY, NX, 3)))
npy("numpy/fortran_channels.npy", np.asfortranarray(numbers("u2", (NZ, NY, NX, 2))))
npy("numpy/version2.npy", numbers("i2", (NZ, NY, NX)), version=(2, 0))
npy("numpy/version3.npy", numbers("i2", (NZ, NY, NX)), version=(3, 0))
a = numbers("i2", (NZ, NY, NX))
np.savez(path("numpy/plain.npz"), image=a); array("numpy/plain.npz", a, "npz")
np.savez_compressed(path("numpy/packed.npz"), image=a); array("numpy/packed.npz", a, "npz")
np.savez_compressed(path("numpy/packed_fortran.npz"), image=np.asfortranarray(a)); array("numpy/packed_fortran.npz", a, "npz")
np.savez(path("numpy/two.npz"), image=a, label=a); refused("numpy/two.npz", "image, label")
for n, b, says in (("complex", a.astype("c8"), "type"), ("line", a.ravel(), "shape"), ("words", np.array([["a", "b"]]), "type"),
                   ("records", np.zeros((2, 2), [("a", "i2")]), "number type"), ("five", np.zeros((1, 1, 1, 2, 2)), "shape"), ("many", np.zeros((2, 2, 2, 9)), "shape")):
    np.save(path(f"numpy/{n}.npy"), b)
    refused(f"numpy/{n}.npy", says)
np.save(path("numpy/object.npy"), np.array([[{}, 1]], object), allow_pickle=True)
refused("numpy/object.npy", "type")

# DICOM --------------------------------------------------------------------------------------------------------------
LE, IMPLICIT, BE = pydicom.uid.ExplicitVRLittleEndian, pydicom.uid.ImplicitVRLittleEndian, pydicom.uid.ExplicitVRBigEndian


def dicom(name, a, syntax=LE, stored=None, slope=None, change=None, position=(-10, -20, 30), orientation=(1, 0, 0, 0, 1, 0), number=1, series="1.2.3", encapsulate=None):
    m = FileMetaDataset()
    m.MediaStorageSOPClassUID, m.MediaStorageSOPInstanceUID, m.TransferSyntaxUID = pydicom.uid.CTImageStorage, f"1.2.3.{len(cases)}.{number}", syntax
    d = FileDataset(name, {}, file_meta=m, preamble=b"\0" * 128)
    d.SOPClassUID, d.SOPInstanceUID, d.SeriesInstanceUID, d.StudyInstanceUID = m.MediaStorageSOPClassUID, m.MediaStorageSOPInstanceUID, series, "1.2"
    d.Modality, d.PatientName, d.InstanceNumber = "CT", "Nobody^At^All", number
    d.ReferencedImageSequence = Sequence([Dataset()])
    d.ReferencedImageSequence[0].ReferencedSOPInstanceUID = "1.2.3.4"
    if position is not None:
        d.ImagePositionPatient, d.ImageOrientationPatient = list(position), list(orientation)
    d.PixelSpacing, d.SliceThickness = [0.8, 0.7], 5.0
    d.SamplesPerPixel, d.PhotometricInterpretation = 1, "MONOCHROME2"
    d.Rows, d.Columns = a.shape[-2:]
    if a.ndim == 3:
        d.NumberOfFrames = a.shape[0]
    d.BitsAllocated = a.dtype.itemsize * 8
    d.BitsStored = stored or d.BitsAllocated
    d.HighBit, d.PixelRepresentation = d.BitsStored - 1, int(a.dtype.kind == "i")
    if slope:
        d.RescaleSlope, d.RescaleIntercept = slope
    order = ">" if syntax == BE else "<"
    d.PixelData = a.astype(a.dtype.newbyteorder(order)).tobytes()
    if len(d.PixelData) % 2:
        d.PixelData += b"\0"
    d["PixelData"].VR = "OW" if a.dtype.itemsize > 1 or syntax == IMPLICIT else "OB"
    if change:
        change(d)
    if encapsulate:
        d.PixelData = pydicom.encaps.encapsulate([encapsulate])
        d["PixelData"].is_undefined_length = True
    pydicom.dcmwrite(path(name), d, enforce_file_format=True)
    return d


def dicom_value(name, thickness=5.0, oriented=True):
    d = pydicom.dcmread(path(name))
    a = d.pixel_array.astype(np.float64) * float(d.get("RescaleSlope", 1)) + float(d.get("RescaleIntercept", 0))
    affine = None
    if oriented:
        o = np.array(d.ImageOrientationPatient, float).reshape(2, 3)
        normal = np.cross(o[0], o[1])
        lps = np.c_[o[0] * d.PixelSpacing[1], o[1] * d.PixelSpacing[0], normal * thickness, np.array(d.ImagePositionPatient, float)]
        affine = np.diag([-1, -1, 1]) @ lps
    volume(name, "DICOM", [a if a.ndim == 3 else a[None]], (d.PixelSpacing[1], d.PixelSpacing[0], thickness) if "PixelSpacing" in d else None, affine)


ct = rng.integers(-1024, 3000, (NY, NX)).astype("i2")
us = rng.integers(0, 4096, (NY, NX)).astype("u2")
for syntax, s in ((LE, "explicit"), (IMPLICIT, "implicit"), (BE, "big")):
    dicom(f"dicom/{s}_signed.dcm", ct, syntax); dicom_value(f"dicom/{s}_signed.dcm")
    dicom(f"dicom/{s}_rescaled.dcm", us, syntax, slope=("1", "-1024")); dicom_value(f"dicom/{s}_rescaled.dcm")
    dicom(f"dicom/{s}_frames.dcm", rng.integers(0, 60000, (NZ, NY, NX)).astype("u2"), syntax, slope=("0.5", "-3.25")); dicom_value(f"dicom/{s}_frames.dcm")
    dicom(f"dicom/{s}_wide.dcm", numbers("i4", (NY, NX)), syntax); dicom_value(f"dicom/{s}_wide.dcm")
    dicom(f"dicom/{s}_byte.dcm", numbers("u1", (NY, NX)), syntax); dicom_value(f"dicom/{s}_byte.dcm")
dicom("dicom/stored12.dcm", us, stored=12); dicom_value("dicom/stored12.dcm")
dicom("dicom/signed12.dcm", (ct // 2 & 0x0fff).astype("u2"), stored=12, change=lambda d: setattr(d, "PixelRepresentation", 1), slope=("2", "-1"))
raw12 = (ct // 2 & 0x0fff).astype(int)  # pydicom leaves signs of 12 bits alone
volume("dicom/signed12.dcm", "DICOM", [(np.where(raw12 >= 2048, raw12 - 4096, raw12) * 2.0 - 1)[None]], (0.7, 0.8, 5.0), [[-0.7, 0, 0, 10], [0, -0.8, 0, 20], [0, 0, 5, 30]])
dicom("dicom/oblique.dcm", ct, orientation=tuple(rotation(0.3, 0.1, 0.2).T.ravel()[:6])); dicom_value("dicom/oblique.dcm")
dicom("dicom/inverted.dcm", us, change=lambda d: setattr(d, "PhotometricInterpretation", "MONOCHROME1")); dicom_value("dicom/inverted.dcm")
cases[-1]["inverted"] = True
dicom("dicom/no_place.dcm", us, position=None, change=lambda d: delattr(d, "PixelSpacing")); dicom_value("dicom/no_place.dcm", oriented=False)
dicom("dicom/deflated.dcm", us, pydicom.uid.DeflatedExplicitVRLittleEndian); refused("dicom/deflated.dcm", "gdcmconv --raw")
for uid, s in ((pydicom.uid.JPEGBaseline8Bit, "jpeg"), (pydicom.uid.JPEGLossless, "jpeg_lossless"), (pydicom.uid.JPEGLSLossless, "jpeg_ls"),
               (pydicom.uid.JPEG2000Lossless, "jpeg2000"), (pydicom.uid.RLELossless, "rle")):
    dicom(f"dicom/{s}.dcm", us, uid, encapsulate=b"\xff\xd8 not looked at \xff\xd9")
    refused(f"dicom/{s}.dcm", "gdcmconv --raw")


def colour(d):
    d.SamplesPerPixel, d.PhotometricInterpretation, d.PlanarConfiguration, d.PixelData = 3, "RGB", 0, d.PixelData * 3


dicom("dicom/colour.dcm", numbers("u1", (NY, NX)), change=colour); refused("dicom/colour.dcm", "colour")
dicom("dicom/palette.dcm", numbers("u1", (NY, NX)), change=lambda d: setattr(d, "PhotometricInterpretation", "PALETTE COLOR")); refused("dicom/palette.dcm", "PALETTE COLOR")


def functional(d):
    d.SharedFunctionalGroupsSequence = Sequence([Dataset()])


dicom("dicom/enhanced.dcm", rng.integers(0, 60000, (NZ, NY, NX)).astype("u2"), change=functional); refused("dicom/enhanced.dcm", "dcm2niix")


def lut(d):
    item = Dataset()
    item.add_new(0x00283002, "US", [4096, 0, 16])
    item.add_new(0x00283006, "OW", b"\0\0" * 4096)
    d.ModalityLUTSequence = Sequence([item])


dicom("dicom/lut.dcm", us, change=lut); refused("dicom/lut.dcm", "ModalityLUTSequence")
dicom("dicom/no_pixels.dcm", us, change=lambda d: delattr(d, "PixelData")); refused("dicom/no_pixels.dcm", "without voxels")


def series(name, heights, order, orientation=(1, 0, 0, 0, 1, 0), normal=(0, 0, 1), **change):
    """Files are called by order, so that their names say nothing of their place."""
    for k, h in enumerate(heights):
        a = rng.integers(-1024, 3000, (NY, NX)).astype("i2")
        dicom(f"{name}/{order[k]:03d}.dcm", a, slope=("1", "-10"), position=np.array([-10, -20, 30]) + np.array(normal) * h, orientation=orientation, number=order[k],
              series=change.get("uids", ["1.2.3"] * 99)[k])


def series_value(name, reverse=False):
    """GDCM orders the files along the normal, as ITK reads them."""
    files = sitk.ImageSeriesReader.GetGDCMSeriesFileNames(path(name + "/"))
    img = sitk.ReadImage(files)
    direction = np.array(img.GetDirection()).reshape(3, 3) @ np.diag(img.GetSpacing())
    affine = np.diag([-1, -1, 1]) @ np.c_[direction, img.GetOrigin()]
    volume(name, "DICOM", [sitk.GetArrayFromImage(img).astype(np.float64)], img.GetSpacing(), affine, way="series")
    cases[-1]["names"] = [os.path.basename(f) for f in files]


turn = rotation(0.3, 0.1, 0.2)
series("series/shuffled", [0, 2.5, 5, 7.5], [7, 2, 9, 4]); series_value("series/shuffled")
series("series/downward", [0, -2.5, -5, -7.5], [1, 2, 3, 4]); series_value("series/downward")
series("series/oblique", [0, 2.5, 5], [3, 1, 2], tuple(turn.T.ravel()[:6]), turn.T.ravel()[6:]); series_value("series/oblique")
put("series/shuffled/readme.txt", b"no slice")
series("series/twice", [0, 2.5, 2.5, 5], [1, 2, 3, 4]); refused("series/twice", "same place", "series")
series("series/gap", [0, 2.5, 7.5, 10], [1, 2, 3, 4]); refused("series/gap", "missing", "series")
series("series/two", [0, 2.5, 5], [1, 2, 3], uids=["1.2.3", "1.2.3", "1.2.4"]); refused("series/two", "two series", "series")
series("series/cut", [0, 2.5, 5], [1, 2, 3])
put("series/cut/002.dcm", open(path("series/cut/002.dcm"), "rb").read()[:100]); refused("series/cut", "002.dcm", "series", "corrupt")
put("series/none/readme.txt", b"no slice"); refused("series/none", "no DICOM file", "series")

# Pictures -----------------------------------------------------------------------------------------------------------
W, H = 19, 13
y, x = np.mgrid[:H, :W]
RGB = np.stack([7 * x + y, 11 * y, 5 * x + 3 * y], -1).astype("u1")
GREY = (37 * (y * W + x) % 256).astype("u1")
BITS = ((x + y) % 3 == 0)
DEEP = ((y * W + x) * 263 % 65536).astype("u2")
ALPHA = np.dstack([RGB, np.full((H, W), 255, "u1")])


def rgba(name):
    return np.asarray(Image.open(path(name)).convert("RGBA"))


def pil(name, img, tolerance=0, **options):
    img.save(path(name), **options)
    picture(name, rgba(name), tolerance)


PALETTE = Image.fromarray((x // 3 + y) .astype("u1") % 7, "P"); PALETTE.putpalette([v for i in range(7) for v in (40 * i, 255 - 30 * i, 9 * i)])
for d, n in (("png/", "png"), ):
    pil("png/grey.png", Image.fromarray(GREY)); pil("png/rgb.png", Image.fromarray(RGB)); pil("png/palette.png", PALETTE)
    pil("png/bits.png", Image.fromarray(BITS)); pil("png/alpha.png", Image.fromarray(ALPHA)); pil("png/grey_alpha.png", Image.fromarray(np.dstack([GREY, GREY // 2 + 127]), "LA"))


def png(name, bits, colour, rows, interlace=0):
    chunk = lambda k, b: struct.pack(">I", len(b)) + k + b + struct.pack(">I", zlib.crc32(k + b))
    put(name, b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", W, H, bits, colour, 0, 0, interlace)) + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b""))


for bits in (2, 4):
    v = GREY >> (8 - bits)
    per = 8 // bits
    rows = b""
    for r in v:
        r = np.pad(r, (0, -len(r) % per)).reshape(-1, per).astype(int)
        rows += b"\0" + bytes(int(sum(p << (bits * (per - 1 - i)) for i, p in enumerate(q))) for q in r)
    png(f"png/grey{bits}.png", bits, 0, rows); picture(f"png/grey{bits}.png", rgba(f"png/grey{bits}.png"))
adam, rows = [(0, 0, 8, 8), (4, 0, 8, 8), (0, 4, 4, 8), (2, 0, 4, 4), (0, 2, 2, 4), (1, 0, 2, 2), (0, 1, 1, 2)], b""
for x0, y0, dx, dy in adam:
    part = GREY[y0::dy, x0::dx]
    rows += b"".join(b"\0" + r.tobytes() for r in part if part.shape[1])
png("png/interlaced.png", 8, 0, rows, 1); picture("png/interlaced.png", rgba("png/interlaced.png"))
assert np.array_equal(rgba("png/interlaced.png")[..., 0], GREY)
Image.fromarray(DEEP).save(path("png/deep.png")); volume("png/deep.png", "PNG", [np.asarray(Image.open(path("png/deep.png")))[None]])
png("png/deep_rgb.png", 16, 2, b"".join(b"\0" + r.tobytes() for r in np.repeat(DEEP.astype(">u2"), 3, 1))); refused("png/deep_rgb.png", "16 bits", "picture")

smooth = Image.fromarray(np.stack([100 + 5 * x, 90 + 8 * y, 160 - 3 * x], -1).astype("u1"))
pil("jpeg/grey.jpg", smooth.convert("L"), 2, quality=95); pil("jpeg/full.jpg", smooth, 3, quality=95, subsampling=0)
pil("jpeg/half.jpg", smooth, 12, quality=95, subsampling=2); pil("jpeg/progressive.jpg", smooth, 3, quality=95, subsampling=0, progressive=True)
pil("jpeg/restart.jpg", smooth, 3, quality=95, subsampling=0, restart_marker_blocks=1)
pil("jpeg/cmyk.jpg", smooth.convert("CMYK"), 3, quality=95)

pil("gif/palette.gif", PALETTE); pil("gif/bits.gif", Image.fromarray(BITS)); pil("gif/interlaced.gif", PALETTE, interlace=1)
Image.fromarray(GREY).save(path("gif/frames.gif"), save_all=True, append_images=[Image.fromarray(255 - GREY)]); refused("gif/frames.gif", "several frames", "picture")

# BMP
pil("bmp/bits.bmp", Image.fromarray(BITS)); pil("bmp/palette.bmp", PALETTE); pil("bmp/grey.bmp", Image.fromarray(GREY)); pil("bmp/rgb.bmp", Image.fromarray(RGB))


def bmp(name, bits, rows, palette=b"", height=H, compression=0, header=40, extra=b"", used=0):
    offset = 14 + header + len(extra) + len(palette)
    info = struct.pack("<IiiHHIIiiII", header, W, height, 1, bits, compression, len(rows), 2835, 2835, used, 0) + b"\0" * (header - 40)
    put(name, b"BM" + struct.pack("<IHHI", offset + len(rows), 0, 0, offset) + info + extra + palette + rows)


colours = b"".join(bytes((9 * i, 255 - 15 * i, 12 * i, 0)) for i in range(16))
nibbles = (x // 2 + y) % 16
rows = b"".join(bytes(int(a << 4 | b) for a, b in np.pad(r, (0, 1)).reshape(-1, 2)).ljust(12, b"\0") for r in nibbles[::-1])
bmp("bmp/four.bmp", 4, rows, colours); picture("bmp/four.bmp", rgba("bmp/four.bmp"))
bmp("bmp/down.bmp", 24, b"".join(r[:, ::-1].tobytes().ljust(60, b"\0") for r in RGB), height=-H); picture("bmp/down.bmp", rgba("bmp/down.bmp"))
bmp("bmp/wide.bmp", 32, b"".join(np.dstack([RGB[..., ::-1], np.zeros((H, W), "u1")])[i].tobytes() for i in range(H - 1, -1, -1)))
picture("bmp/wide.bmp", ALPHA)
bmp("bmp/two.bmp", 1, b"".join(np.packbits(r).tobytes().ljust(4, b"\0") for r in BITS[::-1]), bytes((4, 2, 4, 0, 252, 254, 252, 0)), used=2); picture("bmp/two.bmp", rgba("bmp/two.bmp"))
bmp("bmp/five.bmp", 16, b"\0" * 40 * H); refused("bmp/five.bmp", "PNG", "picture")
bmp("bmp/run.bmp", 8, b"\0\1", b"\0" * 1024, compression=1); refused("bmp/run.bmp", "PNG", "picture")

# PNM
for name, kind, v in (("bits", 4, None), ("grey", 5, GREY), ("rgb", 6, RGB)):
    magic = {4: ("P4", "P1"), 5: ("P5", "P2"), 6: ("P6", "P3")}[kind]
    ending = {4: "pbm", 5: "pgm", 6: "ppm"}[kind]
    raw = np.packbits(~BITS, axis=1).tobytes() if kind == 4 else v.tobytes()
    most = "" if kind == 4 else "255\n"
    put(f"pnm/{name}.{ending}", f"{magic[0]}\n# {name}\n{W} {H}\n{most}".encode() + raw)
    words = (~BITS).astype(int) if kind == 4 else v
    put(f"pnm/{name}_plain.{ending}", f"{magic[1]}\n{W} {H}\n{most}".encode() + " ".join(str(int(p)) for p in words.ravel()).encode() + b"\n")
    for n in (f"pnm/{name}.{ending}", f"pnm/{name}_plain.{ending}"):
        picture(n, rgba(n))
        put(n + ".gz", gzip.compress(open(path(n), "rb").read(), mtime=0))
        picture(n + ".gz", rgba(n))
put("pnm/maximum.pgm", f"P5 {W} {H} 100\n".encode() + (GREY % 101).tobytes()); picture("pnm/maximum.pgm", rgba("pnm/maximum.pgm"), 1)  # Pillow truncates
put("pnm/deep.pgm", f"P5 {W} {H} 65535\n".encode() + DEEP.astype(">u2").tobytes()); volume("pnm/deep.pgm", "PNM", [np.asarray(Image.open(path("pnm/deep.pgm")))[None]])
put("pnm/deep12.pgm", f"P5 {W} {H} 4095\n".encode() + (DEEP % 4096).astype(">u2").tobytes()); volume("pnm/deep12.pgm", "PNM", [(DEEP % 4096)[None]])  # Pillow stretches it
put("pnm/deep_plain.pgm", f"P2 {W} {H} 65535\n".encode() + " ".join(map(str, DEEP.ravel())).encode()); volume("pnm/deep_plain.pgm", "PNM", [np.asarray(Image.open(path("pnm/deep_plain.pgm")))[None]])
put("pnm/deep.pgm.gz", gzip.compress(open(path("pnm/deep.pgm"), "rb").read(), mtime=0)); volume("pnm/deep.pgm.gz", "PNM", [DEEP[None]])
put("pnm/deep.ppm", f"P6 {W} {H} 65535\n".encode() + np.repeat(DEEP, 3, 1).astype(">u2").tobytes()); refused("pnm/deep.ppm", "16 bits", "picture")
put("pnm/arbitrary.pam", f"P7\nWIDTH {W}\nHEIGHT {H}\nDEPTH 1\nMAXVAL 255\nTUPLTYPE GRAYSCALE\nENDHDR\n".encode() + GREY.tobytes()); refused("pnm/arbitrary.pam", "want PNG", "picture")

# TIFF
def tiff(name, a, tolerance=0, **options):
    tifffile.imwrite(path(name), a, **options)
    back = tifffile.imread(path(name))
    if options.get("photometric") == "miniswhite":
        back = np.iinfo(back.dtype).max - back
    if options.get("photometric") == "palette":
        back = (options["colormap"] >> 8).T[back]
    if back.dtype == bool:
        back = back * np.uint8(255)
    if back.dtype == np.uint16 and back.ndim == 2:
        return volume(name, "TIFF", [back[None]])
    if back.ndim == 2:
        back = np.repeat(back[..., None], 3, 2)
    picture(name, back if back.shape[2] == 4 else np.dstack([back, np.full(back.shape[:2], 255, "u1")]), tolerance)


tags = dict(metadata=None, software=False)
for compression, n in ((None, "plain"), ("lzw", "lzw"), ("adobe_deflate", "deflate"), ("deflate", "old_deflate"), ("packbits", "packbits")):
    for a, k in ((RGB, "rgb"), (GREY, "grey"), (DEEP, "deep")):
        tiff(f"tiff/{k}_{n}.tif", a, compression=compression, rowsperstrip=5, photometric="rgb" if k == "rgb" else "minisblack", **tags)
        if compression and n != "packbits":
            tiff(f"tiff/{k}_{n}_predictor.tif", a, compression=compression, predictor=True, photometric="rgb" if k == "rgb" else "minisblack", **tags)
for e, n in ((">", "big"), ("<", "little")):
    tiff(f"tiff/{n}.tif", RGB, byteorder=e, photometric="rgb", **tags)
    tiff(f"tiff/{n}_deep.tif", DEEP, byteorder=e, **tags)
    tiff(f"tiff/{n}_deep_lzw.tif", DEEP, byteorder=e, compression="lzw", **tags)
tiff("tiff/tiles.tif", RGB, tile=(16, 16), photometric="rgb", **tags)
tiff("tiff/tiles_packed.tif", GREY, tile=(16, 16), compression="adobe_deflate", **tags)
tiff("tiff/tiles_deep.tif", DEEP, tile=(16, 16), **tags)
tiff("tiff/white.tif", GREY, photometric="miniswhite", **tags)
tiff("tiff/alpha.tif", ALPHA, photometric="rgb", extrasamples="unassalpha", **tags)
tiff("tiff/palette.tif", GREY, photometric="palette", colormap=np.stack([np.arange(256), 255 - np.arange(256), np.arange(256) // 2]).astype("u2") * 257, **tags)
tiff("tiff/bits.tif", BITS, photometric="minisblack", **tags)
tifffile.imwrite(path("tiff/bits_white.tif"), BITS, photometric="miniswhite", **tags); picture("tiff/bits_white.tif", rgba("tiff/bits_white.tif"))
for c, n in (("group4", "fax4_white"), ("group3", "fax3_white")):
    Image.fromarray(BITS).save(path(f"tiff/{n}.tif"), compression=c, tiffinfo={262: 0}); picture(f"tiff/{n}.tif", rgba(f"tiff/{n}.tif"))
for c, n in (("group3", "fax3"), ("group4", "fax4"), ("tiff_ccitt", "huffman")):
    Image.fromarray(BITS).save(path(f"tiff/{n}.tif"), compression=c)
    if n == "huffman":
        refused("tiff/huffman.tif", "tiffcp", "picture")
    else:
        picture(f"tiff/{n}.tif", rgba(f"tiff/{n}.tif"))
Image.fromarray(RGB).save(path("tiff/pillow_lzw.tif"), compression="tiff_lzw"); picture("tiff/pillow_lzw.tif", ALPHA)
Image.fromarray(RGB).save(path("tiff/jpeg.tif"), compression="jpeg"); refused("tiff/jpeg.tif", "convert in.tif out.png", "picture")
tifffile.imwrite(path("tiff/pages.tif"), np.stack([GREY, GREY]), photometric="minisblack", **tags); refused("tiff/pages.tif", "tiffsplit", "picture")
tifffile.imwrite(path("tiff/deep_pages.tif"), np.stack([DEEP, DEEP]), photometric="minisblack", **tags); refused("tiff/deep_pages.tif", "tiffsplit")
tifffile.imwrite(path("tiff/bigtiff.tif"), GREY, bigtiff=True, **tags); refused("tiff/bigtiff.tif", "tiffcp", "picture")
tifffile.imwrite(path("tiff/apart.tif"), np.moveaxis(RGB, -1, 0), photometric="rgb", planarconfig="separate", **tags); refused("tiff/apart.tif", "tiffcp", "picture")
for a, n in ((GREY.astype("f4"), "float"), (DEEP.astype("f2"), "half"), (DEEP.astype("i2"), "signed16"), (DEEP.astype("u4"), "wide"), (GREY.astype("i1"), "signed8")):
    tifffile.imwrite(path(f"tiff/{n}.tif"), a, **tags); refused(f"tiff/{n}.tif", "convert", "picture")
for c, n in (("zstd", "zstd"), ("lzma", "lzma")):
    tifffile.imwrite(path(f"tiff/{n}.tif"), GREY, compression=c, **tags); refused(f"tiff/{n}.tif", "tiffcp", "picture")
Image.fromarray(RGB).convert("CMYK").save(path("tiff/cmyk.tif")); refused("tiff/cmyk.tif", "convert", "picture")

# ------------------------------------------------------------------------------------------------------------------
os.makedirs(out, exist_ok=True)
files = {os.path.relpath(os.path.join(d, f), root): open(os.path.join(d, f), "rb").read() for d, _, fs in os.walk(root) for f in fs}
packed = io.BytesIO()
with tarfile.open(fileobj=packed, mode="w", format=tarfile.USTAR_FORMAT) as t:
    for name, data in sorted(list(files.items()) + [(n + ".want", b) for n, b in want.items()]):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        t.addfile(info, io.BytesIO(data))
with open(os.path.join(out, "vectors.tar.gz"), "wb") as f:
    f.write(gzip.compress(packed.getvalue(), 9, mtime=0))
with open(os.path.join(out, "vectors.json"), "w") as f:
    f.write("[\n" + ",\n".join(json.dumps(c) for c in cases) + "\n]\n")
print(len(files), "files,", len(cases), "cases,", sum("refused" in c for c in cases), "refused,", checked, os.path.getsize(os.path.join(out, "vectors.tar.gz")), "bytes")
