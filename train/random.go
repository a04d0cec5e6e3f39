package train

import (
	"math"
	"math/rand/v2"
)

// Purposes keep the random sequences of one seed apart.
const (
	purposeOrder uint64 = iota + 1
	purposeFlip
)

// source returns the random sequence that belongs to (seed, purpose, a, b): nothing is carried from one
// call to the next, so a run that was cut goes on as if it had not been.
func source(seed int64, purpose, a, b uint64) *rand.Rand {
	return rand.New(rand.NewPCG(uint64(seed)^purpose<<56, a<<32^b))
}

// pick returns which of n training views is the i-th to be seen: every epoch goes through all of them
// in an order of its own.
func pick(seed int64, n, i int) int {
	epoch := uint64(i / n)
	return source(seed, purposeOrder, epoch, 0).Perm(n)[i%n]
}

// rate is the learning rate's factor at a step, from 0: a linear rise over warmup steps, then half a
// cosine down to a hundredth.
func rate(step, warmup, steps int) float64 {
	rise := 1.0
	if warmup > 0 {
		rise = math.Min(1, float64(step+1)/float64(warmup))
	}
	return math.Max(0.01, rise*0.5*(1+math.Cos(math.Pi*float64(step)/float64(steps))))
}

// flipAxes returns the dimensions of [B, C, H, W] along which the i-th view seen is mirrored.
func flipAxes(seed int64, i int) []int64 {
	bits := source(seed, purposeFlip, uint64(i), 0).Uint64()
	var axes []int64
	if bits&1 != 0 {
		axes = append(axes, 2)
	}
	if bits&2 != 0 {
		axes = append(axes, 3)
	}
	return axes
}
