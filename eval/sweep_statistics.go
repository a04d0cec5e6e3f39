package eval

import (
	"errors"
	"fmt"
	"math"
	"slices"
)

// ErrSweep is the error of runs that cannot be summarised together.
var ErrSweep = errors.New("runs do not make a sweep")

// CaseValue is a metric of one test case: a picture, or a volume with all its slices.
type CaseValue struct {
	Case    string `json:"case"`
	Patient string `json:"patient,omitempty"` // cases of one patient are resampled together; empty: the case is its own
	Value   Float  `json:"value"`             // undefined as where truth and prediction are both empty
}

// SweepRun is a run of a sweep over numbers of shots and seeds of one benchmark, target and decoder.
type SweepRun struct {
	Shots int         `json:"shots"`
	Seed  int64       `json:"seed"`
	Cases []CaseValue `json:"cases"`
}

// SweepOptions say how a sweep is summarised.
type SweepOptions struct {
	Metric string  // that the values are of, by its column's name: "dice"
	Margin float64 // a gain below which more shots do not help; DefaultMargin is for Dice
	Seed   int64   // of the resamples
}

// DefaultMargin is a difference in Dice that makes no difference in practice.
const DefaultMargin = 0.01

// SweepStatistics are what a sweep says about the number of shots. Shots ascend.
type SweepStatistics struct {
	Metric      string            `json:"metric"`
	Method      string            `json:"method"` // of the intervals, in words
	Cases       int               `json:"cases"`  // test cases, the same in every run
	Patients    int               `json:"patients"`
	ZeroShot    *ShotsSummary     `json:"zero_shot"` // nil where it was not given
	Shots       []ShotsSummary    `json:"shots"`
	Comparisons []ShotsComparison `json:"comparisons"`
	Plateau     Plateau           `json:"plateau"`
	Curve       LearningCurve     `json:"learning_curve"`
}

// What an interval speaks for.
const (
	OverSeedsAndCases = "other seeds and other cases"
	OverCasesAlone    = "other cases" // zero-shot: there is no draw of shots
	OverCases         = "other cases; one seed: not other draws of shots"
	OverNothing       = "nothing: there is no value"
)

// Spread is how far values lie apart.
type Spread struct {
	SD  Float `json:"sd"` // of a sample: n-1
	Min Float `json:"min"`
	Max Float `json:"max"`
	N   int   `json:"n"`
}

// ShotsSummary is a metric at one number of shots: the mean over seeds of each run's mean over its defined cases.
type ShotsSummary struct {
	Shots        int      `json:"shots"` // 0: zero-shot
	Mean         Float    `json:"mean"`
	CI95         Interval `json:"ci95"`
	SE           Float    `json:"se"`            // standard error of the mean, for other seeds and cases
	BetweenSeeds Spread   `json:"between_seeds"` // of the runs' means
	BetweenCases Spread   `json:"between_cases"` // of the cases' means over seeds
	Undefined    int      `json:"undefined"`     // values of a run and case that are not defined
	Over         string   `json:"over"`          // what the interval speaks for
}

// CaseValues are a metric of a run's rows, named as its column, with the slices of a volume as one case.
func CaseValues(rows []CaseResult, metric string) ([]CaseValue, error) {
	for _, m := range metrics {
		if m.name != metric {
			continue
		}
		var out []CaseValue
		for _, row := range units(rows) {
			out = append(out, CaseValue{Case: row.Case, Patient: row.Patient, Value: *m.value(&row.Scores)})
		}
		return out, nil
	}
	return nil, fmt.Errorf("%w: there is no metric %q", ErrSweep, metric)
}

// SummariseSweep describes runs over numbers of shots and seeds, compares numbers of shots with each other and, unless it is nil,
// with zero-shot, pair by pair of seed and case, says from which number on more shots do not help, and extrapolates. The test
// cases must be the same in all. The errors are of ErrSweep.
func SummariseSweep(runs []SweepRun, zeroShot []CaseValue, o SweepOptions) (*SweepStatistics, error) {
	if !slices.ContainsFunc(metrics, func(m metric) bool { return m.name == o.Metric }) {
		return nil, fmt.Errorf("%w: there is no metric %q", ErrSweep, o.Metric)
	}
	if !(o.Margin > 0) || math.IsInf(o.Margin, 0) {
		return nil, fmt.Errorf("%w: the margin is %v, want a number above 0, as %v", ErrSweep, o.Margin, DefaultMargin)
	}
	s, err := newSweep(runs, zeroShot)
	if err != nil {
		return nil, err
	}
	levels, gains, zero := s.effects(resamples, newStream(o.Seed, "sweep "+o.Metric))
	out := &SweepStatistics{Metric: o.Metric, Method: SweepIntervalMethod, Cases: len(s.cases), Patients: s.patients}
	for k := range s.shots {
		out.Shots = append(out.Shots, s.summary(k, levels[k]))
	}
	if zero != nil {
		summary := s.summary(-1, zero)
		summary.Over = OverCasesAlone
		out.ZeroShot = &summary
	}
	out.Comparisons = s.comparisons(gains)
	out.Plateau = s.plateau(gains, o)
	out.Curve = learningCurve(s.shots, levels, gains, o)
	return out, nil
}

// sweep is a sweep's values by number of shots, seed and case.
type sweep struct {
	shots    []int
	seeds    []int64
	cases    []string
	groups   []int // patient by case
	patients int
	value    [][][]float64 // by shots, seed (nil without a run) and case
	zeroShot []float64
}

func newSweep(runs []SweepRun, zeroShot []CaseValue) (*sweep, error) {
	if len(runs) == 0 || len(runs[0].Cases) == 0 {
		return nil, fmt.Errorf("%w: there is no run with a test case", ErrSweep)
	}
	s := &sweep{}
	patients := map[string]int{}
	for _, c := range runs[0].Cases {
		key := "patient " + c.Patient
		if c.Patient == "" {
			key = "case " + c.Case
		}
		if _, seen := patients[key]; !seen {
			patients[key] = len(patients)
		}
		s.cases, s.groups = append(s.cases, c.Case), append(s.groups, patients[key])
	}
	s.patients = len(patients)
	for _, r := range runs {
		if r.Shots < 1 {
			return nil, fmt.Errorf("%w: a run of seed %d has %d shots, want 1 or more", ErrSweep, r.Seed, r.Shots)
		}
		s.shots, s.seeds = append(s.shots, r.Shots), append(s.seeds, r.Seed)
	}
	slices.Sort(s.shots)
	slices.Sort(s.seeds)
	s.shots, s.seeds = slices.Compact(s.shots), slices.Compact(s.seeds)
	s.value = make([][][]float64, len(s.shots))
	for k := range s.value {
		s.value[k] = make([][]float64, len(s.seeds))
	}
	for _, r := range runs {
		k, _ := slices.BinarySearch(s.shots, r.Shots)
		i, _ := slices.BinarySearch(s.seeds, r.Seed)
		name := fmt.Sprintf("%d shots, seed %d", r.Shots, r.Seed)
		if s.value[k][i] != nil {
			return nil, fmt.Errorf("%w: %s occurs twice", ErrSweep, name)
		}
		var err error
		if s.value[k][i], err = inOrder(runs[0].Cases, r.Cases, name); err != nil {
			return nil, err
		}
	}
	if zeroShot != nil {
		var err error
		if s.zeroShot, err = inOrder(runs[0].Cases, zeroShot, "zero-shot"); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// inOrder are a run's values in the order of the sweep's cases.
func inOrder(cases, values []CaseValue, name string) ([]float64, error) {
	by := map[string]CaseValue{}
	for _, v := range values {
		if _, twice := by[v.Case]; twice {
			return nil, fmt.Errorf("%w: %s: case %q occurs twice", ErrSweep, name, v.Case)
		}
		if math.IsInf(float64(v.Value), 0) {
			return nil, fmt.Errorf("%w: %s: case %q has the value %v, want a number or none", ErrSweep, name, v.Case, v.Value)
		}
		by[v.Case] = v
	}
	if len(values) != len(cases) {
		return nil, fmt.Errorf("%w: %s has %d test cases, the first run %d; all must have the same", ErrSweep, name, len(values), len(cases))
	}
	out := make([]float64, len(cases))
	for i, c := range cases {
		v, ok := by[c.Case]
		switch {
		case !ok:
			return nil, fmt.Errorf("%w: %s lacks case %q of the first run; all must have the same test cases", ErrSweep, name, c.Case)
		case v.Patient != c.Patient:
			return nil, fmt.Errorf("%w: %s: case %q is of patient %q, in the first run of %q", ErrSweep, name, c.Case, v.Patient, c.Patient)
		}
		out[i] = float64(v.Value)
	}
	return out, nil
}

// effects are the resampled statistics: the mean at each number of shots, the gain of each number on each smaller one (by places
// in shots, the smaller first; place -1 is zero-shot), and zero-shot's mean, nil where it was not given.
func (s *sweep) effects(resamples int, draw *stream) (levels []*effects, gains map[[2]int]*effects, zero *effects) {
	var all []*effects
	gains = map[[2]int]*effects{}
	for to := range s.shots {
		levels = append(levels, newEffects(s.at(to)))
		all = append(all, levels[to])
		for from := -1; from < to; from++ {
			if from >= 0 || s.zeroShot != nil {
				e := newEffects(s.between(from, to))
				gains[[2]int{from, to}] = e
				all = append(all, e)
			}
		}
	}
	if s.zeroShot != nil {
		zero = newEffects(s.at(-1))
		all = append(all, zero)
	}
	resample(all, len(s.seeds), s.patients, resamples, draw)
	return levels, gains, zero
}

// at are the values at a place in shots; place -1 is zero-shot, which no seed changes.
func (s *sweep) at(k int) cells {
	c := cells{groups: s.groups}
	if k < 0 {
		c.seeds, c.value = []int{0}, [][]float64{s.zeroShot}
		return c
	}
	for i, row := range s.value[k] {
		if row != nil {
			c.seeds, c.value = append(c.seeds, i), append(c.value, row)
		}
	}
	return c
}

// between are the differences to - from of the seeds that have both.
func (s *sweep) between(from, to int) cells {
	c := cells{groups: s.groups}
	for i, after := range s.value[to] {
		before := s.zeroShot
		if from >= 0 {
			before = s.value[from][i]
		}
		if before == nil || after == nil {
			continue
		}
		row := make([]float64, len(after))
		for j := range row {
			row[j] = after[j] - before[j]
		}
		c.seeds, c.value = append(c.seeds, i), append(c.value, row)
	}
	return c
}

func (s *sweep) summary(k int, e *effects) ShotsSummary {
	c := s.at(k)
	out := ShotsSummary{Mean: Float(e.mean), CI95: e.interval(), SE: e.standardError(), Over: over(e)}
	if k >= 0 {
		out.Shots = s.shots[k]
	}
	var means []float64
	for _, row := range c.value {
		v := defined(row)
		out.Undefined += len(row) - len(v)
		if len(v) > 0 {
			means = append(means, mean(v))
		}
	}
	out.BetweenSeeds = spread(means)
	out.BetweenCases = spread(defined(c.overSeeds()))
	return out
}

func over(e *effects) string {
	switch len(e.seeds) {
	case 0:
		return OverNothing
	case 1:
		return OverCases
	}
	return OverSeedsAndCases
}

// overSeeds is each case's mean over the seeds in which it has a value.
func (c cells) overSeeds() []float64 {
	out := make([]float64, len(c.groups))
	for i := range out {
		var v []float64
		for _, row := range c.value {
			v = append(v, row[i])
		}
		out[i] = mean(defined(v)) // NaN of none
	}
	return out
}

func spread(v []float64) Spread {
	d := describe(v)
	return Spread{d.SD, d.Min, d.Max, d.N}
}
