package train

import (
	"math"
	"slices"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/model"
)

// Prior gives the logits of a convex head that a decoder corrects, shifted so that the head's threshold lies at
// 0. Pictures that the head was fitted on get those of a head that was fitted without them, as pictures
// that it has never seen do: a decoder trained on the former then meets nothing new in the latter.
type Prior struct {
	Features *HeadFeatures
	Head     *Head
	Train    []*data.Sample // that the head was fitted on; empty for a head that was read from a file
	known    map[*data.Sample]*tensorMap
	last     *data.Sample // the other picture that was asked for last, view by view
	lastMap  *tensorMap
}

// tensorMap holds maps of a picture's size, [channels][height x width].
type tensorMap struct {
	channels int
	values   []float32
}

// PriorChannels is how many maps a prior has: the logits, and what the head's second stage sees where it has one.
func (h *HeadFeatures) PriorChannels(context bool) int {
	if !context {
		return 1
	}
	return 1 + len(h.Pyramid.Scales) + lineFeatures
}

// of returns the prior of a picture: its logits first.
func (p *Prior) of(s *tensor.Scope, sample *data.Sample) (*tensorMap, error) {
	if kept, ok := p.known[sample]; ok {
		return kept, nil
	}
	if sample == p.last {
		return p.lastMap, nil
	}
	head, at := p.Head, slices.Index(p.Train, sample)
	if at >= 0 {
		head = p.Head.Without(at, len(p.Train))
	}
	out := &tensorMap{}
	err := p.Features.levels(s, sample, []*Head{head}, func(s *tensor.Scope, _ []*Head, levels *tensor.Tensor) {
		z := s.SumDims(levels, 1)
		var maps *tensor.Tensor
		if head.Context != nil {
			maps = contextMaps(s, levels, sample.Valid)
			z = applyContext(s, maps, []*Head{head})
		}
		t := p.Head.threshold(s.Float32s(s.Sigmoid(z)), sample.Valid)
		s.ShiftInto(z, -math.Log(t/(1-t)))
		all := s.Unsqueeze(z, 1)
		if maps != nil {
			all = s.Cat(1, all, maps)
		}
		out.channels, out.values = int(all.Shape()[1]), s.Float32s(all)
	})
	if err != nil {
		return nil, err
	}
	if at >= 0 { // it is asked for again and again
		if p.known == nil {
			p.known = map[*data.Sample]*tensorMap{}
		}
		p.known[sample] = out
		return out, nil
	}
	p.last, p.lastMap = sample, out
	return out, nil
}

// prior returns a decoder's prior in a view: the logits at the region's own size [1, 1, height, width], and all
// of it on the network's input [1, C, side, side]; nil for a decoder that corrects nothing.
func (p *Predictor) prior(s *tensor.Scope, v View) (own, input *tensor.Tensor, err error) {
	if !p.Decoder.Corrects() {
		return nil, nil, nil
	}
	all, err := p.Prior.of(s, v.Sample)
	if err != nil {
		return nil, nil, err
	}
	g := v.Geometry
	size := v.Sample.Image.Width * v.Sample.Image.Height
	var values []float32
	for c := range all.channels {
		values = append(values, crop(all.values[c*size:(c+1)*size], v.Sample.Image.Width, g.Region)...)
	}
	maps := s.FromFloat32(values, 1, int64(all.channels), int64(g.Region.Height), int64(g.Region.Width))
	input = s.Block(func(s *tensor.Scope) *tensor.Tensor {
		return s.Pad(s.UpsampleBilinearAA(maps, int64(g.Height), int64(g.Width)), int64(g.Side-g.Height), int64(g.Side-g.Width))
	})
	return s.Narrow(maps, 1, 0, 1), input, nil
}

// crop copies a rectangle out of a map, row by row.
func crop[T any](pix []T, width int, r model.Rect) []T {
	out := make([]T, 0, r.Width*r.Height)
	for y := r.Y; y < r.Y+r.Height; y++ {
		out = append(out, pix[y*width+r.X:y*width+r.X+r.Width]...)
	}
	return out
}
