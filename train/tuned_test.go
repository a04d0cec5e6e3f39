package train

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
	"samtune/model"
)

// small is a whole SAM with random weights.
func small(t testing.TB, d *tensor.Device) *model.Model {
	t.Helper()
	spec := &model.Spec{
		Name: "small", Title: "small SAM", ImageSize: 32, Normalise: "minmax", EmbeddingSize: 8,
		Encoder: model.EncoderSpec{Kind: "tinyvit", MLPRatio: 4, TinyViT: model.TinyViTSpec{PatchStride: 1, EmbedDims: []int{8, 8, 12, 16}, Depths: []int{1, 1, 2, 1}, Heads: []int{2, 2, 3, 4},
			Windows: []int{5, 5, 8, 5}, Strides: []int{2, 2, 1}, ExpandRatio: 4}},
		Decoder: model.DecoderSpec{Dim: 32, Depth: 2, MLPDim: 128, Heads: 8, Multimask: 3, IoUDepth: 3, IoUHidden: 32, MaskInChannels: 16},
	}
	m, err := model.Load(d, spec, testkit.RandomWeights(t, spec.Params()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestTunedEncoderTrains trains the decoder together with the encoder's parts, and goes on from every step to the same bytes.
func TestTunedEncoderTrains(t *testing.T) {
	m := small(t, tensortest.CPU(t))
	for name, tune := range map[string]func(model.Decoder) model.Decoder{
		"neck": m.TuneNeck,
		"lora": func(d model.Decoder) model.Decoder {
			tuned, err := m.TuneLoRA(d, 2)
			if err != nil {
				t.Fatal(err)
			}
			return tuned
		},
	} {
		t.Run(name, func(t *testing.T) {
			cache, whole := t.TempDir(), t.TempDir()
			start := func(dir string) *Job {
				j := tinyJob(t, m, cache, dir)
				j.Predictor.Decoder = tune(j.Predictor.Decoder)
				return j
			}
			job := start(whole)
			var copies []string
			var losses []float64
			job.Step = func(p Point, _ int) {
				losses = append(losses, p.Loss)
				if p.Step%5 != 0 {
					return
				}
				to := filepath.Join(t.TempDir(), "copy")
				if err := os.CopyFS(to, os.DirFS(whole)); err != nil {
					t.Error(err)
				}
				copies = append(copies, to)
			}
			before := tensor.Live()
			result, err := Fit(context.Background(), job)
			if err != nil {
				t.Fatal(err)
			}
			m.Device().Run(func(s *tensor.Scope) error {
				first := job.Predictor.Decoder.Initial(s)
				for name := range first {
					a, b := s.Float32s(first[name]), s.Float32s(result.Weights[name])
					changed := false
					for i := range a {
						changed = changed || a[i] != b[i]
					}
					if !changed {
						t.Errorf("%s was not trained", name)
					}
				}
				return nil
			})
			result.Weights.DropOn(m.Device())
			if after := tensor.Live(); after != before {
				t.Errorf("%d tensors after the training, %d before", after, before)
			}
			if !(losses[len(losses)-1] < losses[0]) {
				t.Errorf("losses %v: want a lower one in the end", losses)
			}
			t.Logf("loss %.4f, in the end %.4f", losses[0], losses[len(losses)-1])
			want := content(t, whole)
			for _, dir := range copies {
				fitted(t, start(dir))
				sameContent(t, "resumed", content(t, dir), want)
			}
		})
	}
}

// TestFlippedViewsAreThoseOfMirroredPictures compares the first loss of every flip: the features that the encoder goes on
// from are those of the mirrored picture, so that a decoder over them starts as over the released encoder's embedding of it.
func TestFlippedViewsAreThoseOfMirroredPictures(t *testing.T) {
	m := small(t, tensortest.CPU(t))
	plain, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	tuned, err := m.TuneLoRA(plain, 2)
	if err != nil {
		t.Fatal(err)
	}
	cache := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float32}
	v := Whole(m, picture(1))
	for name, axes := range map[string][]int64{"none": nil, "y": {2}, "x": {3}, "both": {2, 3}} {
		t.Run(name, func(t *testing.T) {
			f := &fit{dev: m.Device(), views: []View{v}, prompts: map[[2]int]model.EncodedPrompts{},
				job: &Job{Predictor: &Predictor{Model: m, Decoder: tuned, Cache: cache}, Target: "bars"}}
			defer f.drop()
			err := m.Device().Run(func(s *tensor.Scope) error {
				mirrored := v
				mirrored.Geometry.Mirror = model.Mirror{X: name == "x" || name == "both", Y: name == "y" || name == "both"}
				want, err := cache.Load(s, m, mirrored, plain.Features())
				if err != nil {
					return err
				}
				e, err := f.look(s, 0, axes)
				if err != nil {
					return err
				}
				prompt, err := m.EncodePrompts(s, []model.Prompt{v.Geometry.FullBox()})
				if err != nil {
					return err
				}
				w := m.Weights().With(tuned.Initial(s))
				a := s.Float32s(tuned.Logits(s, w, model.Inputs{Features: e.in.Features, Prompt: prompt}))
				b := s.Float32s(plain.Logits(s, w, model.Inputs{Features: want, Prompt: prompt}))
				if !slices.Equal(a, b) {
					t.Error("the logits differ")
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
