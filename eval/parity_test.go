package eval

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"samtune/checkpoints"
	"samtune/data"
)

// vectors are the mask pairs of testdata/parity with the values of the Python libraries.
type vectors struct {
	file   *checkpoints.File
	values map[string]map[string]any
}

func openVectors(t *testing.T) vectors {
	t.Helper()
	dir := filepath.Join("..", "testdata", "parity")
	f, err := checkpoints.Open(filepath.Join(dir, "metrics_masks.safetensors"))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	v := vectors{file: f}
	text, err := os.ReadFile(filepath.Join(dir, "metrics.json"))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &v.values); err != nil {
		t.Fatal(err)
	}
	return v
}

func (v vectors) mask(t *testing.T, name string) *data.Mask {
	t.Helper()
	info, ok := v.file.Info(name)
	if !ok {
		t.Fatalf("no tensor %q", name)
	}
	m := data.NewMask(int(info.Shape[1]), int(info.Shape[0]))
	if err := v.file.ReadInto(name, m.Pix); err != nil {
		t.Fatal(err)
	}
	return m
}

func TestScoreAgreesWithLibraries(t *testing.T) {
	v := openVectors(t)
	for name, want := range v.values {
		t.Run(name, func(t *testing.T) {
			probability, err := v.file.Float32(name + ".score")
			if err != nil {
				t.Fatal(err)
			}
			for _, spacing := range [][2]float64{{1, 1}, {2, 0.5}} {
				for tolerance := 1.0; tolerance <= 2; tolerance++ {
					s, err := Score(Input{
						Prediction: v.mask(t, name+".pred"), Truth: v.mask(t, name+".gt"), Probability: probability,
						Spacing: spacing, NSDTolerance: tolerance,
					})
					if err != nil {
						t.Fatal(err)
					}
					at := fmt.Sprintf("@%gx%g", spacing[0], spacing[1])
					for key, check := range map[string]struct {
						got       Float
						tolerance float64
					}{
						"tp": {Float(s.TP), 0}, "fp": {Float(s.FP), 0}, "fn": {Float(s.FN), 0}, "tn": {Float(s.TN), 0},
						"dice": {s.Dice, 1e-12}, "iou": {s.IoU, 1e-12}, "sens": {s.Sensitivity, 1e-12},
						"spec": {s.Specificity, 1e-12}, "acc": {s.Accuracy, 1e-12}, "auc": {s.AUC, 1e-12},
						"cldice": {s.ClDice, 1e-12}, "medpy_hd95" + at: {s.HD95, 1e-9}, "medpy_assd" + at: {s.ASSD, 1e-9},
						fmt.Sprintf("sd_nsd%g", tolerance) + at: {s.NSD, 1e-12},
					} {
						// MedPy raises an error for an empty mask, so the vectors have no value there.
						number, defined := want[key].(float64)
						if defined != check.got.Defined() || math.Abs(number-float64(check.got)) > check.tolerance {
							t.Errorf("%s: got %v, want %v", key, check.got, want[key])
						}
					}
				}
			}
		})
	}
}

func TestSkeletonAgreesWithScikitImage(t *testing.T) {
	v := openVectors(t)
	for name := range v.values {
		t.Run(name, func(t *testing.T) {
			for _, side := range []string{"pred", "gt"} {
				got, want := skeletonise(v.mask(t, name+"."+side)), v.mask(t, name+".skel_"+side)
				for i := range want.Pix {
					if got.Pix[i] != want.Pix[i] {
						t.Fatalf("%s: x %d, y %d is %d, want %d", side, i%want.Width, i/want.Width, got.Pix[i], want.Pix[i])
					}
				}
			}
		})
	}
}
