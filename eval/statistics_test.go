package eval

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSummarise(t *testing.T) {
	nan, u := math.NaN(), Undefined
	for name, c := range map[string]struct {
		values []float64
		want   Summary
	}{
		"none":     {nil, Summary{u, Interval{u, u}, u, u, u, u, 0, 0}},
		"no value": {[]float64{nan, nan}, Summary{u, Interval{u, u}, u, u, u, u, 0, 2}},
		"one":      {[]float64{nan, 0.3}, Summary{0.3, Interval{u, u}, u, 0.3, 0.3, 0.3, 1, 1}},
		"equal":    {[]float64{0.1, 0.1, 0.1, nan}, Summary{0.1, Interval{0.1, 0.1}, 0, 0.1, 0.1, 0.1, 3, 1}},
		// Two values have three means, and an interval of Student's with one degree of freedom reaches over all.
		"two": {[]float64{1, 3}, Summary{2, Interval{1, 3}, Float(math.Sqrt2), 2, 1, 3, 2, 0}},
	} {
		t.Run(name, func(t *testing.T) {
			if d := cmp.Diff(c.want, Summarise(c.values, 1), sameNaN); d != "" {
				t.Error(d)
			}
		})
	}
}

func TestSummariseProperties(t *testing.T) {
	r := rand.New(rand.NewPCG(9, 9))
	values := make([]float64, 20)
	for i := range values {
		values[i] = r.ExpFloat64()
	}
	s := Summarise(values, 3)
	if d := cmp.Diff(s, Summarise(values, 3)); d != "" {
		t.Errorf("the same seed gives another summary: %s", d)
	}
	if other := Summarise(values, 4); other.CI95 == s.CI95 || other.Mean != s.Mean {
		t.Errorf("another seed gives interval %v and mean %v, had %v and %v", other.CI95, other.Mean, s.CI95, s.Mean)
	}
	if !(s.Min < s.CI95[0] && s.CI95[0] < s.Mean && s.Mean < s.CI95[1] && s.CI95[1] < s.Max) {
		t.Errorf("out of order: min %v, interval %v, mean %v, max %v", s.Min, s.CI95, s.Mean, s.Max)
	}
	if s.CI95[1]-s.Mean <= s.Mean-s.CI95[0] {
		t.Errorf("interval %v of right-skewed values does not reach further to the right of %v", s.CI95, s.Mean)
	}
	moved := make([]float64, len(values))
	for i, v := range values {
		moved[i] = 2*v + 5
	}
	if m := Summarise(moved, 3); !near(m.CI95[0], 2*s.CI95[0]+5, 1e-9) || !near(m.CI95[1], 2*s.CI95[1]+5, 1e-9) {
		t.Errorf("interval of 2v+5 is %v, want that of v, %v, likewise", m.CI95, s.CI95)
	}
}

// The interval of the mean of 20 cases should hold the true mean in about 95 of 100 experiments.
func TestIntervalCoverage(t *testing.T) {
	const trials, n, draws = 4000, 20, 500
	for _, c := range []struct {
		name   string
		sample func(*rand.Rand) float64
		mean   float64
	}{
		{"normal", (*rand.Rand).NormFloat64, 0},
		{"exponential", (*rand.Rand).ExpFloat64, 1},
	} {
		t.Run(c.name, func(t *testing.T) {
			r, draw := rand.New(rand.NewPCG(10, 10)), newStream(10, "coverage")
			z := expanded(n)
			plain, covered := 0, 0
			for range trials {
				v := make([]float64, n)
				for i := range v {
					v[i] = c.sample(r)
				}
				if ci := bootstrap(v, draws, z, draw); float64(ci[0]) <= c.mean && c.mean <= float64(ci[1]) {
					covered++
				}
				if ci := bootstrap(v, draws, 1.96, draw); float64(ci[0]) <= c.mean && c.mean <= float64(ci[1]) {
					plain++
				}
			}
			got := 100 * float64(covered) / trials
			t.Logf("coverage %.1f %%, without the expansion %.1f %%", got, 100*float64(plain)/trials)
			if got < 93 || got > 97 {
				t.Errorf("nominal 95 %% interval covers %.1f %%, want 93 to 97 %%", got)
			}
		})
	}
}

func TestWilcoxonAgainstEnumeration(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	for i := range 60 {
		n := 1 + r.IntN(12)
		d := make([]float64, n)
		for j := range d {
			d[j] = float64(r.IntN(8)-3) / 4
		}
		d = append(d, 0.25)
		p, _ := wilcoxon(d)
		if want := enumerate(d); math.Abs(p-want) > 1e-12 {
			t.Errorf("differences %d: p of %v is %g, want %g", i, d, p, want)
		}
		for j := range d {
			d[j] = -d[j]
		}
		if mirrored, _ := wilcoxon(d); mirrored != p {
			t.Errorf("differences %d: p is %g, mirrored %g", i, p, mirrored)
		}
	}
}

// enumerate goes over all signs of the doubled ranks, found by counting.
func enumerate(d []float64) float64 {
	var ranks []int
	observed := 0
	for _, x := range d {
		if x == 0 {
			continue
		}
		rank := 1
		for _, y := range d {
			if y != 0 && math.Abs(y) < math.Abs(x) {
				rank += 2
			} else if math.Abs(y) == math.Abs(x) {
				rank++
			}
		}
		ranks = append(ranks, rank)
		if x > 0 {
			observed += rank
		}
	}
	low, high := 0, 0
	for signs := range uint(1) << len(ranks) {
		sum := 0
		for s := signs; s != 0; s &= s - 1 {
			sum += ranks[bits.TrailingZeros(s)]
		}
		if sum <= observed {
			low++
		}
		if sum >= observed {
			high++
		}
	}
	return min(1, 2*float64(min(low, high))/float64(int(1)<<len(ranks)))
}

func rowsOf(method string, dice ...float64) []CaseResult {
	rows := make([]CaseResult, len(dice))
	for i, d := range dice {
		rows[i] = CaseResult{Case: fmt.Sprint(i), Method: method, Scores: Scores{TP: 1, Dice: Float(d), AUC: Undefined}}
	}
	return rows
}

func TestCompare(t *testing.T) {
	nan := math.NaN()
	before := rowsOf("box", 0.25, 0.5, 0.5, 0.75, nan, 0.5)
	after := rowsOf(MethodAfter, 0.5, 0.5, 0.25, 1, 0.5, nan)
	after = append(after, CaseResult{Case: "extra", Scores: Scores{Dice: 1}})
	after[0], after[3] = after[3], after[0]
	got, err := Compare("box", before, after, 1)
	if err != nil {
		t.Fatal(err)
	}
	if got.Before != "box" || got.N != 4 || got.Wins != 2 || got.Ties != 1 || got.Losses != 1 || got.Difference != 0.0625 {
		t.Errorf("got %+v", got)
	}
	// Differences 0.25, 0, -0.25, 0.25: half of the signs of three tied ranks have two or more positive.
	if got.P != 1 || got.Test != "Wilcoxon signed-rank test, two-sided, exact, ties by mid-ranks, 1 zero dropped" {
		t.Errorf("p is %v by %q", got.P, got.Test)
	}
	if none, err := Compare("box", nil, after, 1); err != nil || none.N != 0 || none.P.Defined() || none.Difference.Defined() {
		t.Errorf("no pairs: %+v, %v", none, err)
	}
	if same, err := Compare("box", before, before, 1); err != nil || same.P != 1 || same.CI95 != (Interval{0, 0}) || same.Ties != 5 {
		t.Errorf("the same twice: %+v, %v", same, err)
	}
	if _, err := Compare("box", append(before, before[0]), after, 1); err == nil || !strings.Contains(err.Error(), `before: case "0" occurs twice`) {
		t.Errorf("error of a double case is %v", err)
	}
}

func TestMethodOf(t *testing.T) {
	rows := rowsOf("box", 0.2, 0.4, 0.9)
	rows = append(rows, CaseResult{Case: "empty", Scores: Scores{TN: 5, Dice: Undefined, Specificity: 1, AUC: Undefined}})
	m := MethodOf("full-image box", true, rows, 5)
	if m.Label != "full-image box" || !m.Oracle || m.BothEmpty != 1 {
		t.Errorf("got %+v", m)
	}
	if m.Dice.N != 3 || m.Dice.Undefined != 1 || !near(m.Dice.Mean, 0.5, 1e-15) || m.AUC.N != 0 || m.AUC.Mean.Defined() {
		t.Errorf("Dice %+v, AUC %+v", m.Dice, m.AUC)
	}
	if m.Specificity.Mean != 0.25 || m.Specificity.N != 4 {
		t.Errorf("specificity %+v", m.Specificity)
	}
	if d := cmp.Diff(m, MethodOf("full-image box", true, rows, 5), sameNaN); d != "" {
		t.Errorf("the same rows give another summary: %s", d)
	}
	if trivial := TrivialOf(rows, 5); trivial.Dice != m.Dice.Mean || trivial.Method.Oracle {
		t.Errorf("trivial %+v", trivial)
	}
}
