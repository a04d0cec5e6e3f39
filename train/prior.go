package train

import (
	"math"

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
	known    map[*data.Sample][]float32
}

// of returns the prior of a picture, [height x width].
func (p *Prior) of(s *tensor.Scope, sample *data.Sample) ([]float32, error) {
	if kept, ok := p.known[sample]; ok {
		return kept, nil
	}
	head, fitted := p.Head.Without[sample]
	if !fitted {
		head = p.Head
	}
	all, err := p.Features.Logits(s, sample, []*Head{head})
	if err != nil {
		return nil, err
	}
	shift := float32(math.Log(p.Head.Threshold / (1 - p.Head.Threshold)))
	for i := range all[0] {
		all[0][i] -= shift
	}
	if fitted { // it is asked for again and again
		if p.known == nil {
			p.known = map[*data.Sample][]float32{}
		}
		p.known[sample] = all[0]
	}
	return all[0], nil
}

// prior returns a decoder's prior in a view, at the region's own size [1, 1, height, width], and as the
// decoder takes it, on the network's input; nil for a decoder that corrects nothing.
func (p *Predictor) prior(s *tensor.Scope, v View) (own, input *tensor.Tensor, err error) {
	if !p.Decoder.Corrects() {
		return nil, nil, nil
	}
	all, err := p.Prior.of(s, v.Sample)
	if err != nil {
		return nil, nil, err
	}
	g := v.Geometry
	own = s.FromFloat32(crop(all, v.Sample.Image.Width, g.Region), 1, 1, int64(g.Region.Height), int64(g.Region.Width))
	input = s.Block(func(s *tensor.Scope) *tensor.Tensor {
		return s.Pad(s.UpsampleBilinearAA(own, int64(g.Height), int64(g.Width)), int64(g.Side-g.Height), int64(g.Side-g.Width))
	})
	return own, input, nil
}

// crop copies a rectangle out of a map, row by row.
func crop[T any](pix []T, width int, r model.Rect) []T {
	out := make([]T, 0, r.Width*r.Height)
	for y := r.Y; y < r.Y+r.Height; y++ {
		out = append(out, pix[y*width+r.X:y*width+r.X+r.Width]...)
	}
	return out
}
