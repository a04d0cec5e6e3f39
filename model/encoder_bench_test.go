package model

import (
	"math"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/testkit"
)

// BenchmarkViTBEncode encodes pictures of 1024 pixels, SAMTUNE_BENCH_BATCH together, with the weights that SAMTUNE_BENCH_VITB
// names or the formula's: the Go side of bench/run.py's case vit.
func BenchmarkViTBEncode(b *testing.B) {
	d, err := tensor.Open(testkit.Setting("DEVICE", "cpu"), testkit.Number(b, "THREADS", 2))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	var m *Model
	if path := testkit.Setting("VITB", ""); path == "" {
		m = formulaViTB(b, d)
	} else {
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
			x := s.Full(0.5, int64(testkit.Number(b, "BATCH", 1)), 3, 1024, 1024)
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
	if d.CUDA() { // the first pass chooses kernels
		encode()
	}
	for b.Loop() {
		encode()
	}
	testkit.Report(b, values)
}
