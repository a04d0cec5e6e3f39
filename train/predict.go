package train

import (
	"fmt"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
)

// Segmentation is a decoder's answer for one picture, at the picture's own size.
type Segmentation struct {
	Probability []float32 // height x width, row by row
	Mask        *data.Mask
}

// threshold cuts probabilities into a mask: inside where they exceed t.
func threshold(p []float32, width, height int, t float64) *Segmentation {
	m := data.NewMask(width, height)
	for i, v := range p {
		if float64(v) > t {
			m.Pix[i] = 1
		}
	}
	return &Segmentation{Probability: p, Mask: m}
}

// Predictor segments pictures with a decoder and the features in a cache.
type Predictor struct {
	Model     *model.Model
	Decoder   model.Decoder
	Cache     *EmbeddingCache
	Tiling    Tiling
	Threshold float64
}

// Predict segments a picture with the decoder's weights (nil: as released), each of the tiling's views
// prompted with the box around it.
func (p *Predictor) Predict(s *tensor.Scope, weights model.Weights, sample *data.Sample) (*Segmentation, error) {
	views := p.Tiling.Views(p.Model, sample)
	b := newBlend(sample.Image.Width, sample.Image.Height, p.Tiling.Feather)
	for _, v := range views {
		probability, err := p.view(s, weights, v, v.Geometry.FullBox())
		if err != nil {
			return nil, err
		}
		b.add(v.Geometry.Region, probability)
	}
	return threshold(b.result(), b.width, b.height, p.Threshold), nil
}

// Prompted segments a whole picture with one prompt in its own pixels and the weights as released: what
// SAM does zero-shot. A pixel is inside where its logit exceeds 0.
func (p *Predictor) Prompted(s *tensor.Scope, sample *data.Sample, prompt eval.Prompt) (*Segmentation, error) {
	v := Whole(p.Model, sample)
	probability, err := p.view(s, nil, v, ToInput(v.Geometry, prompt))
	if err != nil {
		return nil, err
	}
	return threshold(probability, sample.Image.Width, sample.Image.Height, 0.5), nil
}

// ToInput turns a prompt in a picture's pixels into one in the pixels of the network's input.
func ToInput(g model.Geometry, prompt eval.Prompt) model.Prompt {
	var out model.Prompt
	if prompt.Kind == eval.PromptBox {
		return g.FullBox()
	}
	for i, pt := range prompt.Points {
		x, y := g.ToInput(pt[0], pt[1])
		out.Points = append(out.Points, [2]float32{x, y})
		out.Labels = append(out.Labels, prompt.Labels[i])
	}
	if b := prompt.Box; b != nil {
		x0, y0 := g.ToInput(b[0], b[1])
		x1, y1 := g.ToInput(b[2], b[3])
		out.Box = &[4]float32{x0, y0, x1, y1}
	}
	return out
}

// view returns the probabilities of one view at its region's own size.
func (p *Predictor) view(s *tensor.Scope, weights model.Weights, v View, prompt model.Prompt) (out []float32, err error) {
	s.Block(func(s *tensor.Scope) *tensor.Tensor {
		features, failed := p.Cache.Load(s, p.Model, v, p.Decoder.Features())
		if failed != nil {
			err = failed
			return nil
		}
		encoded, failed := p.Model.EncodePrompts(s, []model.Prompt{prompt})
		if failed != nil {
			err = failed
			return nil
		}
		if weights == nil {
			weights = p.Model.Weights()
		}
		logits := p.Decoder.Logits(s, weights, features, encoded)
		out = s.Float32s(s.Sigmoid(v.Geometry.Restore(s, logits)))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", v.Sample.ID, err)
	}
	return out, nil
}
