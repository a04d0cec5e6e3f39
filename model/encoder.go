package model

import (
	"samtune/internal/tensor"
)

const encoderPrefix = "image_encoder."

// imageEncoder is an architecture of SAM's image encoder, made ready for inference. Activations between its parts
// are [B, H, W, C].
type imageEncoder interface {
	// encode runs the encoder on x [B, 3, side, side] and returns the features that are wanted, each [B, C, H, W]; it
	// stops after the last of them.
	encode(s *tensor.Scope, x *tensor.Tensor, want map[string]bool) map[string]*tensor.Tensor
	// embed goes on from a feature x [B, H, W, C] to the embedding [B, grid, grid, dim].
	embed(s *tensor.Scope, from string, x *tensor.Tensor) *tensor.Tensor
	// parameter returns a parameter as the encoder holds it: elements in the official order, perhaps of another shape.
	parameter(s *tensor.Scope, name string) *tensor.Tensor
	// with returns the encoder with other parameters in the place of some of its own, both the caller's.
	with(w Weights) imageEncoder
	// weights are the encoder's own parameters.
	weights() Weights
	drop()
}

// newEncoder makes a model's encoder from its official parameters, which it takes over.
func newEncoder(s *tensor.Scope, sp *Spec, raw Weights) imageEncoder {
	if sp.Encoder.Kind == kindViT {
		return newViT(s, sp, raw)
	}
	defer raw.Drop()
	return newTinyViT(s, sp, raw)
}

// encoderParams lists the parameters and buffers of the model's image encoder.
func (sp *Spec) encoderParams() params {
	var p params
	last := 0
	if sp.Encoder.Kind == kindViT {
		sp.vitParams(&p)
		last = sp.Encoder.ViT.Dim
	} else {
		sp.tinyViTParams(&p)
		last = sp.Encoder.TinyViT.EmbedDims[len(sp.Encoder.TinyViT.EmbedDims)-1]
	}
	neck := sp.Decoder.Dim
	p.add(neckPrefix+"0.weight", int64(neck), int64(last), 1, 1)
	p.norm(neckPrefix+"1", neck)
	p.add(neckPrefix+"2.weight", int64(neck), int64(neck), 3, 3)
	p.norm(neckPrefix+"3", neck)
	return p
}
