package tensor

import (
	"errors"
	"slices"
	"strings"
	"sync"
	"testing"
)

// product is a number that depends on i through a matrix product and a sum, which libtorch spreads over threads.
func product(s *Scope, i int) float64 {
	a := s.MulScalar(s.Full(1, 300, 200), 1/float64(i+3))
	return s.Item(s.Sum(s.Matmul(a, s.Transpose(a, 0, 1))))
}

func TestEachDoesEveryPartOnce(t *testing.T) {
	for _, c := range []struct{ threads, together, n int }{{4, 1, 5}, {4, 2, 7}, {2, 8, 9}, {1, 4, 3}, {4, 4, 1}, {3, 3, 0}} {
		d, err := Open("cpu", c.threads)
		if err != nil {
			t.Fatal(err)
		}
		before := Live()
		got := make([]float64, c.n)
		var mu sync.Mutex
		var order []int
		err = d.Each(c.n, c.together, func(s *Scope, i int) error {
			got[i] = product(s, i)
			mu.Lock()
			defer mu.Unlock()
			order = append(order, i)
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		slices.Sort(order)
		for i, at := range order {
			if at != i {
				t.Fatalf("%+v: parts %v, want each once", c, order)
			}
		}
		for i := range got {
			err := d.Run(func(s *Scope) error {
				if want := product(s, i); got[i] < want*(1-1e-6) || got[i] > want*(1+1e-6) {
					t.Errorf("%+v: part %d gave %v, on the device's own thread %v", c, i, got[i], want)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		}
		if len(order) != c.n || Live() != before {
			t.Errorf("%+v: %d parts were done, %d tensors are left", c, len(order), Live()-before)
		}
		d.Close()
	}
}

func TestEachEndsWithTheFirstError(t *testing.T) {
	d := open(t)
	before := Live()
	err := d.Each(100, 2, func(s *Scope, i int) error {
		a := s.Zeros(Float32, 2, 3)
		if i >= 3 {
			s.Add(a, s.Zeros(Float32, 4))
			t.Error("it went on after an error")
		}
		return nil
	})
	if err == nil || !strings.HasPrefix(err.Error(), "add: ") {
		t.Errorf("error %v, want libtorch's", err)
	}
	done, own := 0, errors.New("own")
	var mu sync.Mutex
	err = d.Each(100, 2, func(_ *Scope, i int) error {
		mu.Lock()
		defer mu.Unlock()
		done++
		if i == 4 {
			return own
		}
		return nil
	})
	if err != own || done > 7 {
		t.Errorf("error %v after %d parts, want that of part 4 and no part that begins after it", err, done)
	}
	if Live() != before {
		t.Errorf("%d tensors are left", Live()-before)
	}
}

// TestEachKeepsAutogradApart differentiates on helpers, whose mode is their own.
func TestEachKeepsAutogradApart(t *testing.T) {
	d := open(t)
	gradients := make([]float64, 6)
	err := d.Each(len(gradients), 2, func(s *Scope, i int) error {
		if i%2 == 0 {
			if s.Mul(s.Full(1, 2), s.Full(2, 2)).Differentiable() {
				t.Error("autograd is on where nobody asked for it")
			}
			return nil
		}
		s.Grad(true, func() {
			x := s.Leaf(s.Full(float64(i), 1))
			gradients[i] = s.Item(s.Backward(s.Sum(s.Mul(x, x)), x)[0])
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for i, g := range gradients {
		if want := float64(2 * i * (i % 2)); g != want {
			t.Errorf("part %d: gradient %v, want %v", i, g, want)
		}
	}
}
