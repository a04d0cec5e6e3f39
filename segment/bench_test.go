package segment

import (
	"context"
	"os"
	"strconv"
	"testing"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/testkit"
	"samtune/model"
)

// BenchmarkEverything is Go's side of bench/everything.py: LiteMedSAM with SAM's normalisation on the picture that
// SAMTUNE_BENCH_IMAGE names, SAMTUNE_BENCH_IOU the predicted IoU that masks must have; every mask counts as stable.
func BenchmarkEverything(b *testing.B) {
	path := os.Getenv("SAMTUNE_BENCH_IMAGE")
	if path == "" {
		b.Skip("SAMTUNE_BENCH_IMAGE names no picture")
	}
	img, err := data.ReadImage(path)
	if err != nil {
		b.Fatal(err)
	}
	opt := OfficialEverything()
	opt.MinStability = 0
	if opt.MinIoU, err = strconv.ParseFloat(os.Getenv("SAMTUNE_BENCH_IOU"), 64); err != nil {
		b.Fatal(err)
	}
	device, err := tensor.Open("cpu", 2)
	if err != nil {
		b.Fatal(err)
	}
	defer device.Close()
	spec, err := model.LookUp("lite_medsam")
	if err != nil {
		b.Fatal(err)
	}
	spec.Normalise = "sam"
	m, err := model.Load(device, spec, testkit.LiteMedSAM(b))
	if err != nil {
		b.Fatal(err)
	}
	defer m.Close()
	for b.Loop() {
		found, err := Everything(context.Background(), m, img, opt, nil)
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(len(found)), "masks")
	}
}
