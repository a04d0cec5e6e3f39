package model

import (
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

// BenchmarkEncode runs LiteMedSAM's image encoder on one 256 x 256 picture.
func BenchmarkEncode(b *testing.B) {
	d := tensortest.CPU(b)
	m := loadLite(b, d)
	if err := d.Run(func(s *tensor.Scope) error {
		x := s.Full(0.5, 1, 3, 256, 256)
		for b.Loop() {
			if _, err := m.EncodeInput(s, x, []string{Embedding}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		b.Fatal(err)
	}
}
