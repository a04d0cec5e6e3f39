package experiment

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/featurecache"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

func (r *Run) tiling() train.Tiling {
	v := r.cfg.Views
	return train.Tiling{Grid: v.Grid, Tile: v.Tile, Feather: v.Feather, MinValid: v.MinValid}
}

// predictor segments with a decoder, and the encoder frozen or tuned as the settings say.
func (r *Run) predictor(name string) (*train.Predictor, error) {
	p, err := r.released(name)
	if err != nil {
		return nil, err
	}
	p.Decoder, err = r.tune(p.Decoder)
	return p, err
}

// released segments with a decoder over the frozen encoder.
func (r *Run) released(name string) (*train.Predictor, error) {
	decoder, err := r.model.NewDecoder(name, r.headFeatures().PriorChannels(r.cfg.Head.Context))
	if err != nil {
		return nil, err
	}
	return &train.Predictor{Model: r.model, Decoder: decoder, Cache: r.cache, Tiling: r.tiling(), Threshold: r.cfg.Eval.Threshold}, nil
}

// encode fills the feature cache with every view that the run will look at.
func (r *Run) encode(ctx context.Context) error {
	wants, err := r.wholeTests(r.split.Test)
	if err != nil {
		return err
	}
	if !r.opt.ZeroShot {
		for _, name := range r.decoders() {
			more, err := r.wants(name)
			if err != nil {
				return err
			}
			wants = append(wants, more...)
		}
	}
	r.results.Seconds.Encode, err = r.fill(ctx, wants)
	return err
}

// wholeTests lists the views that zero-shot looks at.
func (r *Run) wholeTests(tests []data.Entry) ([]train.Want, error) {
	var out []train.Want
	for _, e := range tests {
		sample, err := r.pictures.get(e.ID)
		if err != nil {
			return nil, err
		}
		out = append(out, r.whole(sample))
	}
	return out, nil
}

// whole is the view of a whole picture, which is read again when it is its turn.
func (r *Run) whole(sample *data.Sample) train.Want {
	return train.Want{View: train.Whole(r.model, sample), Features: []string{model.Embedding}}.Later(r.pictures.get)
}

// fill sends the views that are not in the cache through the encoder and returns the seconds that took.
func (r *Run) fill(ctx context.Context, wants []train.Want) (float64, error) {
	began := time.Now()
	var stage Stage
	r.cache.Smaller = func(batch int) {
		r.opt.Progress.Note("encode", fmt.Sprintf("out of memory on %s: going on with %d at a time", r.dev, batch))
	}
	err := r.cache.Fill(ctx, r.model, wants, func(n int) { stage = r.opt.Progress.Begin("encode", n) }, func() { stage.Add(1, "") })
	seconds := time.Since(began).Seconds()
	if err != nil {
		return seconds, err
	}
	remark := fmt.Sprintf("views, %d of them from the cache", r.cache.Found)
	if r.cache.Encoded > 0 {
		remark += fmt.Sprintf(", %.2f s a view", seconds/float64(r.cache.Encoded))
	}
	if r.cache.Homeless > 0 {
		remark += fmt.Sprintf(", %d left for later: the cache's %g GB are full", r.cache.Homeless, r.cfg.Cache.BudgetGB)
	}
	if r.cache.Damaged > 0 {
		remark += fmt.Sprintf(", %d damaged files computed again", r.cache.Damaged)
	}
	stage.End(remark)
	return seconds, nil
}

// zeroShot segments the test cases with the weights as released, prompt by prompt.
func (r *Run) zeroShot(ctx context.Context) error {
	began := time.Now()
	defer func() { r.results.Seconds.Evaluate += time.Since(began).Seconds() }()
	p, err := r.released(decoderPlain)
	if err != nil {
		return err
	}
	stage := r.opt.Progress.Begin("zero-shot", len(r.split.Test)*len(r.cfg.Eval.Prompts))
	answers := make([]map[string]eval.CaseResult, len(r.split.Test))
	kinds := map[string]eval.Prompt{}
	err = r.eachCase(ctx, ids(r.split.Test), func(s *tensor.Scope, i int, sample *data.Sample) error {
		answers[i] = map[string]eval.CaseResult{}
		prompts, err := eval.Prompts(r.cfg.Eval.Prompts, sample, r.target, eval.PromptOptions{Points: r.cfg.Eval.OraclePoints, Grid: r.cfg.Eval.GridPoints, Seed: r.cfg.Seed})
		if err != nil && !errors.Is(err, eval.ErrNoPrompt) { // a case without truth has no oracle prompts
			return err
		}
		for _, prompt := range prompts {
			if err := ctx.Err(); err != nil {
				return err
			}
			answers[i][prompt.Kind], err = r.remembered(prompt.Kind, sample, func() (*train.Segmentation, error) { return p.Prompted(s, sample, prompt) })
			if err != nil {
				return err
			}
			r.mu.Lock()
			kinds[prompt.Kind] = prompt
			r.mu.Unlock()
			stage.Add(1, "")
		}
		return nil
	})
	if err != nil {
		return err
	}
	rows := map[string][]eval.CaseResult{}
	for _, of := range answers {
		for kind, row := range of {
			rows[kind] = append(rows[kind], row)
		}
	}
	summary := ""
	for _, kind := range r.cfg.Eval.Prompts {
		m := eval.MethodOf(kinds[kind].Label, kinds[kind].Oracle, rows[kind], r.cfg.Seed)
		if kind == r.cfg.Eval.Before {
			m.Histogram = r.counted(kind)
		}
		if err := r.inThreeDimensions(kind, rows[kind], m); err != nil {
			return err
		}
		r.results.Before[kind] = m
		r.rows = append(r.rows, rows[kind]...)
		summary += fmt.Sprintf("%s %s   ", m.Label, three(m.Dice.Mean))
	}
	if err := r.trivial(ctx); err != nil {
		return err
	}
	stage.End(fmt.Sprintf("Dice: %s%s %s", summary, r.results.Trivial.Method.Label, three(r.results.Trivial.Dice)))
	return nil
}

// casesTogether bounds the test cases that are under way at a time, and caseBytes what a GPU has to have free for each.
const (
	casesTogether = 8
	caseBytes     = 2 << 30
)

// eachCase calls f for each of some cases, several at a time, each with a scope of its own; r.mu guards what they share. On one
// thread each they take less time, and scores are computed meanwhile.
func (r *Run) eachCase(ctx context.Context, names []string, f func(s *tensor.Scope, i int, sample *data.Sample) error) error {
	together := casesTogether
	if g, err := r.dev.GPU(); err == nil {
		together = max(1, min(together, int(g.Free/caseBytes)))
	}
	return r.dev.Each(len(names), together, func(s *tensor.Scope, i int) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		sample, err := r.pictures.get(names[i])
		if err != nil {
			return err
		}
		return f(s, i, sample)
	})
}

// remembered scores what a zero-shot method makes of a test case, or remembers how that went before.
func (r *Run) remembered(method string, sample *data.Sample, segment func() (*train.Segmentation, error)) (eval.CaseResult, error) {
	kept := memory{dir: featurecache.AnswersIn(r.cfg.Cache.Dir), benchmark: r.bench.Name, forget: r.opt.Again || r.opt.repeats != nil}
	question := r.question(sample, method)
	if a, ok := kept.recall(question); ok {
		r.hold(method, sample, &data.Mask{Width: a.Width, Height: a.Height, Pix: a.Mask}, a.Histogram)
		return caseResult(method, sample, a.Scores), nil
	}
	seg, err := segment()
	if err != nil {
		return eval.CaseResult{}, err
	}
	row, err := r.score(method, sample, seg)
	if err != nil {
		return row, err
	}
	return row, kept.keep(question, &answer{Scores: row.Scores, Width: seg.Mask.Width, Height: seg.Mask.Height, Mask: seg.Mask.Pix, Histogram: r.histogram(sample, seg)})
}

// trivial scores the baseline that calls the whole valid region foreground.
func (r *Run) trivial(ctx context.Context) error {
	rows := make([]eval.CaseResult, len(r.split.Test))
	err := r.eachCase(ctx, ids(r.split.Test), func(_ *tensor.Scope, i int, sample *data.Sample) (err error) {
		rows[i], err = r.remembered(eval.MethodTrivial, sample, func() (*train.Segmentation, error) { return &train.Segmentation{Mask: sample.Valid}, nil })
		return err
	})
	if err != nil {
		return err
	}
	r.results.Trivial = eval.TrivialOf(rows, r.cfg.Seed)
	r.rows = append(r.rows, rows...)
	return r.inThreeDimensions(eval.MethodTrivial, rows, &r.results.Trivial.Method)
}

func three(f eval.Float) string {
	if !f.Defined() {
		return "–"
	}
	return fmt.Sprintf("%.3f", float64(f))
}

// score scores one segmentation and keeps its mask for the overlays and the counts of its probabilities.
func (r *Run) score(method string, sample *data.Sample, seg *train.Segmentation) (eval.CaseResult, error) {
	row, err := r.scoreOne(method, sample, seg)
	if err == nil {
		r.hold(method, sample, seg.Mask, r.histogram(sample, seg))
	}
	return row, err
}

func (r *Run) histogram(sample *data.Sample, seg *train.Segmentation) *eval.Histogram {
	return eval.CountProbabilities(eval.Input{Truth: sample.Masks[r.target], Valid: sample.Valid, Probability: seg.Probability})
}

// hold keeps what is asked of a segmentation later: the mask, packed, where the method is one that may be shown in pictures or the
// picture is a slice of a volume, and the counts of its probabilities.
func (r *Run) hold(method string, sample *data.Sample, mask *data.Mask, h *eval.Histogram) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.held == nil {
		r.held = map[string]*held{}
	}
	if r.held[method] == nil {
		r.held[method] = &held{masks: map[string]packedMask{}}
	}
	if r.opt.ZeroShot || sample.Volume != "" || method == r.cfg.Eval.Before || method == eval.MethodAfter {
		r.held[method].masks[sample.ID] = packMask(mask)
	}
	if h != nil {
		r.held[method].histogram.Add(h)
	}
}

// scoreOne scores one segmentation. It may be called from several goroutines.
func (r *Run) scoreOne(method string, sample *data.Sample, seg *train.Segmentation) (eval.CaseResult, error) {
	var thickness []float64
	if !slices.Contains(eval.PromptKinds(), method) && method != eval.MethodTrivial && len(r.cfg.Eval.Thickness) > 0 {
		thickness = r.cfg.Eval.Thickness
	}
	scores, err := eval.Score(eval.Input{
		Thickness: thickness, Prediction: seg.Mask, Truth: sample.Masks[r.target], Valid: sample.Valid, Probability: seg.Probability,
		Spacing: sample.Spacing, NSDTolerance: r.results.NSDTolerance,
	})
	if err != nil {
		return eval.CaseResult{}, fmt.Errorf("score %s: %w", sample.ID, err)
	}
	return caseResult(method, sample, scores), nil
}

func caseResult(method string, sample *data.Sample, scores eval.Scores) eval.CaseResult {
	return eval.CaseResult{Case: sample.ID, Patient: sample.Patient, Volume: sample.Volume, Method: method, Scores: scores}
}
