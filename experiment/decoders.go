package experiment

import (
	"context"
	"fmt"
	"maps"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// Decoders that a run can fit.
const (
	decoderPlain  = "plain"
	decoderLinear = "linear"
	decoderFine   = "fine"
)

// Ways to find the best step of a training inside the shots.
const (
	stopHoldout     = "holdout"
	stopLeaveOneOut = "leave_one_out"
)

// decoderNames lists them.
func decoderNames() []string { return []string{decoderPlain, decoderLinear, decoderFine} }

// decoders lists the run's decoders, each once: the linear one first, its own last unless that is it. The fine
// one corrects the linear one, which is therefore always fitted and shown with it.
func (r *Run) decoders() []string {
	var out []string
	for _, name := range append(slices.Clone(r.cfg.Compare), r.cfg.Decoder) {
		if i := slices.Index(out, name); i >= 0 {
			out = slices.Delete(out, i, i+1)
		}
		out = append(out, name)
	}
	if i := slices.Index(out, decoderLinear); i >= 0 {
		out = slices.Delete(out, i, i+1)
	} else if !slices.Contains(out, decoderFine) {
		return out
	}
	return append([]string{decoderLinear}, out...)
}

// fitted is a decoder after it was fitted on the shots.
type fitted struct {
	name     string
	prompt   string // what it is prompted with, in words
	training eval.Training
	segment  func(s *tensor.Scope, sample *data.Sample) (*train.Segmentation, error)
	drop     func()
}

// shots are the pictures that a fit without validation may use.
func (r *Run) shots() []*data.Sample {
	return append(r.list(r.split.Train), r.list(r.split.Validation)...)
}

// wants lists the views that a decoder looks at, with the features that it wants of them.
func (r *Run) wants(name string) ([]train.Want, error) {
	var out []train.Want
	for _, e := range slices.Concat(r.split.Train, r.split.Validation, r.split.Test) {
		sample, err := r.pictures.get(e.ID)
		if err != nil {
			return nil, err
		}
		more, err := r.views(name, sample)
		if err != nil {
			return nil, err
		}
		out = append(out, more...)
	}
	return out, nil
}

// views lists the views of a picture that a decoder looks at. The picture is read again when it is their turn.
func (r *Run) views(name string, sample *data.Sample) ([]train.Want, error) {
	var out []train.Want
	if name != decoderPlain {
		out = r.headFeatures().Pyramid.Wants(r.model, sample)
	}
	if name != decoderLinear {
		p, err := r.predictor(name)
		if err != nil {
			return nil, err
		}
		for _, v := range p.Tiling.Views(r.model, sample) {
			out = append(out, train.Want{View: v, Features: p.Decoder.Features()})
		}
	}
	for i := range out {
		out[i] = out[i].Later(r.pictures.get)
	}
	return out, nil
}

// store opens the folder of a decoder's checkpoints.
func (r *Run) store(name string) (*checkpoints.Store, error) {
	return checkpoints.OpenStore(filepath.Join(r.Dir, CheckpointsDir, name),
		checkpoints.StoreOptions{Identity: r.hash, Keep: r.cfg.Train.Keep, Versions: r.results.Versions})
}

// trainLog is where a decoder's training is logged.
func (r *Run) trainLog(name string) string {
	if name == r.cfg.Decoder {
		return filepath.Join(r.Dir, TrainLogFile)
	}
	return filepath.Join(r.Dir, "train."+name+".jsonl")
}

// fineTune fits every decoder of the run on the shots and segments the test cases with each.
func (r *Run) fineTune(ctx context.Context) error {
	for _, name := range r.decoders() {
		began := time.Now()
		f, err := r.fit(ctx, name)
		if err != nil {
			return err
		}
		f.training.Seconds = time.Since(began).Seconds()
		r.results.Seconds.Train += f.training.Seconds
		err = r.test(ctx, f)
		f.drop()
		if err != nil {
			return err
		}
	}
	return r.against()
}

func (r *Run) fit(ctx context.Context, name string) (*fitted, error) {
	store, err := r.store(name)
	if err != nil {
		return nil, err
	}
	if name == decoderLinear {
		return r.fitLinear(ctx, store)
	}
	return r.fitTrained(ctx, name, store)
}

// headFeatures gives the features of the run's convex head.
func (r *Run) headFeatures() *train.HeadFeatures {
	h := r.cfg.Head
	return &train.HeadFeatures{Model: r.model, Cache: r.cache, Pyramid: train.Pyramid{
		Scales: h.Scales, Mirrors: h.Mirrors, Features: h.Features, Whole: h.Whole,
	}}
}

func (r *Run) headConfig() train.HeadConfig {
	c := r.cfg.Head
	return train.HeadConfig{Pixels: c.Pixels, Ridges: c.Ridges, Threshold: c.Threshold, Dice: c.Dice, Positive: c.Positive, Context: c.Context}
}

// fitHead fits the convex head on the shots.
func (r *Run) fitHead(ctx context.Context) (*train.HeadFeatures, *train.Head, error) {
	h := r.headFeatures()
	stage := r.opt.Progress.Begin("fit", 0)
	began := time.Now()
	heads, err := train.FitHeads(ctx, h, r.headConfig(), []train.HeadTask{{Target: r.target, Train: r.shots()}}, func() { stage.Add(1, "") })
	if err != nil {
		stage.End("")
		return nil, nil, err
	}
	head := heads[0]
	stage.End(fmt.Sprintf("convex head over %d features in %.1f s: left out of the fit Dice %s at ridge %g, threshold %s",
		len(head.Weight), time.Since(began).Seconds(), three(head.LeftOut), head.Ridge, report.Threshold(head.Threshold)))
	return h, head, nil
}

// fitLinear fits the convex head alone.
func (r *Run) fitLinear(ctx context.Context, store *checkpoints.Store) (*fitted, error) {
	h, head, err := r.fitHead(ctx)
	if err != nil {
		return nil, err
	}
	if err := train.SaveHead(store, h, head); err != nil {
		return nil, err
	}
	r.prior = &train.Prior{Features: h, Head: head, Train: r.shots()}
	f := r.linear(h, head)
	f.training.TrainCases = append(ids(r.split.Train), ids(r.split.Validation)...)
	return f, nil
}

func (r *Run) linear(h *train.HeadFeatures, head *train.Head) *fitted {
	return &fitted{
		name: decoderLinear, prompt: "no prompt",
		training: eval.Training{
			Decoder: decoderLinear, Parameters: head.Parameters(), BestDice: eval.Undefined,
			LeftOutDice: head.LeftOut, Ridge: head.Ridge, Threshold: head.Threshold,
		},
		segment: func(s *tensor.Scope, sample *data.Sample) (*train.Segmentation, error) {
			return h.Segment(s, sample, head)
		},
		drop: func() {},
	}
}

// fitTrained trains a decoder by gradient descent.
func (r *Run) fitTrained(ctx context.Context, name string, store *checkpoints.Store) (*fitted, error) {
	p, err := r.predictor(name)
	if err != nil {
		return nil, err
	}
	p.Prior = r.prior
	job := &train.Job{
		Predictor: p, Target: r.target, Train: r.list(r.split.Train), Validation: r.list(r.split.Validation), Store: store, LogPath: r.trainLog(name),
		Config: r.trainConfig(), Warn: func(message string) { r.opt.Progress.Note("warning", message) },
	}
	training := eval.Training{TrainCases: ids(r.split.Train), Validation: ids(r.split.Validation), LeftOutDice: eval.Undefined}
	if r.cfg.Train.Stopping == stopLeaveOneOut && len(r.shots()) > 1 {
		if job.Config.Stop, training.LeftOutDice, err = r.leaveOneOut(ctx, name, job); err != nil {
			return nil, err
		}
		job.Train, job.Validation = r.shots(), nil
		training.TrainCases, training.Validation = append(training.TrainCases, training.Validation...), nil
	}
	result, err := r.trainShown(ctx, name, name+" decoder", job)
	if err != nil {
		return nil, err
	}
	f := r.trained(p, result.Weights)
	f.training = training
	f.training.Decoder, f.training.Steps, f.training.BestStep, f.training.BestDice = name, result.Steps, result.BestStep, result.BestDice
	f.training.ResumedAt, f.training.Parameters, f.training.Threshold = result.ResumedAt, result.Parameters, p.Threshold
	return f, nil
}

func (r *Run) trainConfig() train.Config {
	c := r.cfg.Train
	return train.Config{
		Steps: c.Steps, Batch: c.Batch, LR: c.LR, WeightDecay: c.WeightDecay, Warmup: c.Warmup, Clip: c.Clip, Flips: c.Flips,
		ValidateEvery: c.ValidateEvery, CheckpointEvery: c.CheckpointEvery, Seed: r.cfg.Seed,
		Loss: train.LossConfig(c.Loss),
	}
}

// trainShown trains with a progress bar, and for TensorBoard under a name.
func (r *Run) trainShown(ctx context.Context, name, what string, job *train.Job) (*train.Result, error) {
	events, err := r.createEvents(name, trainEvents)
	if err != nil {
		return nil, err
	}
	defer events.Close()
	job.Logged = func(p train.Point) error { return logEvents(events, p) }
	steps := job.Config.Steps
	if job.Config.Stop > 0 {
		steps = job.Config.Stop
	}
	stage := r.opt.Progress.Begin("train", steps)
	job.Resumed = func(step int) {
		stage.Add(step, "")
		r.opt.Progress.Note("train", fmt.Sprintf("resumed at step %d", step))
	}
	job.Step = func(p train.Point, _ int) {
		remark := fmt.Sprintf("loss %.3f", p.Loss)
		if p.ValDice != nil {
			remark += fmt.Sprintf(", validation Dice %.3f", *p.ValDice)
		}
		stage.Add(1, remark)
	}
	result, err := train.Fit(ctx, job)
	if err != nil {
		stage.End("")
		return nil, err
	}
	stage.End(what + ", " + bestRemark(result))
	return result, nil
}

// leaveOneOut trains once without each patient's shots and returns the step at which those that were left out
// came out best on average, and their mean Dice there. Where all are of one patient each shot is left out. Each of the trainings goes on where it was cut.
func (r *Run) leaveOneOut(ctx context.Context, name string, job *train.Job) (step int, dice eval.Float, err error) {
	shots := r.shots()
	sum, count := map[int]float64{}, map[int]int{}
	for i, together := range train.LeaveOut(shots) {
		if together[0] < i { // left out with the first of them
			continue
		}
		fold := *job
		fold.Train, fold.Validation = nil, nil
		var out []string
		for k, s := range shots {
			if slices.Contains(together, k) {
				fold.Validation, out = append(fold.Validation, s), append(out, s.ID)
			} else {
				fold.Train = append(fold.Train, s)
			}
		}
		part := filepath.Join(name, "without-"+strconv.Itoa(i+1))
		if fold.Store, err = r.store(part); err != nil {
			return 0, dice, err
		}
		fold.LogPath = filepath.Join(r.Dir, fmt.Sprintf("train.%s.without-%d.jsonl", name, i+1))
		result, err := r.trainShown(ctx, part, fmt.Sprintf("%s decoder without %s", name, strings.Join(out, ", ")), &fold)
		if err != nil {
			return 0, dice, err
		}
		result.Weights.DropOn(r.dev)
		for step, d := range result.Validation {
			if d.Defined() {
				sum[step] += float64(d)
				count[step]++
			}
		}
	}
	dice = eval.Undefined
	for _, at := range slices.Sorted(maps.Keys(sum)) {
		if mean := eval.Float(sum[at] / float64(count[at])); !dice.Defined() || mean > dice {
			step, dice = at, mean
		}
	}
	return step, dice, nil
}

func (r *Run) trained(p *train.Predictor, weights model.Weights) *fitted {
	return &fitted{
		name: p.Decoder.Name(), prompt: "box around each view",
		segment: func(s *tensor.Scope, sample *data.Sample) (*train.Segmentation, error) {
			return p.Predict(s, weights, sample)
		},
		drop: func() { weights.DropOn(r.dev) },
	}
}

func bestRemark(f *train.Result) string {
	if !f.BestDice.Defined() {
		return fmt.Sprintf("%d steps; no validation images, so the last step is taken", f.Steps)
	}
	return fmt.Sprintf("%d steps, best at %d: validation Dice %s", f.Steps, f.BestStep, three(f.BestDice))
}

func ids(entries []data.Entry) []string {
	out := make([]string, len(entries))
	for i, e := range entries {
		out[i] = e.ID
	}
	return out
}
