package model

import (
	"fmt"
	"sort"
	"strings"

	"samtune/checkpoints"
	"samtune/internal/tensor"
)

// Decoder turns the frozen encoder's features and a prompt into mask logits; its parameters are what
// fine-tuning trains.
type Decoder interface {
	// Name is what a recipe calls it.
	Name() string
	// Features are the encoder's features that it reads.
	Features() []string
	// Trainable lists the parameters that fine-tuning changes, ordered by name. Those that the loss does
	// not reach are not among them, so that weight decay leaves them as they are.
	Trainable() []checkpoints.Info
	// Logits returns [B, 1, 4*grid, 4*grid] for features of one image or of B.
	Logits(s *tensor.Scope, w Weights, features map[string]*tensor.Tensor, prompt EncodedPrompts) *tensor.Tensor
}

// DecoderNames lists the decoders that NewDecoder knows.
func DecoderNames() []string { return []string{"plain"} }

// NewDecoder returns a model's decoder by name.
func (m *Model) NewDecoder(name string) (Decoder, error) {
	if name != "plain" {
		return nil, fmt.Errorf("decoder %q: %w: there is %s", name, ErrUnknown, strings.Join(DecoderNames(), ", "))
	}
	return &plain{m}, nil
}

// plain is SAM's own mask decoder with its single-mask output.
type plain struct{ m *Model }

func (p *plain) Name() string       { return "plain" }
func (p *plain) Features() []string { return []string{Embedding} }

func (p *plain) Trainable() []checkpoints.Info {
	var all params
	p.m.Spec.decoderParams(&all)
	kept := all[:0]
	for _, info := range all {
		if !strings.HasPrefix(info.Name, decoderPrefix+"iou_prediction_head.") {
			kept = append(kept, info)
		}
	}
	sort.Slice(kept, func(i, j int) bool { return kept[i].Name < kept[j].Name })
	return kept
}

func (p *plain) Logits(s *tensor.Scope, w Weights, features map[string]*tensor.Tensor, prompt EncodedPrompts) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		in := decoderInput{pe: p.m.gridPE, prompt: prompt}
		return p.m.Spec.decodeMasks(s, w, features[Embedding], in, 0, 0, false).logits
	})
}
