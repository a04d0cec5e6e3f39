package eval

import (
	"math"
	"testing"
)

// TestDiffer has two volumes of two slices, of which one slice is not the same in both runs, and a picture of the one run alone.
func TestDiffer(t *testing.T) {
	slice := func(method, volume, id string, tp, fp, fn int) CaseResult {
		row := CaseResult{Case: id, Volume: volume, Method: method, Scores: Scores{TP: tp, FP: fp, FN: fn, HD95: Undefined, ASSD: Float(fp)}}
		row.overlap()
		return row
	}
	a := []CaseResult{
		slice("box", "v", "v1", 1, 1, 0), slice("box", "v", "v2", 1, 0, 0), slice("box", "w", "w1", 2, 0, 2),
		slice("after", "v", "v1", 2, 2, 0), slice("after", "v", "v2", 4, 0, 0), slice("after", "w", "w1", 9, 0, 0),
	}
	b := []CaseResult{
		slice("after", "v", "v1", 3, 0, 1), slice("after", "v", "v2", 3, 2, 0), slice("after", "w", "w1", 0, 0, 5), slice("after", "", "p", 1, 1, 1),
	}
	method := func(label string) *Method { return &Method{Label: label} }
	before := map[string]*Method{"box": method("full-image box")}
	same := func(id string) bool { return id != "w1" && id != "p" }
	d, err := Differ(&Results{Seed: 1, Before: before, After: method("one")}, &Results{After: method("two"), Others: []Other{{Key: "x"}}}, a, b, same)
	if err != nil {
		t.Fatal(err)
	}
	if d.Shared != 2 || d.OnlyA != 1 || d.OnlyB != 2 || len(d.Methods) != 1 || len(d.Pairs) != 1 {
		t.Fatalf("%+v: want one volume of two slices compared, under the one method that both have", d)
	}
	m := d.Methods[0]
	wantA, wantB := 12.0/14, 12.0/15 // of the volume: 2 TP / (2 TP + FP + FN), slices added up
	if m.Method != MethodAfter || m.LabelA != "one" || m.LabelB != "two" || math.Abs(float64(m.A)-wantA) > 1e-12 || math.Abs(float64(m.B)-wantB) > 1e-12 ||
		math.Abs(float64(m.Paired.Difference)-(wantB-wantA)) > 1e-12 || m.Paired.Losses != 1 || d.Pairs[0].Case != "v" {
		t.Errorf("%+v %+v", m, m.Paired)
	}
	for _, x := range d.Metrics {
		switch x.Metric {
		case "hd95":
			if x.A.Defined() || x.B.Defined() {
				t.Errorf("%+v of no case", x)
			}
		case "assd": // a volume's is the mean of its slices'
			if x.A != 1 || x.B != 1 {
				t.Errorf("%+v, want 1 and 1", x)
			}
		case "dice":
			t.Error("Dice is there twice")
		}
	}
}
