package train

import (
	"math"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

// TestCUDATraining takes a short training of the tiny decoder on a GPU twice, and compares with the CPU.
func TestCUDATraining(t *testing.T) {
	n, reason := tensor.CUDA()
	if n == 0 {
		t.Skip("no GPU: " + reason)
	}
	gpu, err := tensor.Open("cuda", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(gpu.Close)
	m := tiny(t, gpu)
	cache := t.TempDir()
	first, second := t.TempDir(), t.TempDir()
	var losses []float64
	j := tinyJob(t, m, cache, first)
	j.Step = func(p Point, _ int) { losses = append(losses, p.Loss) }
	fitted(t, j)
	fitted(t, tinyJob(t, m, cache, second))
	sameContent(t, "second run on the GPU", content(t, second), content(t, first))

	cpu := tiny(t, tensortest.CPU(t))
	j = tinyJob(t, cpu, t.TempDir(), t.TempDir())
	i := 0
	j.Step = func(p Point, _ int) {
		if math.Abs(p.Loss-losses[i]) > 1e-2*p.Loss {
			t.Errorf("loss of step %d is %g on the GPU, %g on the CPU", p.Step, losses[i], p.Loss)
		}
		i++
	}
	fitted(t, j)
}
