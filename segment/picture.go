package segment

import (
	"fmt"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// Picture is a picture whose embedding was made once: any number of prompts are answered from it.
type Picture struct {
	Image     *data.Image
	model     *model.Model
	geometry  model.Geometry
	embedding *tensor.Tensor // [1, dim, grid, grid]
}

// Candidate is one of the masks that SAM answers a prompt with.
type Candidate struct {
	Mask        *data.Mask // of the picture's own size: where the logit exceeds 0
	Probability []float32  // of each pixel, row by row
	IoU         float64    // SAM's own estimate of how well the mask fits
	LowRes      []float32  // logits [4*grid, 4*grid] on the network's input, to be handed to the next prompt
}

// Open encodes a picture, which takes the longest by far. Close frees it.
func Open(m *model.Model, img *data.Image) (*Picture, error) {
	p := &Picture{Image: img, model: m, geometry: m.Spec.WholeImage(img.Width, img.Height)}
	err := m.Device().Run(func(s *tensor.Scope) error {
		features, err := m.Encode(s, img, []model.Geometry{p.geometry}, []string{model.Embedding})
		if err != nil {
			return err
		}
		p.embedding = s.Keep(features[model.Embedding])
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("encode the picture: %w", err)
	}
	return p, nil
}

// Close frees the embedding.
func (p *Picture) Close() {
	// Freeing does not fail, and the closure has no error of its own.
	_ = p.model.Device().Run(func(*tensor.Scope) error { p.embedding.Drop(); return nil })
}

// Ask answers a prompt in the picture's own pixels: with SAM's single mask, or with its three for a prompt that could
// mean several things, as a point on a part of a whole. before (nil: none) are the LowRes logits of an earlier answer that
// the prompt corrects; they take the place of the prompt's mask.
func (p *Picture) Ask(prompt eval.Prompt, before []float32, multimask bool) ([]Candidate, error) {
	var out []Candidate
	err := p.model.Device().Run(func(s *tensor.Scope) error {
		in := train.ToInput(s, p.model.Spec, p.geometry, prompt)
		if before != nil {
			side := 4 * int64(p.model.Spec.EmbeddingSize)
			in.Mask = s.FromFloat32(before, 1, 1, side, side)
		}
		encoded, err := p.model.EncodePrompts(s, []model.Prompt{in})
		if err != nil {
			return err
		}
		logits, iou := p.model.Predict(s, p.embedding, encoded, multimask)
		estimates := s.Float32s(iou)
		for i := range logits.Shape()[1] {
			low := s.Narrow(logits, 1, i, 1)
			full := p.geometry.Restore(s, low)
			c := Candidate{
				Mask: data.NewMask(p.Image.Width, p.Image.Height), Probability: s.Float32s(s.Sigmoid(full)),
				IoU: float64(estimates[i]), LowRes: s.Float32s(low),
			}
			for k, v := range s.Float32s(full) {
				if v > 0 {
					c.Mask.Pix[k] = 1
				}
			}
			out = append(out, c)
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("segment: %w", err)
	}
	return out, nil
}

// Likeliest is the candidate that SAM itself thinks fits best: the highest predicted IoU, the first of equals.
func Likeliest(candidates []Candidate) int {
	best := 0
	for i, c := range candidates {
		if c.IoU > candidates[best].IoU {
			best = i
		}
	}
	return best
}

// Oracle is the candidate with the highest Dice against the truth inside the valid region, which only the truth's owner
// can choose; results that rest on it are to be called so.
func Oracle(candidates []Candidate, truth, valid *data.Mask) (best int, dice eval.Float, err error) {
	dice = -1
	for i, c := range candidates {
		d, err := eval.Dice(c.Mask, truth, valid)
		if err != nil {
			return 0, 0, err
		}
		if d.Defined() && d > dice {
			best, dice = i, d
		}
	}
	return best, dice, nil
}
