package experiment

import (
	"cmp"
	"fmt"
	"slices"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
)

// draw draws the shots, or takes the split file's, reads every case of the split and refuses one whose test images are trained on.
func (r *Run) draw() error {
	if r.split != nil {
		if err := data.Unsound(r.split.Check(r.bench, r.pictures.get)); err != nil {
			return fmt.Errorf("split %q: %w", r.cfg.Split, err)
		}
	} else if err := r.drawNew(); err != nil {
		return err
	}
	if err := r.pictures.keep(slices.Concat(r.split.Train, r.split.Validation)); err != nil {
		return err
	}
	if r.opt.Tuned != nil {
		return r.opt.Tuned.checkLeaks(r.split)
	}
	return nil
}

// drawNew draws the shots; pixels that a run of the same set has hashed are not hashed again.
func (r *Run) drawNew() error {
	split, err := r.drawn()
	if err != nil {
		return err
	}
	for _, e := range slices.Concat(split.Train, split.Validation, split.Test) {
		if _, known := r.entries[e.ID]; known {
			continue
		}
		sample, err := r.pictures.get(e.ID)
		if err != nil {
			return err
		}
		if r.entries[e.ID], err = data.EntryOf(sample, r.target); err != nil {
			return err
		}
	}
	r.split = split
	return split.FillFrom(r.entries)
}

// readSplit reads the split file that the settings name. Other settings may not say otherwise.
func (r *Run) readSplit(d *data.Decl) error {
	cfg := r.cfg
	if cfg.Split == "" {
		return nil
	}
	split, err := data.ReadSplit(cfg.Split)
	if err != nil {
		return err
	}
	for _, c := range []struct{ key, is, want string }{
		{"benchmark", d.Name, split.Benchmark}, {"target", cmp.Or(cfg.Target, d.Targets[0]), split.Target},
		{"shots", fmt.Sprint(cfg.Shots), fmt.Sprint(split.Shots)}, {"seed", fmt.Sprint(cfg.Seed), fmt.Sprint(split.Seed)},
	} {
		if c.is != c.want {
			return fmt.Errorf("%w: %s is %s, and split %q is of %s %s: leave one of the two out", configs.ErrConfig, c.key, c.is, cfg.Split, c.key, c.want)
		}
	}
	r.split = split
	return nil
}

// drawn draws the shots and reads nothing.
func (r *Run) drawn() (*data.Split, error) {
	if n := len(r.bench.Pool); r.opt.Fewer && n > 0 {
		r.cfg.Shots = min(r.cfg.Shots, n)
	}
	split, err := data.DrawShots(r.bench, r.cfg.Shots, r.cfg.Seed)
	if err == nil {
		split.Target = r.target
	}
	return split, err
}

// secondObserver notes how well a second observer agrees with the first on the test cases, where the
// data has one for all of them: what a person reaches.
func (r *Run) secondObserver() error {
	if r.person != nil {
		return nil
	}
	r.person = map[string]string{}
	var sum float64
	for _, c := range r.bench.Test {
		if c.Second == nil {
			return nil
		}
		second, err := c.Second()
		if err != nil {
			return err
		}
		sample, err := r.pictures.get(c.ID)
		if err != nil {
			return err
		}
		dice, err := eval.Dice(second, sample.Masks[r.target], sample.Valid)
		if err != nil {
			return fmt.Errorf("second observer of %s: %w", c.ID, err)
		}
		sum += float64(dice)
	}
	n := len(r.bench.Test)
	r.person["second human observer"] = fmt.Sprintf("Dice %.3f, mean over the %d test images", sum/float64(n), n)
	return nil
}
