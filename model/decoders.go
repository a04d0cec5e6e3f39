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
	// Trainable lists the parameters that fine-tuning changes, ordered by name. The IoU head, which the loss does not
	// reach, is not among them, so that weight decay leaves it as it is.
	Trainable() []checkpoints.Info
	// Initial returns the first values of those parameters that the released weights don't hold.
	Initial(s *tensor.Scope) Weights
	// Corrects says whether the logits are to be added to those of a convex head, which are then an input.
	Corrects() bool
	// Logits returns [B, 1, 4*grid, 4*grid] for features of one image or of B.
	Logits(s *tensor.Scope, w Weights, in Inputs) *tensor.Tensor
}

// Inputs are what a decoder sees of a view.
type Inputs struct {
	Features map[string]*tensor.Tensor // by name, each [B, C, side, side]
	Prompt   EncodedPrompts
	Prior    *tensor.Tensor // for a decoder that corrects a convex head: its logits and what it sees, on the network's input, [B, C, side, side]
}

// NewDecoder returns a model's decoder by name: "plain" is SAM's own mask decoder, "fine" corrects a convex
// head with it, whose prior has that many channels.
func (m *Model) NewDecoder(name string, prior int) (Decoder, error) {
	switch name {
	case "plain":
		return &plain{m}, nil
	case "fine":
		f := &fine{plain: plain{m}, prior: prior}
		for _, e := range m.Spec.Features() {
			if e.Name == Pixels || e.Name == Stage0 || e.Name == Stage1 {
				f.early = append(f.early, e)
			}
		}
		return f, nil
	}
	return nil, fmt.Errorf("decoder %q: %w: there is plain, fine", name, ErrUnknown)
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

func (p *plain) Initial(*tensor.Scope) Weights { return nil }
func (p *plain) Corrects() bool                { return false }

func (p *plain) Logits(s *tensor.Scope, w Weights, in Inputs) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		fixed := decoderInput{pe: p.m.gridPE, prompt: in.Prompt}
		return p.m.Spec.decodeMasks(s, w, in.Features[Embedding], fixed, 0, 0, false).logits
	})
}
