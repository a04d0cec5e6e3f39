package segment

import (
	"context"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

const vectors = "../testdata/everything"

// record is what the official generator says of a mask.
type record struct {
	Area         int          `json:"area"`
	BBox         [4]float64   `json:"bbox"`
	PredictedIoU float64      `json:"predicted_iou"`
	Points       [][2]float64 `json:"point_coords"`
	Stability    float64      `json:"stability_score"`
	CropBox      [4]int       `json:"crop_box"`
	Counts       string       `json:"counts"`
	Uncompressed []int        `json:"uncompressed"`
}

func official(t *testing.T, name string) []record {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(vectors, name+".json"))
	if err != nil {
		t.Fatal(err)
	}
	var file struct{ Masks []record }
	if err := json.Unmarshal(text, &file); err != nil {
		t.Fatal(err)
	}
	return file.Masks
}

// tinySAM is the model of the vectors, trained on their picture.
func tinySAM(t *testing.T) (*model.Model, *data.Image) {
	t.Helper()
	device := tensortest.CPU(t)
	spec := &model.Spec{
		Name: "tiny", Title: "tiny SAM", ImageSize: 128, Normalise: "sam", EmbeddingSize: 16,
		Encoder: model.EncoderSpec{Kind: "vit", MLPRatio: 4, ViT: model.ViTSpec{Patch: 8, Dim: 48, Depth: 2, Heads: 4, Window: 4, Global: []int{1}}},
		Decoder: model.DecoderSpec{Dim: 32, Depth: 2, MLPDim: 64, Heads: 4, Multimask: 3, IoUDepth: 3, IoUHidden: 32, MaskInChannels: 16},
	}
	m, err := model.Load(device, spec, filepath.Join(vectors, "tiny_sam.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(m.Close)
	img, err := data.ReadImage(filepath.Join(vectors, "picture.png"))
	if err != nil {
		t.Fatal(err)
	}
	return m, img
}

// with are the official settings with some of them changed.
func with(change func(o *EverythingOptions)) EverythingOptions {
	o := OfficialEverything()
	change(&o)
	return o
}

// overlap is the IoU of two masks of one size.
func overlap(a, b *data.Mask) float64 {
	both, either := 0, 0
	for i, v := range a.Pix {
		both += int(v & b.Pix[i])
		either += int(v | b.Pix[i])
	}
	return float64(both) / float64(either)
}

// TestEverythingFindsWhatTheOfficialGeneratorDoes compares with vectors made by bench/make_everything_vectors.py.
func TestEverythingFindsWhatTheOfficialGeneratorDoes(t *testing.T) {
	m, img := tinySAM(t)
	for name, opt := range map[string]EverythingOptions{
		"defaults": OfficialEverything(),
		"whole":    with(func(o *EverythingOptions) { o.MinIoU, o.MinStability = 0.7, 0.85 }),
		"open": with(func(o *EverythingOptions) {
			o.PointsPerSide, o.MinIoU, o.MinStability, o.BoxOverlap = 12, 0.3, 0.5, 0.5
		}),
		"crops": with(func(o *EverythingOptions) {
			o.PointsPerSide, o.CropLayers, o.CropPointsFactor, o.MinIoU, o.MinStability = 12, 1, 2, 0.5, 0.8
		}),
		"clean": with(func(o *EverythingOptions) { o.PointsPerSide, o.MinIoU, o.MinStability, o.MinRegion = 12, 0.3, 0.5, 120 }),
	} {
		t.Run(name, func(t *testing.T) {
			want := official(t, name)
			last := 0
			got, err := Everything(context.Background(), m, img, opt, func(done, total int) {
				if done <= last || done > total {
					t.Errorf("progress went from %d to %d of %d", last, done, total)
				}
				last = done
			})
			if err != nil {
				t.Fatal(err)
			}
			if len(got) != len(want) {
				t.Fatalf("%d masks, want %d", len(got), len(want))
			}
			worst, iou, stability, area := 1.0, 0.0, 0.0, 0
			for i, w := range want {
				rle, err := ParseRLE(w.Counts, img.Height, img.Width)
				if err != nil {
					t.Fatal(err)
				}
				mask, best, g := rle.Mask(), -1.0, Mask{}
				for _, m := range got {
					if o := overlap(m.RLE.Mask(), mask); o > best && m.CropBox == w.CropBox {
						best, g = o, m
					}
				}
				if best < 0 {
					t.Fatalf("mask %d: there is none of crop %v", i, w.CropBox)
				}
				worst = min(worst, best)
				iou = max(iou, math.Abs(float64(g.PredictedIoU)-w.PredictedIoU))
				stability = max(stability, math.Abs(float64(g.Stability)-w.Stability))
				area = max(area, max(g.Area-w.Area, w.Area-g.Area))
				for k := range 2 {
					if d := math.Abs(g.Points[0][k] - w.Points[0][k]); !(d <= 1e-9) {
						t.Errorf("mask %d: point %v, want %v", i, g.Points, w.Points)
					}
				}
				for k := range 4 {
					if d := math.Abs(float64(g.BBox[k]) - w.BBox[k]); d > 1 {
						t.Errorf("mask %d: box %v, want %v", i, g.BBox, w.BBox)
						break
					}
				}
			}
			t.Logf("%d masks: IoU with the official ones %.4f or more, predicted IoU within %.2g, stability within %.2g, area within %d pixels", len(got), worst, iou, stability, area)
			if !(worst >= 0.99) || !(iou <= 1e-2) || !(stability <= 1e-2) {
				t.Error("want an IoU of 0.99 or more, predicted IoU and stability within 0.01")
			}
		})
	}
}

func TestEverythingStops(t *testing.T) {
	m, img := tinySAM(t)
	before := tensor.Live()
	ctx, cancel := context.WithCancel(context.Background())
	_, err := Everything(ctx, m, img, OfficialEverything(), func(done, _ int) {
		if done > 64 {
			t.Error("a batch ran after the context had ended")
		}
		cancel()
	})
	if !errors.Is(err, context.Canceled) {
		t.Errorf("error %v, want context.Canceled", err)
	}
	if n := tensor.Live() - before; n != 0 {
		t.Errorf("%d tensors are left", n)
	}
}

func TestEverythingDoesNotDependOnBatches(t *testing.T) {
	m, img := tinySAM(t)
	var areas [][]int
	for _, batch := range []int{1, 7, 200} {
		got, err := Everything(context.Background(), m, img, with(func(o *EverythingOptions) {
			o.PointsPerSide, o.PointsPerBatch, o.MinIoU, o.MinStability = 6, batch, 0.5, 0.5
		}), nil)
		if err != nil {
			t.Fatal(err)
		}
		var a []int
		for _, m := range got {
			a = append(a, m.Area)
		}
		areas = append(areas, a)
	}
	if len(areas[0]) == 0 || !slices.Equal(areas[0], areas[1]) || !slices.Equal(areas[0], areas[2]) {
		t.Errorf("areas %v", areas)
	}
}

func TestEverythingRefuses(t *testing.T) {
	for name, change := range map[string]func(o *EverythingOptions){
		"no points":         func(o *EverythingOptions) { o.PointsPerSide = 0 },
		"too many points":   func(o *EverythingOptions) { o.PointsPerSide = 100_000 },
		"empty batches":     func(o *EverythingOptions) { o.PointsPerBatch = 0 },
		"IoU of 2":          func(o *EverythingOptions) { o.MinIoU = 2 },
		"not a number":      func(o *EverythingOptions) { o.MinStability = math.NaN() },
		"negative offset":   func(o *EverythingOptions) { o.StabilityOffset = -1 },
		"negative layers":   func(o *EverythingOptions) { o.CropLayers = -1 },
		"full overlap":      func(o *EverythingOptions) { o.CropOverlap = 1 },
		"factor 0":          func(o *EverythingOptions) { o.CropPointsFactor = 0 },
		"negative region":   func(o *EverythingOptions) { o.MinRegion = -1 },
		"no points in crop": func(o *EverythingOptions) { o.CropLayers, o.CropPointsFactor = 1, 64 },
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Everything(context.Background(), nil, &data.Image{Width: 8, Height: 8}, with(change), nil); err == nil {
				t.Error("no error")
			}
		})
	}
}

func TestChoosingMasks(t *testing.T) {
	mask := func(x0, x1 int, iou, stability float32) Mask {
		m := data.NewMask(10, 4)
		for y := range 4 {
			for x := x0; x < x1; x++ {
				m.Pix[y*10+x] = 1
			}
		}
		out := Mask{PredictedIoU: iou, Stability: stability}
		out.setRLE(NewRLE(m))
		return out
	}
	masks := []Mask{mask(0, 2, 0.9, 0.9), mask(4, 7, 0.8, 0.9), mask(5, 6, 0.9, 0.5), mask(0, 10, 1, 1)}
	truth := mask(4, 6, 0, 0).RLE.Mask()
	best, dice, err := BestOverlap(masks, truth, nil)
	if err != nil || best != 1 || math.Abs(float64(dice)-0.8) > 1e-9 {
		t.Errorf("best overlap: mask %d, Dice %v, %v, want 1, 0.8", best, dice, err)
	}
	if best, dice, err := BestOverlap(nil, truth, nil); err != nil || best != -1 || dice.Defined() {
		t.Errorf("best overlap of none: %d, %v, %v", best, dice, err)
	}
	union, chosen, err := Union(masks, UnionRule{MinIoU: 0.8, MinStability: 0.9, MinArea: 0.1, MaxArea: 0.9}, 10, 4)
	if err != nil || chosen != 2 || union.Count() != 20 {
		t.Errorf("union: %d pixels of %d masks, %v, want 20 of 2", union.Count(), chosen, err)
	}
	if _, _, err := Union(masks, UnionRule{}, 4, 10); err == nil {
		t.Error("union of masks of another size: no error")
	}
}
