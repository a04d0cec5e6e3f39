package train

import (
	"math"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
)

// thresholds are what is tried as probability above which a pixel is inside, in hundredths.
const thresholds = 99

// tally counts weights of pixels by probability, in hundredths: those outside and those inside.
type tally [2][thresholds + 1]float64

func (t *tally) dice(threshold int) float64 {
	var hit, false_, all float64
	for k := range t[1] {
		all += t[1][k]
		if k >= threshold {
			hit += t[1][k]
			false_ += t[0][k]
		}
	}
	if all+false_ == 0 {
		return math.NaN()
	}
	return 2 * hit / (all + hit + false_)
}

// own is the threshold with which the probabilities promise the highest Dice: twice the sum of those above it
// over their number and the sum of all. It needs no truth.
func (t *tally) own() int {
	var all float64
	for k := range t[0] {
		all += (t[0][k] + t[1][k]) * (float64(k) + 0.5) / (thresholds + 1)
	}
	best, top := 1, 0.0
	var number, sum float64
	for k := thresholds; k >= 1; k-- {
		number += t[0][k] + t[1][k]
		sum += (t[0][k] + t[1][k]) * (float64(k) + 0.5) / (thresholds + 1)
		if dice := 2 * sum / (number + all); dice > top {
			best, top = k, dice
		}
	}
	return best
}

// ownThreshold is the threshold with which a picture's probabilities promise the highest Dice over its valid
// region (Dice's expectation, both sums taken for themselves; Lipton et al., ECML 2014, for F1).
func ownThreshold(p []float32, valid *data.Mask) float64 {
	var t tally
	for i, v := range p {
		if valid.Pix[i] == 1 {
			t[0][min(thresholds, int(v*(thresholds+1)))]++
		}
	}
	return float64(t.own()) / (thresholds + 1)
}

// threshold is the probability above which a pixel of a picture is inside.
func (head *Head) threshold(p []float32, valid *data.Mask) float64 {
	if head.Threshold > 0 {
		return head.Threshold
	}
	return ownThreshold(p, valid)
}

// count tallies the pixels that were left out, for each trial and picture, in one pass.
func (c *convex) count(trials []trial) ([]map[int]*tally, error) {
	out := make([]map[int]*tally, len(trials))
	for i := range out {
		out[i] = map[int]*tally{}
	}
	for image := range c.images {
		type column struct{ trial, fold int }
		var columns []column
		var w []float32
		for i, t := range trials {
			for k, fo := range t.folds {
				if c.groups[fo.groups[0]].image == image {
					columns = append(columns, column{i, k})
					for _, v := range fo.problem.w {
						w = append(w, float32(v))
					}
				}
			}
		}
		err := c.visit(image, len(columns) > 0, func(s *tensor.Scope, x *tensor.Tensor) {
			n := int(x.Shape()[1])
			for from := 0; from < len(columns); from += perPass {
				to := min(from+perPass, len(columns))
				var p []float32
				s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
					part := s.FromFloat32(w[from*c.rows:to*c.rows], int64(to-from), int64(c.rows))
					p = s.Float32s(s.Sigmoid(s.Matmul(part, x)))
					return nil
				})
				for k, col := range columns[from:to] {
					t := trials[col.trial]
					if out[col.trial][image] == nil {
						out[col.trial][image] = &tally{}
					}
					for _, g := range t.folds[col.fold].groups {
						c.tally(out[col.trial][image], c.groups[g], t.full.target, p[k*n:(k+1)*n])
					}
				}
			}
		})
		if err != nil {
			return nil, err
		}
	}
	return out, nil
}

func (c *convex) tally(t *tally, g group, target int, p []float32) {
	labels, weights := c.images[g.image].labels[target], c.images[g.image].weights
	for i := g.first; i < g.last; i++ {
		t[int(labels[i])][min(thresholds, int(p[i]*(thresholds+1)))] += float64(weights[i])
	}
}

// preferOwn is how much higher the Dice of one threshold for all pictures must be, over pictures that were left
// out, before it is taken instead of each picture's own: it was chosen on them, the other was not.
const preferOwn = 0.005

// best returns the mean Dice of the pictures in tallies of what was left out, and the threshold that gives it: 0,
// each picture's own, or one for all, the middle of those that come within a two-thousandth of the best.
// at is a threshold that is given, 0: none. Without a picture in which there is something to find Dice
// is undefined.
func (c *convex) best(counts map[int]*tally, at float64) (eval.Float, float64) {
	var curve [thresholds + 1]float64
	own := 0.0
	n := 0
	for image := range c.images { // in order, so that sums come out the same
		if t := counts[image]; t != nil && t.dice(0) > 0 { // everything foreground scores 0 where there is nothing to find
			n++
			for k := range curve {
				curve[k] += t.dice(k)
			}
			own += t.dice(t.own())
		}
	}
	if n == 0 {
		return eval.Undefined, at
	}
	if at > 0 {
		return eval.Float(curve[int(at*(thresholds+1)+0.5)] / float64(n)), at
	}
	top, first, last := 0.0, 0, 0
	for k := 1; k <= thresholds; k++ {
		top = max(top, curve[k])
	}
	if own >= top-preferOwn*float64(n) {
		return eval.Float(own / float64(n)), 0
	}
	for k := 1; k <= thresholds; k++ {
		if curve[k] >= top-5e-4*float64(n) {
			if first == 0 {
				first = k
			}
			last = k
		}
	}
	return eval.Float(top / float64(n)), float64(first+last) / 2 / (thresholds + 1)
}
