package eval

import (
	"errors"
	"fmt"
	"math"
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
	PromptRandomPoint = "random_point" // a foreground point drawn from the valid region
	PromptOraclePoint = "oracle_point" // foreground points drawn from the truth
	PromptOracleBox   = "oracle_box"   // the tight box around the truth

	PromptOracleJitter          = "oracle_box_jitter"       // that box with each side moved at random
	PromptOracleComponentPoints = "oracle_component_points" // a point in each connected part of the truth, segmented apart and united
	PromptOracleComponentBoxes  = "oracle_component_boxes"  // a box around each of them, likewise
	PromptOracleClicks          = "oracle_clicks"           // clicks that correct what was wrong most, one after the other
	PromptEverythingOracle      = "everything_oracle"       // of all masks of a grid of points the one that the truth says is best
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
	Mask   *data.Mask   // a first idea of the mask, of the image's size; nil: none

	Parts  []Prompt // asked one by one, their masks united; nothing else is set beside them
	Clicks *Clicks  // asked again and again; nothing else is set beside them
	Grid   *Grid    // asked point by point; nothing else is set beside it
}

// Grid is a grid of points over the image, each of which is answered with several masks: an oracle takes the best of all.
type Grid struct {
	Points       int        // in a row
	Truth, Valid *data.Mask // Valid may be nil: the whole image
}

// Clicks are an oracle's: it looks at each mask and clicks where it is wrong most (NextClick).
type Clicks struct {
	N            int // how many
	Truth, Valid *data.Mask
}

// PromptOptions says how prompts are drawn.
type PromptOptions struct {
	Points int     // of an oracle_point prompt, and clicks of oracle_clicks; 0 stands for 10
	Seed   int64   // of their draw
	Grid   int     // points in a row of everything_oracle; 0 stands for 8
	Jitter float64 // of oracle_box_jitter: how far a side moves at most, as a share of the image's longer side; 0 stands for 0.02
}

// defaultJitter is MedSAM's: 20 of 1024 pixels.
const defaultJitter = 0.02

// defaultGrid is a quarter of the official generator's points in a row, and a sixteenth of its time.
const defaultGrid = 8

// region is what a prompt may be made from: the image's size, and for oracle prompts alone the truth
// inside the valid region.
type region struct {
	width, height int
	valid         *data.Mask // nil: the whole image
	truth         *data.Mask
	points        int
	jitter        float64 // pixels
	grid          int
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
	{PromptRandomPoint, text("random point"), false, randomPoint},
	{PromptOraclePoint, func(points int) string {
		if points == 1 {
			return "1 point from the truth"
		}
		return fmt.Sprintf("%d points from the truth", points)
	}, true, oraclePoints},
	{PromptOracleBox, text("box around the truth"), true, func(r region, p *Prompt) {
		b, _ := boundingBox(r.truth)
		p.Box = b.corners()
	}},
	{PromptOracleJitter, text("box around the truth, sides moved at random"), true, jitteredBox},
	{PromptOracleComponentPoints, text("a point in each part of the truth"), true, func(r region, p *Prompt) {
		for _, part := range parts(r.truth) {
			x, y := deepest(part)
			p.Parts = append(p.Parts, Prompt{Points: [][2]float64{{x, y}}, Labels: []int{1}})
		}
	}},
	{PromptOracleComponentBoxes, text("a box around each part of the truth"), true, func(r region, p *Prompt) {
		for _, part := range parts(r.truth) {
			b, _ := boundingBox(part)
			p.Parts = append(p.Parts, Prompt{Box: b.corners()})
		}
	}},
	{PromptOracleClicks, func(points int) string {
		if points == 1 {
			return "1 click on the truth"
		}
		return fmt.Sprintf("%d clicks that correct", points)
	}, true, func(r region, p *Prompt) {
		p.Clicks = &Clicks{N: r.points, Truth: r.truth, Valid: r.valid}
	}},
	{PromptEverythingOracle, text("best mask of a grid of points"), true, func(r region, p *Prompt) {
		p.Grid = &Grid{Points: r.grid, Truth: r.truth, Valid: r.valid}
	}},
}

// PromptDrawn says whether PromptOptions.Seed decides anything of a kind of prompt.
func PromptDrawn(kind string) bool {
	return slices.Contains([]string{PromptRandomPoint, PromptOraclePoint, PromptOracleJitter}, kind)
}

func text(s string) func(int) string { return func(int) string { return s } }

// corners are the centres of the first and the last pixel of a box, x before y.
func (b box) corners() *[4]float64 {
	return &[4]float64{float64(b.x0), float64(b.y0), float64(b.x1 - 1), float64(b.y1 - 1)}
}

// randomPoint draws one of the valid pixels.
func randomPoint(r region, p *Prompt) {
	var inside []int
	for i := range r.width * r.height {
		if r.valid == nil || r.valid.Pix[i] == 1 {
			inside = append(inside, i)
		}
	}
	if len(inside) == 0 {
		return
	}
	i := inside[r.draw.below(len(inside))]
	p.Points, p.Labels = [][2]float64{{float64(i % r.width), float64(i / r.width)}}, []int{1}
}

// jitteredBox moves each side of the truth's box by up to the jitter, outwards as far as the image goes and inwards by a
// quarter of the box at most.
func jitteredBox(r region, p *Prompt) {
	b, _ := boundingBox(r.truth)
	p.Box = b.corners()
	tight := *p.Box
	reach := int(math.Round(r.jitter))
	last := [2]float64{float64(r.width - 1), float64(r.height - 1)}
	for axis := range 2 {
		inwards := math.Floor((tight[axis+2] - tight[axis]) / 4)
		move := func() float64 { return float64(r.draw.below(2*reach+1) - reach) }
		p.Box[axis] = max(tight[axis]+min(move(), inwards), 0)
		p.Box[axis+2] = min(tight[axis+2]+max(move(), -inwards), last[axis])
	}
}

// parts are the 8-connected parts of a mask, each as a mask of the same size.
func parts(m *data.Mask) []*data.Mask {
	var out []*data.Mask
	for _, pixels := range m.Regions(1) {
		part := data.NewMask(m.Width, m.Height)
		for _, i := range pixels {
			part.Pix[i] = 1
		}
		out = append(out, part)
	}
	return out
}

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

// IsOracle says whether prompts of a kind are made from the truth.
func IsOracle(kind string) bool {
	i := slices.Index(PromptKinds(), kind)
	return i >= 0 && promptKinds[i].oracle
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
	if opt.Grid == 0 {
		opt.Grid = defaultGrid
	}
	if opt.Jitter == 0 {
		opt.Jitter = defaultJitter
	}
	if !(opt.Jitter >= 0 && opt.Jitter <= 1) {
		return nil, fmt.Errorf("make prompts: jitter is %g of the image's longer side, want 0 to 1", opt.Jitter)
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
		r := region{width: sample.Image.Width, height: sample.Image.Height, valid: sample.Valid}
		r.draw = newStream(opt.Seed, kind+"\x00"+sample.ID+"\x00"+target)
		if k.oracle {
			if truth.Count() == 0 {
				missing = append(missing, kind)
				continue
			}
			r.truth, r.points, r.grid = truth, opt.Points, opt.Grid
			r.jitter = opt.Jitter * float64(max(r.width, r.height))
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
