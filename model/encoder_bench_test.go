package model

import (
	"math"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/testkit"
)

// BenchmarkEncoder encodes grey pictures, SAMTUNE_BENCH_BATCH together, with the image encoder of SAMTUNE_BENCH_MODEL, by default
// ViT-B's, whose weights are those of SAMTUNE_BENCH_WEIGHTS or the formula's: the Go side of bench/run.py's cases vit and lite.
func BenchmarkEncoder(b *testing.B) {
	d, err := tensor.Open(testkit.Setting("DEVICE", "cpu"), testkit.Number(b, "THREADS", 2))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	var m *Model
	switch path := testkit.Setting("WEIGHTS", ""); {
	case testkit.Setting("MODEL", "") == "lite_medsam":
		m = loadLite(b, d)
	case path == "":
		m = formulaViTB(b, d)
	default:
		spec, err := LookUp("sam_vit_b")
		if err != nil {
			b.Fatal(err)
		}
		if m, err = Load(d, spec, path); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(m.Close)
	}
	precision, err := tensor.ParseDType(testkit.Setting("PRECISION", "float32"))
	if err == nil {
		err = m.SetPrecision(precision)
	}
	if err != nil {
		b.Fatal(err)
	}
	values := map[string]float64{}
	encode := func() {
		err := d.Run(func(s *tensor.Scope) error {
			side := int64(m.Spec.ImageSize)
			x := s.Full(0.5, int64(testkit.Number(b, "BATCH", 1)), 3, side, side)
			out, err := m.EncodeInput(s, x, []string{Embedding})
			if err != nil {
				return err
			}
			e := out[Embedding] // its mean and norm reach the host, so that a GPU is done
			values["mean"], values["rms"] = s.Item(s.Mean(e)), math.Sqrt(s.Item(s.Mean(s.Mul(e, e))))
			return nil
		})
		if err != nil {
			b.Fatal(err)
		}
	}
	if d.CUDA() { // the first passes choose kernels
		encode()
		encode()
	}
	for b.Loop() {
		encode()
	}
	testkit.Report(b, values)
}
