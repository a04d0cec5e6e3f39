package tensor

import (
	"math"
	"testing"
)

// TestAdamWFollowsItsEquations takes steps by the equations of Loshchilov & Hutter beside the operation, with any number of threads to the same bits.
func TestAdamWFollowsItsEquations(t *testing.T) {
	const n = 100_003
	r := AdamWRates{LR: 1e-2, Beta1: 0.9, Beta2: 0.999, Decay: 0.1, Epsilon: 1e-8}
	gradient := func(step int) []float32 {
		g := make([]float32, n)
		for i := range g {
			g[i] = float32(math.Sin(float64(i*step))) * float32(i%7) // every seventh is 0 all the time
		}
		return g
	}
	weights, mean, variance := make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range weights {
		weights[i] = float64(float32(math.Cos(float64(i))))
	}
	first := make([]float32, n)
	for i, w := range weights {
		first[i] = float32(w)
	}
	for step := 1; step <= 3; step++ {
		for i, g := range gradient(step) {
			g := float64(g)
			weights[i] -= r.LR * r.Decay * weights[i]
			mean[i] = r.Beta1*mean[i] + (1-r.Beta1)*g
			variance[i] = r.Beta2*variance[i] + (1-r.Beta2)*g*g
			m, v := mean[i]/(1-math.Pow(r.Beta1, float64(step))), variance[i]/(1-math.Pow(r.Beta2, float64(step)))
			weights[i] -= r.LR * m / (math.Sqrt(v) + r.Epsilon)
		}
	}
	var one []float32
	for threads := 1; threads <= 3; threads++ {
		d, err := Open("cpu", threads)
		if err != nil {
			t.Fatal(err)
		}
		err = d.Run(func(s *Scope) error {
			w, m, v := s.FromFloat32(first, n), s.Zeros(Float32, n), s.Zeros(Float32, n)
			for step := 1; step <= 3; step++ {
				s.AdamWInto(w, s.FromFloat32(gradient(step), n), m, v, step, r)
			}
			got := s.Float32s(w)
			if one == nil {
				one = got
			}
			for i := range got {
				if d := math.Abs(float64(got[i]) - weights[i]); !(d < 1e-6) {
					t.Fatalf("weight %d is %v after three steps, want %v", i, got[i], weights[i])
				}
				if got[i] != one[i] {
					t.Fatalf("weight %d is %v with %d threads and %v with one", i, got[i], threads, one[i])
				}
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		d.Close()
	}
	d := open(t)
	if err := d.Run(func(s *Scope) error {
		s.AdamWInto(s.Zeros(Float32, 3), s.Zeros(Float32, 4), s.Zeros(Float32, 3), s.Zeros(Float32, 3), 1, r)
		return nil
	}); err == nil {
		t.Error("a gradient of another length is no error")
	}
}
