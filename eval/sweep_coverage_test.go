package eval

import (
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"testing"
)

// simulation are the standard deviations of seeds, cases and their interaction, and how many there are of both.
type simulation struct {
	seeds, cases           int
	seed, case_, interplay float64
	skewed                 bool
}

func (s simulation) String() string {
	shape := ""
	if s.skewed {
		shape = ", skewed cases"
	}
	return fmt.Sprintf("%d seeds (sd %g), %d cases (sd %g), interaction %g%s", s.seeds, s.seed, s.cases, s.case_, s.interplay, shape)
}

// draw is a crossed table of seeds by cases whose mean is 0.
func (s simulation) draw(r *rand.Rand) cells {
	var c cells
	of := make([]float64, s.cases)
	for i := range of {
		c.groups = append(c.groups, i)
		if of[i] = s.case_ * r.NormFloat64(); s.skewed {
			of[i] = s.case_ * (1 - r.ExpFloat64())
		}
	}
	for k := range s.seeds {
		row, shift := make([]float64, s.cases), s.seed*r.NormFloat64()
		for i := range row {
			row[i] = shift + of[i] + s.interplay*r.NormFloat64()
		}
		c.seeds, c.value = append(c.seeds, k), append(c.value, row)
	}
	return c
}

// coverage is the share in per cent of intervals that hold the mean. Trials share resamples by the hundred, which saves most of the time.
func (s simulation) coverage(trials, resamples int) float64 {
	const block = 100
	r, draw := rand.New(rand.NewPCG(21, uint64(s.seeds*s.cases))), newStream(21, s.String())
	held := 0
	for range trials / block {
		all := make([]*effects, block)
		for i := range all {
			all[i] = newEffects(s.draw(r))
		}
		resample(all, s.seeds, s.cases, resamples, draw)
		for _, e := range all {
			held += holds(e.interval(), 0)
		}
	}
	return 100 * float64(held) / float64(trials/block*block)
}

// The intervals of a sweep should hold the mean over all seeds and cases in 95 of 100 sweeps. With SAMTUNE_COVERAGE set the
// simulation is the long one of docs/reference/metrics.md.
func TestSweepIntervalCoverage(t *testing.T) {
	trials, draws := 2000, 600
	ratios := [][3]float64{{0.01, 0.1, 0.03}, {0.05, 0.1, 0.05}, {0.1, 0.02, 0.05}}
	if os.Getenv("SAMTUNE_COVERAGE") != "" {
		trials, draws = 5000, 1000
		ratios = append(ratios, [][3]float64{{0, 0.1, 0}, {0, 0.1, 0.1}, {0.1, 0.1, 0.05}, {0.1, 0, 0}, {0, 0, 0.1}, {0.02, 0.02, 0.1}}...)
	}
	t.Logf("sd of seeds, cases and interaction: %v", ratios)
	for _, seeds := range []int{1, 3, 5, 10} {
		for _, cases := range []int{10, 20, 50} {
			row := fmt.Sprintf("| %d | %d |", seeds, cases)
			for _, sd := range ratios {
				if seeds == 1 {
					sd[0] = 0 // the interval is for this seed
				}
				s := simulation{seeds, cases, sd[0], sd[1], sd[2], false}
				got := s.coverage(trials, draws)
				row += fmt.Sprintf(" %.1f |", got)
				if got < 93 || got > 97 {
					t.Errorf("%v: nominal 95 %% interval covers %.1f %%, want 93 to 97 %%", s, got)
				}
			}
			t.Log(row)
		}
	}
}

// Dice has a long lower tail. Where it is as long as an exponential's and the cases are few, intervals cover less, yet not much.
func TestSweepIntervalCoverageOfSkewedCases(t *testing.T) {
	if os.Getenv("SAMTUNE_COVERAGE") == "" {
		t.Skip("a long simulation; set SAMTUNE_COVERAGE=1")
	}
	for _, seeds := range []int{1, 3, 5, 10} {
		row := fmt.Sprintf("| %d |", seeds)
		for _, cases := range []int{10, 20, 50} {
			s := simulation{seeds, cases, 0.02, 0.1, 0.03, true}
			if seeds == 1 {
				s.seed = 0
			}
			got := s.coverage(5000, 1000)
			row += fmt.Sprintf(" %.1f |", got)
			if got < 90 || got > 97 {
				t.Errorf("%v: nominal 95 %% interval covers %.1f %%", s, got)
			}
		}
		t.Log(row)
	}
}

// curveOf is a sweep whose means follow a law of the shots: each case keeps its effect, a seed's effects at two numbers of shots
// go along with each other by half and fall with the root of the shots.
func (s simulation) curveOf(r *rand.Rand, shots []int, law func(n float64) float64) *sweep {
	out := &sweep{shots: shots, seeds: make([]int64, s.seeds), cases: make([]string, s.cases), patients: s.cases}
	of, shared := make([]float64, s.cases), make([]float64, s.seeds)
	for i := range of {
		of[i] = s.case_ * r.NormFloat64()
		out.groups = append(out.groups, i)
	}
	for k := range shared {
		shared[k] = r.NormFloat64()
	}
	for _, n := range shots {
		var rows [][]float64
		for k := range s.seeds {
			shift := s.seed * math.Sqrt(0.5/float64(n)) * (shared[k] + r.NormFloat64())
			row := make([]float64, s.cases)
			for i := range row {
				row[i] = law(float64(n)) + shift + of[i] + s.interplay*r.NormFloat64()
			}
			rows = append(rows, row)
		}
		out.value = append(out.value, rows)
	}
	return out
}

// The interval of the prediction at twice the shots should hold the law's value, that of the left-out number the mean observed
// there, and that of a gain the gain. Where the gain is the margin, a plateau may be shown in 2.5 of 100 sweeps.
func TestLearningCurveCoverage(t *testing.T) {
	trials, draws := 400, 300
	laws := []powerLaw{{0.85, 0.3, 0.7}}
	grids := [][]int{{1, 3, 5, 10, 20}}
	if os.Getenv("SAMTUNE_COVERAGE") != "" {
		trials, draws = 1000, 1000
		laws = append(laws, powerLaw{0.9, 0.3, 0.3})
		grids = append(grids, []int{1, 2, 4, 8})
	}
	for _, s := range []simulation{{5, 20, 0.03, 0.05, 0.03, false}, {3, 20, 0.02, 0.1, 0.02, false}} {
		for _, grid := range grids {
			for _, law := range laws {
				r, draw := rand.New(rand.NewPCG(22, 23)), newStream(22, s.String())
				var ahead, checked, gained, level int
				last := len(grid) - 1
				gain := law.at(float64(grid[last])) - law.at(float64(grid[last-1]))
				for range trials {
					sweep := s.curveOf(r, grid, law.at)
					levels, gains, _ := sweep.effects(draws, draw)
					c := learningCurve(grid, levels, gains, sweepOptions)
					ahead += holds(c.Predicted.CI95, law.at(float64(c.Predicted.Shots)))
					checked += holds(c.Check.CI95, float64(c.Check.Observed))
					gained += holds(gains[[2]int{last - 1, last}].interval(), gain)
					if sweep.plateau(gains, SweepOptions{Metric: "dice", Margin: gain}).Status == StatusReached {
						level++
					}
				}
				percent := func(n int) float64 { return 100 * float64(n) / float64(trials) }
				t.Logf("%v, shots %v, %+v: prediction %.1f %%, check %.1f %%, gain %.1f %%; plateau wrongly shown %.1f %%",
					s, grid, law, percent(ahead), percent(checked), percent(gained), percent(level))
				for what, n := range map[string]int{"prediction": ahead, "check": checked, "gain": gained} {
					least := 93.0
					if what == "check" && last == 3 {
						least = 91 // a law through three numbers of shots has nothing to spare, and a <= 1 pulls a slow one down
					}
					if percent(n) < least || percent(n) > 97 {
						t.Errorf("%s of a nominal 95 %% covers %.1f %%", what, percent(n))
					}
				}
				if percent(level) > 5 {
					t.Errorf("a plateau is wrongly shown in %.1f %%", percent(level))
				}
			}
		}
	}
}

func holds(ci Interval, v float64) int {
	if float64(ci[0]) <= v && v <= float64(ci[1]) {
		return 1
	}
	return 0
}
