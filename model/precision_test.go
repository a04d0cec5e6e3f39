package model

import (
	"errors"
	"math"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

// TestHalfPrecision compares encoders in half precision with themselves in float32: the root of the mean squared difference, as
// a share of the deviation of the feature, grows with the rounding of the type, 2^-9 for bfloat16 and 2^-12 for float16.
func TestHalfPrecision(t *testing.T) {
	d := tensortest.CPU(t)
	halfPrecision(t, d, smallModels(t, d))
}

func halfPrecision(t *testing.T, d *tensor.Device, models map[string]*Model) {
	t.Helper()
	for name, m := range models {
		var x []float32
		encoded := func() map[string][]float32 {
			out := map[string][]float32{}
			if err := d.Run(func(s *tensor.Scope) error {
				side := int64(m.Spec.ImageSize)
				if x == nil {
					x = s.Float32s(s.Sin(s.FromFloat32(ramp(int(3*side*side)), 1, 3, side, side)))
				}
				features, err := m.EncodeInput(s, s.FromFloat32(x, 1, 3, side, side), []string{Stage0, Embedding})
				for name, f := range features {
					if f.DType() != tensor.Float32 {
						t.Errorf("%s comes out as %s", name, f.DType())
					}
					out[name] = s.Float32s(f)
				}
				return err
			}); err != nil {
				t.Fatal(err)
			}
			return out
		}
		exact := encoded()
		for _, c := range []struct {
			dtype tensor.DType
			limit float64
		}{{tensor.Float16, 0.01}, {tensor.BFloat16, 0.04}} {
			t.Run(name+" "+c.dtype.String(), func(t *testing.T) {
				if err := d.Computes(c.dtype); err != nil {
					if !errors.Is(err, tensor.ErrDevice) || !errors.Is(m.SetPrecision(c.dtype), tensor.ErrDevice) {
						t.Errorf("%v, want ErrDevice, from SetPrecision too", err)
					}
					t.Skip(err)
				}
				reload(t, d, m)
				if err := m.SetPrecision(c.dtype); err != nil {
					t.Fatal(err)
				}
				for feature, got := range encoded() {
					r := deviation(got, exact[feature])
					t.Logf("%s: relative difference %.2g", feature, r)
					if !(r > 1e-6 && r < c.limit) {
						t.Errorf("%s: relative difference %g, want some, but less than %g", feature, r, c.limit)
					}
				}
			})
		}
	}
}

// reload puts a model's encoder back to float32 from its file.
func reload(t *testing.T, d *tensor.Device, m *Model) {
	t.Helper()
	again, err := Load(d, m.Spec, m.File)
	if err != nil {
		t.Fatal(err)
	}
	m.enc, again.enc = again.enc, m.enc
	m.Precision = tensor.Float32
	again.Close()
}

func ramp(n int) []float32 {
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(math.Mod(float64(i)*0.37, 50))
	}
	return out
}

// deviation is the root mean square of the difference as a share of the deviation of want.
func deviation(got, want []float32) float64 {
	var mean, diff, spread float64
	for _, w := range want {
		mean += float64(w) / float64(len(want))
	}
	for i, w := range want {
		diff += math.Pow(float64(got[i]-w), 2)
		spread += math.Pow(float64(w)-mean, 2)
	}
	return math.Sqrt(diff / spread)
}
