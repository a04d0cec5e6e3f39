package eval

import (
	"fmt"
	"math"
	"slices"
)

// LearningCurve is the power law a - b·n^-c of the mean after n shots, with a <= 1, b >= 0 and c between 0.01 and 10, fitted to
// the means by least squares with weights 1/SE², and what it predicts at twice the largest number of shots.
type LearningCurve struct {
	Status    string         `json:"status"` // StatusFitted, StatusFlat, or why there is none
	A         Float          `json:"a"`      // the mean after shots without end
	B         Float          `json:"b"`
	C         Float          `json:"c"` // undefined where B is 0
	Predicted ShotsPredicted `json:"predicted"`
	Check     LeaveLastOut   `json:"check"`
}

// ShotsPredicted is a predicted mean and its 95 % interval over the resamples.
type ShotsPredicted struct {
	Shots int      `json:"shots"`
	Mean  Float    `json:"mean"`
	CI95  Interval `json:"ci95"`
}

// LeaveLastOut predicts the mean at the largest number of shots from the smaller ones. Its interval is for the mean that was
// observed, on these seeds and cases.
type LeaveLastOut struct {
	Status string `json:"status"`
	ShotsPredicted
	Observed Float `json:"observed"`
	Inside   bool  `json:"inside"` // the observed mean lies in the interval
}

func learningCurve(shots []int, levels []*effects, gains map[[2]int]*effects, o SweepOptions) LearningCurve {
	none := ShotsPredicted{Mean: Undefined, CI95: Interval{Undefined, Undefined}}
	out := LearningCurve{A: Undefined, B: Undefined, C: Undefined, Predicted: none}
	out.Check = LeaveLastOut{ShotsPredicted: none, Observed: Undefined}
	if lowerBetter(o.Metric) {
		out.Status, out.Check.Status = StatusLowerBetter, StatusLowerBetter
		return out
	}
	var n []float64
	var points []*effects
	var places []int
	for k, e := range levels {
		if e.defined() {
			n, points, places = append(n, float64(shots[k])), append(points, e), append(places, k)
		}
	}
	few := func(want int) string {
		return fmt.Sprintf("%s: %d numbers of shots, want %d or more", StatusFewPoints, len(n), want)
	}
	out.Status, out.Check.Status = few(3), few(4)
	if len(n) < 3 {
		return out
	}
	last := len(n) - 1
	fit := newPowerFit(n, weights(points))
	law := fit.fit(means(points))
	out.Status, out.A, out.B = law.status(), Float(law.a), Float(law.b)
	if law.b > 0 {
		out.C = Float(law.c)
	}
	next := 2 * n[last]
	out.Predicted.Shots, out.Predicted.Mean = int(next), Float(law.at(next))
	joint := jointReplicates(points, places, gains)
	if joint != nil {
		out.Predicted.CI95 = percentiles(joint, func(y []float64) float64 { return fit.fit(y).at(next) })
	}
	if len(n) < 4 {
		return out
	}
	c := &out.Check
	fit = newPowerFit(n[:last], weights(points[:last]))
	law = fit.fit(means(points[:last]))
	c.Status, c.Shots, c.Mean, c.Observed = law.status(), int(n[last]), Float(law.at(n[last])), Float(points[last].mean)
	if joint != nil {
		// The left-out mean has an error of its own, that on the same cases goes along with the others'.
		off := percentiles(joint, func(y []float64) float64 { return fit.fit(y[:last]).at(n[last]) - y[last] })
		c.CI95 = Interval{c.Observed + off[0], c.Observed + off[1]}
		c.Inside = c.CI95[0] <= c.Observed && c.Observed <= c.CI95[1]
	}
	return out
}

func means(points []*effects) []float64 {
	y := make([]float64, len(points))
	for i, e := range points {
		y[i] = e.mean
	}
	return y
}

// weights are 1/SE², or all the same where a standard error is 0 or unknown.
func weights(points []*effects) []float64 {
	w := make([]float64, len(points))
	for i, e := range points {
		v := e.seedPart + e.groupPart
		if !e.hasInterval() || v == 0 {
			return slices.Repeat([]float64{1}, len(points))
		}
		w[i] = 1 / v
	}
	return w
}

// jointReplicates are the means of all points in each resample: the largest number's, less its gains on the others, whose spread
// is what tells the shape of the curve. It is nil where cases or common seeds are too few for an interval.
func jointReplicates(points []*effects, places []int, gains map[[2]int]*effects) [][]float64 {
	last := len(points) - 1
	top := points[last]
	out := make([][]float64, len(top.replicates))
	for r := range out {
		out[r] = make([]float64, len(points))
	}
	for i, e := range points {
		gain := gains[[2]int{places[i], places[last]}]
		if !e.hasInterval() || i < last && !gain.hasInterval() {
			return nil
		}
		for r := range out {
			out[r][i] = e.mean + top.replicates[r] - top.mean
			if i < last {
				out[r][i] -= gain.replicates[r] - gain.mean
			}
		}
	}
	return out
}

// percentiles is the interval of a statistic of the means.
func percentiles(joint [][]float64, statistic func(y []float64) float64) Interval {
	v := make([]float64, len(joint))
	for r, y := range joint {
		v[r] = statistic(y)
	}
	slices.Sort(v)
	return Interval{Float(quantile(v, (1-level)/2)), Float(quantile(v, (1+level)/2))}
}

// powerLaw is a - b·n^-c.
type powerLaw struct{ a, b, c float64 }

func (p powerLaw) at(n float64) float64 { return p.a - p.b*math.Pow(n, -p.c) }

func (p powerLaw) status() string {
	if p.b > 0 {
		return StatusFitted
	}
	return StatusFlat
}

const (
	leastPower, mostPower = 0.01, 10
	powerSteps            = 60
)

// powerFit fits a power law by its profile: for each c the best a and b are linear, and c alone is searched, on a grid of equal
// ratios and then between the neighbours of its best point.
type powerFit struct {
	log   []float64   // of shots over the smallest number, where n^-c is then 1
	w     []float64   // weights
	first float64     // the smallest number
	grid  [][]float64 // n^-c by c
}

func newPowerFit(n, w []float64) *powerFit {
	f := &powerFit{w: w, first: n[0]}
	for _, v := range n {
		f.log = append(f.log, math.Log(v/n[0]))
	}
	for k := range powerSteps + 1 {
		f.grid = append(f.grid, f.basis(power(float64(k)), nil))
	}
	return f
}

// power is the c of a place on the grid.
func power(k float64) float64 {
	return leastPower * math.Exp(k/powerSteps*math.Log(mostPower/leastPower))
}

func (f *powerFit) basis(c float64, into []float64) []float64 {
	into = into[:0]
	for _, l := range f.log {
		into = append(into, math.Exp(-c*l))
	}
	return into
}

func (f *powerFit) fit(y []float64) powerLaw {
	best, least := 0, math.Inf(1)
	for k, t := range f.grid {
		if _, _, loss := f.linear(t, y); loss < least {
			best, least = k, loss
		}
	}
	low, high := math.Max(0, float64(best-1)), math.Min(powerSteps, float64(best+1))
	t := make([]float64, 0, len(f.log))
	const golden = 0.6180339887498949
	loss := func(k float64) float64 {
		t = f.basis(power(k), t)
		_, _, loss := f.linear(t, y)
		return loss
	}
	left, right := high-golden*(high-low), low+golden*(high-low)
	atLeft, atRight := loss(left), loss(right)
	for high-low > 1e-5 {
		if atLeft <= atRight {
			high, right, atRight = right, left, atLeft
			left = high - golden*(high-low)
			atLeft = loss(left)
		} else {
			low, left, atLeft = left, right, atRight
			right = low + golden*(high-low)
			atRight = loss(right)
		}
	}
	c := power((low + high) / 2)
	a, b, found := f.linear(f.basis(c, t), y)
	if found > least {
		c = power(float64(best))
		a, b, _ = f.linear(f.grid[best], y)
	}
	return powerLaw{a, b * math.Pow(f.first, c), c}
}

// linear is the best a - b·t with a <= 1 and b >= 0, and its weighted sum of squares.
func (f *powerFit) linear(t, y []float64) (a, b, loss float64) {
	var sum, meanT, meanY float64
	for i, w := range f.w {
		sum += w
		meanT += w * t[i]
		meanY += w * y[i]
	}
	meanT, meanY = meanT/sum, meanY/sum
	var tt, ty, edgeTT, edgeTY float64
	for i, w := range f.w {
		tt += w * (t[i] - meanT) * (t[i] - meanT)
		ty += w * (t[i] - meanT) * (y[i] - meanY)
		edgeTT += w * t[i] * t[i]
		edgeTY += w * t[i] * (1 - y[i])
	}
	b = -ty / tt
	a = meanY + b*meanT
	if !(b > 0) {
		a, b = math.Min(1, meanY), 0
	} else if a > 1 {
		a, b = 1, math.Max(0, edgeTY/edgeTT)
	}
	for i, w := range f.w {
		d := y[i] - a + b*t[i]
		loss += w * d * d
	}
	return a, b, loss
}
