package train

import (
	"context"
	"fmt"
	"math"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
)

// HeadConfig says how a convex head is fitted.
type HeadConfig struct {
	Pixels    int       // of a picture that it is fitted on
	Ridges    []float64 // penalties to choose from inside the shots
	Threshold float64   // probability above which a pixel is inside; 0: chosen inside the shots
	Dice      float64   // weight of a soft Dice term beside the cross-entropy
	Positive  float64   // factor on the weight of pixels inside
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
	Ridge     float64
	Threshold float64
	LeftOut   eval.Float // mean Dice of the pictures (one shot: of its quarters together) when left out of the fit
	Mean      []float32  // of the features over the training pictures, before they are standardised
	Deviation []float32
	Without   map[*data.Sample]*Head // by training picture, the head that was fitted without it; empty for one picture
}

// thresholds are what is tried as probability above which a pixel is inside, in hundredths.
const thresholds = 99

// FitHeads fits a head for each task. All share every pass over the features of their pictures. Ridge
// penalty and threshold are those with which pictures that are left out of the fit, one after the other,
// come out best; a single picture's quarters take the place of pictures. There is no step size and no
// seed: the same pictures give the same bytes. passed is called after each picture's part of a pass.
func FitHeads(ctx context.Context, h *HeadFeatures, cfg HeadConfig, tasks []HeadTask, passed func()) ([]*Head, error) {
	f := &headFit{h: h, cfg: cfg, tasks: tasks, c: &convex{ctx: ctx, dev: h.Model.Device(), stride: 1, passed: passed}}
	if err := f.designs(); err != nil {
		return nil, err
	}
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

func (c HeadConfig) check() error {
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
	if err := f.cfg.check(); err != nil {
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

// pose writes down the problems.
func (f *headFit) pose() {
	for k, t := range f.tasks {
		target := 0
		for i, name := range f.targets {
			if name == t.Target {
				target = i
			}
		}
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
	counts, err := f.count()
	if err != nil {
		return nil, err
	}
	heads := make([]*Head, len(f.tasks))
	for i, t := range f.trials {
		dice, at := f.best(t, counts[i])
		head := heads[t.task]
		// A stronger penalty is preferred where it is no worse: it moves less from draw to draw.
		if head != nil && !(float64(dice) > float64(head.LeftOut)+1e-4 || (math.Abs(float64(dice-head.LeftOut)) <= 1e-4 && t.ridge > head.Ridge)) {
			continue
		}
		head = &Head{Ridge: t.ridge, Threshold: at, LeftOut: dice, Without: map[*data.Sample]*Head{}}
		head.set(t.full.w)
		if shots := f.tasks[t.task].Train; len(t.folds) == len(shots) {
			for k, sample := range shots {
				head.Without[sample] = &Head{Ridge: t.ridge, Threshold: at}
				head.Without[sample].set(t.folds[k].problem.w)
			}
		}
		heads[t.task] = head
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

// count tallies the pixels that were left out, for each trial and picture, in one pass.
func (f *headFit) count() ([]map[int]*tally, error) {
	out := make([]map[int]*tally, len(f.trials))
	for i := range out {
		out[i] = map[int]*tally{}
	}
	for image := range f.c.images {
		type column struct{ trial, fold int }
		var columns []column
		var w []float32
		for i, t := range f.trials {
			for k, fo := range t.folds {
				if f.c.groups[fo.groups[0]].image == image {
					columns = append(columns, column{i, k})
					for _, v := range fo.problem.w {
						w = append(w, float32(v))
					}
				}
			}
		}
		err := f.c.visit(image, len(columns) > 0, func(s *tensor.Scope, x *tensor.Tensor) {
			n := int(x.Shape()[1])
			for from := 0; from < len(columns); from += perPass {
				to := min(from+perPass, len(columns))
				part := s.FromFloat32(w[from*f.c.rows:to*f.c.rows], int64(to-from), int64(f.c.rows))
				var p []float32
				s.Block(func(s *tensor.Scope) *tensor.Tensor {
					z := s.Sigmoid(s.Matmul(part, x))
					p = s.Float32s(z)
					return z
				})
				for c, col := range columns[from:to] {
					t := f.trials[col.trial]
					if out[col.trial][image] == nil {
						out[col.trial][image] = &tally{}
					}
					for _, g := range t.folds[col.fold].groups {
						f.add(out[col.trial][image], f.c.groups[g], t.full.target, p[c*n:(c+1)*n])
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

func (f *headFit) add(t *tally, g group, target int, p []float32) {
	labels, weights := f.c.images[g.image].labels[target], f.c.images[g.image].weights
	for i := g.first; i < g.last; i++ {
		t[int(labels[i])][min(thresholds, int(p[i]*(thresholds+1)))] += float64(weights[i])
	}
}

// best returns the highest mean Dice of what was left out and the threshold that gives it: the middle of
// those that come within a two-thousandth of it. Without anything left out Dice is undefined.
func (f *headFit) best(t trial, counts map[int]*tally) (eval.Float, float64) {
	at := f.cfg.Threshold
	var curve [thresholds + 1]float64
	n := 0
	for image := range f.c.images {
		tally := counts[image]
		if tally == nil || math.IsNaN(tally.dice(0)) {
			continue
		}
		if inside := tally.dice(0); inside == 0 { // nothing to find there: any threshold below its highest probability scores 0
			continue
		}
		n++
		for k := range curve {
			curve[k] += tally.dice(k)
		}
	}
	if n == 0 {
		if at == 0 {
			at = 0.5
		}
		return eval.Undefined, at
	}
	if at > 0 {
		return eval.Float(curve[int(at*(thresholds+1)+0.5)] / float64(n)), at
	}
	top, first, last := 0.0, 0, 0
	for k := 1; k <= thresholds; k++ {
		top = max(top, curve[k])
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

// Logits returns the heads' logits of a picture at its own size, by head.
func (h *HeadFeatures) Logits(s *tensor.Scope, sample *data.Sample, heads []*Head) ([][]float32, error) {
	moments, err := h.standard(s, sample)
	if err != nil {
		return nil, err
	}
	width, height := int64(sample.Image.Width), int64(sample.Image.Height)
	count := int64(len(heads))
	constants := make([]float32, count)
	for i, head := range heads {
		c := float64(head.Bias)
		for k, w := range head.Weight {
			c -= float64(w) * float64(moments.mean[k]) / float64(moments.deviation[k]+least)
		}
		constants[i] = float32(c)
	}
	out := make([][]float32, count)
	var failed error
	s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		sum := s.Add(s.Zeros(tensor.Float32, count, height, width), s.FromFloat32(constants, count, 1, 1))
		failed = h.visit(s, sample, func(s *tensor.Scope, v headView) {
			maps := map[int]*tensor.Tensor{}
			var sides []int
			for _, b := range v.blocks {
				channels, side := b.Feature.Channels, b.Feature.Side
				w := make([]float32, 0, int(count)*channels)
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
			share := s.FromFloat32(v.weights, 1, int64(r.Height), int64(r.Width))
			for _, side := range sides {
				up := v.Geometry.Upsample(s, s.Reshape(maps[side], 1, count, int64(side), int64(side)))
				up = s.Mul(s.Select(up, 0, 0), share)
				s.AddInto(s.Narrow(s.Narrow(sum, 1, int64(r.Y), int64(r.Height)), 2, int64(r.X), int64(r.Width)), up)
			}
		})
		if failed == nil {
			for i := range out {
				out[i] = s.Float32s(s.Select(sum, 0, int64(i)))
			}
		}
		return nil
	})
	return out, failed
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
		out[i] = threshold(sigmoid(logits[i]), sample.Image.Width, sample.Image.Height, heads[i].Threshold)
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
