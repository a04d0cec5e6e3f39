package model

import (
	"math"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

// pointPrompts are points all over the tiny model's input.
func pointPrompts(n int) []Prompt {
	out := make([]Prompt, n)
	for i := range out {
		out[i] = Prompt{Points: [][2]float32{{float32(i * 37 % 128), float32(i * 53 % 128)}}, Labels: []int{1}}
	}
	return out
}

func TestPredictAboveIsPredict(t *testing.T) {
	d := tensortest.CPU(t)
	m := tinyModel(t, d)
	v := testkit.Vectors(t, "tiny.safetensors")
	err := d.Run(func(s *tensor.Scope) error {
		embedding := s.Narrow(load(s, t, v, "embedding"), 0, 0, 1)
		prompts, err := m.EncodePrompts(s, pointPrompts(11)) // groups of promptGroup, and a rest
		if err != nil {
			return err
		}
		logits, iou := m.Predict(s, embedding, prompts, true)
		estimates := s.Float32s(iou)
		for name, above := range map[string]float32{
			"all": float32(math.Inf(-1)), "some": estimates[13], "none": float32(math.Inf(1)),
		} {
			var want []float32
			var wantIoU []float32
			var wantPrompts []int
			size := tensor.Numel(logits.Shape()) / int64(len(estimates))
			flat := s.Float32s(logits)
			for i, e := range estimates {
				if e > above+1e-6 { // the estimate that is the bound itself is not larger, on either way
					want = append(want, flat[int64(i)*size:int64(i+1)*size]...)
					wantIoU, wantPrompts = append(wantIoU, e), append(wantPrompts, i/3)
				}
			}
			got, err := m.PredictAbove(s, embedding, prompts, above+1e-6)
			if err != nil {
				return err
			}
			if len(got.Prompt) != len(wantPrompts) {
				t.Errorf("%s: %d masks, want %d", name, len(got.Prompt), len(wantPrompts))
				continue
			}
			for i, p := range got.Prompt {
				if p != wantPrompts[i] {
					t.Errorf("%s: mask %d is of prompt %d, want %d", name, i, p, wantPrompts[i])
				}
			}
			if len(want) == 0 {
				if got.Logits != nil {
					t.Errorf("%s: logits of shape %v, want none", name, got.Logits.Shape())
				}
				continue
			}
			near(t, name+": logits", s.Float32s(got.Logits), want, 5e-5)
			near(t, name+": iou", got.IoU, wantIoU, 5e-5)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestPredictAboveRefuses(t *testing.T) {
	d := tensortest.CPU(t)
	m := tinyModel(t, d)
	for name, c := range map[string]struct {
		images  int64
		prompts []Prompt
	}{
		"two images": {2, pointPrompts(2)},
		"no tokens":  {1, []Prompt{{}}},
	} {
		t.Run(name, func(t *testing.T) {
			err := d.Run(func(s *tensor.Scope) error {
				prompts, err := m.EncodePrompts(s, c.prompts)
				if err != nil {
					return err
				}
				_, err = m.PredictAbove(s, s.Zeros(tensor.Float32, c.images, 32, 8, 8), prompts, 0)
				return err
			})
			if err == nil {
				t.Error("no error")
			}
		})
	}
}
