"""SAM's everything mode: segment_anything 1.0's SamAutomaticMaskGenerator with LiteMedSAM's weights, SAM's normalisation, and
32 x 32 points in batches of 64.

    python bench/python_everything.py PICTURE --iou 0.9
    python bench/python_everything.py PICTURE --median      prints the predicted IoU that half of the masks pass

LiteMedSAM was trained on boxes alone, so none of its masks passes the official thresholds: the bound on the predicted IoU is
given, and all masks count as stable."""
import statistics
import sys
import warnings

import torch

import official_sam
import side

warnings.filterwarnings("ignore")


def main():
    from segment_anything import SamAutomaticMaskGenerator

    def add(p):
        p.add_argument("picture")
        p.add_argument("--iou", type=float, default=0)
        p.add_argument("--median", action="store_true")
    args = side.settings(__doc__, add)
    sam, picture = official_sam.build(), side.read_picture(args.picture)
    if args.median:
        coarse = SamAutomaticMaskGenerator(sam, points_per_side=8, pred_iou_thresh=0, stability_score_thresh=0, box_nms_thresh=1, output_mode="uncompressed_rle")
        with torch.inference_mode():
            print(statistics.median(m["predicted_iou"] for m in coarse.generate(picture)))
        return
    generator = SamAutomaticMaskGenerator(sam, pred_iou_thresh=args.iou, stability_score_thresh=0, output_mode="uncompressed_rle")
    with torch.inference_mode():
        clock = side.Clock()
        masks = generator.generate(picture)
        side.report(clock.seconds(), masks=len(masks))


if __name__ == "__main__":
    sys.exit(main())
