"""Encodes one picture of 1024 x 768 pixels with SAM ViT-B (random weights), official Python and samtune by turns, and prints
seconds, the ratio and peak memory. Needs: pip install torch segment-anything numpy pillow

    python bench/encoder.py [--rounds 3] [--threads 2] [--samtune bin/samtune]"""
import argparse
import json
import os
import resource
import statistics
import subprocess
import sys
import tempfile
import time


def python_side(weights, image, threads):
    import numpy as np
    import torch
    from PIL import Image
    from segment_anything import SamPredictor, sam_model_registry
    torch.set_num_threads(threads)
    predictor = SamPredictor(sam_model_registry["vit_b"](weights).eval())
    rgb = np.array(Image.open(image))
    began = time.time()
    predictor.set_image(rgb)
    print(json.dumps({"seconds": time.time() - began, "mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024}))


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--rounds", type=int, default=3)
    p.add_argument("--threads", type=int, default=2)
    p.add_argument("--samtune", default="bin/samtune")
    p.add_argument("--side", nargs=2, help=argparse.SUPPRESS)
    args = p.parse_args()
    if args.side:
        return python_side(*args.side, args.threads)
    import numpy as np
    import torch
    from PIL import Image
    from segment_anything import sam_model_registry
    with tempfile.TemporaryDirectory() as folder:
        weights, image = os.path.join(folder, "vit_b.pth"), os.path.join(folder, "picture.png")
        torch.manual_seed(0)
        torch.save(sam_model_registry["vit_b"]().state_dict(), weights)
        Image.fromarray(np.random.default_rng(0).integers(0, 256, (768, 1024, 3), dtype=np.uint8)).save(image)
        found = {"python": [], "samtune": []}
        for _ in range(args.rounds):
            out = subprocess.run([sys.executable, __file__, "--threads", str(args.threads), "--side", weights, image], check=True, capture_output=True, text=True)
            found["python"].append(json.loads(out.stdout.splitlines()[-1]))
            child = subprocess.Popen([args.samtune, "segment", image, "--quiet", "--model", "sam_vit_b", "--weights", weights, "--threads", str(args.threads),
                                      "--device", "cpu", "--out", folder], stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)
            if status != 0:
                sys.exit("samtune failed")
            with open(os.path.join(folder, "picture.json")) as f:
                found["samtune"].append({"seconds": json.load(f)["seconds"]["encode"], "mib": usage.ru_maxrss // 1024})
        seconds = {k: statistics.median(r["seconds"] for r in v) for k, v in found.items()}
        for k, v in found.items():
            print(f"{k:8} {seconds[k]:6.2f} s (median of {', '.join('%.2f' % r['seconds'] for r in v)}), peak {max(r['mib'] for r in v)} MiB")
        print(f"ratio    {seconds['samtune'] / seconds['python']:6.2f}")


if __name__ == "__main__":
    main()
