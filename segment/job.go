package segment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"samtune/data"
	"samtune/eval"
	"samtune/model"
)

// ErrPrompt says that what was asked for does not fit the image or itself.
var ErrPrompt = errors.New("unusable prompt")

// Ways to choose among the masks that SAM answers a prompt with.
const (
	ChooseIoU    = "iou"    // the one that SAM itself thinks best
	ChooseOracle = "oracle" // the one with the highest Dice against the truth
)

// Job is what is asked of one picture.
type Job struct {
	Image string // its file

	Objects []eval.Object // each is segmented apart; those that name another image are passed over
	Policy  string        // a kind of eval.Prompts that makes the prompt instead; empty: none
	Drawn   eval.PromptOptions

	Everything *EverythingOptions // masks all over the picture instead of prompts; nil: no
	Union      UnionRule          // of those masks, without looking at the truth

	Multimask bool   // SAM's three masks for what could mean several things; otherwise its single one
	Choose    string // ChooseIoU or ChooseOracle
	Truth     string // file of the true mask; empty: none
	Valid     string // file of the region that counts; empty: the whole picture
}

// Result is what a job found.
type Result struct {
	Image      string       `json:"image"`
	Width      int          `json:"width"`
	Height     int          `json:"height"`
	Model      string       `json:"model"`
	Weights    string       `json:"weights_sha256"`
	Choice     string       `json:"choice,omitempty"` // how a mask was chosen among several: ChooseIoU or ChooseOracle
	Objects    []Answer     `json:"objects,omitempty"`
	Everything []Mask       `json:"everything,omitempty"`
	Dice       []Comparison `json:"dice,omitempty"` // with the truth, where there is one
	Seconds    Seconds      `json:"seconds"`

	searched bool // for masks all over the picture, of which there may be none
	picture  *data.Image
	valid    *data.Mask
	truth    *data.Mask
}

// Seconds is how long the parts of a job took.
type Seconds struct {
	Encode float64 `json:"encode"`
	Masks  float64 `json:"masks"`
}

// Answer is SAM's answer to one object's prompt.
type Answer struct {
	ID         string   `json:"id"`
	Asked      Asked    `json:"asked"`
	Candidates []Choice `json:"candidates"`
	Chosen     int      `json:"chosen"` // which candidate
	Oracle     bool     `json:"oracle"` // the prompt or the choice was made with the truth
	mask       *data.Mask
	prompt     eval.Prompt
}

// Asked is a prompt as the record of a job holds it.
type Asked struct {
	Kind   string       `json:"kind,omitempty"`
	Points [][2]float64 `json:"points,omitempty"` // x, y
	Labels []int        `json:"labels,omitempty"`
	Box    *[4]float64  `json:"box,omitempty"` // x0, y0, x1, y1
	Mask   string       `json:"mask,omitempty"`
}

// Choice is a candidate as the record of a job holds it.
type Choice struct {
	PredictedIoU float64     `json:"predicted_iou"`
	Area         int         `json:"area"`
	Dice         *eval.Float `json:"dice,omitempty"`
	RLE          RLE         `json:"segmentation"`
}

// Comparison is a mask's Dice with the truth.
type Comparison struct {
	What   string     `json:"what"`
	Dice   eval.Float `json:"dice"`
	Oracle bool       `json:"oracle"`
}

// Do answers a job with a model. progress (nil: none) is told how many of all prompts are answered.
func (j Job) Do(ctx context.Context, m *model.Model, progress func(done, total int)) (*Result, error) {
	r := &Result{Image: filepath.Base(j.Image), Model: m.Spec.Name, Weights: m.SHA256}
	if err := j.read(r); err != nil {
		return nil, err
	}
	objects, err := j.objects(r)
	if err != nil {
		return nil, fmt.Errorf("%w for %q: %w", ErrPrompt, j.Image, err)
	}
	if j.Everything != nil {
		began := time.Now()
		r.searched = true
		if r.Everything, err = Everything(ctx, m, r.picture, *j.Everything, progress); err != nil {
			return nil, err
		}
		r.Seconds.Masks = time.Since(began).Seconds()
		return r, j.compareEverything(r)
	}
	began := time.Now()
	p, err := Open(m, r.picture)
	if err != nil {
		return nil, err
	}
	defer p.Close()
	r.Seconds.Encode = time.Since(began).Seconds()
	began = time.Now()
	if j.Multimask {
		r.Choice = j.Choose
	}
	for i, o := range objects {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		a, err := j.answer(p, r, o)
		if err != nil {
			return nil, fmt.Errorf("object %s: %w", o.ID, err)
		}
		r.Objects = append(r.Objects, *a)
		if progress != nil {
			progress(i+1, len(objects))
		}
	}
	r.Seconds.Masks = time.Since(began).Seconds()
	return r, r.compareObjects()
}

// read reads the picture and the masks that come with it.
func (j Job) read(r *Result) (err error) {
	if r.picture, err = data.ReadImage(j.Image); err != nil {
		return err
	}
	r.Width, r.Height = r.picture.Width, r.picture.Height
	r.valid = data.FullMask(r.Width, r.Height)
	if j.Valid != "" {
		if r.valid, err = data.ReadMaskFor(j.Valid, j.Image, r.picture); err != nil {
			return err
		}
	}
	if j.Truth != "" {
		r.truth, err = data.ReadMaskFor(j.Truth, j.Image, r.picture)
	}
	return err
}

// objects are the job's prompts for this image, checked against its size.
func (j Job) objects(r *Result) ([]eval.Object, error) {
	switch {
	case j.Choose != ChooseIoU && j.Choose != ChooseOracle:
		return nil, fmt.Errorf("choice %q, want %s or %s", j.Choose, ChooseIoU, ChooseOracle)
	case j.Choose == ChooseOracle && r.truth == nil:
		return nil, fmt.Errorf("the oracle's choice needs the true mask")
	case j.Everything != nil:
		return nil, nil
	case j.Policy != "":
		prompt, err := j.drawn(r)
		return []eval.Object{{ID: j.Policy, Prompt: prompt}}, err
	}
	name := filepath.Base(j.Image)
	var out []eval.Object
	var others []string
	for _, o := range j.Objects {
		if o.Image != "" && o.Image != name {
			others = append(others, o.Image)
			continue
		}
		if o.MaskFile != "" {
			mask, err := data.ReadMaskFor(o.MaskFile, j.Image, r.picture)
			if err != nil {
				return nil, fmt.Errorf("object %s: %w", o.ID, err)
			}
			o.Prompt.Mask = mask
		}
		if err := o.Prompt.Check(r.Width, r.Height); err != nil {
			return nil, fmt.Errorf("object %s: %w", o.ID, err)
		}
		if slices.ContainsFunc(out, func(other eval.Object) bool { return other.ID == o.ID }) {
			return nil, fmt.Errorf("two objects are called %q", o.ID)
		}
		out = append(out, o)
	}
	if len(out) == 0 && len(others) > 0 {
		return nil, fmt.Errorf("no prompt is for %q: they are for %s", name, strings.Join(slices.Compact(others), ", "))
	}
	if len(out) == 0 {
		out = []eval.Object{{ID: "none"}} // SAM is asked without a prompt
	}
	return out, nil
}

// drawn makes the prompt of the job's policy.
func (j Job) drawn(r *Result) (eval.Prompt, error) {
	truth := r.truth
	if truth == nil {
		if eval.IsOracle(j.Policy) {
			return eval.Prompt{}, fmt.Errorf("policy %s needs the true mask", j.Policy)
		}
		truth = data.NewMask(r.Width, r.Height)
	}
	const target = "truth"
	sample := &data.Sample{ID: r.Image, Image: r.picture, Masks: map[string]*data.Mask{target: truth}, Valid: r.valid}
	prompts, err := eval.Prompts([]string{j.Policy}, sample, target, j.Drawn)
	if err != nil {
		return eval.Prompt{}, err
	}
	return prompts[0], nil
}

// answer asks for one object. Parts and clicks are followed with SAM's single mask or, with multimask, the chosen one.
func (j Job) answer(p *Picture, r *Result, o eval.Object) (*Answer, error) {
	a := &Answer{ID: o.ID, prompt: o.Prompt, Oracle: o.Prompt.Oracle || j.Multimask && j.Choose == ChooseOracle}
	ask := func(prompt eval.Prompt, before []float32) ([]Candidate, int, error) {
		candidates, err := p.Ask(prompt, before, j.Multimask)
		if err != nil {
			return nil, 0, err
		}
		if j.Choose == ChooseOracle {
			best, _, err := Oracle(candidates, r.truth, r.valid)
			return candidates, best, err
		}
		return candidates, Likeliest(candidates), nil
	}
	var candidates []Candidate
	var err error
	switch {
	case o.Prompt.Clicks != nil:
		var before []float32
		a.prompt, err = o.Prompt.Clicks.Click(func(prompt eval.Prompt) (*data.Mask, error) {
			var err error
			if candidates, a.Chosen, err = ask(prompt, before); err != nil {
				return nil, err
			}
			before = candidates[a.Chosen].LowRes
			return candidates[a.Chosen].Mask, nil
		})
	case len(o.Prompt.Parts) > 0:
		union := Candidate{Mask: data.NewMask(r.Width, r.Height)}
		for _, part := range o.Prompt.Parts {
			found, best, err := ask(part, nil)
			if err != nil {
				return nil, err
			}
			for i, v := range found[best].Mask.Pix {
				union.Mask.Pix[i] |= v
			}
			union.IoU += found[best].IoU / float64(len(o.Prompt.Parts))
			a.prompt.Points, a.prompt.Labels = append(a.prompt.Points, part.Points...), append(a.prompt.Labels, part.Labels...)
		}
		candidates = []Candidate{union}
	default:
		candidates, a.Chosen, err = ask(o.Prompt, nil)
	}
	if err != nil {
		return nil, err
	}
	if candidates == nil { // an oracle that had nothing to click at
		candidates = []Candidate{{Mask: data.NewMask(r.Width, r.Height)}}
	}
	a.Asked = Asked{Kind: o.Prompt.Kind, Points: a.prompt.Points, Labels: a.prompt.Labels, Box: a.prompt.Box, Mask: o.MaskFile}
	a.mask = candidates[a.Chosen].Mask
	for _, c := range candidates {
		choice := Choice{PredictedIoU: c.IoU, Area: c.Mask.Count(), RLE: NewRLE(c.Mask)}
		if r.truth != nil {
			dice, err := eval.Dice(c.Mask, r.truth, r.valid)
			if err != nil {
				return nil, err
			}
			choice.Dice = &dice
		}
		a.Candidates = append(a.Candidates, choice)
	}
	return a, nil
}

// Masks are the masks to show: the chosen one of each object, or all that were found, the largest first.
func (r *Result) Masks() []*data.Mask {
	var out []*data.Mask
	for _, a := range r.Objects {
		out = append(out, a.mask)
	}
	found := slices.Clone(r.Everything)
	slices.SortStableFunc(found, func(a, b Mask) int { return b.Area - a.Area })
	for _, m := range found {
		out = append(out, m.RLE.Mask())
	}
	return out
}

// compareObjects scores the union of the objects' masks.
func (r *Result) compareObjects() error {
	if r.truth == nil || len(r.Objects) < 2 { // of a single object its answer says it
		return nil
	}
	union, oracle := data.NewMask(r.Width, r.Height), false
	for _, a := range r.Objects {
		for i, v := range a.mask.Pix {
			union.Pix[i] |= v
		}
		oracle = oracle || a.Oracle
	}
	return r.compare("all objects", union, oracle)
}

// compareEverything scores the study's protocol: the mask that overlaps the truth best, and the union by the rule.
func (j Job) compareEverything(r *Result) error {
	if r.truth == nil {
		return nil
	}
	best, dice, err := BestOverlap(r.Everything, r.truth, r.valid)
	if err != nil {
		return err
	}
	if best >= 0 {
		r.Dice = append(r.Dice, Comparison{fmt.Sprintf("mask %d, which overlaps the truth best", best), dice, true})
	}
	union, chosen, err := Union(r.Everything, j.Union, r.Width, r.Height)
	if err != nil {
		return err
	}
	return r.compare(fmt.Sprintf("union of the %d masks that the rule chooses", chosen), union, false)
}

func (r *Result) compare(what string, mask *data.Mask, oracle bool) error {
	dice, err := eval.Dice(mask, r.truth, r.valid)
	if err != nil {
		return err
	}
	r.Dice = append(r.Dice, Comparison{what, dice, oracle})
	return nil
}
