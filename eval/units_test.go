package eval

import (
	"math"
	"testing"

	"samtune/data"
)

// TestSlicesOfAVolumeCountOnce scores a volume's slices one by one and its planes as one tall picture: what comes from counts must be
// the same, and a volume is one case however many slices it has.
func TestSlicesOfAVolumeCountOnce(t *testing.T) {
	var rows []CaseResult
	tall := Input{Prediction: data.NewMask(4, 12), Truth: data.NewMask(4, 12)}
	for slice := range 3 {
		one := Input{Prediction: data.NewMask(4, 4), Truth: data.NewMask(4, 4)}
		for i := range 16 {
			one.Prediction.Pix[i] = uint8((i + slice) % 3 & 1)
			one.Truth.Pix[i] = uint8(i * (slice + 1) % 2)
		}
		copy(tall.Prediction.Pix[16*slice:], one.Prediction.Pix)
		copy(tall.Truth.Pix[16*slice:], one.Truth.Pix)
		s, err := Score(one)
		if err != nil {
			t.Fatal(err)
		}
		rows = append(rows, CaseResult{Case: string(rune('a' + slice)), Volume: "v", Scores: s})
	}
	want, err := Score(tall)
	if err != nil {
		t.Fatal(err)
	}
	picture := CaseResult{Case: "p", Scores: rows[0].Scores}
	got := units(append(rows, picture))
	if len(got) != 2 || got[0].Case != "v" || got[1].Case != "p" {
		t.Fatalf("units are %+v", got)
	}
	s := got[0].Scores
	for name, pair := range map[string][2]Float{
		"Dice": {s.Dice, want.Dice}, "IoU": {s.IoU, want.IoU}, "sensitivity": {s.Sensitivity, want.Sensitivity},
		"specificity": {s.Specificity, want.Specificity}, "accuracy": {s.Accuracy, want.Accuracy},
	} {
		if pair[0] != pair[1] {
			t.Errorf("%s is %v, of the planes as one picture %v", name, pair[0], pair[1])
		}
	}
	sum, n := 0.0, 0
	for _, r := range rows {
		if r.HD95.Defined() {
			sum, n = sum+float64(r.HD95), n+1
		}
	}
	if math.Abs(float64(s.HD95)-sum/float64(n)) > 1e-12 {
		t.Errorf("HD95 is %v, want the mean over the slices, %v", s.HD95, sum/float64(n))
	}
	m := MethodOf("x", false, rows, 1)
	if m.Dice.N != 1 {
		t.Errorf("%d cases, want 1 volume", m.Dice.N)
	}
	p, err := Compare("x", rows, rows, 1)
	if err != nil || p.N != 1 || p.Ties != 1 {
		t.Errorf("%+v, %v: want one pair", p, err)
	}
}
