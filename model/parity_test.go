package model

import (
	"encoding/json"
	"math"
	"os"
	"testing"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

func load(s *tensor.Scope, t *testing.T, f *checkpoints.File, name string) *tensor.Tensor {
	t.Helper()
	return s.FromFloat32(testkit.Values(t, f, name), testkit.Info(t, f, name).Shape...)
}

// near fails unless got and want differ by at most tolerance everywhere; it logs the difference.
func near(t *testing.T, what string, got, want []float32, tolerance float64) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%s: %d values, want %d", what, len(got), len(want))
	}
	var worst float64
	at := 0
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if d > worst || math.IsNaN(d) {
			worst, at = d, i
		}
	}
	if !(worst <= tolerance) {
		t.Errorf("%s: max |diff| %.3g at %d (%g, want %g), tolerance %.3g", what, worst, at, got[at], want[at], tolerance)
		return
	}
	t.Logf("%s: max |diff| %.3g (tolerance %.3g)", what, worst, tolerance)
}

// tinySpec is the configuration of the tiny parity pack.
func tinySpec() *Spec {
	return &Spec{
		Name: "tiny", Title: "tiny SAM", ImageSize: 128, Normalise: "sam", EmbeddingSize: 8,
		Encoder: EncoderSpec{Kind: "vit", MLPRatio: 4, ViT: ViTSpec{Patch: 16, Dim: 64, Depth: 4, Heads: 4, Window: 4, Global: []int{1, 3}}},
		Decoder: DecoderSpec{Dim: 32, Depth: 2, MLPDim: 128, Heads: 8, Multimask: 3, IoUDepth: 3, IoUHidden: 32, MaskInChannels: 16},
	}
}

// tinyModel loads prompt encoder and mask decoder of the tiny pack.
func tinyModel(t *testing.T, d *tensor.Device) *Model {
	t.Helper()
	m, err := LoadDecoder(d, tinySpec(), testkit.Path(t, "tiny_sam.pth"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

func TestTinyPromptsAndMasks(t *testing.T) {
	d := tensortest.CPU(t)
	m := tinyModel(t, d)
	v := testkit.Vectors(t, "tiny.safetensors")
	points, boxes := testkit.Values(t, v, "points"), testkit.Values(t, v, "boxes")
	labels := [][]int{{1, 0}, {1, 1}}
	prompts := func(s *tensor.Scope, kind string) []Prompt {
		out := make([]Prompt, 2)
		for i := range out {
			if kind == "points" || kind == "pointsbox" || kind == "all" {
				out[i].Points = [][2]float32{{points[4*i], points[4*i+1]}, {points[4*i+2], points[4*i+3]}}
				out[i].Labels = labels[i]
			}
			if kind == "box" || kind == "pointsbox" || kind == "all" {
				out[i].Box = (*[4]float32)(boxes[4*i : 4*i+4])
			}
			if kind == "mask" || kind == "all" {
				out[i].Mask = s.Narrow(load(s, t, v, "mask_in"), 0, int64(i), 1)
			}
		}
		if kind == "none" {
			return out[:1]
		}
		return out
	}
	for _, kind := range []string{"none", "points", "box", "mask", "pointsbox", "all"} {
		t.Run(kind, func(t *testing.T) {
			err := d.Run(func(s *tensor.Scope) error {
				p, err := m.EncodePrompts(s, prompts(s, kind))
				if err != nil {
					return err
				}
				if p.Sparse != nil {
					near(t, "sparse", s.Float32s(p.Sparse), testkit.Values(t, v, kind+".sparse"), 5e-5)
				} else if _, ok := v.Info(kind + ".sparse"); ok {
					t.Error("no sparse embedding, want one")
				}
				dense := s.Permute(s.Expand(p.Dense, p.Batch, 64, -1), 0, 2, 1)
				near(t, "dense", s.Float32s(dense), testkit.Values(t, v, kind+".dense"), 5e-5)
				for _, multi := range []bool{false, true} {
					name := map[bool]string{false: "single", true: "multi"}[multi]
					logits, iou := m.Predict(s, load(s, t, v, "embedding"), p, multi)
					near(t, "low_res "+name, s.Float32s(logits), testkit.Values(t, v, kind+".low_res."+name), 5e-5)
					near(t, "iou "+name, s.Float32s(iou), testkit.Values(t, v, kind+".iou."+name), 5e-5)
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
	t.Run("dense_pe", func(t *testing.T) {
		if err := d.Run(func(s *tensor.Scope) error {
			near(t, "dense_pe", s.Float32s(s.Permute(m.gridPE, 0, 2, 1)), testkit.Values(t, v, "dense_pe"), 5e-5)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
	t.Run("postprocess", func(t *testing.T) {
		g := Geometry{Region: Rect{Width: 268, Height: 203}, Side: 128, Height: 97, Width: 128}
		if err := d.Run(func(s *tensor.Scope) error {
			near(t, "postprocess", s.Float32s(g.Restore(s, load(s, t, v, "box.low_res.multi"))), testkit.Values(t, v, "postprocess"), 5e-5)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	})
}

func TestPromptErrors(t *testing.T) {
	d := tensortest.CPU(t)
	m := tinyModel(t, d)
	for name, prompts := range map[string][]Prompt{
		"none":             {},
		"label without":    {{Points: [][2]float32{{1, 2}}}},
		"label of 7":       {{Points: [][2]float32{{1, 2}}, Labels: []int{7}}},
		"of two forms":     {{}, {Box: &[4]float32{0, 0, 1, 1}}},
		"of two lengths":   {{}, {Points: [][2]float32{{1, 2}}, Labels: []int{1}}},
		"mask and no mask": {{Mask: &tensor.Tensor{}}, {}},
	} {
		t.Run(name, func(t *testing.T) {
			if err := d.Run(func(s *tensor.Scope) error { _, err := m.EncodePrompts(s, prompts); return err }); err == nil {
				t.Error("no error")
			}
		})
	}
}

func loadLite(t testing.TB, d *tensor.Device) *Model {
	t.Helper()
	spec, err := LookUp("lite_medsam")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(d, spec, testkit.LiteMedSAM(t))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// liteInput is the network input of lite_synth.safetensors.
func liteInput(s *tensor.Scope, t *testing.T, v *checkpoints.File) *tensor.Tensor {
	small := testkit.Raw(t, v, "image_u8_small") // [1, 3, 24, 32], each pixel repeated 8 x 8, zero below
	in := make([]float32, 3*256*256)
	for c := range 3 {
		for y := range 192 {
			for x := range 256 {
				in[(c*256+y)*256+x] = float32(small[(c*24+y/8)*32+x/8]) / 255
			}
		}
	}
	return s.FromFloat32(in, 1, 3, 256, 256)
}

func TestLiteMedSAM(t *testing.T) {
	d := tensortest.CPU(t)
	m := loadLite(t, d)
	v := testkit.Vectors(t, "lite_synth.safetensors")
	if want := m.Spec.Weights.SHA256; m.SHA256 != want {
		t.Fatalf("weights have SHA-256 %s, want %s", m.SHA256, want)
	}
	err := d.Run(func(s *tensor.Scope) error {
		features, err := m.EncodeInput(s, liteInput(s, t, v), []string{Embedding})
		if err != nil {
			return err
		}
		emb := features[Embedding]
		var strided []float32
		all := s.Float32s(emb)
		for c := range 256 {
			for y := 0; y < 64; y += 4 {
				for x := 0; x < 64; x += 4 {
					strided = append(strided, all[(c*64+y)*64+x])
				}
			}
		}
		near(t, "embedding", strided, testkit.Values(t, v, "emb_strided"), 1e-3)
		near(t, "embedding, all of it, in float16", all, testkit.Values(t, v, "embedding_f16"), 1e-3)

		for _, kind := range []string{"box", "point", "none"} {
			var p Prompt
			switch kind {
			case "box":
				p.Box = &[4]float32{20, 30, 200, 170}
			case "point":
				p.Points, p.Labels = [][2]float32{{128, 96}, {10, 180}}, []int{1, 0}
			}
			encoded, err := m.EncodePrompts(s, []Prompt{p})
			if err != nil {
				return err
			}
			for source, e := range map[string]*tensor.Tensor{"emb": emb, "f16": load(s, t, v, "embedding_f16")} {
				name := kind + "." + source
				logits, iou := m.Predict(s, e, encoded, false)
				near(t, name+" logits", s.Float32s(logits), testkit.Values(t, v, name+".low_res"), 1e-3)
				near(t, name+" iou", s.Float32s(iou), testkit.Values(t, v, name+".iou"), 1e-4)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestParamsAreTheCheckpoints(t *testing.T) {
	f, err := checkpoints.Open(testkit.LiteMedSAM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	spec, err := LookUp("lite_medsam")
	if err != nil {
		t.Fatal(err)
	}
	if err := checkpoints.Match(spec.Params(), f); err != nil {
		t.Error(err)
	}
	if n := len(spec.Params()); n != 435 {
		t.Errorf("%d parameters, want 435", n)
	}
}

func TestTrainableLeavesTheIoUHead(t *testing.T) {
	b, err := os.ReadFile(testkit.Path(t, "lite_synth_gradnorm_order.json"))
	if err != nil {
		t.Fatal(err)
	}
	var withGradient []string
	if err := json.Unmarshal(b, &withGradient); err != nil {
		t.Fatal(err)
	}
	want := map[string]bool{}
	for _, n := range withGradient {
		want[decoderPrefix+n] = true
	}
	spec, err := LookUp("lite_medsam")
	if err != nil {
		t.Fatal(err)
	}
	trained := (&plain{&Model{Spec: spec}}).Trainable()
	for _, info := range trained {
		if !want[info.Name] {
			t.Errorf("%s is trained and gets no gradient in the official code", info.Name)
		}
	}
	if len(trained) != len(want) {
		t.Errorf("%d parameters are trained, want %d", len(trained), len(want))
	}
}
