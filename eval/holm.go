package eval

import (
	"math"
	"slices"
)

// Holm adjusts the p-values of several tests for their number (Holm, Scand J Statist 6, 1979): each is the smallest level
// at which its test is rejected when the chance of one false rejection among all is kept to that level. What is not
// defined stays so and does not count.
func Holm(p []Float) []Float {
	out := slices.Clone(p)
	var order []int
	for i, v := range p {
		if v.Defined() {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case p[a] < p[b]:
			return -1
		case p[a] > p[b]:
			return 1
		}
		return 0
	})
	top := 0.0
	for k, i := range order {
		top = math.Min(1, math.Max(top, float64(p[i])*float64(len(order)-k)))
		out[i] = Float(top)
	}
	return out
}
