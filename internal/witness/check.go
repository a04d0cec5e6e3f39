//go:build gotorch

package witness

import (
	"fmt"
	"math"

	"samtune/internal/tensor"
)

// Check repeats by gotorch, on the CPU, what samtune's computations are made of. Detail says in one line what agreed; the
// first thing on which the two bindings differ is the error.
func Check() (detail string, err error) {
	// On one thread the order of additions, and with it the last bit, is the same for both.
	dev, err := tensor.Open("cpu", 1)
	if err != nil {
		return "", err
	}
	defer dev.Close()
	exact := 0
	worst := 0.0
	for _, r := range repetitions {
		difference, err := r.run(dev, newInputs, newInputs)
		if err != nil {
			return "", err
		}
		worst = max(worst, difference)
		if r.tolerance == 0 {
			exact++
		}
	}
	return fmt.Sprintf("gotorch repeats %d of %d computations bit for bit and the others to %.0e, on libtorch %s",
		exact, len(repetitions), worst, tensor.Version()), nil
}

// run does r once by each binding and returns the largest difference between elements, relative to the largest
// magnitude of ours. One above r's tolerance is an error.
func (r repetition) run(dev *tensor.Device, mine, given func(*tensor.Scope) inputs) (difference float64, err error) {
	err = dev.Run(func(s *tensor.Scope) error {
		ours, theirs := r.ours(s, mine(s)), r.theirs(s, given(s))
		if a, b := tensor.Numel(ours.Shape()), tensor.Numel(theirs.Shape()); a != b || a == 0 {
			return fmt.Errorf("%s: %d elements by gotch, %d by gotorch", r.name, a, b)
		}
		difference, err = compare(s.Float32s(ours), s.Float32s(theirs), r.tolerance)
		if err != nil {
			return fmt.Errorf("%s: %w", r.name, err)
		}
		return nil
	})
	return difference, err
}

// compare returns the largest difference relative to the largest magnitude among ours (1 where all are 0), and an error where it
// is above the tolerance; with tolerance 0 where any bit differs.
func compare(ours, theirs []float32, tolerance float64) (float64, error) {
	largest := 0.0
	for _, v := range ours {
		largest = max(largest, math.Abs(float64(v)))
	}
	if largest == 0 {
		largest = 1
	}
	worst := 0.0
	for i, v := range ours {
		difference := math.Abs(float64(v)-float64(theirs[i])) / largest
		same := difference <= tolerance // false where either is no number
		if tolerance == 0 {
			same = math.Float32bits(v) == math.Float32bits(theirs[i])
		}
		if !same {
			return difference, fmt.Errorf("element %d is %g by gotch and %g by gotorch, which differ by %.1e of the largest, want %.1e at most",
				i, v, theirs[i], difference, tolerance)
		}
		worst = max(worst, difference)
	}
	return worst, nil
}
