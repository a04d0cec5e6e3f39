package eval

import (
	"math"
	"slices"

	"gonum.org/v1/gonum/stat/distuv"
)

// SweepIntervalMethod says in words how the confidence intervals of a sweep are made.
const SweepIntervalMethod = "95 % interval of a hierarchical bootstrap, 10,000 resamples of the seeds and of the cases (by patient), " +
	"Student's multipliers at both levels, corrected for skewness"

// cells are the values of one statistic: a row per seed, a column per case, NaN where there is no value. seeds and groups give
// each row's place among the sweep's seeds and each column's patient.
type cells struct {
	seeds  []int
	groups []int
	value  [][]float64
}

// effects are what the resamples of one statistic, the mean over seeds of the mean over cases, are made of. Seeds and patients
// are crossed random effects with an interaction; the mean squares of the two-way analysis of variance split the variance of
// the mean into a part of S-1 degrees of freedom for the seeds, which takes the interaction with it, and one of G-1 for the patients.
type effects struct {
	mean       float64 // NaN where no cell has a value
	seeds      []int   // places of the seeds
	groups     []int   // places of the patients
	bySeed     []float64
	byGroup    []float64
	seedPart   float64 // variance of the mean that is due to the seeds
	groupPart  float64
	skewness   float64   // of the mean, by the patients: a few seeds cannot tell
	replicates []float64 // means of the resamples
}

func newEffects(c cells) *effects {
	e := &effects{mean: math.NaN()}
	table := e.influence(c)
	if table == nil {
		return e
	}
	e.mean = mean(e.bySeed)
	seeds, groups := float64(len(e.seeds)), float64(len(e.groups))
	e.byGroup = make([]float64, len(e.groups))
	for k, row := range table {
		e.bySeed[k] -= e.mean
		for g, v := range row {
			e.byGroup[g] += v / seeds
		}
	}
	interaction := 0.0 // mean square
	for _, row := range table {
		for g, v := range row {
			interaction += (v - e.byGroup[g]) * (v - e.byGroup[g])
		}
	}
	if seeds > 1 {
		e.seedPart = powers(e.bySeed, 2) / (seeds - 1) / seeds
		scale(e.bySeed, math.Sqrt(seeds/(seeds-1))/seeds)
		interaction /= max(1, (seeds-1)*(groups-1))
	}
	if squares := powers(e.byGroup, 2); groups > 1 && squares > 0 {
		// The patients' mean square holds the interaction too, which the seeds' part has taken.
		total := squares / (groups - 1) / groups
		e.groupPart = max(0, total-interaction/(seeds*groups))
		scale(e.byGroup, math.Sqrt(e.groupPart/total*groups/(groups-1))/groups)
		if e.groupPart > 0 {
			e.skewness = powers(e.byGroup, 3) / math.Pow(e.seedPart+e.groupPart, 1.5)
		}
	}
	return e
}

// influence sets seeds, groups and, as bySeed, the mean of each seed, and returns the influence of each patient on it: of the n
// defined values of a seed those of a patient sum to G/n Σ (y - mean). So values that are missing and patients with several
// cases become a full table.
func (e *effects) influence(c cells) [][]float64 {
	at := map[int]int{} // column of the table by patient
	for i, g := range c.groups {
		if _, seen := at[g]; !seen && slices.ContainsFunc(c.value, func(row []float64) bool { return !math.IsNaN(row[i]) }) {
			at[g] = len(e.groups)
			e.groups = append(e.groups, g)
		}
	}
	var table [][]float64
	for s, row := range c.value {
		v := defined(row)
		if len(v) == 0 {
			continue
		}
		m := mean(v)
		e.seeds, e.bySeed = append(e.seeds, c.seeds[s]), append(e.bySeed, m)
		sums := make([]float64, len(e.groups))
		for i, y := range row {
			if !math.IsNaN(y) {
				sums[at[c.groups[i]]] += (y - m) * float64(len(e.groups)) / float64(len(v))
			}
		}
		table = append(table, sums)
	}
	return table
}

func (e *effects) defined() bool { return !math.IsNaN(e.mean) }

// hasInterval says whether there are patients enough to tell how they differ.
func (e *effects) hasInterval() bool { return e.defined() && len(e.groups) > 1 }

func (e *effects) standardError() Float {
	if !e.hasInterval() {
		return Undefined
	}
	return Float(math.Sqrt(e.seedPart + e.groupPart))
}

// resample fills in the replicates of all statistics from the same draws of seeds and patients, so that they may be compared
// replicate by replicate.
//
// A bootstrap of a few seeds is too narrow: it misses the factor S/(S-1) in the variance, which the effects hold, and that the
// variance is itself uncertain. So each replicate divides each level's deviation by the root of a draw of chi-squared over its
// degrees of freedom, which makes Student's distribution of it. This is the Behrens-Fisher distribution, which covers up to 98 %
// with three seeds; the probability-matching prior for it (Ghosh and Kim, Canadian Journal of Statistics 29, 2001) adds two
// degrees of freedom to one level, drawn with the other's share of the variance, and covers down to 93.7 %. One is added here.
func resample(all []*effects, seeds, groups, resamples int, draw *stream) {
	for _, e := range all {
		e.replicates = make([]float64, resamples)
	}
	seedCount, groupCount := make([]float64, seeds), make([]float64, groups)
	seedChi, groupChi := newChiSquared(seeds), newChiSquared(groups)
	for r := range resamples {
		draw.counts(seedCount)
		draw.counts(groupCount)
		seedChi.draw(draw)
		groupChi.draw(draw)
		u := draw.uniform()
		for _, e := range all {
			n, m := len(e.seeds)-1, len(e.groups)-1
			addSeed, addGroup := 1, 0
			if u*(e.seedPart+e.groupPart) >= e.groupPart {
				addSeed, addGroup = 0, 1
			}
			v := e.mean
			if e.seedPart > 0 {
				v += deviation(seedCount, e.seeds, e.bySeed) * math.Sqrt(float64(n)/seedChi.of(n+addSeed))
			}
			if e.groupPart > 0 {
				v += deviation(groupCount, e.groups, e.byGroup) * math.Sqrt(float64(m)/groupChi.of(m+addGroup))
			}
			e.replicates[r] = v
		}
	}
}

func deviation(count []float64, places []int, effect []float64) float64 {
	sum := 0.0
	for k, at := range places {
		sum += float64(count[at] * effect[k])
	}
	return sum
}

// interval is that of the replicates, corrected for bias and acceleration: a mean has both equal to a sixth of its skewness.
func (e *effects) interval() Interval {
	if !e.hasInterval() {
		return Interval{Undefined, Undefined}
	}
	sorted := slices.Sorted(slices.Values(e.replicates))
	return bca(sorted, e.skewness/6, e.skewness/6, distuv.UnitNormal.Quantile((1+level)/2))
}

// chiSquared draws chi-squared numbers of any degrees of freedom up to n, those of fewer being part of those of more.
type chiSquared struct {
	even []float64 // of 2k degrees of freedom
	one  float64
}

func newChiSquared(n int) *chiSquared { return &chiSquared{even: make([]float64, n/2+1)} }

func (c *chiSquared) draw(s *stream) {
	z := s.normal()
	c.one = z * z
	for k := 1; k < len(c.even); k++ {
		c.even[k] = c.even[k-1] - 2*math.Log(s.uniform())
	}
}

func (c *chiSquared) of(degrees int) float64 {
	return c.even[degrees/2] + float64(degrees%2)*c.one
}

// counts draws as many of the places as there are, with replacement, and says how often each was drawn.
func (s *stream) counts(count []float64) {
	clear(count)
	for range count {
		count[s.below(len(count))]++
	}
}

func scale(v []float64, by float64) {
	for i := range v {
		v[i] *= by
	}
}

// powers is the sum of the powers of v.
func powers(v []float64, p float64) float64 {
	sum := 0.0
	for _, x := range v {
		sum += math.Pow(x, p)
	}
	return sum
}
