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

// designsTogether is how many pictures' designs are made at a time where a GPU holds the features.
const designsTogether = 6

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
	f.gathered = make([]*designImage, len(samples))
	together := 1 // on a CPU a design is to be the same numbers in whatever company it is made
	if f.h.Model.Device().CUDA() {
		together = designsTogether
	}
	err = f.h.Model.Device().Each(len(samples), together, func(s *tensor.Scope, i int) (err error) {
		if err := f.c.ctx.Err(); err != nil {
			return err
		}
		f.gathered[i], err = f.h.design(s, samples[i], union(samples[i], f.targets), f.cfg.Pixels)
		return err
	})
	if err != nil {
		return err
	}
	for i, sample := range samples {
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
		together := LeaveOut(t.Train)
		if len(units) == 1 {
			units, together = nil, nil
			for i, g := range f.groupsOf[f.image[t.Train[0]]] {
				units, together = append(units, []int{g}), append(together, []int{i})
			}
		}
		for _, ridge := range f.cfg.Ridges {
			add := func(except []int) *problem {
				p := &problem{target: target, ridge: ridge, dice: f.cfg.Dice, positive: f.cfg.Positive}
				for i, u := range units {
					if !slices.Contains(except, i) {
						p.groups = append(p.groups, u...)
					}
				}
				f.problems = append(f.problems, p)
				return p
			}
			tr := trial{task: k, ridge: ridge, full: add(nil)}
			for i, u := range units {
				switch first := together[i][0]; {
				case len(units) == 1:
				case first < i: // fitted already, for the first of them
					tr.folds = append(tr.folds, fold{tr.folds[first].problem, u})
				default:
					tr.folds = append(tr.folds, fold{add(together[i]), u})
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
