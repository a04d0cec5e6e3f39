"""Times SAM's everything mode: segment_anything 1.0's SamAutomaticMaskGenerator against package segment, in turn.

Run from the repository's root, after make setup: . .samtune/env.sh; python bench/everything.py PICTURE [RUNS]
Both use LiteMedSAM's weights, SAM's normalisation, 32 x 32 points in batches of 64, two CPU threads, and one picture in each
run; loading is not counted. LiteMedSAM was trained on boxes alone, so none of its masks passes the official thresholds: the
bound on the predicted IoU is set to the median here, so that half of the 3072 masks pass, and to 0, so that all do; all of
them count as stable. Medians, ratio and the number of masks that either finds are printed.
"""
import os, re, statistics, subprocess, sys, tempfile, time, warnings

warnings.filterwarnings("ignore")
import numpy as np, torch
from PIL import Image
from segment_anything import SamAutomaticMaskGenerator

import official_sam


def main(picture, runs):
    torch.set_num_threads(2)
    sam = official_sam.build()
    image = np.array(Image.open(picture).convert("RGB"))
    print(f"{picture}: {image.shape[1]} x {image.shape[0]}, torch {torch.__version__}, {torch.get_num_threads()} threads, {runs} runs each")
    with tempfile.TemporaryDirectory() as folder:
        binary = os.path.join(folder, "segment.test")
        subprocess.run(["go", "test", "-c", "-o", binary, "./segment"], check=True)
        for name, iou in [("half of the masks pass", median_iou(sam, image)), ("all masks pass", 0.0)]:
            seconds, found = {"python": [], "go": []}, {}
            generator = SamAutomaticMaskGenerator(sam, pred_iou_thresh=iou, stability_score_thresh=0, output_mode="uncompressed_rle")
            for _ in range(runs):
                start = time.perf_counter()
                found["python"] = len(generator.generate(image))
                seconds["python"].append(time.perf_counter() - start)
                env = dict(os.environ, SAMTUNE_BENCH_IMAGE=os.path.abspath(picture), SAMTUNE_BENCH_IOU=str(iou))
                out = subprocess.run([binary, "-test.run=^$", "-test.bench=Everything", "-test.benchtime=1x"], env=env, cwd="segment",
                                     check=True, capture_output=True, text=True).stdout
                match = re.search(r"\s([\d.]+) ns/op\s+([\d.]+) masks", out)
                if not match:
                    sys.exit(f"the Go benchmark gave no time:\n{out}")
                seconds["go"].append(float(match[1]) / 1e9)
                found["go"] = int(float(match[2]))
            p, g = (statistics.median(seconds[k]) for k in ("python", "go"))
            print(f"{name} (predicted IoU > {iou:.4f}): Python {p:.1f} s, {found['python']} masks; Go {g:.1f} s, {found['go']} masks; ratio {g / p:.2f}; "
                  f"Python {[round(v, 1) for v in seconds['python']]}, Go {[round(v, 1) for v in seconds['go']]}", flush=True)


def median_iou(sam, image):
    """The median of the predicted IoU over a coarse grid of points."""
    generator = SamAutomaticMaskGenerator(sam, points_per_side=8, pred_iou_thresh=0, stability_score_thresh=0, box_nms_thresh=1, output_mode="uncompressed_rle")
    return statistics.median(m["predicted_iou"] for m in generator.generate(image))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 3)
