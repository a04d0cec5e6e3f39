package model

import (
	"testing"

	"samtune/internal/tensor"
)

// BenchmarkViTBEncode encodes one picture of 1024 pixels.
func BenchmarkViTBEncode(b *testing.B) {
	d := device(b)
	m := formulaViTB(b, d)
	for b.Loop() {
		if err := d.Run(func(s *tensor.Scope) error {
			_, err := m.EncodeInput(s, s.Full(0.5, 1, 3, 1024, 1024), []string{Embedding})
			return err
		}); err != nil {
			b.Fatal(err)
		}
	}
}
