package eval

import (
	"errors"
	"fmt"
	"slices"
	"strings"

	"samtune/data"
)

// ErrNoPrompt says that an oracle prompt can't be made, as the case's truth is empty.
var ErrNoPrompt = errors.New("no prompt can be made from an empty truth")

// The kinds of prompts, which are also the keys of Results.Before.
const (
	PromptNone        = "none"         // nothing
	PromptBox         = "box"          // a box around the whole image
	PromptPoint       = "point"        // a foreground point in the middle of the image
	PromptOraclePoint = "oracle_point" // foreground points drawn from the truth
	PromptOracleBox   = "oracle_box"   // the tight box around the truth
)

// Prompt tells a model what to segment, in pixels of the image: a pixel's coordinates are its column
// and row, as SAM's predictor takes them.
type Prompt struct {
	Kind   string
	Label  string       // for people
	Oracle bool         // made from the ground truth
	Points [][2]float64 // x, y
	Labels []int        // of the points: 1 foreground, 0 background
	Box    *[4]float64  // x0, y0, x1, y1; nil: none
}

// PromptOptions says how oracle points are drawn.
type PromptOptions struct {
	Points int   // of an oracle_point prompt; 0 stands for 10
	Seed   int64 // of their draw
}

// region is what a prompt may be made from: the image's size, and for oracle prompts alone the truth
// inside the valid region.
type region struct {
	width, height int
	truth         *data.Mask
	points        int
	draw          *stream
}

// promptKinds lists the kinds in the order of tables. A maker of a kind that is not an oracle gets a
// region without truth.
var promptKinds = []struct {
	kind   string
	label  func(points int) string
	oracle bool
	make   func(region, *Prompt)
}{
	{PromptNone, text("no prompt"), false, func(region, *Prompt) {}},
	{PromptBox, text("full-image box"), false, func(r region, p *Prompt) {
		p.Box = &[4]float64{0, 0, float64(r.width - 1), float64(r.height - 1)}
	}},
	{PromptPoint, text("centre point"), false, func(r region, p *Prompt) {
		p.Points, p.Labels = [][2]float64{{float64(r.width) / 2, float64(r.height) / 2}}, []int{1}
	}},
	{PromptOraclePoint, func(points int) string {
		if points == 1 {
			return "1 point from the truth"
		}
		return fmt.Sprintf("%d points from the truth", points)
	}, true, oraclePoints},
	{PromptOracleBox, text("box around the truth"), true, func(r region, p *Prompt) {
		b, _ := boundingBox(r.truth)
		p.Box = &[4]float64{float64(b.x0), float64(b.y0), float64(b.x1 - 1), float64(b.y1 - 1)}
	}},
}

func text(s string) func(int) string { return func(int) string { return s } }

// oraclePoints draws without replacement; where the truth has fewer pixels it takes them all.
func oraclePoints(r region, p *Prompt) {
	var inside []int
	for i, v := range r.truth.Pix {
		if v == 1 {
			inside = append(inside, i)
		}
	}
	for i := range min(r.points, len(inside)) {
		j := i + r.draw.below(len(inside)-i)
		inside[i], inside[j] = inside[j], inside[i]
		p.Points = append(p.Points, [2]float64{float64(inside[i] % r.width), float64(inside[i] / r.width)})
		p.Labels = append(p.Labels, 1)
	}
}

// PromptKinds returns the known kinds in the order of tables.
func PromptKinds() []string {
	kinds := make([]string, len(promptKinds))
	for i, k := range promptKinds {
		kinds[i] = k.kind
	}
	return kinds
}

// Prompts makes a prompt of each kind for one case and target, in the order asked for. Oracle prompts
// come from the truth inside the valid region, the others from the image's size alone; the points are
// a function of the seed, the case and the target, and fewer points are the first of more.
//
// Where the truth is empty the error wraps ErrNoPrompt and names the kinds that are left out; the
// prompts returned beside it are the others, and a caller may go on with them.
func Prompts(kinds []string, sample *data.Sample, target string, opt PromptOptions) ([]Prompt, error) {
	if opt.Points == 0 {
		opt.Points = 10
	}
	if opt.Points < 0 {
		return nil, fmt.Errorf("make prompts: %d oracle points, want 1 or more", opt.Points)
	}
	if sample.Image == nil {
		return nil, fmt.Errorf("make prompts for case %q: it has no image", sample.ID)
	}
	truth, err := truthOf(sample, target)
	if err != nil {
		return nil, err
	}
	var prompts []Prompt
	var missing []string
	for _, kind := range kinds {
		i := slices.Index(PromptKinds(), kind)
		if i < 0 {
			return nil, fmt.Errorf("make prompts: unknown kind %q, want one of %s", kind, strings.Join(PromptKinds(), ", "))
		}
		k := promptKinds[i]
		p := Prompt{Kind: kind, Label: k.label(opt.Points), Oracle: k.oracle}
		r := region{width: sample.Image.Width, height: sample.Image.Height}
		if k.oracle {
			if truth.Count() == 0 {
				missing = append(missing, kind)
				continue
			}
			r.truth, r.points = truth, opt.Points
			r.draw = newStream(opt.Seed, kind+"\x00"+sample.ID+"\x00"+target)
		}
		k.make(r, &p)
		prompts = append(prompts, p)
	}
	if missing != nil {
		return prompts, fmt.Errorf("make %s for case %q, target %q: %w", strings.Join(missing, ", "), sample.ID, target, ErrNoPrompt)
	}
	return prompts, nil
}

// truthOf returns the target's mask inside the valid region.
func truthOf(sample *data.Sample, target string) (*data.Mask, error) {
	mask, ok := sample.Masks[target]
	if !ok || mask == nil {
		return nil, fmt.Errorf("make prompts for case %q: it has no target %q", sample.ID, target)
	}
	w, h := sample.Image.Width, sample.Image.Height
	if mask.Width != w || mask.Height != h {
		return nil, fmt.Errorf("make prompts for case %q: target %q is %d x %d, want %d x %d as the image",
			sample.ID, target, mask.Width, mask.Height, w, h)
	}
	if v := sample.Valid; v != nil && (v.Width != w || v.Height != h) {
		return nil, fmt.Errorf("make prompts for case %q: valid region is %d x %d, want %d x %d as the image",
			sample.ID, v.Width, v.Height, w, h)
	}
	return within(mask, sample.Valid), nil
}
