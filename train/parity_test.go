package train

import (
	"encoding/json"
	"math"
	"os"
	"strings"
	"testing"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
	"samtune/model"
)

func load(s *tensor.Scope, t testing.TB, f *checkpoints.File, name string) *tensor.Tensor {
	t.Helper()
	return s.FromFloat32(testkit.Values(t, f, name), testkit.Info(t, f, name).Shape...)
}

func worst(a, b []float32) float64 {
	if len(a) != len(b) {
		return math.Inf(1)
	}
	var w float64
	for i := range a {
		d := math.Abs(float64(a[i]) - float64(b[i]))
		if math.IsNaN(d) {
			return math.Inf(1)
		}
		w = max(w, d)
	}
	return w
}

// tiny loads prompt encoder and mask decoder of the tiny parity pack.
func tiny(t testing.TB, d *tensor.Device) *model.Model {
	t.Helper()
	spec := &model.Spec{
		Name: "tiny", Title: "tiny SAM", ImageSize: 128, Normalise: "sam", EmbeddingSize: 8,
		Decoder: model.DecoderSpec{Dim: 32, Depth: 2, MLPDim: 128, Heads: 8, Multimask: 3, IoUDepth: 3, IoUHidden: 32, MaskInChannels: 16},
	}
	m, err := model.LoadDecoder(d, spec, testkit.Path(t, "tiny_sam.pth"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestAdamWFollowsPyTorch takes the three steps of the tiny pack: every gradient, loss and parameter.
func TestAdamWFollowsPyTorch(t *testing.T) {
	d := tensortest.CPU(t)
	m := tiny(t, d)
	v := testkit.Vectors(t, "tiny.safetensors")
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	boxes, losses := testkit.Values(t, v, "boxes"), testkit.Values(t, v, "losses")
	err = d.Run(func(s *tensor.Scope) error {
		opt, err := NewAdamW(s, decoder.Trainable(), m.Weights())
		if err != nil {
			return err
		}
		defer opt.Drop()
		prompt, err := m.EncodePrompts(s, []model.Prompt{{Box: (*[4]float32)(boxes[:4])}, {Box: (*[4]float32)(boxes[4:])}})
		if err != nil {
			return err
		}
		target := load(s, t, v, "target")
		valid := s.Full(1, target.Shape()...)
		features := map[string]*tensor.Tensor{model.Embedding: load(s, t, v, "embedding")}
		for step := range 3 {
			var grad *tensor.Tensor
			s.Grad(true, func() {
				logits := decoder.Logits(s, opt.Leaves(), model.Inputs{Features: features, Prompt: prompt})
				loss := DefaultLoss().Loss(s, logits, target, valid, nil)
				if diff := math.Abs(s.Item(loss) - float64(losses[step])); diff > 1e-5 {
					t.Errorf("loss of step %d differs by %.3g", step, diff)
				}
				grad = opt.Gradient(s, loss)
			})
			if step == 0 {
				biggest := 0.0
				for name, g := range opt.Views(s, grad) {
					diff := worst(s.Float32s(g), testkit.Values(t, v, "grad."+name))
					biggest = max(biggest, diff)
					if diff > 5e-5 {
						t.Errorf("gradient of %s differs by %.3g", name, diff)
					}
				}
				t.Logf("gradients: max |diff| %.3g", biggest)
			}
			opt.Step(s, grad, 1e-3, 0.01, 0)
		}
		biggest, unreached := 0.0, 0.0
		after := opt.Weights(s)
		for _, name := range v.Names() {
			name, ok := strings.CutPrefix(name, "adamw3.")
			if !ok {
				continue
			}
			w, trained := after[name]
			if !trained {
				w = m.Weights()[name] // gets no gradient and is not decayed
			}
			diff := worst(s.Float32s(w), testkit.Values(t, v, "adamw3."+name))
			if strings.HasSuffix(name, ".k_proj.bias") {
				// A bias of the keys shifts all of a query's scores alike and so changes nothing: its gradient is
				// rounding noise, about 1e-9, which AdamW divides by its own size. Noise can't be reproduced;
				// three steps move it by 3 learning rates at most.
				unreached = max(unreached, diff)
				if diff > 5e-4 {
					t.Errorf("%s, which is moved by rounding noise alone, differs by %.3g", name, diff)
				}
				continue
			}
			biggest = max(biggest, diff)
			if diff > 5e-5 {
				t.Errorf("%s after three steps differs by %.3g", name, diff)
			}
		}
		t.Logf("parameters after three steps: max |diff| %.3g; biases of keys, moved by rounding noise: %.3g", biggest, unreached)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestLiteMedSAMGradients compares loss and the norm of every gradient on LiteMedSAM's real weights.
func TestLiteMedSAMGradients(t *testing.T) {
	d := tensortest.CPU(t)
	m := lite(t, d)
	v := testkit.Vectors(t, "lite_synth.safetensors")
	b, err := os.ReadFile(testkit.Path(t, "lite_synth_gradnorm_order.json"))
	if err != nil {
		t.Fatal(err)
	}
	var order []string
	if err := json.Unmarshal(b, &order); err != nil {
		t.Fatal(err)
	}
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	prompts := map[string]model.Prompt{
		"box":   {Box: &[4]float32{20, 30, 200, 170}},
		"point": {Points: [][2]float32{{128, 96}, {10, 180}}, Labels: []int{1, 0}},
		"none":  {},
	}
	for kind, p := range prompts {
		t.Run(kind, func(t *testing.T) {
			err := d.Run(func(s *tensor.Scope) error {
				opt, err := NewAdamW(s, decoder.Trainable(), m.Weights())
				if err != nil {
					return err
				}
				defer opt.Drop()
				encoded, err := m.EncodePrompts(s, []model.Prompt{p})
				if err != nil {
					return err
				}
				mask := make([]uint8, 256*256)
				if err := v.ReadInto("target_u8", mask); err != nil {
					return err
				}
				target := s.ToDType(s.FromUint8(mask, 1, 1, 256, 256), tensor.Float32)
				valid := s.Full(1, 1, 1, 256, 256)
				var grad *tensor.Tensor
				s.Grad(true, func() {
					features := map[string]*tensor.Tensor{model.Embedding: load(s, t, v, "embedding_f16")}
					loss := DefaultLoss().Loss(s, decoder.Logits(s, opt.Leaves(), model.Inputs{Features: features, Prompt: encoded}), target, valid, nil)
					if diff := math.Abs(s.Item(loss) - float64(testkit.Values(t, v, kind+".f16.loss")[0])); diff > 1e-5 {
						t.Errorf("loss differs by %.3g", diff)
					}
					grad = opt.Gradient(s, loss)
				})
				want := testkit.Values(t, v, kind+".f16.gradnorm")
				views := opt.Views(s, grad)
				biggest := 0.0
				for i, name := range order {
					got := s.Item(s.Norm(views["mask_decoder."+name]))
					if strings.HasSuffix(name, ".k_proj.bias") {
						// It shifts all of a query's scores alike, so its gradient is zero but for rounding: there
						// is nothing to be relative to.
						if got > 1e-5 || want[i] > 1e-5 {
							t.Errorf("gradient norm of %s is %g (official %g), want zero but for rounding", name, got, want[i])
						}
						continue
					}
					relative := math.Abs(got-float64(want[i])) / float64(want[i])
					if want[i] == 0 { // the hypernetworks of the masks that are not wanted
						relative = got
					}
					biggest = max(biggest, relative)
					if !(relative <= 1e-3) {
						t.Errorf("gradient norm of %s is %g, want %g", name, got, want[i])
					}
				}
				t.Logf("gradient norms: max relative difference %.3g", biggest)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// lite loads LiteMedSAM, whose weights make setup fetches, or skips the test.
func lite(t testing.TB, d *tensor.Device) *model.Model {
	t.Helper()
	spec, err := model.LookUp("lite_medsam")
	if err != nil {
		t.Fatal(err)
	}
	m, err := model.Load(d, spec, testkit.LiteMedSAM(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}
