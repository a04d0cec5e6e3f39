package model

import (
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"

	"samtune/data"
	"samtune/internal/formula"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

// blocksOf runs a ViT block by block on an input and shows each one's output [1, H, W, C].
func blocksOf(s *tensor.Scope, m *Model, x *tensor.Tensor, seen func(s *tensor.Scope, i int, x *tensor.Tensor)) {
	v := m.enc.(*vit)
	x = s.Contiguous(s.Permute(v.encode(s, x, map[string]bool{Stage0: true})[Stage0], 0, 2, 3, 1))
	seen(s, -1, x)
	for i := range m.Spec.Encoder.ViT.Depth {
		in := x
		x = s.Block(func(s *tensor.Scope) *tensor.Tensor { return v.block(s, i, in) })
		seen(s, i, x)
	}
}

// pictureOf is a parity pack's image [3, H, W].
func pictureOf(t *testing.T, pixels []uint8, width, height int) *data.Image {
	t.Helper()
	img := &data.Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height)}
	for c := range 3 {
		for i := range width * height {
			img.Pix[3*i+c] = pixels[c*width*height+i]
		}
	}
	return img
}

// TestSmallViT compares every stage of the encoder with the official code: windows that fill the grid, and windows
// that need padding.
func TestSmallViT(t *testing.T) {
	for pack, window := range map[string]int{"tiny.safetensors": 4, "tinypad.safetensors": 3} {
		t.Run(pack, func(t *testing.T) {
			d := tensortest.CPU(t)
			spec := tinySpec()
			spec.Encoder.ViT.Window = window
			weights := testkit.FormulaWeights(t, spec.Params())
			if window == 4 {
				weights = testkit.Path(t, "tiny_sam.pth")
			}
			m, err := Load(d, spec, weights)
			if err != nil {
				t.Fatal(err)
			}
			defer m.Close()
			v := testkit.Vectors(t, pack)
			img := pictureOf(t, testkit.Raw(t, v, "image_u8"), 128, 97)
			err = d.Run(func(s *tensor.Scope) error {
				x := spec.Input(s, img, spec.WholeImage(128, 97))
				near(t, "input", s.Float32s(x), testkit.Values(t, v, "preprocessed"), 1e-6)
				blocksOf(s, m, x, func(s *tensor.Scope, i int, x *tensor.Tensor) {
					name := "block" + string(rune('0'+i))
					if i < 0 {
						return // the pack's patch embedding is without positions
					}
					near(t, name, s.Float32s(x), testkit.Values(t, v, name), 5e-5)
				})
				features, err := m.EncodeInput(s, x, []string{Stage0, Stage1, Blocks, Embedding})
				if err != nil {
					return err
				}
				near(t, "embedding", s.Float32s(features[Embedding]), testkit.Values(t, v, "embedding"), 5e-5)
				for _, f := range spec.Features()[1:] {
					if got, want := features[f.Name].Shape(), []int64{1, int64(f.Channels), int64(f.Side), int64(f.Side)}; !slices.Equal(got, want) {
						t.Errorf("%s has shape %v, want %v", f.Name, got, want)
					}
				}
				boxes := testkit.Values(t, v, "boxes")
				p, err := m.EncodePrompts(s, []Prompt{{Box: (*[4]float32)(boxes[:4])}, {Box: (*[4]float32)(boxes[4:8])}})
				if err != nil {
					return err
				}
				for _, multi := range []bool{false, true} {
					name := map[bool]string{false: "single", true: "multi"}[multi]
					logits, iou := m.Predict(s, features[Embedding], p, multi)
					near(t, "masks from the own embedding, "+name, s.Float32s(logits), testkit.Values(t, v, "box.low_res."+name), 5e-5)
					near(t, "iou, "+name, s.Float32s(iou), testkit.Values(t, v, "box.iou."+name), 5e-5)
				}
				first := s.Float32s(s.Permute(features[Stage1], 0, 2, 3, 1))
				near(t, "the first block with global attention", first, testkit.Values(t, v, "block1"), 5e-5)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestGlobalAttentionInParts runs the same attention with all heads at once and one at a time.
func TestGlobalAttentionInParts(t *testing.T) {
	d := tensortest.CPU(t)
	m, err := Load(d, tinySpec(), testkit.Path(t, "tiny_sam.pth"))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v := testkit.Vectors(t, "tiny.safetensors")
	err = d.Run(func(s *tensor.Scope) error {
		x := s.Reshape(load(s, t, v, "block0"), 1, 64, 64)
		enc := m.enc.(*vit)
		whole := s.Float32s(enc.attend(s, vitBlock(1), x, 8, 8, 1<<40))
		parts := s.Float32s(enc.attend(s, vitBlock(1), x, 8, 8, 1))
		near(t, "heads one at a time", parts, whole, 1e-6)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// formulaViTB loads ViT-B with weights by the formula.
func formulaViTB(t testing.TB, d *tensor.Device) *Model {
	t.Helper()
	if testing.Short() {
		t.Skip("ViT-B takes 375 MB and a minute")
	}
	spec, err := LookUp("sam_vit_b")
	if err != nil {
		t.Fatal(err)
	}
	path := testkit.FormulaWeights(t, spec.Params())
	m, err := Load(d, spec, path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// TestViTB compares the base model at 1024 pixels with the official code: blocks, embedding, masks, IoU.
func TestViTB(t *testing.T) {
	d := tensortest.CPU(t)
	m := formulaViTB(t, d)
	v := testkit.Vectors(t, "vitb_hash.safetensors")
	samples := testkit.Vectors(t, "hash_samples.safetensors")
	for _, name := range samples.Names() {
		info, ok := infoOf(m.Spec, name)
		if !ok {
			t.Fatalf("ViT-B has no %s", name)
		}
		near(t, name, formula.Values(name, info)[:16], testkit.Values(t, samples, name), 0)
	}
	img := formulaPicture(t)
	err := d.Run(func(s *tensor.Scope) error {
		x := m.Spec.Input(s, img, m.Spec.WholeImage(1024, 768))
		blocksOf(s, m, x, func(s *tensor.Scope, i int, x *tensor.Tensor) {
			if name := map[int]string{0: "block0_strided", 2: "block2_strided", 5: "block5_strided", 11: "block11_strided"}[i]; name != "" {
				near(t, name, every(s, x, 1, 8, 2, 8, 3, 4), testkit.Values(t, v, name), 2e-3)
			}
		})
		features, err := m.EncodeInput(s, x, []string{Embedding})
		if err != nil {
			return err
		}
		embedding := features[Embedding]
		near(t, "embedding", every(s, embedding, 2, 8, 3, 8), testkit.Values(t, v, "emb_strided"), 2e-3)
		means := s.MulScalar(s.SumDims(embedding, 0, 2, 3), 1.0/4096)
		near(t, "means of the embedding's channels", s.Float32s(means), testkit.Values(t, v, "emb_chmean"), 2e-4)
		for kind, prompt := range map[string]Prompt{
			"box":   {Box: &[4]float32{100, 50, 900, 700}},
			"point": {Points: [][2]float32{{500, 375}}, Labels: []int{1}},
		} {
			encoded, err := m.EncodePrompts(s, []Prompt{prompt})
			if err != nil {
				return err
			}
			logits, iou := m.Predict(s, embedding, encoded, true)
			near(t, kind+" logits", every(s, logits, 2, 4, 3, 4), testkit.Values(t, v, kind+".low_res_strided"), 1e-2)
			near(t, kind+" iou", s.Float32s(iou), testkit.Values(t, v, kind+".iou"), 1e-3)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// every takes every step-th slice along dimensions: dimension, step, dimension, step, ...
func every(s *tensor.Scope, x *tensor.Tensor, dims ...int64) []float32 {
	for i := 0; i < len(dims); i += 2 {
		x = s.Stride(x, dims[i], 0, dims[i+1])
	}
	return s.Float32s(x)
}

// formulaPicture is the picture of 1024 x 768 pixels of the packs with weights by the formula.
func formulaPicture(t *testing.T) *data.Image {
	small := testkit.Raw(t, testkit.Vectors(t, "vitb_hash.safetensors"), "image_u8_small")
	img := &data.Image{Width: 1024, Height: 768, Pix: make([]uint8, 3*1024*768)}
	for y := range 768 {
		for x := range 1024 {
			for c := range 3 {
				img.Pix[3*(y*1024+x)+c] = small[(c*24+y/32)*32+x/32]
			}
		}
	}
	return img
}

// TestMobileSAM compares MobileSAM with its authors' code, by weights of the formula.
func TestMobileSAM(t *testing.T) {
	d := tensortest.CPU(t)
	spec, err := LookUp("mobile_sam")
	if err != nil {
		t.Fatal(err)
	}
	m, err := Load(d, spec, testkit.FormulaWeights(t, spec.Params()))
	if err != nil {
		t.Fatal(err)
	}
	defer m.Close()
	v := testkit.Vectors(t, "mobile_hash.safetensors")
	img := formulaPicture(t)
	err = d.Run(func(s *tensor.Scope) error {
		features, err := m.Encode(s, img, []Geometry{spec.WholeImage(1024, 768)}, []string{Embedding})
		if err != nil {
			return err
		}
		near(t, "embedding", every(s, features[Embedding], 2, 8, 3, 8), testkit.Values(t, v, "emb_strided"), 1e-3)
		p, err := m.EncodePrompts(s, []Prompt{{Box: &[4]float32{100, 50, 900, 700}}})
		if err != nil {
			return err
		}
		logits, iou := m.Predict(s, features[Embedding], p, true)
		near(t, "logits", every(s, logits, 2, 4, 3, 4), testkit.Values(t, v, "box.low_res_strided"), 1e-2)
		near(t, "iou", s.Float32s(iou), testkit.Values(t, v, "box.iou"), 1e-3)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func infoOf(sp *Spec, name string) (shape []int64, ok bool) {
	for _, info := range sp.Params() {
		if info.Name == name {
			return info.Shape, true
		}
	}
	return nil, false
}

// TestOfficialNames compares names and shapes with those of the official models.
func TestOfficialNames(t *testing.T) {
	for file, models := range map[string][]string{"vit_b_keys.txt": {"sam_vit_b", "medsam_vit_b"}, "mobile_keys.txt": {"mobile_sam"}} {
		b, err := os.ReadFile(testkit.Path(t, file))
		if err != nil {
			t.Fatal(err)
		}
		want := map[string]string{}
		for _, line := range strings.Split(strings.TrimSpace(string(b)), "\n") {
			fields := strings.Split(line, "\t")
			want[fields[0]] = fields[1]
		}
		for _, name := range models {
			spec, err := LookUp(name)
			if err != nil {
				t.Fatal(err)
			}
			for _, info := range spec.Params() {
				if got := strings.ReplaceAll(fmt.Sprint(info.Shape), " ", ", "); want[info.Name] != got {
					t.Errorf("%s: %s has shape %s, want %q", name, info.Name, got, want[info.Name])
				}
			}
			if len(spec.Params()) != len(want) {
				t.Errorf("%s has %d parameters, want %d", name, len(spec.Params()), len(want))
			}
		}
	}
}
