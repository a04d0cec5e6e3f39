package train

import (
	"fmt"
	"math"

	"samtune/internal/tensor"
)

// LossConfig weighs the terms of the loss; a term of weight 0 is not computed. All are over the pixels where
// valid is 1, of probabilities p = sigmoid(logits) and a target t of 0 and 1, one value for each picture
// of a batch, averaged; sums over pixels are written as sum.
type LossConfig struct {
	BCE      float64 // mean binary cross-entropy
	Positive float64 // factor on its pixels inside; 1: none
	Dice     float64 // 1 - (2 sum(p t) + 1) / (sum p + sum t + 1)
	Focal    float64 // mean of alpha_t |t-p|^gamma times the cross-entropy (Lin et al., ICCV 2017)
	Gamma    float64 // of the focal term, 1 or more
	Alpha    float64 // of the focal term: weight of pixels inside, 1 - alpha of those outside
	Tversky  float64 // 1 - (sum(p t) + 1) / (sum(p t) + over sum(p (1-t)) + under sum((1-p) t) + 1) (Salehi et al., MLMI 2017)
	Over     float64 // what false positives weigh in the Tversky term
	Under    float64 // and false negatives
	ClDice   float64 // 1 - soft clDice (Shit et al., CVPR 2021)
	Thinning int     // erosions of its soft skeleton: half the width of the widest structure, in pixels
	Boundary float64 // mean of p times the signed distance to the target's boundary (Kervadec et al., MIDL 2019)
}

// DefaultLoss is cross-entropy plus soft Dice.
func DefaultLoss() LossConfig {
	return LossConfig{BCE: 1, Positive: 1, Dice: 1, Gamma: 2, Alpha: 0.5, Over: 0.3, Under: 0.7, Thinning: 5}
}

// Check says what is wrong with a loss.
func (c LossConfig) Check() error {
	sum := 0.0
	for _, w := range []float64{c.BCE, c.Dice, c.Focal, c.Tversky, c.ClDice, c.Boundary} {
		if !(w >= 0) || math.IsInf(w, 0) {
			return fmt.Errorf("train: a loss has weight %g, want a finite number from 0 on", w)
		}
		sum += w
	}
	switch {
	case sum == 0:
		return fmt.Errorf("train: every loss has weight 0")
	case !(c.Positive > 0) || math.IsInf(c.Positive, 0):
		return fmt.Errorf("train: loss.positive is %g, want a number above 0", c.Positive)
	case c.Focal > 0 && (!(c.Gamma >= 1) || math.IsInf(c.Gamma, 0) || !(c.Alpha > 0 && c.Alpha < 1)):
		return fmt.Errorf("train: loss.gamma %g, loss.alpha %g: want gamma from 1 and alpha between 0 and 1", c.Gamma, c.Alpha)
	case c.Tversky > 0 && !(c.Over >= 0 && c.Under >= 0 && c.Over+c.Under > 0):
		return fmt.Errorf("train: loss.over %g, loss.under %g: want none below 0 and one above", c.Over, c.Under)
	case c.ClDice > 0 && c.Thinning < 1:
		return fmt.Errorf("train: loss.thinning is %d, want 1 or more", c.Thinning)
	}
	return nil
}

// Loss returns the weighed sum of the terms, a scalar, for logits, target and valid, each [B, 1, H, W]. distance
// is the signed distance to the target's boundary, of the same shape; nil without a boundary term.
func (c LossConfig) Loss(s *tensor.Scope, logits, target, valid, distance *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		l := &lossTerms{s: s, c: c, t: s.Mul(target, valid), valid: valid, area: s.SumDims(valid, 1, 2, 3)}
		l.p = s.Mul(s.Sigmoid(logits), valid)
		if c.BCE > 0 || c.Focal > 0 {
			l.entropy = s.Mul(s.BCEWithLogits(logits, target), valid)
		}
		var sum *tensor.Tensor
		add := func(weight float64, term func() *tensor.Tensor) {
			if weight == 0 {
				return
			}
			v := term()
			if weight != 1 {
				v = s.MulScalar(v, weight)
			}
			if sum == nil {
				sum = v
			} else {
				sum = s.Add(sum, v)
			}
		}
		add(c.BCE, l.bce)
		add(c.Dice, l.dice)
		add(c.Focal, l.focal)
		add(c.Tversky, l.tversky)
		add(c.ClDice, l.clDice)
		if c.Boundary > 0 && distance == nil {
			s.Fail(fmt.Errorf("loss: the boundary term needs the distance to the boundary"))
		}
		add(c.Boundary, func() *tensor.Tensor { return l.mean(s.Mul(l.p, distance)) })
		return sum
	})
}

// lossTerms computes the terms of one loss.
type lossTerms struct {
	s           *tensor.Scope
	c           LossConfig
	p, t, valid *tensor.Tensor // probabilities and target, 0 where not valid
	entropy     *tensor.Tensor // cross-entropy of each pixel, likewise
	area        *tensor.Tensor // number of valid pixels of each picture, [B]
}

// over sums up a map for each picture, [B].
func (l *lossTerms) over(x *tensor.Tensor) *tensor.Tensor { return l.s.SumDims(x, 1, 2, 3) }

// one returns 1 - x, averaged over pictures.
func (l *lossTerms) one(x *tensor.Tensor) *tensor.Tensor {
	return l.s.AddScalar(l.s.MulScalar(l.s.Mean(x), -1), 1)
}

func (l *lossTerms) bce() *tensor.Tensor {
	e := l.entropy
	if l.c.Positive != 1 {
		e = l.s.Mul(e, l.s.AddScalar(l.s.MulScalar(l.t, l.c.Positive-1), 1))
	}
	return l.mean(e)
}

// mean is the mean of a map over the valid pixels of each picture, averaged over pictures.
func (l *lossTerms) mean(x *tensor.Tensor) *tensor.Tensor {
	return l.s.Mean(l.s.Div(l.over(x), l.area))
}

func (l *lossTerms) dice() *tensor.Tensor {
	s := l.s
	overlap := l.over(s.Mul(l.p, l.t))
	total := s.Add(l.over(l.p), l.over(l.t))
	return l.one(s.Div(s.AddScalar(s.MulScalar(overlap, 2), 1), s.AddScalar(total, 1)))
}

func (l *lossTerms) focal() *tensor.Tensor {
	s := l.s
	hard := s.Pow(s.Abs(s.Sub(l.t, l.p)), l.c.Gamma)
	share := s.AddScalar(s.MulScalar(l.t, 2*l.c.Alpha-1), 1-l.c.Alpha)
	return l.mean(s.Mul(s.Mul(hard, share), l.entropy))
}

func (l *lossTerms) tversky() *tensor.Tensor {
	s := l.s
	hit, p, t := l.over(s.Mul(l.p, l.t)), l.over(l.p), l.over(l.t)
	above := s.AddScalar(hit, 1)
	wrong := s.Add(s.MulScalar(s.Sub(p, hit), l.c.Over), s.MulScalar(s.Sub(t, hit), l.c.Under))
	return l.one(s.Div(above, s.Add(above, wrong)))
}

func (l *lossTerms) clDice() *tensor.Tensor {
	s := l.s
	thinP, thinT := l.skeleton(l.p), l.skeleton(l.t)
	share := func(thin, whole *tensor.Tensor) *tensor.Tensor {
		return s.Div(s.AddScalar(l.over(s.Mul(thin, whole)), 1), s.AddScalar(l.over(thin), 1))
	}
	precision, sensitivity := share(thinP, l.t), share(thinT, l.p)
	return l.one(s.Div(s.MulScalar(s.Mul(precision, sensitivity), 2), s.Add(precision, sensitivity)))
}

// skeleton is the soft skeleton of Shit et al.: what an opening takes away, collected over erosions.
func (l *lossTerms) skeleton(x *tensor.Tensor) *tensor.Tensor {
	s := l.s
	erode := func(x *tensor.Tensor) *tensor.Tensor {
		low := func(height, width int64) *tensor.Tensor {
			return s.MulScalar(s.MaxPool(s.MulScalar(x, -1), height, width), -1)
		}
		return s.Minimum(low(3, 1), low(1, 3))
	}
	open := func(x *tensor.Tensor) *tensor.Tensor { return s.MaxPool(erode(x), 3, 3) }
	skeleton := s.ReLU(s.Sub(x, open(x)))
	for range l.c.Thinning {
		x = erode(x)
		delta := s.ReLU(s.Sub(x, open(x)))
		skeleton = s.Add(skeleton, s.ReLU(s.Sub(delta, s.Mul(skeleton, delta))))
	}
	return skeleton
}
