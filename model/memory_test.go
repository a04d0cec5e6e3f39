package model

import (
	"errors"
	"strings"
	"testing"

	"samtune/internal/tensor/tensortest"
)

// TestMemory: the estimate covers the file's own size, and a machine that is too small is told before anything is read.
func TestMemory(t *testing.T) {
	d := tensortest.CPU(t)
	for _, name := range Names() {
		spec, err := LookUp(name)
		if err != nil {
			t.Fatal(err)
		}
		weights, encoding := spec.Memory()
		if size := spec.Weights.Size; size > 0 && (float64(weights) < 0.95*float64(size) || weights > size) {
			t.Errorf("%s: weights are estimated at %d bytes, its file has %d", name, weights, size)
		}
		free := func(bytes int64) func() (int64, error) { return func() (int64, error) { return bytes, nil } }
		if err := spec.fits(d, free(weights+encoding)); err != nil {
			t.Errorf("%s: %v", name, err)
		}
		if err := spec.fits(d, free(weights)); !errors.Is(err, ErrMemory) || !strings.Contains(err.Error(), spec.Title) {
			t.Errorf("%s in memory for its weights alone: %v", name, err)
		}
	}
	if _, err := Load(d, &Spec{Name: "giant", Title: "a giant", ImageSize: 1 << 20, EmbeddingSize: 1 << 16, Decoder: tinySpec().Decoder,
		Encoder: EncoderSpec{Kind: kindViT, MLPRatio: 4, ViT: ViTSpec{Patch: 16, Dim: 1024, Depth: 4, Heads: 16, Window: 14}}}, "giant.pth"); !errors.Is(err, ErrMemory) {
		t.Errorf("a giant: %v", err)
	}
}
