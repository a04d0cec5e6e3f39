package experiment

import (
	"context"
	"fmt"
	"time"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
)

// test segments the test cases with a fitted decoder.
func (r *Run) test(ctx context.Context, f *fitted) error {
	began := time.Now()
	defer func() { r.results.Seconds.Evaluate += time.Since(began).Seconds() }()
	method := eval.MethodAfter
	if f.name != r.cfg.Decoder {
		method = f.name
	}
	stage := r.opt.Progress.Begin("test", len(r.split.Test))
	rows := make([]eval.CaseResult, len(r.split.Test))
	err := r.eachCase(ctx, ids(r.split.Test), func(s *tensor.Scope, i int, sample *data.Sample) error {
		seg, err := f.segment(s, sample)
		if err != nil {
			return err
		}
		if rows[i], err = r.score(method, sample, seg); err != nil {
			return err
		}
		stage.Add(1, fmt.Sprintf("%s Dice %s", sample.ID, three(rows[i].Dice)))
		return nil
	})
	if err != nil {
		return err
	}
	summary, err := r.tested(f, method, rows)
	if err != nil {
		return err
	}
	stage.End(fmt.Sprintf("%s decoder: mean Dice %s", f.name, three(summary.Dice.Mean)))
	return nil
}

// tested notes what a decoder made of the test cases and compares with zero-shot.
func (r *Run) tested(f *fitted, method string, rows []eval.CaseResult) (*eval.Method, error) {
	summary := eval.MethodOf("fine-tuned "+f.name+" decoder"+r.tuned(f.name), false, rows, r.cfg.Seed)
	if f.name == decoderLinear {
		summary.Label = "convex head"
	}
	summary.Histogram = r.counted(method)
	if err := r.inThreeDimensions(method, rows, summary); err != nil {
		return nil, err
	}
	paired, err := eval.Compare(r.cfg.Eval.Before, r.rowsOf(r.cfg.Eval.Before), rows, r.cfg.Seed)
	if err != nil {
		return nil, err
	}
	r.rows = append(r.rows, rows...)
	if method == eval.MethodAfter {
		r.results.After, r.results.AfterPrompt, r.results.Paired, r.results.Training = summary, f.prompt, paired, f.training
		return summary, nil
	}
	r.results.Others = append(r.results.Others, eval.Other{Key: method, Method: *summary, Prompt: f.prompt, Training: f.training, Paired: paired})
	return summary, nil
}

func (r *Run) rowsOf(method string) []eval.CaseResult {
	var out []eval.CaseResult
	for _, row := range r.rows {
		if row.Method == method {
			out = append(out, row)
		}
	}
	return out
}

// against compares the run's own decoder with each of the others, case by case.
func (r *Run) against() error {
	for i := range r.results.Others {
		o := &r.results.Others[i]
		var err error
		if o.Against, err = eval.Compare(o.Key, r.rowsOf(o.Key), r.rowsOf(eval.MethodAfter), r.cfg.Seed); err != nil {
			return err
		}
	}
	return nil
}
