package eval

import (
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"gonum.org/v1/gonum/stat/distuv"
)

var sweepOptions = SweepOptions{Metric: "dice", Margin: DefaultMargin, Seed: 1}

// sweepOf are runs of a mean curve with noise of seeds, cases and both.
func sweepOf(curve map[int]float64, seeds, cases int, noise float64) (runs []SweepRun, zeroShot []CaseValue) {
	r := rand.New(rand.NewPCG(31, 32))
	of := make([]float64, cases)
	for i := range of {
		of[i] = 3 * noise * r.NormFloat64()
		zeroShot = append(zeroShot, CaseValue{Case: fmt.Sprint("c", i), Value: Float(0.3 + of[i])})
	}
	for _, shots := range []int{1, 2, 3, 5, 10, 20} {
		level, ok := curve[shots]
		if !ok {
			continue
		}
		for seed := range seeds {
			run := SweepRun{Shots: shots, Seed: int64(seed)}
			shift := noise * r.NormFloat64()
			for i := range of {
				run.Cases = append(run.Cases, CaseValue{Case: fmt.Sprint("c", i), Value: Float(level + of[i] + shift + noise*r.NormFloat64())})
			}
			runs = append(runs, run)
		}
	}
	return runs, zeroShot
}

func summarised(t *testing.T, runs []SweepRun, zeroShot []CaseValue) *SweepStatistics {
	t.Helper()
	s, err := SummariseSweep(runs, zeroShot, sweepOptions)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

var rising = map[int]float64{1: 0.5, 3: 0.6, 5: 0.65, 10: 0.7, 20: 0.73}

func TestSweepByHand(t *testing.T) {
	u := Undefined
	run := func(shots int, seed int64, values ...Float) SweepRun {
		r := SweepRun{Shots: shots, Seed: seed}
		for i, v := range values {
			r.Cases = append(r.Cases, CaseValue{Case: fmt.Sprint(i), Value: v})
		}
		return r
	}
	zero := run(0, 0, 0.25, 0.25, 0.5, u).Cases
	s := summarised(t, []SweepRun{run(5, 2, 0.5, 0.75, 1, u), run(1, 1, 0.5, 0.5, u, 0.5), run(5, 1, 0.25, 0.75, u, 0.5)}, zero)
	one, five := s.Shots[0], s.Shots[1]
	if d := cmp.Diff(Spread{u, 0.5, 0.5, 1}, one.BetweenSeeds, sameNaN); d != "" || one.Shots != 1 || one.Mean != 0.5 || one.Over != OverCases || one.Undefined != 1 {
		t.Errorf("one shot: %+v %s", one, d)
	}
	// Runs of means 0.75 and 0.5; cases of means 0.375, 0.75, 1 and 0.5.
	if five.Shots != 5 || five.Mean != 0.625 || five.Undefined != 2 || five.Over != OverSeedsAndCases ||
		!near(five.BetweenSeeds.SD, Float(math.Sqrt(0.03125)), 1e-12) || five.BetweenCases.Min != 0.375 || five.BetweenCases.Max != 1 || five.BetweenCases.N != 4 {
		t.Errorf("five shots: %+v", five)
	}
	if s.ZeroShot.Mean != Float(1)/3 || s.ZeroShot.Over != OverCasesAlone || s.Cases != 4 || s.Patients != 4 {
		t.Errorf("zero-shot %+v of %d cases", s.ZeroShot, s.Cases)
	}
	var pairs [][2]int
	for _, c := range s.Comparisons {
		pairs = append(pairs, [2]int{c.From, c.To})
	}
	if d := cmp.Diff([][2]int{{0, 1}, {0, 5}, {1, 5}}, pairs); d != "" {
		t.Errorf("comparisons: %s", d)
	}
	// To zero-shot, seed 1: 0, 0.5; seed 2: 0.25, 0.5, 0.5. To one shot only seed 1: -0.25, 0.25, 0.
	if c := s.Comparisons[1]; !near(c.Difference, Float((0.25+1.25/3)/2), 1e-12) || c.Seeds != 2 || c.N != 3 || c.Wins != 3 || c.P != 0.25 {
		t.Errorf("five shots to zero-shot: %+v", c)
	}
	if c := s.Comparisons[2]; c.Difference != 0 || c.Seeds != 1 || c.Over != OverCases || c.Wins != 1 || c.Losses != 1 || c.Ties != 1 || c.P != 1 || c.RankBiserial != 0 || c.CohenDz != 0 {
		t.Errorf("five shots to one: %+v", c)
	}
}

func TestSweepProperties(t *testing.T) {
	runs, zero := sweepOf(rising, 4, 12, 0.02)
	runs[3].Cases[2].Value, runs[9].Cases[5].Value = Undefined, Undefined
	want := summarised(t, runs, zero)
	same := func(name string, runs []SweepRun, zero []CaseValue) {
		t.Run(name, func(t *testing.T) {
			got := summarised(t, runs, zero)
			got.Cases = want.Cases
			for i := range got.Shots {
				got.Shots[i].Undefined, got.Shots[i].BetweenCases = want.Shots[i].Undefined, want.Shots[i].BetweenCases
			}
			got.ZeroShot.Undefined, got.ZeroShot.BetweenCases = want.ZeroShot.Undefined, want.ZeroShot.BetweenCases
			if d := cmp.Diff(want, got, cmp.Comparer(func(a, b Float) bool { return near(a, b, 1e-9) })); d != "" {
				t.Error(d)
			}
		})
	}
	same("again", runs, zero)
	turned := slices.Clone(runs)
	slices.Reverse(turned)
	same("runs in another order", turned, zero)
	doubled := func(cases []CaseValue) (out []CaseValue) {
		for _, c := range cases {
			left, right := c, c
			left.Patient, right.Patient, right.Case = c.Case, c.Case, c.Case+" again"
			out = append(out, left, right)
		}
		return out
	}
	twins := slices.Clone(runs)
	for i := range twins {
		twins[i].Cases = doubled(twins[i].Cases)
	}
	same("each patient has every case twice", twins, doubled(zero))

	for i, s := range want.Shots {
		if !(s.CI95[0] < s.Mean && s.Mean < s.CI95[1]) {
			t.Errorf("%d shots: mean %v outside %v", s.Shots, s.Mean, s.CI95)
		}
		if i > 0 && s.Mean <= want.Shots[i-1].Mean {
			t.Errorf("mean falls at %d shots", s.Shots)
		}
	}
	var p []Float
	for _, c := range want.Comparisons {
		p = append(p, c.P)
	}
	for i, adjusted := range Holm(p) {
		if want.Comparisons[i].PHolm != adjusted {
			t.Errorf("comparison %d: Holm's p is %v, want %v", i, want.Comparisons[i].PHolm, adjusted)
		}
	}
	if n := len(want.Comparisons); n != 5+4+3 {
		t.Errorf("%d comparisons", n)
	}
	text, err := json.Marshal(want)
	if err != nil {
		t.Fatal(err)
	}
	var back SweepStatistics
	if err := json.Unmarshal(text, &back); err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(*want, back, sameNaN); d != "" {
		t.Errorf("JSON loses: %s", d)
	}
}

// Where only one level varies the interval must be Student's, whose values are known.
func TestSweepIntervalIsStudents(t *testing.T) {
	for _, c := range []struct {
		name         string
		seeds, cases int
		seed, case_  float64
	}{
		{"one seed, 25 cases", 1, 25, 0, 0.1},
		{"12 seeds that differ, cases that do not", 12, 5, 0.1, 0},
		{"cases that differ, 3 seeds that do not", 3, 25, 0, 0.1},
	} {
		t.Run(c.name, func(t *testing.T) {
			var table cells
			normal := func(i, n int) float64 { return distuv.UnitNormal.Quantile((float64(i) + 0.5) / float64(n)) }
			n := c.cases
			if c.case_ == 0 {
				n = c.seeds
			}
			var v []float64
			for i := range n {
				v = append(v, 0.1*normal(i, n))
			}
			for i := range c.cases {
				table.groups = append(table.groups, i)
			}
			for k := range c.seeds {
				var row []float64
				for i := range c.cases {
					row = append(row, c.seed*normal(k, c.seeds)+c.case_*normal(i, c.cases))
				}
				table.seeds, table.value = append(table.seeds, k), append(table.value, row)
			}
			e := newEffects(table)
			resample([]*effects{e}, c.seeds, c.cases, 200_000, newStream(5, "students"))
			se := float64(describe(v).SD) / math.Sqrt(float64(n))
			half := se * distuv.StudentsT{Mu: 0, Sigma: 1, Nu: float64(n - 1)}.Quantile(0.975)
			if math.Abs(float64(e.standardError())-se) > 1e-12 {
				t.Errorf("standard error %v, want %v", e.standardError(), se)
			}
			if ci := e.interval(); math.Abs(float64(ci[1])/half-1) > 0.03 || math.Abs(float64(ci[0])/half+1) > 0.03 {
				t.Errorf("interval %v, Student's is ±%v", ci, half)
			}
		})
	}
}

func TestSweepErrors(t *testing.T) {
	good, zero := sweepOf(map[int]float64{1: 0.5, 3: 0.6}, 2, 3, 0.01)
	for name, c := range map[string]struct {
		change func(runs []SweepRun, zero []CaseValue, o *SweepOptions) ([]SweepRun, []CaseValue)
		want   string
	}{
		"no run": {func([]SweepRun, []CaseValue, *SweepOptions) ([]SweepRun, []CaseValue) { return nil, nil }, "no run with a test case"},
		"twice": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) {
			return append(r, r[0]), z
		}, "1 shots, seed 0 occurs twice"},
		"no shots": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) {
			r[1].Shots = 0
			return r, z
		}, "a run of seed 1 has 0 shots"},
		"other case": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) {
			r[3].Cases[1].Case = "x"
			return r, z
		}, `3 shots, seed 1 lacks case "c1"`},
		"fewer cases": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) { return r, z[:2] }, "zero-shot has 2 test cases, the first run 3"},
		"double case": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) {
			r[2].Cases[1].Case = "c0"
			return r, z
		}, `3 shots, seed 0: case "c0" occurs twice`},
		"patient": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) {
			z[2].Patient = "p"
			return r, z
		}, `zero-shot: case "c2" is of patient "p"`},
		"infinite": {func(r []SweepRun, z []CaseValue, _ *SweepOptions) ([]SweepRun, []CaseValue) {
			r[0].Cases[0].Value = Float(math.Inf(1))
			return r, z
		}, `case "c0" has the value +Inf`},
		"margin": {func(r []SweepRun, z []CaseValue, o *SweepOptions) ([]SweepRun, []CaseValue) {
			o.Margin = 0
			return r, z
		}, "the margin is 0"},
		"other metric": {func(r []SweepRun, z []CaseValue, o *SweepOptions) ([]SweepRun, []CaseValue) {
			o.Metric = "dise"
			return r, z
		}, `no metric "dise"`},
	} {
		t.Run(name, func(t *testing.T) {
			runs, z, o := slices.Clone(good), slices.Clone(zero), sweepOptions
			for i := range runs {
				runs[i].Cases = slices.Clone(runs[i].Cases)
			}
			runs, z = c.change(runs, z, &o)
			if _, err := SummariseSweep(runs, z, o); !errors.Is(err, ErrSweep) || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestCaseValues(t *testing.T) {
	rows := []CaseResult{
		{Case: "a", Patient: "p", Scores: Scores{Dice: 0.5, AUC: 0.75}},
		{Case: "s1", Patient: "q", Volume: "v", Scores: Scores{TP: 1, FP: 1, Dice: 0.5}},
		{Case: "s2", Patient: "q", Volume: "v", Scores: Scores{TP: 2, FN: 1, Dice: 0.75}},
	}
	got, err := CaseValues(rows, "dice")
	if d := cmp.Diff([]CaseValue{{"a", "p", 0.5}, {"v", "q", 0.75}}, got); d != "" || err != nil {
		t.Error(d, err)
	}
	if _, err := CaseValues(rows, "dise"); !errors.Is(err, ErrSweep) {
		t.Errorf("unknown metric: %v", err)
	}
}

func TestPairsAgreeWithSciPyAndPingouin(t *testing.T) {
	var golden struct {
		Pairs []struct {
			Name         string
			Differences  []float64
			P            Float
			RankBiserial Float `json:"rank_biserial"`
			CohenDz      Float `json:"cohen_dz"`
		}
	}
	readGolden(t, "sweep.json", &golden)
	if len(golden.Pairs) != 16 {
		t.Fatalf("%d pairs", len(golden.Pairs))
	}
	for _, g := range golden.Pairs {
		p, _ := wilcoxon(g.Differences)
		if !near(Float(p), g.P, 1e-12) || !near(rankBiserial(g.Differences), g.RankBiserial, 1e-12) || !near(cohenDz(g.Differences), g.CohenDz, 1e-10) {
			t.Errorf("%s: p %v, r %v, dz %v, want %v, %v, %v", g.Name, p, rankBiserial(g.Differences), cohenDz(g.Differences), g.P, g.RankBiserial, g.CohenDz)
		}
	}
	if r, dz := rankBiserial([]float64{0, 0}), cohenDz([]float64{0, 0}); r.Defined() || dz.Defined() {
		t.Errorf("effect sizes of no difference are %v and %v", r, dz)
	}
}

func BenchmarkSummariseSweep(b *testing.B) {
	runs, zero := sweepOf(rising, 10, 50, 0.02)
	for b.Loop() {
		if _, err := SummariseSweep(runs, zero, sweepOptions); err != nil {
			b.Fatal(err)
		}
	}
}
