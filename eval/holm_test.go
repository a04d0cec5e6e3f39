package eval

import (
	"math"
	"testing"
)

// The values are those of statsmodels 0.15's multipletests(method="holm").
func TestHolm(t *testing.T) {
	for _, c := range []struct{ p, want []Float }{
		{[]Float{0.01, 0.04, 0.03, 0.005}, []Float{0.03, 0.06, 0.06, 0.02}},
		{[]Float{0.5, 0.5, 0.9}, []Float{1, 1, 1}},
		{[]Float{0.0019, 0.00049, 0.25, 0.031, 0.6}, []Float{0.0076, 0.00245, 0.5, 0.093, 0.6}},
		{[]Float{0.02}, []Float{0.02}},
		{nil, nil},
	} {
		got := Holm(c.p)
		for i := range c.want {
			if math.Abs(float64(got[i]-c.want[i])) > 1e-12 {
				t.Errorf("%v: %v, want %v", c.p, got, c.want)
				break
			}
		}
	}
	got := Holm([]Float{0.01, Undefined, 0.02})
	if got[0] != 0.02 || got[2] != 0.02 || got[1].Defined() {
		t.Errorf("an undefined p counts: %v", got)
	}
}
