package model

import (
	"errors"
	"fmt"

	"samtune/internal/machine"
	"samtune/internal/tensor"
)

// ErrMemory says that a model needs more memory than the machine has free.
var ErrMemory = errors.New("not enough memory")

// Memory estimates the bytes that a model takes: its weights as float32, and in addition what encoding one picture holds
// at its peak.
func (sp *Spec) Memory() (weights, encoding int64) {
	for _, info := range sp.Params() {
		weights += 4 * tensor.Numel(info.Shape)
	}
	cells := int64(sp.EmbeddingSize) * int64(sp.EmbeddingSize)
	switch sp.Encoder.Kind {
	case kindViT: // activations, as measured on ViT-B and ViT-H, and the scores of one call of attention
		v := sp.Encoder.ViT
		encoding = 5*4*cells*int64(v.Dim*(sp.Encoder.MLPRatio+6)) + 3*max(attendBytes, 4*cells*cells)
	case kindTinyViT: // the first stage's widened maps
		st := sp.stages()[0]
		encoding = 4 * int64(st.side) * int64(st.side) * int64(st.dim*sp.Encoder.TinyViT.ExpandRatio) * 3
	}
	return weights, encoding
}

// fits is an error where the machine's free memory does not hold the model; a GPU's is not asked for.
func (sp *Spec) fits(dev *tensor.Device, free func() (int64, error)) error {
	if dev.CUDA() {
		return nil
	}
	have, err := free()
	if err != nil {
		return nil // a machine that does not say is given the benefit of the doubt
	}
	weights, encoding := sp.Memory()
	if need := weights + encoding; need > have {
		return fmt.Errorf("%w: %s needs about %d MiB (%d for its weights, %d to encode a picture) and %d MiB are free: end other programs, "+
			"ask for more memory where a cluster's scheduler or a container bounds it, or take a smaller model, as lite_medsam",
			ErrMemory, sp.Title, need>>20, weights>>20, encoding>>20, have>>20)
	}
	return nil
}

// Together is how many pictures are encoded at a time on the CPU, each by some of the threads: one for each thread, as far as what is
// free of the machine's memory goes.
func (m *Model) Together() int {
	if m.enc == nil {
		return 1
	}
	_, encoding := m.Spec.Memory()
	free, err := machine.Memory()
	if err != nil {
		return m.dev.Threads() // as in fits
	}
	return max(1, min(m.dev.Threads(), int(free*3/4/encoding)))
}
