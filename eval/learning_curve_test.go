package eval

import (
	"math"
	"strings"
	"testing"
)

func TestPowerLawsAgreeWithSciPy(t *testing.T) {
	var golden struct {
		Curves []struct {
			Name             string
			Shots, Means, SE []float64
			A, B, C          float64
			Loss, Predicted  float64
		}
	}
	readGolden(t, "sweep.json", &golden)
	if len(golden.Curves) != 10 {
		t.Fatalf("%d curves", len(golden.Curves))
	}
	for _, g := range golden.Curves {
		t.Run(g.Name, func(t *testing.T) {
			w := make([]float64, len(g.SE))
			for i, se := range g.SE {
				w[i] = 1 / (se * se)
			}
			law := newPowerFit(g.Shots, w).fit(g.Means)
			loss := 0.0
			for i, n := range g.Shots {
				loss += w[i] * math.Pow(law.at(n)-g.Means[i], 2)
			}
			if loss > g.Loss+1e-6 {
				t.Errorf("%+v has a weighted sum of squares of %g, SciPy's %g", law, loss, g.Loss)
			}
			next := 2 * g.Shots[len(g.Shots)-1]
			if got := law.at(next); math.Abs(got-g.Predicted) > 1e-4 {
				t.Errorf("predicts %g, SciPy %g", got, g.Predicted)
			}
			flat := g.B < 1e-6
			if (law.b == 0) != flat && law.b > 1e-6 || math.Abs(law.a-g.A) > 1e-3 {
				t.Errorf("law %+v, SciPy's a %g, b %g", law, g.A, g.B)
			}
			if !flat && (math.Abs(law.b-g.B) > 2e-3 || math.Abs(law.c/g.C-1) > 2e-3) {
				t.Errorf("law %+v, SciPy's b %g, c %g", law, g.B, g.C)
			}
		})
	}
}

func TestLearningCurve(t *testing.T) {
	law := powerLaw{0.85, 0.35, 0.7}
	power := map[int]float64{}
	for _, n := range []int{1, 3, 5, 10, 20} {
		power[n] = law.at(float64(n))
	}
	for name, c := range map[string]struct {
		curve         map[int]float64
		status, check string
		predicted     Float
		shots         int
	}{
		"power":         {power, StatusFitted, StatusFitted, Float(law.at(40)), 40},
		"flat":          {map[int]float64{1: 0.7, 3: 0.7, 5: 0.7, 10: 0.7}, "", "", 0.7, 20},
		"falling":       {map[int]float64{1: 0.8, 3: 0.75, 5: 0.7, 10: 0.6}, StatusFlat, StatusFlat, 0.7, 20},
		"three numbers": {map[int]float64{1: 0.5, 5: 0.6, 20: 0.65}, StatusFitted, "not enough points: 3 numbers of shots, want 4 or more", 0.68, 40},
		"two numbers":   {map[int]float64{1: 0.5, 5: 0.6}, "not enough points: 2 numbers of shots, want 3 or more", "not enough points: 2", Undefined, 0},
		"one number":    {map[int]float64{5: 0.6}, "not enough points: 1 numbers", "not enough points: 1", Undefined, 0},
	} {
		t.Run(name, func(t *testing.T) {
			runs, zero := sweepOf(c.curve, 5, 20, 0.005)
			got := summarised(t, runs, zero).Curve
			if !strings.HasPrefix(got.Status, c.status) || !strings.HasPrefix(got.Check.Status, c.check) {
				t.Errorf("status %q, of the check %q", got.Status, got.Check.Status)
			}
			p := got.Predicted
			if !near(p.Mean, c.predicted, 0.035) || p.Shots != c.shots || p.Mean.Defined() != p.CI95[0].Defined() || p.CI95[0] > p.Mean || p.Mean > p.CI95[1] {
				t.Errorf("predicted %+v, want %v at %d shots", p, c.predicted, c.shots)
			}
			if len(c.curve) < 4 {
				if got.Check.Mean.Defined() || got.Check.Inside {
					t.Errorf("a check of %d numbers of shots: %+v", len(c.curve), got.Check)
				}
			} else if k := got.Check; k.Inside != (k.CI95[0] <= k.Observed && k.Observed <= k.CI95[1]) || !k.Observed.Defined() {
				t.Errorf("check %+v", k)
			}
			switch name {
			case "power":
				if !got.Check.Inside {
					t.Errorf("the last point of a power law is not predicted: %+v", got.Check)
				}
			case "falling":
				if got.Check.Inside || got.B != 0 || got.C.Defined() {
					t.Errorf("a falling curve: %+v", got)
				}
			}
		})
	}
	t.Run("lower is better", func(t *testing.T) {
		runs, _ := sweepOf(power, 2, 5, 0.01)
		got, err := SummariseSweep(runs, nil, SweepOptions{Metric: "hd95", Margin: 1})
		if err != nil || got.Curve.Status != StatusLowerBetter || got.Plateau.Status != StatusLowerBetter || got.ZeroShot != nil {
			t.Errorf("%+v, %v", got, err)
		}
	})
}

func TestPlateau(t *testing.T) {
	for name, c := range map[string]struct {
		curve          map[int]float64
		cases          int
		status         string
		shots, byMeans int
	}{
		"rises to the end":          {rising, 20, StatusNotReached, 0, 0},
		"level from 5 shots on":     {map[int]float64{1: 0.5, 3: 0.6, 5: 0.7, 10: 0.7, 20: 0.7}, 20, StatusReached, 5, 5},
		"level from the start":      {map[int]float64{1: 0.7, 3: 0.7, 20: 0.7}, 20, StatusReached, 1, 1},
		"best in the middle":        {map[int]float64{1: 0.5, 5: 0.7, 20: 0.6}, 20, StatusReached, 5, 5},
		"falls, then not yet level": {map[int]float64{1: 0.7, 5: 0.5, 20: 0.75}, 20, StatusNotReached, 0, 0},
		"one number of shots":       {map[int]float64{5: 0.7}, 20, StatusFewPoints, 0, 0},
		"one case":                  {map[int]float64{1: 0.5, 5: 0.7, 20: 0.7}, 1, StatusFewCases, 0, 5},
	} {
		t.Run(name, func(t *testing.T) {
			runs, zero := sweepOf(c.curve, 5, c.cases, 0.002)
			got := summarised(t, runs, zero).Plateau
			if got.Status != c.status || got.Shots != c.shots || got.ByMeans != c.byMeans || got.Margin != DefaultMargin {
				t.Errorf("got %+v", got)
			}
			if len(got.Probability) == 0 {
				if got.NotReached.Defined() || c.status == StatusReached {
					t.Errorf("got %+v", got)
				}
				return
			}
			sum := got.NotReached
			for _, p := range got.Probability {
				sum += p.Share
				if p.Shots == c.shots && p.Share < 0.9 {
					t.Errorf("the shown plateau has %v of the resamples: %+v", p.Share, got)
				}
			}
			if !near(sum, 1, 1e-9) {
				t.Errorf("shares sum to %v", sum)
			}
		})
	}
	t.Run("no seed in common", func(t *testing.T) {
		runs, _ := sweepOf(map[int]float64{1: 0.5, 5: 0.7}, 1, 5, 0.01)
		runs[1].Seed = 7
		got := summarised(t, runs, nil)
		if c := got.Comparisons[0]; got.Plateau.Status != StatusNoPairs || c.Over != OverNothing || c.P.Defined() || c.Difference.Defined() {
			t.Errorf("%+v, %+v", got.Plateau, c)
		}
	})
}
