package segment

import (
	"context"
	"strconv"
	"testing"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/testkit"
	"samtune/model"
)

// BenchmarkEverything is the Go side of bench/run.py's case everything: LiteMedSAM with SAM's normalisation on the picture that
// SAMTUNE_BENCH_IMAGE names, SAMTUNE_BENCH_IOU the predicted IoU that masks must have; every mask counts as stable.
func BenchmarkEverything(b *testing.B) {
	path := testkit.Setting("IMAGE", "")
	if path == "" {
		b.Skip("SAMTUNE_BENCH_IMAGE names no picture")
	}
	img, err := data.ReadImage(path)
	if err != nil {
		b.Fatal(err)
	}
	opt := OfficialEverything()
	opt.MinStability = 0
	if opt.MinIoU, err = strconv.ParseFloat(testkit.Setting("IOU", "0"), 64); err != nil {
		b.Fatal(err)
	}
	device, err := tensor.Open("cpu", testkit.Number(b, "THREADS", 2))
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
	masks := 0
	for b.Loop() {
		found, err := Everything(context.Background(), m, img, opt, nil)
		if err != nil {
			b.Fatal(err)
		}
		masks = len(found)
	}
	testkit.Report(b, map[string]float64{"masks": float64(masks)})
}
