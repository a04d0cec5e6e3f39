"""Writes internal/selftest/vectors.safetensors: of what the official code made of the tiny SAM (testdata/parity/tiny.safetensors, whose
README says how) that which the program tests itself with. Needs: pip install numpy safetensors"""
import sys

from safetensors.numpy import load_file, save_file

out = sys.argv[1] if len(sys.argv) > 1 else "internal/selftest/vectors.safetensors"
all = load_file("testdata/parity/tiny.safetensors")
wanted = {"image_u8", "boxes", "target", "embedding", "box.low_res.single", "losses"}
kept = {name: v for name, v in all.items() if name in wanted or name.startswith("grad.")}
save_file(kept, out)
print(len(kept), "tensors,", sum(v.nbytes for v in kept.values()), "bytes")
