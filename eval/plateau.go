package eval

// Plateau is the number of shots beyond which more do not help: the smallest from which on no larger number in the grid is
// better by the margin. The largest number in the grid cannot be it: what lies beyond is not known.
type Plateau struct {
	Status  string  `json:"status"`
	Margin  float64 `json:"margin"`
	Shots   int     `json:"shots"`    // shown: the upper ends of the 95 % intervals of all gains lie below the margin; 0: none
	ByMeans int     `json:"by_means"` // the gains themselves lie below it; 0: none

	Probability []PlateauShare `json:"probability"` // by the resamples; with NotReached they sum to 1
	NotReached  Float          `json:"not_reached"` // share of resamples without a plateau below the largest number
}

// PlateauShare is the share of resamples in which a number of shots is the plateau.
type PlateauShare struct {
	Shots int   `json:"shots"`
	Share Float `json:"share"`
}

// Values of Plateau.Status, and of LearningCurve.Status and LeaveLastOut.Status.
const (
	StatusReached     = "reached"
	StatusNotReached  = "not reached within the grid"
	StatusFitted      = "fitted"
	StatusFlat        = "flat: more shots do not raise the mean"
	StatusFewPoints   = "not enough points"
	StatusFewCases    = "not enough cases"
	StatusNoPairs     = "no seed and case in common"
	StatusLowerBetter = "not defined where lower is better"
)

func lowerBetter(metric string) bool { return metric == "hd95" || metric == "assd" }

func (s *sweep) plateau(gains map[[2]int]*effects, o SweepOptions) Plateau {
	p := Plateau{Margin: o.Margin, NotReached: Undefined}
	last := len(s.shots) - 1
	// first is the place of the smallest number of shots on which all gains of larger ones are small.
	first := func(small func(*effects) bool) int {
	next:
		for from := range last {
			for to := from + 1; to <= last; to++ {
				if !small(gains[[2]int{from, to}]) {
					continue next
				}
			}
			return from
		}
		return last
	}
	every := func(ok func(*effects) bool) bool {
		for pair, e := range gains {
			if pair[0] >= 0 && !ok(e) {
				return false
			}
		}
		return true
	}
	switch {
	case lowerBetter(o.Metric):
		p.Status = StatusLowerBetter
		return p
	case last < 1:
		p.Status = StatusFewPoints
		return p
	case !every((*effects).defined):
		p.Status = StatusNoPairs
		return p
	}
	if at := first(func(e *effects) bool { return e.mean < o.Margin }); at < last {
		p.ByMeans = s.shots[at]
	}
	if !every((*effects).hasInterval) {
		p.Status = StatusFewCases
		return p
	}
	p.Status = StatusNotReached
	if at := first(func(e *effects) bool { return float64(e.interval()[1]) < o.Margin }); at < last {
		p.Status, p.Shots = StatusReached, s.shots[at]
	}
	count := make([]int, last+1)
	total := len(gains[[2]int{0, 1}].replicates)
	for r := range total {
		count[first(func(e *effects) bool { return e.replicates[r] < o.Margin })]++
	}
	for k := range last {
		p.Probability = append(p.Probability, PlateauShare{s.shots[k], Float(count[k]) / Float(total)})
	}
	p.NotReached = Float(count[last]) / Float(total)
	return p
}
