package tensor

import (
	"bytes"
	"slices"
	"testing"
)

func TestTransfer(t *testing.T) { transfers(t, open(t)) }

// TestCUDATransfer sends numbers to a GPU and back, by way of pinned memory and, where they are too many for that, without.
func TestCUDATransfer(t *testing.T) {
	if n, reason := CUDA(); n == 0 {
		t.Skip("no GPU: " + reason)
	}
	d, err := Open("cuda", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	transfers(t, d)
}

func transfers(t *testing.T, d *Device) {
	for _, n := range []int64{0, 1, 7, 1 << 20, 17 << 20} {
		values := make([]float32, n)
		for i := range values {
			values[i] = float32(i) + 0.5
		}
		err := d.Run(func(s *Scope) error {
			x := s.FromFloat32(values, n)
			for range 3 { // memory that is pinned is used again, by what is sent next
				s.FromFloat32(make([]float32, n), n)
			}
			if got := s.Float32s(x); !slices.Equal(got, values) {
				t.Errorf("%d numbers came back as others", n)
			}
			if got := s.Float64s(x); len(got) != len(values) || n > 0 && got[n-1] != float64(values[n-1]) {
				t.Errorf("%d numbers came back as others in double precision", n)
			}
			raw := s.Bytes(x)
			same := s.Load(Float32, []int64{n}, func(dst []byte) error { copy(dst, raw); return nil })
			if !bytes.Equal(s.Bytes(same), raw) {
				t.Errorf("the bytes of %d numbers came back as others", n)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := d.Run(func(s *Scope) error {
		turned := s.Transpose(s.FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 2, 3), 0, 1)
		if got := s.Float32s(turned); !slices.Equal(got, []float32{1, 4, 2, 5, 3, 6}) {
			t.Errorf("a transposed matrix comes back as %v, want row by row", got)
		}
		if got := s.Bytes(s.ToDType(turned, Uint8)); !bytes.Equal(got, []byte{1, 4, 2, 5, 3, 6}) {
			t.Errorf("the bytes of a transposed matrix come back as %v, want row by row", got)
		}
		var trained float64
		s.Grad(true, func() { trained = s.Item(s.Sum(s.Leaf(turned))) })
		if trained != 21 {
			t.Errorf("a sum with a gradient comes back as %g, want 21", trained)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
