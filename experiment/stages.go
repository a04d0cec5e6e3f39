package experiment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

func (r *Run) tiling() train.Tiling {
	v := r.cfg.Views
	return train.Tiling{Grid: v.Grid, Tile: v.Tile, Feather: v.Feather, MinValid: v.MinValid}
}

func (r *Run) predictor() (*train.Predictor, error) {
	decoder, err := r.model.NewDecoder(r.cfg.Decoder)
	if err != nil {
		return nil, err
	}
	return &train.Predictor{Model: r.model, Decoder: decoder, Cache: r.cache, Tiling: r.tiling(), Threshold: r.cfg.Eval.Threshold}, nil
}

// encode fills the feature cache with every view that the run will look at.
func (r *Run) encode(ctx context.Context) error {
	p, err := r.predictor()
	if err != nil {
		return err
	}
	var views []train.View
	for _, s := range r.list(r.split.Test) {
		views = append(views, train.Whole(r.model, s))
	}
	if !r.opt.ZeroShot {
		for _, s := range r.list(r.split.Train) {
			views = append(views, p.Tiling.Training(r.model, s)...)
		}
		for _, entries := range [][]data.Entry{r.split.Validation, r.split.Test} {
			for _, s := range r.list(entries) {
				views = append(views, p.Tiling.Views(r.model, s)...)
			}
		}
	}
	r.results.Seconds.Encode, err = r.fill(ctx, p, views)
	return err
}

// fill sends the views that are not in the cache through the encoder and returns the seconds that took.
func (r *Run) fill(ctx context.Context, p *train.Predictor, views []train.View) (float64, error) {
	began := time.Now()
	views = distinct(views)
	stage := r.opt.Progress.Begin("encode", len(views))
	err := r.cache.Fill(ctx, r.model, views, p.Decoder.Features(), func() { stage.Add(1, "") })
	seconds := time.Since(began).Seconds()
	if err != nil {
		return seconds, err
	}
	remark := fmt.Sprintf("views, %d of them from the cache", r.cache.Found)
	if r.cache.Encoded > 0 {
		remark += fmt.Sprintf(", %.2f s a view", seconds/float64(r.cache.Encoded))
	}
	if r.cache.Damaged > 0 {
		remark += fmt.Sprintf(", %d damaged files computed again", r.cache.Damaged)
	}
	stage.End(remark)
	return seconds, nil
}

// distinct drops views that are there already: with one view a picture, the whole one is in twice.
func distinct(views []train.View) []train.View {
	type key struct{ image, geometry string }
	seen := map[key]bool{}
	out := views[:0]
	for _, v := range views {
		k := key{v.Image, v.Geometry.String()}
		if !seen[k] {
			seen[k] = true
			out = append(out, v)
		}
	}
	return out
}

// zeroShot segments the test cases with the weights as released, prompt by prompt.
func (r *Run) zeroShot(ctx context.Context) error {
	began := time.Now()
	defer func() { r.results.Seconds.Evaluate += time.Since(began).Seconds() }()
	p, err := r.predictor()
	if err != nil {
		return err
	}
	tests := r.list(r.split.Test)
	stage := r.opt.Progress.Begin("zero-shot", len(tests)*len(r.cfg.Eval.Prompts))
	rows := map[string][]eval.CaseResult{}
	kinds := map[string]eval.Prompt{}
	for _, sample := range tests {
		prompts, err := eval.Prompts(r.cfg.Eval.Prompts, sample, r.target, eval.PromptOptions{Points: r.cfg.Eval.OraclePoints, Seed: r.cfg.Seed})
		if err != nil && !errors.Is(err, eval.ErrNoPrompt) { // a case without truth has no oracle prompts
			return err
		}
		for _, prompt := range prompts {
			if err := ctx.Err(); err != nil {
				return err
			}
			var seg *train.Segmentation
			err := r.dev.Run(func(s *tensor.Scope) (err error) {
				seg, err = p.Prompted(s, sample, prompt)
				return err
			})
			if err != nil {
				return err
			}
			row, err := r.score(prompt.Kind, sample, seg)
			if err != nil {
				return err
			}
			kinds[prompt.Kind] = prompt
			rows[prompt.Kind] = append(rows[prompt.Kind], row)
			stage.Add(1, "")
		}
	}
	summary := ""
	for _, kind := range r.cfg.Eval.Prompts {
		m := eval.MethodOf(kinds[kind].Label, kinds[kind].Oracle, rows[kind], r.cfg.Seed)
		r.results.Before[kind] = m
		r.rows = append(r.rows, rows[kind]...)
		summary += fmt.Sprintf("%s %s   ", m.Label, three(m.Dice.Mean))
	}
	if err := r.trivial(tests); err != nil {
		return err
	}
	stage.End(fmt.Sprintf("Dice: %s%s %s", summary, r.results.Trivial.Method.Label, three(r.results.Trivial.Dice)))
	return nil
}

// trivial scores the baseline that calls the whole valid region foreground.
func (r *Run) trivial(tests []*data.Sample) error {
	var rows []eval.CaseResult
	for _, sample := range tests {
		row, err := r.score(eval.MethodTrivial, sample, &train.Segmentation{Mask: sample.Valid})
		if err != nil {
			return err
		}
		rows = append(rows, row)
	}
	r.results.Trivial = eval.TrivialOf(rows, r.cfg.Seed)
	r.rows = append(r.rows, rows...)
	return nil
}

func three(f eval.Float) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%.3f", float64(f))
}

// score scores one segmentation and keeps its mask for the overlays.
func (r *Run) score(method string, sample *data.Sample, seg *train.Segmentation) (eval.CaseResult, error) {
	if r.masks == nil {
		r.masks = map[string]map[string]*data.Mask{}
	}
	if r.masks[method] == nil {
		r.masks[method] = map[string]*data.Mask{}
	}
	r.masks[method][sample.ID] = seg.Mask
	scores, err := eval.Score(eval.Input{
		Prediction: seg.Mask, Truth: sample.Masks[r.target], Valid: sample.Valid, Probability: seg.Probability,
		Spacing: sample.Spacing, NSDTolerance: r.results.NSDTolerance,
	})
	if err != nil {
		return eval.CaseResult{}, fmt.Errorf("score %s: %w", sample.ID, err)
	}
	return eval.CaseResult{Case: sample.ID, Patient: sample.Patient, Method: method, Scores: scores}, nil
}

// fineTune trains the decoder and segments the test cases with the best step's weights.
func (r *Run) fineTune(ctx context.Context) error {
	began := time.Now()
	p, err := r.predictor()
	if err != nil {
		return err
	}
	store, err := checkpoints.OpenStore(filepath.Join(r.Dir, CheckpointsDir), checkpoints.StoreOptions{Identity: r.hash, Keep: r.cfg.Train.Keep, Versions: r.results.Versions})
	if err != nil {
		return err
	}
	c := r.cfg.Train
	stage := r.opt.Progress.Begin("train", c.Steps)
	fitted, err := train.Fit(ctx, &train.Job{
		Predictor: p, Target: r.target, Train: r.list(r.split.Train), Validation: r.list(r.split.Validation), Store: store,
		LogPath: filepath.Join(r.Dir, TrainLogFile),
		Config: train.Config{
			Steps: c.Steps, Batch: c.Batch, LR: c.LR, WeightDecay: c.WeightDecay, Warmup: c.Warmup, Clip: c.Clip, Flips: c.Flips,
			ValidateEvery: c.ValidateEvery, CheckpointEvery: c.CheckpointEvery, Seed: r.cfg.Seed,
		},
		Resumed: func(step int) {
			stage.Add(step, "")
			r.opt.Progress.Note("train", fmt.Sprintf("resumed at step %d", step))
		},
		Warn: func(message string) { r.opt.Progress.Note("warning", message) },
		Step: func(p train.Point, steps int) {
			remark := fmt.Sprintf("loss %.3f", p.Loss)
			if p.ValDice != nil {
				remark += fmt.Sprintf(", validation Dice %.3f", *p.ValDice)
			}
			stage.Add(1, remark)
		},
	})
	if err != nil {
		stage.End("")
		return err
	}
	defer fitted.Weights.DropOn(r.dev)
	stage.End(bestRemark(fitted))
	r.results.Training = eval.Training{
		Decoder: r.cfg.Decoder, Steps: fitted.Steps, BestStep: fitted.BestStep, BestDice: fitted.BestDice, ResumedAt: fitted.ResumedAt,
		Parameters: fitted.Parameters, TrainCases: ids(r.split.Train), Validation: ids(r.split.Validation),
	}
	r.results.Seconds.Train = time.Since(began).Seconds()
	return r.test(ctx, p, fitted.Weights)
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

// test segments the test cases with fine-tuned weights and compares with zero-shot.
func (r *Run) test(ctx context.Context, p *train.Predictor, weights model.Weights) error {
	began := time.Now()
	defer func() { r.results.Seconds.Evaluate += time.Since(began).Seconds() }()
	tests := r.list(r.split.Test)
	stage := r.opt.Progress.Begin("test", len(tests))
	var err error
	var rows []eval.CaseResult
	for _, sample := range tests {
		if err := ctx.Err(); err != nil {
			return err
		}
		var seg *train.Segmentation
		err := r.dev.Run(func(s *tensor.Scope) (err error) {
			seg, err = p.Predict(s, weights, sample)
			return err
		})
		if err != nil {
			return err
		}
		row, err := r.score(eval.MethodAfter, sample, seg)
		if err != nil {
			return err
		}
		rows = append(rows, row)
		stage.Add(1, fmt.Sprintf("%s Dice %s", sample.ID, three(row.Dice)))
	}
	r.results.After = eval.MethodOf("fine-tuned "+r.cfg.Decoder+" decoder", false, rows, r.cfg.Seed)
	r.results.AfterPrompt = "box around each view"
	stage.End("mean Dice " + three(r.results.After.Dice.Mean))
	var before []eval.CaseResult
	for _, row := range r.rows {
		if row.Method == r.cfg.Eval.Before {
			before = append(before, row)
		}
	}
	if r.results.Paired, err = eval.Compare(r.cfg.Eval.Before, before, rows, r.cfg.Seed); err != nil {
		return err
	}
	r.rows = append(r.rows, rows...)
	return nil
}
