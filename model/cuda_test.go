package model

import (
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

// TestCUDAParity runs the decoder of the tiny pack, and LiteMedSAM where its weights are, on a GPU.
func TestCUDAParity(t *testing.T) {
	d := tensortest.GPU(t)
	t.Run("tiny decoder", func(t *testing.T) {
		m := tinyModel(t, d)
		v := testkit.Vectors(t, "tiny.safetensors")
		boxes := testkit.Values(t, v, "boxes")
		if err := d.Run(func(s *tensor.Scope) error {
			p, err := m.EncodePrompts(s, []Prompt{{Box: (*[4]float32)(boxes[:4])}, {Box: (*[4]float32)(boxes[4:])}})
			if err != nil {
				return err
			}
			logits, iou := m.Predict(s, load(s, t, v, "embedding"), p, true)
			near(t, "low_res", s.Float32s(logits), testkit.Values(t, v, "box.low_res.multi"), 1e-3)
			near(t, "iou", s.Float32s(iou), testkit.Values(t, v, "box.iou.multi"), 1e-3)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("half precision", func(t *testing.T) {
		models := smallModels(t, d)
		models["LiteMedSAM"] = loadLite(t, d)
		halfPrecision(t, d, models)
	})
	t.Run("LiteMedSAM", func(t *testing.T) {
		m := loadLite(t, d)
		v := testkit.Vectors(t, "lite_synth.safetensors")
		if err := d.Run(func(s *tensor.Scope) error {
			features, err := m.EncodeInput(s, liteInput(s, t, v), []string{Embedding})
			if err != nil {
				return err
			}
			near(t, "embedding", s.Float32s(features[Embedding]), testkit.Values(t, v, "embedding_f16"), 2e-3)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}
