//go:build gotorch

package witness

import (
	"math"
	"runtime"
	"strings"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

func TestGotorchAgrees(t *testing.T) {
	dev := tensortest.Threads(t, 1)
	before := tensor.Live()
	for _, r := range repetitions {
		t.Run(r.name, func(t *testing.T) {
			difference, err := r.run(dev, newInputs, newInputs)
			if err != nil {
				t.Fatal(err)
			}
			t.Logf("differs by %.2f ulp of the largest element, %.0f are allowed", difference/ulp, r.tolerance/ulp)
		})
	}
	if n := tensor.Live() - before; n != 0 {
		t.Errorf("%d tensors are left", n)
	}
}

// TestChangedValueIsNoticed gives gotorch inputs that differ in one element each, by a thousandth.
func TestChangedValueIsNoticed(t *testing.T) {
	dev := tensortest.Threads(t, 1)
	changed := func(s *tensor.Scope) inputs {
		in := newInputs(s)
		in.seed++
		for _, x := range []*tensor.Tensor{in.kernel, in.up, in.gradient} {
			s.ShiftInto(s.Narrow(s.Reshape(x, -1), 0, 0, 1), 1e-3)
		}
		return in
	}
	for _, r := range repetitions {
		t.Run(r.name, func(t *testing.T) {
			if _, err := r.run(dev, newInputs, changed); err == nil || !strings.HasPrefix(err.Error(), r.name+": element ") {
				t.Errorf("error %v, want one that begins with the computation and names an element", err)
			}
		})
	}
}

func TestCompare(t *testing.T) {
	nan := float32(math.NaN())
	for name, c := range map[string]struct {
		ours, theirs []float32
		tolerance    float64
		ok           bool
	}{
		"same bits":               {[]float32{1, -2}, []float32{1, -2}, 0, true},
		"last bit":                {[]float32{1, -2}, []float32{1, math.Nextafter32(-2, 0)}, 0, false},
		"zeros of either sign":    {[]float32{0, 1}, []float32{float32(math.Copysign(0, -1)), 1}, 0, false},
		"within the tolerance":    {[]float32{4, 0}, []float32{4, 4e-6}, 1.1e-6, true},
		"above the tolerance":     {[]float32{4, 0}, []float32{4, 4e-6}, 0.9e-6, false},
		"no number among theirs":  {[]float32{1, 1}, []float32{1, nan}, 1, false},
		"no number among ours":    {[]float32{1, nan}, []float32{1, 1}, 1, false},
		"nothing but zeros, ours": {[]float32{0, 0}, []float32{0, 1e-9}, 1e-10, false},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := compare(c.ours, c.theirs, c.tolerance); (err == nil) != c.ok {
				t.Errorf("error %v", err)
			}
		})
	}
}

// TestMemoryIsShared changes a tensor in turn by gotch and by gotorch.
func TestMemoryIsShared(t *testing.T) {
	dev := tensortest.Threads(t, 1)
	err := dev.Run(func(s *tensor.Scope) error {
		x := s.FromFloat32([]float32{1, 2, 3}, 3)
		addInto(s, x, ones(s, 3), 10)
		if got := s.Float32s(x); got[0] != 11 || got[2] != 13 {
			t.Errorf("after gotorch's add_ gotch sees %v, want [11 12 13]", got)
		}
		y := detach(s, x) // gotorch's own tensor over the same memory
		s.ScaleInto(x, 2)
		if got := s.Item(sum(s, y)); got != 72 {
			t.Errorf("after gotch's mul_ gotorch sums up to %g, want 72", got)
		}
		s.ShiftInto(y, 1)
		if got := s.Float32s(x); got[1] != 25 {
			t.Errorf("through gotorch's tensor gotch wrote %v, want [23 25 27]", got)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestErrorsAreErrors: each of these would be a panic of gotorch's, or the end of the process.
func TestErrorsAreErrors(t *testing.T) {
	dev := tensortest.Threads(t, 1)
	before := tensor.Live()
	for name, c := range map[string]struct {
		f    func(s *tensor.Scope, in inputs)
		want string
	}{
		"shapes that do not fit": {func(s *tensor.Scope, in inputs) { conv2d(s, in.gradient, in.picture, nil, 1, 1, 1) },
			"gotorch: conv2d: "},
		"backward from many":     {func(s *tensor.Scope, in inputs) { backward(s, s.Leaf(in.kernel)) }, "backward: a loss of 288 elements"},
		"backward without graph": {func(s *tensor.Scope, in inputs) { backward(s, sum(s, in.kernel)) }, "with a graph: false"},
		"no gradient came":       {func(s *tensor.Scope, in inputs) { grad(s, s.Leaf(in.kernel)) }, "grad: the tensor is undefined"},
		"optimiser of no leaf":   {func(s *tensor.Scope, in inputs) { newAdam(s, 1, 0.9, 0.999, in.kernel) }, "parameter 0 is no leaf"},
		"optimiser of nothing":   {func(s *tensor.Scope, in inputs) { newAdam(s, 1, 0.9, 0.999) }, "no parameters"},
		"optimiser of a computed": {func(s *tensor.Scope, in inputs) {
			s.Grad(true, func() { newAdam(s, 1, 0.9, 0.999, s.MulScalar(s.Leaf(in.kernel), 2)) })
		}, "parameter 0 is no leaf"},
	} {
		err := dev.Run(func(s *tensor.Scope) error { c.f(s, newInputs(s)); return nil })
		if err == nil || !strings.Contains(err.Error(), c.want) || strings.Contains(err.Error(), "\n") {
			t.Errorf("%s: error %q, want one line with %q", name, err, c.want)
		}
	}
	if n := tensor.Live() - before; n != 0 {
		t.Errorf("%d tensors are left", n)
	}
	if _, err := repetitions[0].run(dev, newInputs, newInputs); err != nil {
		t.Errorf("the device is unusable after errors: %v", err)
	}
}

// TestCollectionDuringCalls has Go's collector run all the while, which a finalizer of gotorch's that was left with a tensor
// in use, or with one that we free, would not survive.
func TestCollectionDuringCalls(t *testing.T) {
	dev := tensortest.Threads(t, 1)
	stop, stopped := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(stopped)
		for {
			select {
			case <-stop:
				return
			default:
				runtime.GC()
			}
		}
	}()
	for range 20 {
		for _, r := range repetitions {
			if _, err := r.run(dev, newInputs, newInputs); err != nil {
				t.Error(err)
			}
		}
	}
	close(stop)
	<-stopped
}

func TestCheck(t *testing.T) {
	detail, err := Check()
	if err != nil || !strings.Contains(detail, "of 11 computations bit for bit") || !strings.Contains(detail, tensor.Version()) {
		t.Errorf("%q, %v; want the number of computations and libtorch's version", detail, err)
	}
}
