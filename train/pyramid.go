package train

import (
	"fmt"
	"slices"

	"samtune/data"
	"samtune/model"
)

// Pyramid says at which scales and in which mirrorings a recipe looks at a picture, and at which features.
type Pyramid struct {
	Scales   []int    // n: n x n overlapping tiles; 1: the whole picture
	Mirrors  string   // "none", "x" (also left to right), "xy" (and upside down)
	Features []string // of each scale
	Whole    []string // further features of the whole picture, where 1 is among the scales
}

// tileFeather is the share of a tile's side over which its weight in the blend rises from its edge.
const tileFeather = 1.0 / 9

// Block is a run of a head's weights: those of one feature at one scale.
type Block struct {
	Scale   int
	Feature model.Feature
	Start   int // index of the first of Feature.Channels weights
}

// Blocks lists what a head's weights belong to, in order, and how many there are, the intercept left out.
func (p Pyramid) Blocks(spec *model.Spec) ([]Block, int, error) {
	var out []Block
	n := 0
	for i, scale := range p.Scales {
		if scale < 1 || (i > 0 && scale <= p.Scales[i-1]) {
			return nil, 0, fmt.Errorf("the head's scales are %v, want whole numbers from 1 on, rising", p.Scales)
		}
		names := p.at(scale)
		for i, name := range names {
			f, err := spec.Feature(name)
			if err != nil {
				return nil, 0, err
			}
			if slices.Contains(names[:i], name) {
				return nil, 0, fmt.Errorf("head.features and head.whole name %s twice at scale %d: once is enough", name, scale)
			}
			out = append(out, Block{Scale: scale, Feature: f, Start: n})
			n += f.Channels
		}
	}
	if n == 0 {
		return nil, 0, fmt.Errorf("the head has no features at its scales %v", p.Scales)
	}
	return out, n, nil
}

// at lists the features of a scale.
func (p Pyramid) at(scale int) []string {
	out := append([]string(nil), p.Features...)
	if scale == 1 {
		out = append(out, p.Whole...)
	}
	return out
}

func (p Pyramid) mirrors() []model.Mirror {
	switch p.Mirrors {
	case "x":
		return []model.Mirror{{}, {X: true}}
	case "xy":
		return []model.Mirror{{}, {X: true}, {Y: true}}
	}
	return []model.Mirror{{}}
}

// level is a picture seen at one scale: its tiles, each with one view for each mirroring.
type level struct {
	scale   int
	width   int
	height  int
	feather int
	tiles   []tile
}

type tile struct {
	region model.Rect
	views  []View
}

// levels returns a picture's views, scale by scale. Tiles without a valid pixel are left out.
func (p Pyramid) levels(m *model.Model, sample *data.Sample) []level {
	hash := sample.Image.Hash()
	w, h := sample.Image.Width, sample.Image.Height
	var out []level
	for _, scale := range p.Scales {
		regions := []model.Rect{{Width: w, Height: h}}
		feather := 1
		if scale > 1 {
			side := tileSide(w, h, scale)
			regions = model.Tiles(w, h, scale, side)
			feather = max(1, int(float64(side)*tileFeather))
		}
		l := level{scale: scale, width: w, height: h, feather: feather}
		for _, r := range regions {
			if validShare(sample, r) == 0 {
				continue
			}
			t := tile{region: r}
			for _, mirror := range p.mirrors() {
				g := m.Spec.Geometry(r)
				g.Mirror = mirror
				t.views = append(t.views, View{Sample: sample, Image: hash, Geometry: g})
			}
			l.tiles = append(l.tiles, t)
		}
		out = append(out, l)
	}
	return out
}

// Wants lists the views of a picture with the features that are looked at.
func (p Pyramid) Wants(m *model.Model, sample *data.Sample) []Want {
	var out []Want
	for _, l := range p.levels(m, sample) {
		for _, t := range l.tiles {
			for _, v := range t.views {
				out = append(out, Want{View: v, Features: p.at(l.scale)})
			}
		}
	}
	return out
}

// weights returns how much a tile counts at each of its pixels, where the weights of all tiles of the level
// add up to 1 at each pixel of the picture that any of them covers.
func (l *level) weights() [][]float32 {
	b := newBlend(l.width, l.height, l.feather)
	for _, t := range l.tiles {
		b.cover(t.region)
	}
	out := make([][]float32, len(l.tiles))
	for i, t := range l.tiles {
		r := t.region
		out[i] = make([]float32, r.Width*r.Height)
		for y := range r.Height {
			for x := range r.Width {
				out[i][y*r.Width+x] = b.edge(r, x, y) / b.weight[(r.Y+y)*l.width+r.X+x]
			}
		}
	}
	return out
}
