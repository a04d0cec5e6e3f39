package selftest

import (
	"slices"
	"strings"
	"time"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// steps are timed after one that is not.
const steps = 3

// Step measures what a training step of LiteMedSAM's mask decoder takes on one view: forward, loss, backward and the optimiser; the
// median of three. No weights file is needed.
func Step(dev *tensor.Device) (time.Duration, error) {
	spec, err := model.LookUp("lite_medsam")
	if err != nil {
		return 0, err
	}
	params := slices.DeleteFunc(spec.Params(), func(info checkpoints.Info) bool { return strings.HasPrefix(info.Name, "image_encoder.") })
	m, err := load(params, func(path string) (*model.Model, error) { return model.LoadDecoder(dev, spec, path) })
	if err != nil {
		return 0, err
	}
	defer m.Close()
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		return 0, err
	}
	var took []time.Duration
	err = dev.Run(func(s *tensor.Scope) error {
		opt, err := train.NewAdamW(s, decoder.Trainable(), m.Weights())
		if err != nil {
			return err
		}
		defer opt.Drop()
		prompt, err := m.EncodePrompts(s, []model.Prompt{{Box: &[4]float32{20, 30, 200, 170}}})
		if err != nil {
			return err
		}
		grid := int64(spec.EmbeddingSize)
		features := map[string]*tensor.Tensor{model.Embedding: s.Full(0.1, 1, int64(spec.Decoder.Dim), grid, grid)}
		target := s.Full(1, 1, 1, 4*grid, 4*grid)
		for i := range steps + 1 {
			began := time.Now()
			s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
				_, _, grad := step(s, decoder, opt, model.Inputs{Features: features, Prompt: prompt}, target)
				opt.Step(s, grad, 1e-4, 0.01, 1) // returns when the gradient's norm is known, so a GPU's work is counted
				return nil
			})
			if i > 0 {
				took = append(took, time.Since(began))
			}
		}
		return nil
	})
	if err != nil {
		return 0, err
	}
	slices.Sort(took)
	return took[steps/2], nil
}
