package tensor

import (
	"errors"
	"math"
	"math/rand/v2"
	"strings"
	"sync"
	"testing"

	"samtune/internal/testkit"
)

func open(t testing.TB) *Device {
	t.Helper()
	d, err := Open("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

func TestOpen(t *testing.T) {
	for spec, ok := range map[string]bool{"cpu": true, "auto": true, "": true, "gpu": false, "cuda:x": false, "cuda:-1": false, "cpu:1": false} {
		t.Run(spec, func(t *testing.T) {
			d, err := Open(spec, 1)
			if (err == nil) != ok {
				t.Fatalf("error %v", err)
			}
			if d != nil {
				d.Close()
			}
		})
	}
	if _, err := Open("cpu", -1); err == nil {
		t.Error("-1 threads: no error")
	}
	if n, reason := CUDA(); n == 0 {
		_, err := Open("cuda", 1)
		if !errors.Is(err, ErrDevice) || !strings.Contains(err.Error(), reason) || reason == "" {
			t.Errorf("cuda without a GPU: %v, want ErrDevice with the reason %q", err, reason)
		}
	}
}

func TestLibtorchErrorsAreErrors(t *testing.T) {
	d := open(t)
	before := Live()
	err := d.Run(func(s *Scope) error {
		s.Add(s.Zeros(Float32, 2, 3), s.Zeros(Float32, 4))
		t.Error("it went on after an error")
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "add: ") || strings.Contains(err.Error(), "\n") {
		t.Errorf("error %q, want one line that begins with the operation", err)
	}
	if Live() != before {
		t.Errorf("%d tensors are left", Live()-before)
	}
	if err := d.Run(func(s *Scope) error { s.Zeros(Float32, 2); return nil }); err != nil {
		t.Errorf("the device is unusable after an error: %v", err)
	}
	for name, f := range map[string]func(s *Scope){
		"empty shape":    func(s *Scope) { s.Reshape(s.Zeros(Float32, 1)) },
		"wrong count":    func(s *Scope) { s.FromFloat32([]float32{1, 2}, 3) },
		"no graph":       func(s *Scope) { x := s.Zeros(Float32, 1); s.Backward(x, x) },
		"item of many":   func(s *Scope) { s.Item(s.Zeros(Float32, 2)) },
		"nothing to cat": func(s *Scope) { s.Cat(0) },
	} {
		if err := d.Run(func(s *Scope) error { f(s); return nil }); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestScopesFreeWhatIsNotKept(t *testing.T) {
	d := open(t)
	before := Live()
	var kept *Tensor
	err := d.Run(func(s *Scope) error {
		out := s.Block(func(s *Scope) *Tensor {
			a := s.Full(2, 3)
			b := s.Mul(a, a)
			s.Add(b, b)
			return b
		})
		if n := Live() - before; n != 1 {
			t.Errorf("%d tensors live after a block that returns one", n)
		}
		kept = s.Keep(out)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if n := Live() - before; n != 1 {
		t.Errorf("%d tensors live after keeping one", n)
	}
	if err := d.Run(func(s *Scope) error {
		if got := s.Float32s(kept); got[0] != 4 {
			t.Errorf("kept tensor holds %v", got)
		}
		kept.Drop()
		kept.Drop()
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if Live() != before {
		t.Errorf("%d tensors are left", Live()-before)
	}
}

// TestManyGoroutines has all work done on the device's thread, whoever asks: autograd's mode is a thread's own.
func TestManyGoroutines(t *testing.T) {
	d := open(t)
	var wg sync.WaitGroup
	for g := range 8 {
		wg.Go(func() {
			for range 50 {
				err := d.Run(func(s *Scope) error {
					w := s.Leaf(s.Full(float64(g), 4))
					var grad *Tensor
					s.Grad(true, func() { grad = s.Backward(s.Sum(s.Mul(w, w)), w)[0] })
					if got := s.Float32s(grad)[0]; got != float32(2*g) {
						t.Errorf("gradient %g, want %d", got, 2*g)
					}
					return nil
				})
				if err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
}

// TestOperators compares with plain arithmetic in float64.
func TestOperators(t *testing.T) {
	d := open(t)
	r := rand.New(rand.NewPCG(1, 1))
	x := make([]float32, 12)
	for i := range x {
		x[i] = float32(r.NormFloat64())
	}
	each := func(f func(v float64) float64) []float64 {
		out := make([]float64, len(x))
		for i, v := range x {
			out[i] = f(float64(v))
		}
		return out
	}
	for name, c := range map[string]struct {
		op   func(s *Scope, a *Tensor) *Tensor
		want []float64
	}{
		"gelu":    {(*Scope).GELU, each(func(v float64) float64 { return v * 0.5 * (1 + math.Erf(v/math.Sqrt2)) })},
		"relu":    {(*Scope).ReLU, each(func(v float64) float64 { return math.Max(v, 0) })},
		"sigmoid": {(*Scope).Sigmoid, each(func(v float64) float64 { return 1 / (1 + math.Exp(-v)) })},
		"sin":     {(*Scope).Sin, each(math.Sin)},
		"cos":     {(*Scope).Cos, each(math.Cos)},
		"add":     {func(s *Scope, a *Tensor) *Tensor { return s.AddScalar(a, 2) }, each(func(v float64) float64 { return v + 2 })},
		"mul":     {func(s *Scope, a *Tensor) *Tensor { return s.MulScalar(a, 3) }, each(func(v float64) float64 { return v * 3 })},
		"in place": {func(s *Scope, a *Tensor) *Tensor {
			b := s.MulScalar(a, 1)
			s.ScaleInto(b, 2)
			s.ShiftInto(b, 1)
			s.AddInto(b, a)
			return b
		}, each(func(v float64) float64 { return 2*v + 1 + v })},
	} {
		t.Run(name, func(t *testing.T) {
			err := d.Run(func(s *Scope) error {
				a := s.FromFloat32(x, 3, 4)
				for i, v := range s.Float32s(c.op(s, a)) {
					if math.Abs(float64(v)-c.want[i]) > 2e-6 {
						t.Errorf("element %d is %g, want %g", i, v, c.want[i])
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestSplitAndCatAreInverse(t *testing.T) {
	d := open(t)
	if err := d.Run(func(s *Scope) error {
		x := s.FromFloat32([]float32{1, 2, 3, 4, 5, 6}, 6)
		parts := s.Split(x, 0, []int64{1, 3, 2})
		if len(parts) != 3 || parts[1].Shape()[0] != 3 {
			t.Errorf("%d parts, the second of shape %v", len(parts), parts[1].Shape())
		}
		for i, v := range s.Float32s(s.Cat(0, parts...)) {
			if v != float32(i+1) {
				t.Errorf("element %d is %g", i, v)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestAttention compares libtorch's fused kernel with the formula.
func TestAttention(t *testing.T) {
	d := open(t)
	r := rand.New(rand.NewPCG(2, 2))
	random := func(s *Scope, shape ...int64) *Tensor {
		v := make([]float32, Numel(shape))
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return s.FromFloat32(v, shape...)
	}
	if err := d.Run(func(s *Scope) error {
		q, k, v, bias := random(s, 5, 2, 49, 32), random(s, 5, 2, 49, 32), random(s, 5, 2, 49, 32), random(s, 1, 2, 49, 49)
		got := s.Float32s(s.Attention(q, k, v, bias))
		scores := s.Add(s.MulScalar(s.Matmul(q, s.Transpose(k, 2, 3)), 1/math.Sqrt(32)), bias)
		for i, want := range s.Float32s(s.Matmul(s.Softmax(scores, -1), v)) {
			if math.Abs(float64(got[i]-want)) > 1e-5 {
				t.Fatalf("element %d is %g, want %g", i, got[i], want)
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestGELUKeepsNothing calls GELU so often that 32 bytes kept by each call, as Gotch's wrapper of it does, are seen.
func TestGELUKeepsNothing(t *testing.T) {
	const calls = 100_000
	var resident [2]int64
	err := open(t).Run(func(s *Scope) error {
		for i := range resident {
			for range calls / 100 {
				s.Block(func(s *Scope) *Tensor {
					x := s.Zeros(Float32, 1)
					for range 50 {
						s.GELUInto(s.GELU(x))
					}
					return x
				}).Drop()
			}
			resident[i] = testkit.Resident(t)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if grown := resident[1] - resident[0]; grown > 32*calls/2 {
		t.Errorf("%d calls took %d bytes", calls, grown)
	}
}
