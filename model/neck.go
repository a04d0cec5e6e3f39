package model

import (
	"fmt"
	"maps"
	"slices"
	"sort"
	"strings"

	"samtune/checkpoints"
	"samtune/internal/tensor"
)

const neckPrefix = encoderPrefix + "neck."

// neck turns the last stage's output [B, H, W, C] into the embedding [B, H, W, dim]; w holds the kernels as
// asMatrix lays them out.
func neck(s *tensor.Scope, w Weights, x *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		x := s.Linear(x, w.get(s, neckPrefix+"0.weight"), nil)
		x = layerNorm(s, w, neckPrefix+"1", x, 1e-6)
		x = s.Conv2d(s.Permute(x, 0, 3, 1, 2), w.get(s, neckPrefix+"2.weight"), nil, 1, 1, 1)
		return layerNorm(s, w, neckPrefix+"3", s.Permute(x, 0, 2, 3, 1), 1e-6)
	})
}

// tuned is a decoder whose embedding is made from an earlier feature, with parameters of the encoder that are
// trained together with its own. Other features that it reads stay those of the frozen encoder.
type tuned struct {
	Decoder
	from   string // the feature that the embedding is made from
	params []checkpoints.Info
	first  func(s *tensor.Scope, info checkpoints.Info) *tensor.Tensor       // a parameter's first value
	embed  func(s *tensor.Scope, w Weights, x *tensor.Tensor) *tensor.Tensor // x and result [B, H, W, C]
}

// TuneNeck returns the decoder with the encoder's neck trained together with it, from the released weights on.
func (m *Model) TuneNeck(d Decoder) Decoder {
	t := &tuned{Decoder: d, from: m.Spec.neckInput()}
	for _, info := range m.Spec.encoderParams() {
		if strings.HasPrefix(info.Name, neckPrefix) {
			t.params = append(t.params, info)
		}
	}
	t.first = func(s *tensor.Scope, info checkpoints.Info) *tensor.Tensor {
		return s.Reshape(m.encoder(s).parameter(s, info.Name), info.Shape...)
	}
	t.embed = func(s *tensor.Scope, w Weights, x *tensor.Tensor) *tensor.Tensor {
		laid := Weights{}
		for _, info := range t.params {
			laid[info.Name] = asMatrix(s, w.get(s, info.Name))
		}
		return neck(s, laid, x)
	}
	return t
}

// encoder is the model's frozen encoder; a model that was loaded without one can't be tuned.
func (m *Model) encoder(s *tensor.Scope) imageEncoder {
	if m.enc == nil {
		s.Fail(fmt.Errorf("tune the encoder: %s was loaded without it", m.Spec.Title))
	}
	return m.enc
}

func (t *tuned) Features() []string {
	out := slices.Clone(t.Decoder.Features())
	out[slices.Index(out, Embedding)] = t.from
	return out
}

func (t *tuned) Trainable() []checkpoints.Info {
	all := append(slices.Clone(t.Decoder.Trainable()), t.params...)
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

func (t *tuned) Initial(s *tensor.Scope) Weights {
	w := Weights{}
	for _, info := range t.params {
		w[info.Name] = t.first(s, info)
	}
	return w.With(t.Decoder.Initial(s))
}

func (t *tuned) Logits(s *tensor.Scope, w Weights, in Inputs) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		embedding := s.Block(func(s *tensor.Scope) *tensor.Tensor {
			x := s.Contiguous(s.Permute(in.Features[t.from], 0, 2, 3, 1))
			return s.Permute(t.embed(s, w, x), 0, 3, 1, 2)
		})
		in.Features = maps.Clone(in.Features)
		in.Features[Embedding] = embedding
		return t.Decoder.Logits(s, w, in)
	})
}
