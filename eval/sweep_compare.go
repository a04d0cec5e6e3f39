package eval

// ShotsComparison compares two numbers of shots over the seeds and cases that have a value at both. The test and the effect
// sizes are over patients: the difference of each averaged over seeds, then over the patient's cases.
type ShotsComparison struct {
	From         int      `json:"from"` // shots; 0: zero-shot
	To           int      `json:"to"`
	Difference   Float    `json:"difference"` // mean over seeds of the mean over cases of to - from
	CI95         Interval `json:"ci95"`
	Over         string   `json:"over"` // what the interval speaks for
	Seeds        int      `json:"seeds"`
	N            int      `json:"n"`    // patients
	Wins         int      `json:"wins"` // patients that are better at To
	Ties         int      `json:"ties"`
	Losses       int      `json:"losses"`
	P            Float    `json:"p"`      // exact two-sided Wilcoxon signed-rank test
	PHolm        Float    `json:"p_holm"` // adjusted for the number of comparisons
	Test         string   `json:"test"`
	RankBiserial Float    `json:"rank_biserial"` // matched pairs: (favourable - unfavourable) / all ranks
	CohenDz      Float    `json:"cohen_dz"`      // mean over standard deviation
}

// comparisons are each number of shots against zero-shot, against the one before it, and the largest against each.
func (s *sweep) comparisons(gains map[[2]int]*effects) []ShotsComparison {
	var pairs [][2]int
	last := len(s.shots) - 1
	for to := range s.shots {
		if s.zeroShot != nil {
			pairs = append(pairs, [2]int{-1, to})
		}
	}
	for to := 1; to <= last; to++ {
		pairs = append(pairs, [2]int{to - 1, to})
	}
	for from := 0; from < last-1; from++ {
		pairs = append(pairs, [2]int{from, last})
	}
	var out []ShotsComparison
	var p []Float
	for _, pair := range pairs {
		c := s.compare(pair, gains[pair])
		out, p = append(out, c), append(p, c.P)
	}
	for i, adjusted := range Holm(p) {
		out[i].PHolm = adjusted
	}
	return out
}

func (s *sweep) compare(pair [2]int, e *effects) ShotsComparison {
	c := ShotsComparison{
		To: s.shots[pair[1]], Difference: Float(e.mean), CI95: e.interval(), Over: over(e), Seeds: len(e.seeds),
		P: Undefined, Test: "no pairs to test", RankBiserial: Undefined, CohenDz: Undefined,
	}
	if pair[0] >= 0 {
		c.From = s.shots[pair[0]]
	}
	d := byGroup(s.between(pair[0], pair[1]).overSeeds(), s.groups, s.patients)
	if c.N = len(d); c.N == 0 {
		return c
	}
	for _, x := range d {
		switch {
		case x > 0:
			c.Wins++
		case x < 0:
			c.Losses++
		default:
			c.Ties++
		}
	}
	p, test := wilcoxon(d)
	c.P, c.Test = Float(p), test
	c.RankBiserial, c.CohenDz = rankBiserial(d), cohenDz(d)
	return c
}

// byGroup is the mean of each group's defined values, of those groups that have one.
func byGroup(values []float64, groups []int, n int) []float64 {
	members := make([][]float64, n)
	for i, g := range groups {
		members[g] = append(members[g], values[i])
	}
	out := make([]float64, n)
	for g, v := range members {
		out[g] = mean(defined(v))
	}
	return defined(out)
}

// rankBiserial is the matched-pairs rank-biserial correlation (Kerby, Comprehensive Psychology 3, 2014): the sum of the ranks of
// positive differences less that of negative ones, over both. Zeros are dropped as in the test; without another it is undefined.
func rankBiserial(differences []float64) Float {
	d := nonZero(differences)
	ranks, _ := doubledRanks(d)
	balance, total := 0, 0
	for i, x := range d {
		total += ranks[i]
		if x > 0 {
			balance += ranks[i]
		} else {
			balance -= ranks[i]
		}
	}
	return Float(float64(balance) / float64(total))
}

// cohenDz is the mean of the differences over their standard deviation, undefined where that is 0 or unknown.
func cohenDz(differences []float64) Float {
	d := describe(differences)
	if !(d.SD > 0) {
		return Undefined
	}
	return d.Mean / d.SD
}
