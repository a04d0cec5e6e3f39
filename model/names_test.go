package model

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

// TestHuggingFaceNames loads a model as transformers saves it and compares what it makes of an input.
func TestHuggingFaceNames(t *testing.T) {
	d := tensortest.CPU(t)
	spec := &Spec{
		Name: "hf_small", Title: "a small SamModel", ImageSize: 64, Normalise: "sam", EmbeddingSize: 4,
		Encoder: EncoderSpec{Kind: "vit", MLPRatio: 2, ViT: ViTSpec{Patch: 16, Dim: 32, Depth: 2, Heads: 2, Window: 3, Global: []int{1}}},
		Decoder: DecoderSpec{Dim: 16, Depth: 2, MLPDim: 32, Heads: 4, Multimask: 3, IoUDepth: 3, IoUHidden: 16, MaskInChannels: 16},
	}
	m, err := Load(d, spec, testkit.Path(t, "hf_small.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v := testkit.Vectors(t, "hf_small_vectors.safetensors")
	err = d.Run(func(s *tensor.Scope) error {
		features, err := m.EncodeInput(s, load(s, t, v, "input"), []string{Embedding})
		if err != nil {
			return err
		}
		near(t, "embedding", s.Float32s(features[Embedding]), testkit.Values(t, v, "embedding"), 5e-5)
		p, err := m.EncodePrompts(s, []Prompt{{Points: [][2]float32{{20, 40}, {50, 10}}, Labels: []int{1, 0}}})
		if err != nil {
			return err
		}
		logits, iou := m.Predict(s, features[Embedding], p, true)
		// Transformers adds 1e-6 to the variances of the mask decoder's norms, the official code 1e-5.
		near(t, "logits", s.Float32s(logits), testkit.Values(t, v, "logits"), 1e-3)
		near(t, "iou", s.Float32s(iou), testkit.Values(t, v, "iou"), 1e-3)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// namesOf maps each name to itself or as rename says.
func officialOf(t *testing.T, names []string) []string {
	t.Helper()
	mapped, err := officialNames(names, nil)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, official := range mapped {
		out = append(out, official)
	}
	slices.Sort(out)
	return out
}

// TestWrappedNames finds a model in a dictionary and behind the prefixes that wrappers leave.
func TestWrappedNames(t *testing.T) {
	var names []string
	for _, info := range tinySpec().Params() {
		names = append(names, info.Name)
	}
	slices.Sort(names)
	for _, prefix := range []string{"", "model.", "module.", "model.module.", "state_dict.", "sam."} {
		var wrapped []string
		for _, n := range names {
			wrapped = append(wrapped, prefix+n)
		}
		if got := officialOf(t, wrapped); !slices.Equal(got, names) {
			t.Errorf("prefix %q: %v", prefix, got)
		}
		if prefix == "" {
			continue
		}
		_, err := officialNames(append(wrapped, "ema.image_encoder.pos_embed"), []string{"optimizer"})
		if !errors.Is(err, checkpoints.ErrFormat) || !strings.Contains(err.Error(), "ema, optimizer") {
			t.Errorf("prefix %q beside an optimiser: %v", prefix, err)
		}
	}
}

func TestRecognise(t *testing.T) {
	lite := testkit.LiteMedSAM(t)
	spec, err := RecogniseFile(lite)
	if err != nil || spec.Name != "lite_medsam" {
		t.Fatalf("LiteMedSAM's weights: %v, %v", spec, err)
	}
	copied := filepath.Join(t.TempDir(), "sam_vit_b_01ec64.pth") // what it is called says nothing
	if b, err := os.ReadFile(lite); err != nil {
		t.Fatal(err)
	} else if err := os.WriteFile(copied, b, 0o600); err != nil {
		t.Fatal(err)
	}
	if spec, err = RecogniseFile(copied); err != nil || spec.Name != "lite_medsam" {
		t.Errorf("under another model's file name: %v, %v", spec, err)
	}
	if _, err := RecogniseFile(testkit.Path(t, "tiny_sam.pth")); !errors.Is(err, ErrNoModel) || !strings.Contains(err.Error(), "of another shape: image_encoder.blocks.0") {
		t.Errorf("a model of no declared size: %v", err)
	}
	d := tensortest.CPU(t)
	base, err := LookUp("sam_vit_b")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := Load(d, base, lite); err == nil || !strings.Contains(err.Error(), "lite_medsam") {
		t.Errorf("LiteMedSAM's weights as ViT-B's: %v, want the model named that they are of", err)
	}
}

// TestRecogniseOneArchitecture: SAM ViT-B and MedSAM differ in nothing but their numbers.
func TestRecogniseOneArchitecture(t *testing.T) {
	mobile, err := LookUp("mobile_sam")
	if err != nil {
		t.Fatal(err)
	}
	if spec, err := RecogniseFile(testkit.FormulaWeights(t, mobile.Params())); err != nil || spec.Name != "mobile_sam" {
		t.Errorf("MobileSAM: %v, %v", spec, err)
	}
	if testing.Short() {
		t.Skip("ViT-B takes 375 MB")
	}
	base, err := LookUp("sam_vit_b")
	if err != nil {
		t.Fatal(err)
	}
	_, err = RecogniseFile(testkit.FormulaWeights(t, base.Params()))
	if err == nil || !strings.Contains(err.Error(), "medsam_vit_b and sam_vit_b") || !strings.Contains(err.Error(), "--model") {
		t.Errorf("ViT-B with other numbers: %v, want both models named", err)
	}
}
