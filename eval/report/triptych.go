package report

import (
	"fmt"
	"hash/fnv"
	"image"
	"image/color"
	"sort"
	"strings"

	"golang.org/x/image/draw"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/canvas"
)

// CaseOverlay is a test case that the report shows in pictures.
type CaseOverlay struct {
	Role          string // "best", "median", "worst" or none of these
	Case          string
	BeforeMethod  string // key in Results.Before of the method that Before is a prediction of
	BeforeLabel   string // how the case was segmented before: "zero-shot, full-image box"
	AfterLabel    string // and after; empty where nothing was fine-tuned
	BeforeDice    eval.Float
	AfterDice     eval.Float
	Image         *data.Image
	Truth, Valid  *data.Mask
	Before, After *data.Mask // predictions; nil: there is none, and no panel for it
}

// FileName is the name of the picture of a case with a role in the overlays folder.
func (c CaseOverlay) FileName() string { return c.Role + "-" + c.stem() + ".png" }

// stem is the case's name as the beginning of a file's.
func (c CaseOverlay) stem() string {
	safe := strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '_' || r == '-' {
			return r
		}
		return '_'
	}, c.Case)
	if safe != c.Case || len(safe) > 80 {
		h := fnv.New32a()
		h.Write([]byte(c.Case))
		safe = fmt.Sprintf("%s-%08x", safe[:min(len(safe), 60)], h.Sum32())
	}
	return safe
}

// galleryCases is how many cases a gallery shows at most.
const galleryCases = 24

// Pick chooses the cases to show, best first by Dice after fine-tuning, or by zero-shot Dice where nothing was fine-tuned:
// all of them, those without a Dice last; of more than 24 those with a Dice whose ranks are evenly spread, the best, the
// median (the lower one of two) and the worst among them. Equal ones are ordered by name. The caller adds the picture, the masks
// and the predictions: Before is that of BeforeMethod, the compared method or, in a run that compared nothing, the best that
// needs no truth.
func Pick(r *eval.Results, rows []eval.CaseResult) []CaseOverlay {
	before := comparedBefore(r)
	by := before
	if r.After != nil {
		by = eval.MethodAfter
	}
	dice := map[string]map[string]eval.Float{before: {}, by: {}}
	var ranked, undefined []string
	for _, row := range rows {
		if byCase, wanted := dice[row.Method]; wanted {
			byCase[row.Case] = row.Dice
		}
		if row.Method == by {
			if row.Dice.Defined() {
				ranked = append(ranked, row.Case)
			} else {
				undefined = append(undefined, row.Case)
			}
		}
	}
	sort.Slice(ranked, func(i, j int) bool {
		if a, b := dice[by][ranked[i]], dice[by][ranked[j]]; a != b {
			return a > b
		}
		return ranked[i] < ranked[j]
	})
	sort.Strings(undefined)
	roles := map[string]string{}
	if n := len(ranked); n > 0 { // of few cases a case keeps the first of its roles
		roles[ranked[n-1]] = "worst"
		if n > 2 {
			roles[ranked[n/2]] = "median"
		}
		roles[ranked[0]] = "best"
	}
	shown := append(ranked, undefined...)
	if len(shown) > galleryCases {
		shown = spread(ranked, galleryCases)
	}
	var out []CaseOverlay
	for _, id := range shown {
		c := CaseOverlay{Role: roles[id], Case: id, BeforeDice: eval.Undefined, AfterDice: eval.Undefined}
		if m := r.Before[before]; m != nil {
			c.BeforeMethod = before
			c.BeforeLabel = "zero-shot, " + zeroShotLabel(m)
			if d, ok := dice[before][c.Case]; ok {
				c.BeforeDice = d
			}
		}
		if r.After != nil {
			c.AfterLabel = "fine-tuned on " + count(r.Shots, "image", "images")
			c.AfterDice = dice[by][c.Case]
		}
		out = append(out, c)
	}
	return out
}

// spread takes at most n of the ranked cases, from the first to the last at even distances, the one in the middle among them.
func spread(ranked []string, n int) []string {
	if len(ranked) <= n {
		return ranked
	}
	out := make([]string, n)
	for i := range out {
		out[i] = ranked[(i*(len(ranked)-1)+(n-1)/2)/(n-1)]
	}
	out[n/2] = ranked[len(ranked)/2]
	return out
}

// panel is one picture of a triptych with the line above it.
type panel struct {
	title, label string
	dice         eval.Float
	picture      image.Image
}

// panels draws what is there of picture, before and after, no side longer than side pixels (0: any).
func (c CaseOverlay) panels(side int) ([]panel, error) {
	before, beforeLabel := "before", c.BeforeLabel
	if c.AfterLabel == "" {
		before, beforeLabel = "zero-shot", strings.TrimPrefix(c.BeforeLabel, "zero-shot, ")
	}
	masks := []struct {
		title, label string
		dice         eval.Float
		mask         *data.Mask
	}{{before, beforeLabel, c.BeforeDice, c.Before}, {"after", c.AfterLabel, c.AfterDice, c.After}}
	var out []panel
	for _, m := range masks {
		if m.mask == nil {
			continue
		}
		if err := checkSizes(c.Image, m.mask, c.Truth, c.Valid); err != nil {
			return nil, fmt.Errorf("draw case %q: %w", c.Case, err)
		}
		if len(out) == 0 {
			out = append(out, panel{title: "picture", label: c.Case, dice: eval.Undefined,
				picture: shrinkImage(c.Image, fit(c.Image.Width, c.Image.Height, side))})
		}
		out = append(out, panel{m.title, m.label, m.dice, drawOverlay(c.Image, m.mask, c.Truth, c.Valid, side)})
	}
	if len(out) == 0 {
		return nil, fmt.Errorf("draw case %q: it has neither a prediction before nor one after", c.Case)
	}
	return out, nil
}

// Sizes of a triptych in pixels.
const (
	fileSide   = 1024 // longest side of a panel in a file
	leastPanel = 400  // a smaller panel is enlarged by a whole factor
	gap        = 12
	strip      = 30
	fontSize   = 16
)

// SideBySide draws picture, before and after beside each other, with a line above each panel and a legend
// below. Panels of more than 1024 pixels are shrunk, small ones are enlarged by a whole factor.
func SideBySide(c CaseOverlay) (image.Image, error) {
	shown, err := c.panels(fileSide)
	if err != nil {
		return nil, err
	}
	face, err := canvas.Face(fontSize)
	if err != nil {
		return nil, err
	}
	defer face.Close()
	size := shown[0].picture.Bounds().Size()
	size = size.Mul((leastPanel + size.X - 1) / size.X)
	out := image.NewRGBA(image.Rect(0, 0, gap+len(shown)*(size.X+gap), strip+size.Y+strip))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	for i, p := range shown {
		x := gap + i*(size.X+gap)
		text := p.title + ": " + p.label
		if p.dice.Defined() {
			text = fmt.Sprintf("%s, Dice %s", text, number(p.dice, 3))
		}
		canvas.Caption(out, face, x, strip-10, canvas.Shorten(face, text, size.X), canvas.Ink)
		draw.NearestNeighbor.Scale(out, image.Rect(x, strip, x+size.X, strip+size.Y), p.picture, p.picture.Bounds(), draw.Src, nil)
	}
	x := gap
	for _, e := range legend {
		y := strip + size.Y + 9
		draw.Draw(out, image.Rect(x, y, x+14, y+14), image.NewUniform(color.Gray{0x33}), image.Point{}, draw.Src)
		draw.Draw(out, image.Rect(x+1, y+1, x+13, y+13), image.NewUniform(e.Colour), image.Point{}, draw.Src)
		x = canvas.Caption(out, face, x+20, y+13, e.Name, canvas.Ink) + 24
	}
	return out, nil
}
