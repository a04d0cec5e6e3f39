package train

import (
	"context"
	"fmt"
	"math"
	"slices"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
)

// HeadConfig says how a convex head is fitted.
type HeadConfig struct {
	Pixels    int       // of a picture that it is fitted on
	Ridges    []float64 // penalties to choose from inside the shots
	Threshold float64   // probability above which a pixel is inside; 0: chosen inside the shots, as Head.Threshold says
	Dice      float64   // weight of a soft Dice term beside the cross-entropy
	Positive  float64   // factor on the weight of pixels inside
	Context   bool      // fit a second stage on the first one's logits
}

// HeadTask is one head to fit: the pictures that it may see and what it shall find in them.
type HeadTask struct {
	Target string
	Train  []*data.Sample
}

// Head is a convex head: its logit is Bias + sum of Weight * (feature - mean) / deviation, with mean and
// deviation those of the picture that is segmented.
type Head struct {
	Weight    []float32 // as Pyramid.Blocks lists them
	Bias      float32
	Context   *Context // second stage; nil: there is none
	Ridge     float64
	Threshold float64    // probability above which a pixel is inside; 0: of each picture the one that promises the highest Dice
	LeftOut   eval.Float // mean Dice of the pictures (one shot: of its quarters together) when left out of the fit
	Mean      []float32  // of the features over the training pictures, before they are standardised
	Deviation []float32

	folds []*Head // by training picture, the head that was fitted without it; for one picture, by its quarters
}

// thresholds are what is tried as probability above which a pixel is inside, in hundredths.
const thresholds = 99

// FitHeads fits a head for each task. All share every pass over the features of their pictures. Ridge
// penalty and rule of the threshold are those with which pictures that are left out of the fit, one after the other,
// come out best; a single picture's quarters take the place of pictures. There is no step size and no
// seed: the same pictures give the same bytes. passed is called after each picture's part of a pass.
func FitHeads(ctx context.Context, h *HeadFeatures, cfg HeadConfig, tasks []HeadTask, passed func()) ([]*Head, error) {
	f := &headFit{h: h, cfg: cfg, tasks: tasks, c: &convex{ctx: ctx, dev: h.Model.Device(), stride: 1, passed: passed}}
	if err := f.designs(); err != nil {
		return nil, err
	}
	defer f.c.release()
	f.pose()
	if err := f.c.solve(f.problems); err != nil {
		return nil, err
	}
	return f.choose()
}

// headFit is a fit of several heads under way.
type headFit struct {
	h        *HeadFeatures
	cfg      HeadConfig
	tasks    []HeadTask
	c        *convex
	targets  []string
	gathered []*designImage
	image    map[*data.Sample]int
	groupsOf [][]int // by picture
	problems []*problem
	trials   []trial
}

// trial is a task with one ridge penalty: the head itself and those that leave something out.
type trial struct {
	task  int
	ridge float64
	full  *problem
	folds []fold
}

type fold struct {
	problem *problem
	groups  []int // left out
}

// Check says what is wrong with a fit's settings.
func (c HeadConfig) Check() error {
	if c.Pixels < 100 || len(c.Ridges) == 0 || c.Dice < 0 || !(c.Positive > 0) || c.Threshold < 0 || c.Threshold >= 1 {
		return fmt.Errorf("fit: pixels %d, ridges %v, dice %g, positive %g, threshold %g: want 100 pixels or more, a ridge, dice from 0, positive above 0, a threshold from 0 to 1",
			c.Pixels, c.Ridges, c.Dice, c.Positive, c.Threshold)
	}
	for _, r := range c.Ridges {
		if !(r > 0) {
			return fmt.Errorf("fit: ridge penalty %g, want one above 0", r)
		}
	}
	return nil
}

// designs gathers the pictures' features at the sampled pixels and sets up the groups.
func (f *headFit) designs() error {
	if err := f.cfg.Check(); err != nil {
		return err
	}
	_, n, err := f.h.Pyramid.Blocks(f.h.Model.Spec)
	if err != nil {
		return err
	}
	f.c.rows = n + 1
	f.image = map[*data.Sample]int{}
	quartered := map[*data.Sample]bool{}
	target := map[string]bool{}
	var samples []*data.Sample
	for _, t := range f.tasks {
		if len(t.Train) == 0 {
			return fmt.Errorf("fit: no pictures to fit on")
		}
		if !target[t.Target] {
			target[t.Target] = true
			f.targets = append(f.targets, t.Target)
		}
		for _, s := range t.Train {
			if _, ok := f.image[s]; !ok {
				f.image[s] = len(samples)
				samples = append(samples, s)
			}
			quartered[s] = quartered[s] || len(t.Train) == 1
		}
	}
	for i, sample := range samples {
		if err := f.c.ctx.Err(); err != nil {
			return err
		}
		err := f.h.Model.Device().Run(func(s *tensor.Scope) error {
			d, err := f.h.design(s, sample, union(sample, f.targets), f.cfg.Pixels)
			if err == nil {
				f.gathered = append(f.gathered, d)
			}
			return err
		})
		if err != nil {
			return err
		}
		f.addImage(i, quartered[sample])
	}
	f.c.load = func(s *tensor.Scope, image int) (*tensor.Tensor, error) { return f.h.load(s, f.gathered[image]) }
	return nil
}

// union is what any of the targets covers: pixels are chosen by it, so that all targets share them.
func union(sample *data.Sample, targets []string) *data.Mask {
	out := data.NewMask(sample.Image.Width, sample.Image.Height)
	for _, t := range targets {
		for i, v := range sample.Masks[t].Pix {
			out.Pix[i] |= v
		}
	}
	return out
}

func (f *headFit) addImage(i int, quartered bool) {
	d := f.gathered[i]
	image := convexImage{}
	for _, t := range f.targets {
		labels := make([]float32, len(d.pixels.index))
		for k, at := range d.pixels.index {
			labels[k] = float32(d.sample.Masks[t].Pix[at])
		}
		image.labels = append(image.labels, labels)
	}
	image.weights = d.pixels.weight
	f.c.images = append(f.c.images, image)
	parts := [][2]int{{0, len(d.pixels.index)}}
	if quartered {
		parts = d.pixels.blocks
	}
	var groups []int
	for _, p := range parts {
		groups = append(groups, len(f.c.groups))
		f.c.groups = append(f.c.groups, group{image: i, first: p[0], last: p[1]})
	}
	f.groupsOf = append(f.groupsOf, groups)
}

func (f *headFit) target(name string) int { return slices.Index(f.targets, name) }

// pose writes down the problems.
func (f *headFit) pose() {
	for k, t := range f.tasks {
		target := f.target(t.Target)
		var units [][]int // what is left out together
		for _, s := range t.Train {
			units = append(units, f.groupsOf[f.image[s]])
		}
		if len(units) == 1 {
			units = nil
			for _, g := range f.groupsOf[f.image[t.Train[0]]] {
				units = append(units, []int{g})
			}
		}
		for _, ridge := range f.cfg.Ridges {
			add := func(except int) *problem {
				p := &problem{target: target, ridge: ridge, dice: f.cfg.Dice, positive: f.cfg.Positive}
				for i, u := range units {
					if i != except {
						p.groups = append(p.groups, u...)
					}
				}
				f.problems = append(f.problems, p)
				return p
			}
			tr := trial{task: k, ridge: ridge, full: add(-1)}
			if len(units) > 1 {
				for i, u := range units {
					tr.folds = append(tr.folds, fold{add(i), u})
				}
			}
			f.trials = append(f.trials, tr)
		}
	}
}

// choose scores what was left out and returns each task's best head.
func (f *headFit) choose() ([]*Head, error) {
	counts, err := f.c.count(f.trials)
	if err != nil {
		return nil, err
	}
	heads := make([]*Head, len(f.tasks))
	for i, t := range f.trials {
		dice, at := f.c.best(counts[i], f.cfg.Threshold)
		head := heads[t.task]
		// A stronger penalty is preferred where it is no worse: it moves less from draw to draw.
		if head != nil && !(float64(dice) > float64(head.LeftOut)+1e-4 || (math.Abs(float64(dice-head.LeftOut)) <= 1e-4 && t.ridge > head.Ridge)) {
			continue
		}
		head = &Head{Ridge: t.ridge, Threshold: at, LeftOut: dice}
		head.set(t.full.w)
		for _, fold := range t.folds {
			without := &Head{Ridge: t.ridge, Threshold: at}
			without.set(fold.problem.w)
			head.folds = append(head.folds, without)
		}
		heads[t.task] = head
	}
	if f.cfg.Context {
		for k, t := range f.tasks {
			if err := f.context(heads[k], t); err != nil {
				return nil, err
			}
		}
	}
	for k, t := range f.tasks {
		if err := f.describe(heads[k], t); err != nil {
			return nil, err
		}
	}
	return heads, nil
}

func (head *Head) set(w []float64) {
	head.Weight = make([]float32, len(w)-1)
	for i := range head.Weight {
		head.Weight[i] = float32(w[i])
	}
	head.Bias = float32(w[len(w)-1])
}

// Parameters is how many numbers were fitted.
func (head *Head) Parameters() int {
	n := len(head.Weight) + 1
	if head.Context != nil {
		n += len(head.Context.Weight) + 1
	}
	return n
}

// Without returns the head that was fitted without the i-th of several training pictures, and the head itself for a
// single one.
func (head *Head) Without(i, pictures int) *Head {
	if pictures > 1 && len(head.folds) == pictures {
		return head.folds[i]
	}
	return head
}

// describe notes what the features were like on the training pictures.
func (f *headFit) describe(head *Head, task HeadTask) error {
	n := f.c.rows - 1
	head.Mean, head.Deviation = make([]float32, n), make([]float32, n)
	return f.h.Model.Device().Run(func(s *tensor.Scope) error {
		for _, sample := range task.Train {
			m, err := f.h.standard(s, sample)
			if err != nil {
				return err
			}
			for i := range n {
				head.Mean[i] += m.mean[i] / float32(len(task.Train))
				head.Deviation[i] += m.deviation[i] / float32(len(task.Train))
			}
		}
		return nil
	})
}

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

// together bounds the heads whose maps are held at a time.
const together = 8

// Logits returns the heads' logits of a picture at its own size, by head. All heads have a second stage or
// none has.
func (h *HeadFeatures) Logits(s *tensor.Scope, sample *data.Sample, heads []*Head) ([][]float32, error) {
	var out [][]float32
	err := h.levels(s, sample, heads, func(s *tensor.Scope, some []*Head, levels *tensor.Tensor) {
		var z *tensor.Tensor
		if some[0].Context == nil {
			z = s.SumDims(levels, 1)
		} else {
			z = applyContext(s, contextMaps(s, levels, sample.Valid), some)
		}
		for i := range some {
			out = append(out, s.Float32s(s.Select(z, 0, int64(i))))
		}
	})
	return out, err
}

// levels calls use with the first stage's logits of a picture, [heads, scales, height, width], for some of the
// heads after the other. The intercept is part of the first scale's.
func (h *HeadFeatures) levels(s *tensor.Scope, sample *data.Sample, heads []*Head, use func(s *tensor.Scope, heads []*Head, levels *tensor.Tensor)) error {
	moments, err := h.standard(s, sample)
	if err != nil {
		return err
	}
	blocks, _, err := h.Pyramid.Blocks(h.Model.Spec)
	if err != nil {
		return err
	}
	count, scales := int64(len(heads)), int64(len(h.Pyramid.Scales))
	width, height := int64(sample.Image.Width), int64(sample.Image.Height)
	at := map[int]int64{}
	for i, scale := range h.Pyramid.Scales {
		at[scale] = int64(i)
	}
	constants := make([]float32, count*scales)
	for i, head := range heads {
		for _, b := range blocks {
			c := 0.0
			for k := b.Start; k < b.Start+b.Feature.Channels; k++ {
				c -= float64(head.Weight[k]) * float64(moments.mean[k]) / float64(moments.deviation[k]+least)
			}
			constants[int64(i)*scales+at[b.Scale]] += float32(c)
		}
		constants[int64(i)*scales] += head.Bias
	}
	var failed error
	s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		sum := s.Add(s.Zeros(tensor.Float32, count, scales, height, width), s.FromFloat32(constants, count, scales, 1, 1))
		failed = h.visit(s, sample, func(s *tensor.Scope, v headView) {
			up := h.project(s, v, moments, heads)
			r := v.Geometry.Region
			part := s.Select(sum, 1, at[v.blocks[0].Scale])
			s.AddInto(s.Narrow(s.Narrow(part, 1, int64(r.Y), int64(r.Height)), 2, int64(r.X), int64(r.Width)), up)
		})
		if failed != nil {
			return nil
		}
		for from := 0; from < len(heads); from += together {
			to := min(from+together, len(heads))
			s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
				use(s, heads[from:to], s.Narrow(sum, 0, int64(from), int64(to-from)))
				return nil
			})
		}
		return nil
	})
	return failed
}

// project returns the heads' part of the logits from one view, weighed with the view's share of each pixel:
// [heads, region height, region width]. Projection and interpolation are both linear, so the few maps of
// logits are interpolated and not the many features.
func (h *HeadFeatures) project(s *tensor.Scope, v headView, moments *moments, heads []*Head) *tensor.Tensor {
	count := int64(len(heads))
	maps := map[int]*tensor.Tensor{}
	var sides []int
	for _, b := range v.blocks {
		channels, side := b.Feature.Channels, b.Feature.Side
		w := make([]float32, 0, len(heads)*channels)
		for _, head := range heads {
			for c := range channels {
				w = append(w, head.Weight[b.Start+c]/(moments.deviation[b.Start+c]+least))
			}
		}
		f := s.Reshape(v.features[b.Feature.Name], int64(channels), int64(side*side))
		m := s.Matmul(s.FromFloat32(w, count, int64(channels)), f)
		if maps[side] == nil {
			sides = append(sides, side)
			maps[side] = m
		} else {
			s.AddInto(maps[side], m)
		}
	}
	r := v.Geometry.Region
	var sum *tensor.Tensor
	for _, side := range sides {
		up := s.Select(v.Geometry.Upsample(s, s.Reshape(maps[side], 1, count, int64(side), int64(side))), 0, 0)
		if sum == nil {
			sum = up
		} else {
			s.AddInto(sum, up)
		}
	}
	return s.Mul(sum, s.FromFloat32(v.weights, 1, int64(r.Height), int64(r.Width)))
}

// Segment segments a picture with a head.
func (h *HeadFeatures) Segment(s *tensor.Scope, sample *data.Sample, head *Head) (*Segmentation, error) {
	all, err := h.SegmentAll(s, sample, []*Head{head})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// SegmentAll segments a picture with several heads in one pass over its features.
func (h *HeadFeatures) SegmentAll(s *tensor.Scope, sample *data.Sample, heads []*Head) ([]*Segmentation, error) {
	logits, err := h.Logits(s, sample, heads)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", sample.ID, err)
	}
	out := make([]*Segmentation, len(heads))
	parallel(len(heads), func(i int) {
		p := sigmoid(logits[i])
		out[i] = threshold(p, sample.Image.Width, sample.Image.Height, heads[i].threshold(p, sample.Valid))
	})
	return out, nil
}

// sigmoid turns logits into probabilities, in place.
func sigmoid(z []float32) []float32 {
	for i, v := range z {
		z[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
	return z
}
