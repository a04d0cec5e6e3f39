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
	Prior     *Prior // what a decoder that corrects a convex head corrects
}

// Predict segments a picture with the decoder's weights (nil: as released), each of the tiling's views
// prompted with the box around it. Where views overlap their probabilities are blended, those of a
// decoder that corrects as logits.
func (p *Predictor) Predict(s *tensor.Scope, weights model.Weights, sample *data.Sample) (*Segmentation, error) {
	views := p.Tiling.Views(p.Model, sample)
	b := newBlend(sample.Image.Width, sample.Image.Height, p.Tiling.Feather)
	for _, v := range views {
		logits, _, err := p.view(s, weights, v, v.Geometry.FullBox())
		if err != nil {
			return nil, err
		}
		if !p.Decoder.Corrects() {
			sigmoid(logits)
		}
		b.add(v.Geometry.Region, logits)
	}
	out := b.result()
	if p.Decoder.Corrects() {
		prior, err := p.Prior.of(s, sample)
		if err != nil {
			return nil, err
		}
		for i := range out {
			out[i] += prior.values[i]
		}
		sigmoid(out)
	}
	return threshold(out, b.width, b.height, p.Threshold), nil
}

// Prompted segments a whole picture with one prompt in its own pixels and the weights as released: what
// SAM does zero-shot. A pixel is inside where its logit exceeds 0. A prompt of several parts gives the union of their
// masks; of clicks each but the first is asked together with the logits of the mask before it; of a grid's masks it is the best.
func (p *Predictor) Prompted(s *tensor.Scope, sample *data.Sample, prompt eval.Prompt) (*Segmentation, error) {
	v := Whole(p.Model, sample)
	width, height := sample.Image.Width, sample.Image.Height
	var before *tensor.Tensor
	ask := func(prompt eval.Prompt) (*Segmentation, error) {
		in := ToInput(s, p.Model.Spec, v.Geometry, prompt)
		if before != nil {
			in.Mask = before
		}
		logits, low, err := p.view(s, nil, v, in)
		if err != nil {
			return nil, err
		}
		if prompt.Kind == clicked {
			before = low
		}
		return threshold(sigmoid(logits), width, height, 0.5), nil
	}
	switch {
	case prompt.Grid != nil:
		return p.grid(s, sample, prompt.Grid)
	case prompt.Clicks != nil:
		last := threshold(make([]float32, width*height), width, height, 0.5)
		_, err := prompt.Clicks.Click(func(prompt eval.Prompt) (*data.Mask, error) {
			prompt.Kind = clicked
			seg, err := ask(prompt)
			if err != nil {
				return nil, err
			}
			last = seg
			return seg.Mask, nil
		})
		return last, err
	case len(prompt.Parts) > 0:
		all := make([]float32, width*height)
		for _, part := range prompt.Parts {
			seg, err := ask(part)
			if err != nil {
				return nil, err
			}
			for i, v := range seg.Probability {
				all[i] = max(all[i], v)
			}
		}
		return threshold(all, width, height, 0.5), nil
	}
	return ask(prompt)
}

// clicked is the kind of a prompt that is one step of clicks.
const clicked = "clicked"

// maskLogit is how sure a mask that a user hands over is, as a logit: a probability of 0.999 inside and 0.001 outside.
// SAM was trained on its own logits as such prompts, which are about as large.
const maskLogit = 6.907

// ToInput turns a prompt in a picture's pixels into one in the pixels of the network's input.
func ToInput(s *tensor.Scope, sp *model.Spec, g model.Geometry, prompt eval.Prompt) model.Prompt {
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
	if m := prompt.Mask; m != nil {
		out.Mask = sp.MaskInput(s, m, g, maskLogit)
	}
	return out
}

// view returns the logits of one view at its region's own size, and as the decoder gives them, [1, 1, 4*grid, 4*grid].
func (p *Predictor) view(s *tensor.Scope, weights model.Weights, v View, prompt model.Prompt) (out []float32, low *tensor.Tensor, err error) {
	low = s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		in := model.Inputs{}
		if in.Features, err = p.Cache.Load(s, p.Model, v, p.Decoder.Features()); err != nil {
			return []*tensor.Tensor{nil}
		}
		if in.Prompt, err = p.Model.EncodePrompts(s, []model.Prompt{prompt}); err != nil {
			return []*tensor.Tensor{nil}
		}
		if _, in.Prior, err = p.prior(s, v); err != nil {
			return []*tensor.Tensor{nil}
		}
		if weights == nil {
			weights = p.Model.Weights()
		}
		logits := p.Decoder.Logits(s, weights, in)
		out = s.Float32s(v.Geometry.Restore(s, logits))
		return []*tensor.Tensor{logits}
	})[0]
	if err != nil {
		return nil, nil, fmt.Errorf("segment %s: %w", v.Sample.ID, err)
	}
	return out, low, nil
}
