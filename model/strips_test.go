package model

import (
	"testing"

	"samtune/internal/formula"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

// TestStripsAreTheWhole holds a convolution strip by strip against the same over the whole map, for heights that strips divide and do not.
func TestStripsAreTheWhole(t *testing.T) {
	err := tensortest.CPU(t).Run(func(s *tensor.Scope) error {
		for _, c := range []struct{ height, reach, stride, rows int64 }{
			{13, 1, 1, 4}, {12, 1, 1, 4}, {13, 1, 2, 3}, {12, 1, 2, 2}, {13, 0, 1, 5}, {5, 1, 1, 1}, {5, 1, 2, 1}, {4, 1, 1, 9},
		} {
			const width, channels = 7, 3
			made := func(name string, shape ...int64) *tensor.Tensor {
				return s.FromFloat32(formula.Values(name, shape), shape...)
			}
			x, kernel := made("map", 2, c.height, width, channels), made("kernel", channels, 1, 3, 3)
			calls := 0
			f := func(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
				calls++
				if c.reach == 0 {
					return s.MulScalar(x, 2)
				}
				return s.Permute(s.Conv2d(s.Permute(x, 0, 3, 1, 2), kernel, nil, c.stride, 1, channels), 0, 2, 3, 1)
			}
			want := f(s, x)
			calls = 0
			// As many channels as let a strip make so many rows.
			got := inStrips(s, x, stripFloats/(2*width*c.stride*c.rows), c.reach, c.stride, f)
			out := (c.height + c.stride - 1) / c.stride
			if n := int((out + c.rows - 1) / c.rows); calls != n {
				t.Errorf("%+v: %d strips, want %d", c, calls, n)
			}
			a, b := s.Float32s(got), s.Float32s(want)
			if len(a) != len(b) {
				t.Fatalf("%+v: shape %v, want %v", c, got.Shape(), want.Shape())
			}
			for i := range a {
				if a[i] != b[i] {
					t.Fatalf("%+v: element %d is %v, want %v", c, i, a[i], b[i])
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}
