package train

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
)

// Config are the settings of the optimisation.
type Config struct {
	Steps           int
	Batch           int // views in a step
	LR              float64
	WeightDecay     float64
	Warmup          int     // steps over which the learning rate rises
	Clip            float64 // largest norm of the gradient; 0: no clipping
	Flips           bool    // mirror features and labels at random
	ValidateEvery   int     // steps between validations
	CheckpointEvery int     // steps between checkpoints
	Stop            int     // the step after which training ends, on the schedule of all Steps; 0: after all of them
	Seed            int64
	Loss            LossConfig
}

// last is the step after which training ends.
func (c Config) last() int {
	if c.Stop > 0 {
		return min(c.Stop, c.Steps)
	}
	return c.Steps
}

// Point is a line of the training log.
type Point struct {
	Step     int      `json:"step"`
	Loss     float64  `json:"loss"`
	LR       float64  `json:"lr"`
	GradNorm float64  `json:"grad_norm"`
	ValDice  *float64 `json:"val_dice,omitempty"`
}

// Job is one fine-tuning.
type Job struct {
	Predictor  *Predictor
	Config     Config
	Target     string
	Train      []*data.Sample
	Validation []*data.Sample // empty: the last step is taken
	Store      *checkpoints.Store
	LogPath    string
	Logged     func(p Point) error  // called for every line of the log, those of an interrupted run first; may be nil
	Resumed    func(step int)       // called once when an earlier run goes on
	Warn       func(message string) // a checkpoint that does not verify and is passed over
	Step       func(p Point, steps int)
}

// Result says how a fine-tuning went.
type Result struct {
	Steps      int
	BestStep   int
	BestDice   eval.Float // validation Dice of the best step; undefined without validation
	ResumedAt  []int
	Parameters int
	Weights    model.Weights      // of the best step; the caller drops them on the device
	Validation map[int]eval.Float // validation Dice by step
}

// state is what a checkpoint keeps beside tensors.
type state struct {
	Step     int        `json:"step"`
	BestStep int        `json:"best_step"`
	BestDice eval.Float `json:"best_dice"`
}

// fit is a fine-tuning under way.
type fit struct {
	job     *Job
	dev     *tensor.Device
	views   []View
	opt     *AdamW
	prompts map[[2]int]model.EncodedPrompts // by the size of a view within the input: computed once
	state   state
	saved   int        // step of the checkpoint that was begun or read last
	saving  chan error // what becomes of the one that is being written; nil: none is
	resumed []int
	log     *trainLog

	distances map[*data.Sample][]float32 // to the target's boundary, where the loss asks for it

	kept map[keptView]example // what a GPU holds of the views
	room room                 // for them
}

// Fit trains the decoder from the features in the cache. It goes on from the newest checkpoint in the
// store, to the same bytes as if it had not been interrupted. When ctx ends it stops after the current
// step with a checkpoint and returns ctx's error.
func Fit(ctx context.Context, job *Job) (*Result, error) {
	if err := job.Config.check(); err != nil {
		return nil, err
	}
	f := &fit{job: job, dev: job.Predictor.Model.Device(), prompts: map[[2]int]model.EncodedPrompts{}}
	f.state.BestDice = eval.Undefined
	for _, sample := range job.Train {
		f.views = append(f.views, job.Predictor.Tiling.Training(job.Predictor.Model, sample)...)
	}
	if len(f.views) == 0 {
		return nil, fmt.Errorf("train: no view of the training images has %g of its area inside the valid region", job.Predictor.Tiling.MinValid)
	}
	defer f.drop()
	if err := f.start(); err != nil {
		return nil, err
	}
	defer f.log.close()
	defer func() { _ = f.written() }() // another error came first
	for f.state.Step < job.Config.last() {
		if err := ctx.Err(); err != nil {
			return nil, f.stop(err)
		}
		if err := f.step(); err != nil {
			return nil, err
		}
	}
	return f.finish()
}

func (c Config) check() error {
	for _, v := range []struct {
		name  string
		value int
	}{{"steps", c.Steps}, {"batch", c.Batch}, {"validate_every", c.ValidateEvery}, {"checkpoint_every", c.CheckpointEvery}} {
		if v.value < 1 {
			return fmt.Errorf("train: %s is %d, want 1 or more", v.name, v.value)
		}
	}
	if !(c.LR > 0) || c.WeightDecay < 0 || c.Clip < 0 || c.Warmup < 0 {
		return fmt.Errorf("train: lr %g, weight_decay %g, clip %g, warmup %d: want lr above 0 and none of the others below", c.LR, c.WeightDecay, c.Clip, c.Warmup)
	}
	return c.Loss.Check()
}

// start sets up the optimiser from the released weights or from the newest checkpoint.
func (f *fit) start() error {
	p := f.job.Predictor
	err := f.dev.Run(func(s *tensor.Scope) (err error) {
		f.opt, err = NewAdamW(s, p.Decoder.Trainable(), p.Model.Weights().With(p.Decoder.Initial(s)))
		f.kept, f.room = map[keptView]example{}, roomOn(s)
		return err
	})
	if err != nil {
		return err
	}
	if err := f.resume(); err != nil {
		return err
	}
	f.log, err = openLog(f.job.LogPath, f.state.Step, f.job.Logged)
	return err
}

// ErrDiverged says that a training left the finite numbers. The checkpoints before that stay.
var ErrDiverged = errors.New("the training diverged")

func isFinite(x float64) bool { return x-x == 0 }

func (f *fit) diverged(what string) error {
	return fmt.Errorf("%w: %s: take a lower train.lr than %g, a longer train.warmup than %d, or clip the gradient (train.clip)",
		ErrDiverged, what, f.job.Config.LR, f.job.Config.Warmup)
}

// step takes one optimiser step, and validates and saves when their turn has come.
func (f *fit) step() error {
	c := f.job.Config
	i := f.state.Step
	point := Point{Step: i + 1, LR: c.LR * rate(i, c.Warmup, c.Steps)}
	err := f.dev.Run(func(s *tensor.Scope) error {
		views := make([]int, c.Batch)
		for b := range views {
			views[b] = i*c.Batch + b
		}
		together := 1 // on a CPU a batch in one pass takes more time than view by view, and more memory
		if f.dev.CUDA() {
			together = c.Batch
		}
		var grad *tensor.Tensor
		for part := range slices.Chunk(views, together) {
			loss, g, err := f.gradient(s, part)
			if err != nil {
				return err
			}
			point.Loss += loss * float64(together) / float64(c.Batch)
			if grad == nil {
				grad = g
			} else {
				s.AddInto(grad, g)
			}
		}
		if together < c.Batch {
			s.ScaleInto(grad, float64(together)/float64(c.Batch))
		}
		point.GradNorm = f.opt.Step(s, grad, point.LR, c.WeightDecay, c.Clip)
		if !isFinite(point.Loss) || !isFinite(point.GradNorm) {
			return f.diverged(fmt.Sprintf("loss %g, norm of the gradient %g", point.Loss, point.GradNorm))
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("train: step %d: %w", point.Step, err)
	}
	f.state.Step = point.Step
	last := point.Step == c.last()
	improved := false
	if len(f.job.Validation) > 0 && (last || point.Step%c.ValidateEvery == 0) {
		dice, err := f.validate()
		if err != nil {
			return err
		}
		if dice.Defined() {
			value := float64(dice)
			point.ValDice = &value
		}
		if f.state.BestStep == 0 || dice > f.state.BestDice {
			f.state.BestStep, f.state.BestDice, improved = point.Step, dice, true
		}
	} else if last && len(f.job.Validation) == 0 {
		f.state.BestStep, improved = point.Step, true
	}
	if err := f.log.add(point); err != nil {
		return err
	}
	if improved || last || point.Step%c.CheckpointEvery == 0 {
		if err := f.save(true); err != nil {
			return err
		}
	}
	f.job.Step(point, c.last())
	return nil
}

// validate returns the mean Dice over the validation images, those without a defined one left out.
func (f *fit) validate() (eval.Float, error) {
	var sum float64
	n := 0
	for _, sample := range f.job.Validation {
		err := f.dev.Run(func(s *tensor.Scope) error {
			seg, err := f.job.Predictor.Predict(s, f.opt.Weights(s), sample)
			if err != nil {
				return err
			}
			dice, err := eval.Dice(seg.Mask, sample.Masks[f.job.Target], sample.Valid)
			if err == nil && dice.Defined() {
				sum += float64(dice)
				n++
			}
			return err
		})
		if err != nil {
			return eval.Undefined, fmt.Errorf("validate on %s: %w", sample.ID, err)
		}
	}
	if n == 0 {
		return eval.Undefined, nil
	}
	return eval.Float(sum / float64(n)), nil
}

// finish returns the best step's weights.
func (f *fit) finish() (*Result, error) {
	if err := f.written(); err != nil {
		return nil, err
	}
	validation, err := f.log.validation()
	if err != nil {
		return nil, err
	}
	weights, err := f.best()
	if err != nil {
		return nil, err
	}
	return &Result{
		Validation: validation,
		Steps:      f.state.Step, BestStep: f.state.BestStep, BestDice: f.state.BestDice,
		ResumedAt: f.resumed, Parameters: f.opt.Len(), Weights: weights,
	}, nil
}

func (f *fit) drop() {
	// Freeing does not fail, and the closure has no error of its own.
	_ = f.dev.Run(func(*tensor.Scope) error {
		if f.opt != nil {
			f.opt.Drop()
		}
		for _, p := range f.prompts {
			p.Sparse.Drop()
			p.Dense.Drop()
		}
		for _, e := range f.kept {
			for _, t := range e.tensors() {
				t.Drop()
			}
		}
		return nil
	})
}
