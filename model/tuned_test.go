package model

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

// small is a whole SAM with random weights, small enough for finite differences.
func small(t *testing.T, d *tensor.Device) *Model {
	t.Helper()
	spec := tinySpec()
	spec.ImageSize, spec.Normalise = 32, "minmax"
	spec.Encoder = EncoderSpec{Kind: "tinyvit", MLPRatio: 4, TinyViT: TinyViTSpec{PatchStride: 1, EmbedDims: []int{8, 8, 12, 16},
		Depths: []int{1, 1, 2, 1}, Heads: []int{2, 2, 3, 4}, Windows: []int{5, 5, 8, 5}, Strides: []int{2, 2, 1}, ExpandRatio: 4}}
	m, err := Load(d, spec, testkit.RandomWeights(t, spec.Params()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	return m
}

// smallModels are small SAMs, one with each kind of image encoder.
func smallModels(t *testing.T, d *tensor.Device) map[string]*Model {
	t.Helper()
	vit, err := Load(d, tinySpec(), testkit.Path(t, "tiny_sam.pth"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(vit.Close)
	return map[string]*Model{"TinyViT": small(t, d), "ViT": vit}
}

// tunedKinds are the ways to tune the encoder.
var tunedKinds = map[string]func(m *Model, d Decoder) Decoder{
	"neck": func(m *Model, d Decoder) Decoder { return m.TuneNeck(d) },
	"lora": func(m *Model, d Decoder) Decoder {
		tuned, err := m.TuneLoRA(d, 2)
		if err != nil {
			panic(err)
		}
		return tuned
	},
}

// inputs are what a decoder sees of a random picture.
func inputs(s *tensor.Scope, t *testing.T, m *Model, features []string) Inputs {
	t.Helper()
	side := m.Spec.ImageSize
	r := rand.New(rand.NewPCG(3, 4))
	pixels := make([]float32, 3*side*side)
	for i := range pixels {
		pixels[i] = r.Float32()
	}
	f, err := m.EncodeInput(s, s.FromFloat32(pixels, 1, 3, int64(side), int64(side)), features)
	if err != nil {
		t.Fatal(err)
	}
	p, err := m.EncodePrompts(s, []Prompt{{Box: &[4]float32{0, 0, float32(side), float32(side)}}})
	if err != nil {
		t.Fatal(err)
	}
	return Inputs{Features: f, Prompt: p}
}

func TestTunedEncoderStartsAsReleased(t *testing.T) {
	d := tensortest.CPU(t)
	models := smallModels(t, d)
	models["LiteMedSAM"] = loadLite(t, d)
	for name, m := range models {
		for _, decoder := range []string{"plain", "fine"} {
			for kind, tune := range tunedKinds {
				t.Run(strings.Join([]string{name, kind, decoder}, " "), func(t *testing.T) {
					released, err := m.NewDecoder(decoder, 2)
					if err != nil {
						t.Fatal(err)
					}
					tuned := tune(m, released)
					if slices.Contains(tuned.Features(), Embedding) {
						t.Errorf("features %q: want none of the released neck", tuned.Features())
					}
					err = d.Run(func(s *tensor.Scope) error {
						w := m.Weights().With(tuned.Initial(s))
						w[finePrefix+"gate"] = s.Full(1, 1) // opened, so that the embedding matters
						for _, info := range tuned.Trainable() {
							if got := w.get(s, info.Name).Shape(); !slices.Equal(got, info.Shape) {
								t.Errorf("%s is %v, want %v", info.Name, got, info.Shape)
							}
						}
						logits := func(d Decoder) []float32 {
							in := inputs(s, t, m, d.Features())
							in.Prior = s.Full(1, 1, 2, 8, 8)
							return s.Float32s(d.Logits(s, w, in))
						}
						near(t, "logits", logits(tuned), logits(released), 0)
						return nil
					})
					if err != nil {
						t.Fatal(err)
					}
				})
			}
		}
	}
}

// TestTunedNeckHasTheOfficialNames compares with the file of the released weights.
func TestTunedNeckHasTheOfficialNames(t *testing.T) {
	f, err := checkpoints.Open(testkit.LiteMedSAM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	d := tensortest.CPU(t)
	m := loadLite(t, d)
	plain, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	trained := m.TuneNeck(plain).Trainable()
	if n := len(trained) - len(plain.Trainable()); n != 6 {
		t.Errorf("%d parameters beside the decoder's, want 6", n)
	}
	err = d.Run(func(s *tensor.Scope) error {
		first := m.TuneNeck(plain).Initial(s)
		for _, info := range trained {
			got, ok := f.Info(info.Name)
			if !ok || !slices.Equal(got.Shape, info.Shape) {
				t.Errorf("%s %v: the file has %v", info.Name, info.Shape, got.Shape)
			}
			if strings.HasPrefix(info.Name, neckPrefix) {
				near(t, info.Name, s.Float32s(first[info.Name]), testkit.Values(t, f, info.Name), 0)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestTunedEncoderIsAModelWithOtherWeights compares a decoder with random values of what is tuned with the model that
// is loaded from a file with these values, or the weights that they are merged into, in their place.
func TestTunedEncoderIsAModelWithOtherWeights(t *testing.T) {
	d := tensortest.CPU(t)
	for name, m := range smallModels(t, d) {
		t.Run(name, func(t *testing.T) { testOtherWeights(t, d, m) })
	}
}

func testOtherWeights(t *testing.T, d *tensor.Device, m *Model) {
	plain, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	f, err := OpenWeights(m.File)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for kind, tune := range tunedKinds {
		t.Run(kind, func(t *testing.T) {
			tuned := tune(m, plain)
			r := rand.New(rand.NewPCG(7, 8))
			values := map[string][]float32{}
			for _, info := range tuned.Trainable() {
				if _, own := m.Weights()[info.Name]; !own {
					for range tensor.Numel(info.Shape) {
						values[info.Name] = append(values[info.Name], float32(0.2*r.NormFloat64()))
					}
				}
			}
			var file []checkpoints.Tensor
			for _, info := range m.Spec.Params() {
				if info.DType == "I64" {
					file = append(file, checkpoints.Tensor{Info: info, Data: make([]byte, 8)})
					continue
				}
				w := testkit.Values(t, f, info.Name)
				if v := values[info.Name]; v != nil {
					w = v
				}
				layer := strings.TrimSuffix(info.Name, ".weight")
				if a, b := values[layer+loraA], values[layer+loraB]; a != nil && layer != info.Name {
					addProduct(w, b, a, int(info.Shape[0]), int(info.Shape[1]))
				}
				file = append(file, checkpoints.Tensor{Info: info, Data: littleEndian(w)})
			}
			path := filepath.Join(t.TempDir(), "merged.safetensors")
			if err := checkpoints.WriteSafetensors(path, nil, file); err != nil {
				t.Fatal(err)
			}
			merged, err := Load(d, m.Spec, path)
			if err != nil {
				t.Fatal(err)
			}
			defer merged.Close()
			err = d.Run(func(s *tensor.Scope) error {
				w := m.Weights()
				for _, info := range tuned.Trainable() {
					if v, other := values[info.Name]; other {
						w = w.With(Weights{info.Name: s.FromFloat32(v, info.Shape...)})
					}
				}
				released := s.Float32s(plain.Logits(s, w, inputs(s, t, m, plain.Features())))
				got := s.Float32s(tuned.Logits(s, w, inputs(s, t, m, tuned.Features())))
				want := s.Float32s(plain.Logits(s, merged.Weights(), inputs(s, t, merged, plain.Features())))
				near(t, "logits", got, want, 1e-4)
				if slices.Equal(got, released) {
					t.Error("the values change nothing")
				}
				s.Grad(true, func() {
					for _, info := range tuned.Trainable() {
						if v, other := values[info.Name]; other {
							w = w.With(Weights{info.Name: s.Leaf(s.FromFloat32(v, info.Shape...))})
						}
					}
					in := inputs(s, t, m, tuned.Features())
					near(t, "logits under autograd", s.Float32s(tuned.Logits(s, w, in)), want, 1e-4)
				})
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// addProduct adds b [out, rank] times a [rank, in] to w [out, in].
func addProduct(w, b, a []float32, out, in int) {
	rank := len(a) / in
	for o := range out {
		for i := range in {
			for k := range rank {
				w[o*in+i] += b[o*rank+k] * a[k*in+i]
			}
		}
	}
}

func littleEndian(values []float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// TestTunedEncoderGradients compares the gradient of each of the encoder's trained parameters, along a random direction,
// with the central difference.
func TestTunedEncoderGradients(t *testing.T) {
	d := tensortest.CPU(t)
	for name, m := range smallModels(t, d) {
		t.Run(name, func(t *testing.T) { testEncoderGradients(t, d, m) })
	}
}

func testEncoderGradients(t *testing.T, d *tensor.Device, m *Model) {
	plain, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	for kind, tune := range tunedKinds {
		t.Run(kind, func(t *testing.T) {
			decoder := tune(m, plain)
			own := map[string]bool{}
			for _, info := range plain.Trainable() {
				own[info.Name] = true
			}
			r := rand.New(rand.NewPCG(5, 6))
			random := func(s *tensor.Scope, spread float64, shape ...int64) *tensor.Tensor {
				values := make([]float32, tensor.Numel(shape))
				for i := range values {
					values[i] = float32(spread * r.NormFloat64())
				}
				return s.FromFloat32(values, shape...)
			}
			err := d.Run(func(s *tensor.Scope) error {
				in := inputs(s, t, m, decoder.Features())
				w := m.Weights().With(decoder.Initial(s))
				for _, info := range decoder.Trainable() { // away from the start, where factors of zero hide gradients
					if !own[info.Name] {
						w[info.Name] = s.Add(w[info.Name], random(s, 0.1, info.Shape...))
					}
				}
				weigh := random(s, 1, 1, 1, 32, 32)
				loss := func(w Weights) *tensor.Tensor { return s.Sum(s.Mul(decoder.Logits(s, w, in), weigh)) }
				for _, info := range decoder.Trainable() {
					if own[info.Name] {
						continue
					}
					direction := random(s, 1, info.Shape...)
					var got float64
					s.Grad(true, func() {
						leaf := s.Leaf(w[info.Name])
						grad := s.Backward(loss(w.With(Weights{info.Name: leaf})), leaf)[0]
						got = s.Item(s.Sum(s.Mul(grad, direction)))
					})
					const h = 3e-4
					at := func(h float64) float64 {
						return s.Item(loss(w.With(Weights{info.Name: s.Add(w[info.Name], s.MulScalar(direction, h))})))
					}
					want := (at(h) - at(-h)) / (2 * h)
					if math.Abs(got-want) > 0.02*math.Abs(want)+0.05 {
						t.Errorf("%s: derivative %g, central difference %g", info.Name, got, want)
					} else {
						t.Logf("%s: derivative %.5g, central difference %.5g", info.Name, got, want)
					}
				}
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}
