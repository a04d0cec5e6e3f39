package train

import (
	"math"
	"slices"
	"testing"
)

func TestEveryEpochSeesEveryView(t *testing.T) {
	const n = 7
	var epochs [][]int
	for epoch := range 5 {
		var seen []int
		for i := range n {
			seen = append(seen, pick(3, n, epoch*n+i))
		}
		sorted := slices.Sorted(slices.Values(seen))
		if !slices.Equal(sorted, []int{0, 1, 2, 3, 4, 5, 6}) {
			t.Errorf("epoch %d sees %v", epoch, seen)
		}
		epochs = append(epochs, seen)
	}
	if slices.Equal(epochs[0], epochs[1]) {
		t.Error("two epochs have one order")
	}
	if slices.Equal(epochs[0], []int{pick(4, n, 0), pick(4, n, 1), pick(4, n, 2), pick(4, n, 3), pick(4, n, 4), pick(4, n, 5), pick(4, n, 6)}) {
		t.Error("two seeds have one order")
	}
}

func TestFlipsAreBalanced(t *testing.T) {
	count := map[string]int{}
	for i := range 4000 {
		key := ""
		for _, a := range flipAxes(1, i) {
			key += string(rune('0' + a))
		}
		count[key]++
	}
	for _, key := range []string{"", "2", "3", "23"} {
		if math.Abs(float64(count[key])-1000) > 120 { // four standard deviations
			t.Errorf("flips %q occur %d times of 4000, want about 1000", key, count[key])
		}
	}
}

func TestRate(t *testing.T) {
	if got := rate(0, 10, 100); math.Abs(got-0.1) > 1e-9 {
		t.Errorf("first step has factor %g, want a tenth", got)
	}
	if got := rate(50, 10, 100); math.Abs(got-0.5) > 1e-9 {
		t.Errorf("middle has factor %g, want a half", got)
	}
	for s := 11; s < 100; s++ {
		if rate(s, 10, 100) > rate(s-1, 10, 100) {
			t.Errorf("the rate rises at step %d", s)
		}
	}
	if got := rate(99, 10, 100); got != 0.01 {
		t.Errorf("last step has factor %g, want a hundredth", got)
	}
}
