package train

import (
	"slices"

	"fmt"

	"samtune/data"
	"samtune/internal/tensor"
)

// contextRidge is the penalty of the second stage, whose few features need hardly any.
const contextRidge = 1e-3

// context fits a head's second stage, on logits of the heads that were fitted without the picture in question.
// Threshold and left-out Dice become those of both stages together.
func (f *headFit) context(head *Head, task HeadTask) error {
	c := &convex{ctx: f.c.ctx, dev: f.c.dev, stride: 1, passed: f.c.passed, rows: len(f.h.Pyramid.Scales) + lineFeatures + 1}
	fit := &contextFit{headFit: f, c: c, quarters: len(task.Train) == 1}
	for i, sample := range task.Train {
		if err := fit.add(head, i, sample); err != nil {
			return err
		}
	}
	mean, deviation := fit.standardise()
	c.load = func(s *tensor.Scope, image int) (*tensor.Tensor, error) {
		return s.FromFloat32(fit.x[image], int64(c.rows), int64(len(fit.x[image])/c.rows)), nil
	}
	defer c.release()
	tr, all := fit.pose(f.target(task.Target), f.cfg, LeaveOut(task.Train))
	if err := c.solve(all); err != nil {
		return fmt.Errorf("second stage: %w", err)
	}
	counts, err := c.count([]trial{tr})
	if err != nil {
		return err
	}
	stage := func(p *problem) *Context {
		out := &Context{Mean: mean, Deviation: deviation, Bias: float32(p.w[c.rows-1])}
		for _, w := range p.w[:c.rows-1] {
			out.Weight = append(out.Weight, float32(w))
		}
		return out
	}
	head.Context = stage(tr.full)
	head.LeftOut, head.Threshold = c.best(counts[0], f.cfg.Threshold)
	for i, fold := range tr.folds {
		head.folds[i].Context, head.folds[i].Threshold = stage(fold.problem), head.Threshold
	}
	return nil
}

// contextFit is the fit of one head's second stage under way.
type contextFit struct {
	*headFit
	c        *convex
	x        [][]float32 // [rows][pixels] by picture
	quarters bool        // what is left out are quarters of the only picture
}

// add gathers a picture's features at the pixels that the first stage was fitted on.
func (f *contextFit) add(head *Head, i int, sample *data.Sample) error {
	at := f.image[sample]
	d := f.gathered[at]
	n := len(d.pixels.index)
	x := make([]float32, f.c.rows*n)
	heads, parts := head.folds[i:i+1], [][2]int{{0, n}}
	if f.quarters {
		heads, parts = head.folds, d.pixels.blocks
	}
	err := f.c.dev.Run(func(s *tensor.Scope) error {
		k := 0
		return f.h.levels(s, sample, heads, func(s *tensor.Scope, some []*Head, levels *tensor.Tensor) {
			maps := s.Reshape(contextMaps(s, levels, sample.Valid), int64(len(some)), int64(f.c.rows-1), -1)
			for j := range some {
				part := parts[k]
				k++
				index := make([]int64, 0, part[1]-part[0])
				for _, p := range d.pixels.index[part[0]:part[1]] {
					index = append(index, int64(p))
				}
				values := s.Float32s(s.IndexSelect(s.Select(maps, 0, int64(j)), 1, s.FromInt64(index, int64(len(index)))))
				for row := range f.c.rows - 1 {
					copy(x[row*n+part[0]:row*n+part[1]], values[row*len(index):(row+1)*len(index)])
				}
			}
		})
	})
	if err != nil {
		return err
	}
	for k := range n {
		x[(f.c.rows-1)*n+k] = 1
	}
	image := len(f.x)
	f.x = append(f.x, x)
	f.c.images = append(f.c.images, f.headFit.c.images[at])
	for _, part := range parts {
		f.c.groups = append(f.c.groups, group{image: image, first: part[0], last: part[1]})
	}
	return nil
}

// standardise brings each feature to mean 0 and deviation 1 over the pixels of all pictures and returns both.
func (f *contextFit) standardise() (mean, deviation []float32) {
	m := newMoments(f.c.rows - 1)
	for i, x := range f.x {
		n := len(x) / f.c.rows
		for row := range f.c.rows - 1 {
			for k, v := range x[row*n : (row+1)*n] {
				m.add(row, float64(v), float64(f.c.images[i].weights[k]))
			}
		}
	}
	out := m.result()
	for _, x := range f.x {
		n := len(x) / f.c.rows
		for row := range f.c.rows - 1 {
			for k := range x[row*n : (row+1)*n] {
				x[row*n+k] = (x[row*n+k] - out.mean[row]) / (out.deviation[row] + least)
			}
		}
	}
	return out.mean, out.deviation
}

// pose writes down the second stage's problems: on everything, and with each group and what goes together with it left out.
func (f *contextFit) pose(target int, cfg HeadConfig, together [][]int) (trial, []*problem) {
	var all []*problem
	add := func(except []int) *problem {
		p := &problem{target: target, ridge: contextRidge, dice: cfg.Dice, positive: cfg.Positive}
		for g := range f.c.groups {
			if !slices.Contains(except, g) {
				p.groups = append(p.groups, g)
			}
		}
		all = append(all, p)
		return p
	}
	t := trial{ridge: contextRidge, full: add(nil)}
	for g := range f.c.groups {
		switch {
		case len(f.c.groups) == 1:
		case f.quarters:
			t.folds = append(t.folds, fold{add([]int{g}), []int{g}})
		case together[g][0] < g:
			t.folds = append(t.folds, fold{t.folds[together[g][0]].problem, []int{g}})
		default:
			t.folds = append(t.folds, fold{add(together[g]), []int{g}})
		}
	}
	return t, all
}
