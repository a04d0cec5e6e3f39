package eval

import (
	"math"
	"testing"

	"samtune/data"
)

// bars returns a mask with vertical bars of the given widths, five pixels apart.
func bars(height int, widths ...int) *data.Mask {
	total := 5
	for _, w := range widths {
		total += w + 5
	}
	m := data.NewMask(total, height)
	x := 5
	for _, w := range widths {
		for y := range height {
			for k := range w {
				m.Pix[y*total+x+k] = 1
			}
		}
		x += w + 5
	}
	return m
}

func TestThicknessOfBarsIsTheirWidth(t *testing.T) {
	bounds := []float64{2, 4, 6}
	for width, want := range map[int]uint8{1: 0, 2: 0, 3: 1, 4: 1, 5: 2, 6: 2, 7: 3, 12: 3} {
		m := bars(40, width)
		got := thickness(m, bounds, [2]float64{1, 1})
		for y := 10; y < 30; y++ { // the ends of a bar are rounded off
			for x := range width {
				if c := got[y*m.Width+5+x]; c != want {
					t.Fatalf("width %d, pixel %d: class %d, want %d", width, x, c, want)
				}
			}
		}
		scaled := thickness(m, []float64{1, 2, 3}, [2]float64{0.5, 0.5})
		if c := scaled[20*m.Width+5]; c != want {
			t.Errorf("width %d at half the spacing: class %d, want %d", width, c, want)
		}
	}
}

func TestDiceByThicknessTellsThinFromThick(t *testing.T) {
	truth := bars(40, 1, 9)
	thick := bars(40, 1, 9)
	for y := range 40 {
		thick.Pix[y*thick.Width+5] = 0 // the thin bar is missed
	}
	got := diceByThickness(thick, truth, []float64{3}, [2]float64{1, 1})
	if got[0] != 0 || got[1] != 1 {
		t.Errorf("without the thin bar %v, want 0 and 1", got)
	}
	if got := diceByThickness(truth, truth, []float64{3}, [2]float64{1, 1}); got[0] != 1 || got[1] != 1 {
		t.Errorf("the truth itself: %v, want 1 and 1", got)
	}
	got = diceByThickness(data.NewMask(truth.Width, truth.Height), bars(40, 9, 1), []float64{3, 20}, [2]float64{1, 1})
	if got[0] != 0 || got[1] != 0 || !math.IsNaN(float64(got[2])) {
		t.Errorf("nothing found: %v, want 0, 0 and undefined", got)
	}
	// Without bounds there is one class, and its Dice is Dice.
	all := diceByThickness(thick, truth, nil, [2]float64{1, 1})
	dice, err := Dice(thick, truth, nil)
	if err != nil || len(all) != 1 || math.Abs(float64(all[0]-dice)) > 1e-12 {
		t.Errorf("one class: %v, want %v (%v)", all, dice, err)
	}
}
