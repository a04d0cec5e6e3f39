package train

import (
	"context"
	"maps"
	"math"
	"slices"

	"samtune/internal/tensor"
)

// The fit of a convex head: minimise over the weights w, the intercept among them,
//
//	sum of m (log(1 + e^z) - y z) + ridge |w|^2 (+ dice (1 - soft Dice)),    z = w . x
//
// where m are the pixels' weights, which add up to 1, and the intercept is not penalised. Without the
// Dice term it is convex, and its minimum is found by Newton's method (iteratively reweighted least
// squares): the Hessian is summed picture by picture in a fixed order and factorised in float64. A fit is many
// such problems at once, one for each target, draw of pictures, penalty and picture left out. They
// share every pass over the features, and a Hessian at a common point near all their minima, which each
// problem's own curvature corrects step by step (L-BFGS, Nocedal & Wright 2006, algorithm 7.4): the
// minimum does not depend on it, only the number of passes.

// group is a picture, or a block of one, that may be left out of a problem.
type group struct {
	image       int
	first, last int // columns of the picture's matrix
}

// problem is one minimisation.
type problem struct {
	groups   []int // indexes of the groups that it is fitted on, rising
	target   int
	ridge    float64
	dice     float64 // weight of the soft Dice term
	positive float64 // factor on the weight of pixels inside

	point                // the best so far; w has the intercept last
	trial point          // the one that is being tried
	mass  float64        // sum of the pixels' weights before they are divided by it
	lower *tensor.Tensor // Cholesky factor of the Hessian that steps are measured with; kept
	dir   []float64
	slope float64 // along dir
	part  float64 // of dir that is being tried
	pairs []pair
	steps int
	done  bool
}

// point is a place with what was found there.
type point struct {
	w, grad []float64
	loss    float64
}

// pair is an accepted step and how the gradient changed over it.
type pair struct {
	step, change []float64
	rho          float64
}

// convex solves problems over shared features.
type convex struct {
	ctx    context.Context
	dev    *tensor.Device
	rows   int // features and intercept
	groups []group
	images []convexImage
	load   func(s *tensor.Scope, image int) (*tensor.Tensor, error) // [rows, pixels], float32
	passed func()                                                   // called after each picture of a pass
	stride int                                                      // every stride-th pixel is looked at

	held map[hold]*tensor.Tensor // matrices that stay in memory between passes; kept
	room room                    // for them
}

// hold is a picture's matrix at a stride.
type hold struct{ image, stride int }

// convexImage holds the sampled pixels' labels, [targets][pixels], and weights.
type convexImage struct {
	labels  [][]float32
	weights []float32
}

const (
	maxNewton = 20        // Newton steps towards the common point: never reached by a convex problem
	maxSteps  = 60        // steps of a problem, likewise
	tolerance = 1e-8      // of the loss: a problem whose next step promises less is solved
	memory    = 8         // steps that L-BFGS remembers
	atOnce    = 32        // problems that are solved together: each holds a factor of features^2 numbers
	heldBytes = 128 << 20 // matrices up to this size stay in a CPU's memory, the others are read again for each pass
	perPass   = 64        // problems that go through a picture's matrix together, which bounds the memory
	coarse    = 8         // the common point is sought on every eighth pixel
	jitter    = 1e-9      // on the Hessian's diagonal, for features that are the same everywhere
)

// solve finds the minimum of every problem.
func (c *convex) solve(problems []*problem) error {
	targets := map[int][]*problem{}
	var order []int
	for _, p := range problems {
		if targets[p.target] == nil {
			order = append(order, p.target)
		}
		targets[p.target] = append(targets[p.target], p)
	}
	for _, t := range order {
		if err := c.solveTarget(targets[t]); err != nil {
			return err
		}
	}
	return nil
}

// solveTarget solves problems of one target, atOnce of them at a time.
func (c *convex) solveTarget(problems []*problem) error {
	common, hessians, err := c.common(problems)
	if err != nil {
		return err
	}
	defer c.freeAll(hessians)
	for from := 0; from < len(problems); from += atOnce {
		if err := c.descend(problems[from:min(from+atOnce, len(problems))], common, hessians); err != nil {
			return err
		}
	}
	return nil
}

// descend brings problems from the common point to their minima.
func (c *convex) descend(problems []*problem, common []float64, hessians []*tensor.Tensor) error {
	defer c.drop(problems)
	for _, p := range problems {
		c.weigh(p)
		p.trial.w = common
		var err error
		if p.lower, err = c.factor(p, hessians); err != nil {
			return err
		}
	}
	for active := problems; len(active) > 0; {
		if err := c.evaluate(active); err != nil {
			return err
		}
		var left []*problem
		for _, p := range active {
			if err := c.advance(p); err != nil {
				return err
			}
			if !p.done {
				left = append(left, p)
			}
		}
		active = left
	}
	return nil
}

// weigh sets the sum of the weights of a problem's pixels.
func (c *convex) weigh(p *problem) {
	p.mass = 0
	for _, k := range p.groups {
		g := c.groups[k]
		image := c.images[g.image]
		for i := roundUp(g.first, c.stride); i < g.last; i += c.stride {
			m := float64(image.weights[i])
			if image.labels[p.target][i] == 1 {
				m *= p.positive
			}
			p.mass += m
		}
	}
}

func roundUp(n, multiple int) int { return (n + multiple - 1) / multiple * multiple }

// common returns a point near the minima of the problems of one target, that of all their groups together,
// and the Hessian of each group there.
func (c *convex) common(problems []*problem) (w []float64, hessians []*tensor.Tensor, err error) {
	used := map[int]bool{}
	ridge := 0.0
	for _, p := range problems {
		for _, g := range p.groups {
			used[g] = true
		}
		ridge += math.Log(p.ridge) / float64(len(problems))
	}
	all := &problem{target: problems[0].target, positive: problems[0].positive, ridge: math.Exp(ridge)}
	for g := range c.groups {
		if used[g] {
			all.groups = append(all.groups, g)
		}
	}
	if err := c.newton(all); err != nil {
		return nil, nil, err
	}
	c.weigh(all)
	hessians, err = c.hessians(all)
	return all.w, hessians, err
}

// newton takes plain Newton steps on a part of the pixels until they gain little: it only seeks the
// common point.
func (c *convex) newton(p *problem) error {
	c.stride = coarse
	defer func() { c.stride = 1 }()
	c.weigh(p)
	p.w, p.loss = make([]float64, c.rows), math.Inf(1)
	p.trial.w = p.w
	for range maxNewton {
		if err := c.evaluate([]*problem{p}); err != nil {
			return err
		}
		gained := p.loss - p.trial.loss
		if !(gained > 0) {
			return nil
		}
		p.point = p.trial
		if gained < 1e-3*p.loss {
			return nil
		}
		hessians, err := c.hessians(p)
		if err != nil {
			return err
		}
		lower, err := c.factor(p, hessians)
		c.freeAll(hessians)
		if err != nil {
			return err
		}
		step, err := c.apply(lower, p.grad)
		c.freeAll([]*tensor.Tensor{lower})
		if err != nil {
			return err
		}
		w := append([]float64(nil), p.w...)
		add(w, -1, step)
		p.trial = point{w: w}
	}
	return nil
}

// advance takes what evaluate found at a problem's trial point: it accepts the point and chooses the next
// direction, or halves the step.
func (c *convex) advance(p *problem) error {
	if p.dir != nil {
		if !(p.trial.loss <= p.loss+1e-4*p.part*p.slope) {
			p.part /= 2
			p.try()
			p.done = p.part < 1e-3 // less than float32 sums can tell: p.point stays
			return nil
		}
		p.remember()
	}
	p.point = p.trial
	if err := c.direct(p); err != nil {
		return err
	}
	p.done = -p.slope/2 < tolerance || p.steps == maxSteps
	p.steps++
	p.part = 1
	p.try()
	return nil
}

func (p *problem) try() {
	p.trial = point{w: append([]float64(nil), p.w...)}
	add(p.trial.w, p.part, p.dir)
}

func (p *problem) remember() {
	step, change := append([]float64(nil), p.trial.w...), append([]float64(nil), p.trial.grad...)
	add(step, -1, p.w)
	add(change, -1, p.grad)
	product := dot(step, change)
	if !(product > 1e-12*math.Sqrt(dot(step, step)*dot(change, change))) { // no curvature to learn from
		return
	}
	p.pairs = append(p.pairs, pair{step, change, 1 / product})
	if len(p.pairs) > memory {
		p.pairs = p.pairs[1:]
	}
}

// direct chooses a problem's next direction: the Newton step by the common Hessian, corrected with the
// steps that are remembered.
func (c *convex) direct(p *problem) error {
	q := append([]float64(nil), p.grad...)
	factors := make([]float64, len(p.pairs))
	for i := len(p.pairs) - 1; i >= 0; i-- {
		factors[i] = p.pairs[i].rho * dot(p.pairs[i].step, q)
		add(q, -factors[i], p.pairs[i].change)
	}
	r, err := c.apply(p.lower, q)
	if err != nil {
		return err
	}
	for i, pair := range p.pairs {
		add(r, factors[i]-pair.rho*dot(pair.change, r), pair.step)
	}
	for i := range r {
		r[i] = -r[i]
	}
	p.dir, p.slope = r, dot(p.grad, r)
	return nil
}

func dot(a, b []float64) float64 {
	var sum float64
	for i := range a {
		sum += a[i] * b[i]
	}
	return sum
}

func add(a []float64, factor float64, b []float64) {
	for i := range a {
		a[i] += factor * b[i]
	}
}

// release frees the matrices that were held.
func (c *convex) release() {
	c.freeAll(slices.Collect(maps.Values(c.held)))
	c.held = nil
}

func (c *convex) freeAll(ts []*tensor.Tensor) {
	// Freeing does not fail, and the closure has no error of its own.
	_ = c.dev.Run(func(*tensor.Scope) error {
		for _, t := range ts {
			if t != nil {
				t.Drop()
			}
		}
		return nil
	})
}

func (c *convex) drop(problems []*problem) {
	for _, p := range problems {
		if p.lower != nil {
			c.freeAll([]*tensor.Tensor{p.lower})
			p.lower = nil
		}
	}
}
