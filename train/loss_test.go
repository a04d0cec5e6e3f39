package train

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

// lossVectors are values and gradients of MONAI 1.6.1 and PyTorch, made by bench/make_loss_vectors.py.
type lossVectors struct {
	Shape                           []int64
	Logits, Target, Valid, Distance []float32
	Terms                           map[string]struct {
		Value    float64
		Gradient []float32
	}
}

func readLossVectors(t *testing.T) *lossVectors {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "loss", "vectors.json"))
	if err != nil {
		t.Fatal(err)
	}
	var v lossVectors
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatal(err)
	}
	return &v
}

// lossOf returns the loss and its gradient by the logits.
func lossOf(t *testing.T, c LossConfig, shape []int64, logits, target, valid, distance []float32) (value float64, gradient []float32) {
	t.Helper()
	err := tensortest.CPU(t).Run(func(s *tensor.Scope) error {
		z := s.Leaf(s.FromFloat32(logits, shape...))
		s.Grad(true, func() {
			l := c.Loss(s, z, s.FromFloat32(target, shape...), s.FromFloat32(valid, shape...), s.FromFloat32(distance, shape...))
			gradient = s.Float32s(s.Backward(l, z)[0])
			value = s.Item(l)
		})
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return value, gradient
}

func lossTermsByName() map[string]LossConfig {
	return map[string]LossConfig{
		"bce":             {BCE: 1, Positive: 1},
		"bce, positive 3": {BCE: 1, Positive: 3},
		"dice":            {Dice: 1, Positive: 1},
		"focal":           {Focal: 1, Gamma: 2, Alpha: 0.25, Positive: 1},
		"tversky":         {Tversky: 1, Over: 0.3, Under: 0.7, Positive: 1},
		"cldice":          {ClDice: 1, Thinning: 4, Positive: 1},
		"boundary":        {Boundary: 1, Positive: 1},
	}
}

func TestLossesFollowMONAI(t *testing.T) {
	v := readLossVectors(t)
	for name, c := range lossTermsByName() {
		t.Run(name, func(t *testing.T) {
			want, ok := v.Terms[name]
			if !ok {
				t.Fatal("no vector")
			}
			value, gradient := lossOf(t, c, v.Shape, v.Logits, v.Target, v.Valid, v.Distance)
			if math.Abs(value-want.Value) > 2e-6*(1+math.Abs(want.Value)) {
				t.Errorf("value %.8g, want %.8g", value, want.Value)
			}
			var largest, worst float64
			for i, g := range gradient {
				largest = max(largest, math.Abs(float64(want.Gradient[i])))
				worst = max(worst, math.Abs(float64(g-want.Gradient[i])))
			}
			if worst > 2e-5*largest {
				t.Errorf("gradient differs by up to %.2g of %.2g", worst, largest)
			}
			if err := c.Check(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestLossIsTheWeighedSumOfItsTerms(t *testing.T) {
	v := readLossVectors(t)
	c := LossConfig{BCE: 0.5, Positive: 3, Dice: 2, Focal: 1, Gamma: 2, Alpha: 0.25, Tversky: 0.7, Over: 0.3, Under: 0.7, ClDice: 0.3, Thinning: 4, Boundary: 0.01}
	weights := map[string]float64{"bce, positive 3": 0.5, "dice": 2, "focal": 1, "tversky": 0.7, "cldice": 0.3, "boundary": 0.01}
	want := 0.0
	for name, w := range weights {
		want += w * v.Terms[name].Value
	}
	if got, _ := lossOf(t, c, v.Shape, v.Logits, v.Target, v.Valid, v.Distance); math.Abs(got-want) > 1e-5 {
		t.Errorf("%.8g, want %.8g", got, want)
	}
}

// TestLossesLookInsideTheValidRegionAlone changes what lies outside it, and takes extreme logits.
func TestLossesLookInsideTheValidRegionAlone(t *testing.T) {
	v := readLossVectors(t)
	for name, c := range lossTermsByName() {
		t.Run(name, func(t *testing.T) {
			logits, target := append([]float32(nil), v.Logits...), append([]float32(nil), v.Target...)
			for i, in := range v.Valid {
				if in == 0 {
					logits[i], target[i] = 50, 1-target[i]
				}
			}
			before, _ := lossOf(t, c, v.Shape, v.Logits, v.Target, v.Valid, v.Distance)
			after, gradient := lossOf(t, c, v.Shape, logits, target, v.Valid, v.Distance)
			if before != after {
				t.Errorf("%g became %g", before, after)
			}
			for i, in := range v.Valid {
				if in == 0 && gradient[i] != 0 {
					t.Fatalf("a gradient of %g outside", gradient[i])
				}
			}
			for i, y := range target { // sure and wrong, and an empty target
				logits[i] = 100 * (1 - 2*y)
			}
			for what, target := range map[string][]float32{"sure and wrong": target, "empty": make([]float32, len(target))} {
				value, gradient := lossOf(t, c, v.Shape, logits, target, v.Valid, v.Distance)
				if math.IsNaN(value) || math.IsInf(value, 0) {
					t.Errorf("%s: %g", what, value)
				}
				for _, g := range gradient {
					if math.IsNaN(float64(g)) || math.IsInf(float64(g), 0) {
						t.Fatalf("%s: a gradient of %g", what, g)
					}
				}
			}
		})
	}
}

// TestTheTruthIsTheBestAnswer compares sure and right logits with half of them wrong.
func TestTheTruthIsTheBestAnswer(t *testing.T) {
	v := readLossVectors(t)
	for name, c := range lossTermsByName() {
		right, half := make([]float32, len(v.Target)), make([]float32, len(v.Target))
		for i, y := range v.Target {
			right[i] = 20 * (2*y - 1)
			half[i] = right[i]
			if i%2 == 0 {
				half[i] = -right[i]
			}
		}
		best, _ := lossOf(t, c, v.Shape, right, v.Target, v.Valid, v.Distance)
		worse, _ := lossOf(t, c, v.Shape, half, v.Target, v.Valid, v.Distance)
		if !(best < worse) || (name != "boundary" && best > 1e-3) {
			t.Errorf("%s: %g where all is right, %g where half is", name, best, worse)
		}
	}
}

// TestSignedDistance compares with the maps that the vectors were made with.
func TestSignedDistance(t *testing.T) {
	v := readLossVectors(t)
	h, w := int(v.Shape[2]), int(v.Shape[3])
	for picture := range 2 {
		m := data.NewMask(w, h)
		for i := range m.Pix {
			m.Pix[i] = uint8(v.Target[picture*w*h+i])
		}
		for i, d := range eval.SignedDistance(m) {
			if want := v.Distance[picture*w*h+i]; math.Abs(float64(d-want)) > 1e-5 {
				t.Fatalf("picture %d, pixel %d: %g, want %g", picture, i, d, want)
			}
		}
	}
	for _, d := range eval.SignedDistance(data.NewMask(3, 3)) {
		if d != 0 {
			t.Errorf("empty mask: %g, want 0", d)
		}
	}
	for _, d := range eval.SignedDistance(data.FullMask(3, 3)) {
		if math.IsInf(float64(d), 0) || math.IsNaN(float64(d)) {
			t.Errorf("full mask: %g", d)
		}
	}
}

func TestLossesThatMakeNoSenseAreRefused(t *testing.T) {
	for name, change := range map[string]func(c *LossConfig){
		"no term":        func(c *LossConfig) { c.BCE, c.Dice = 0, 0 },
		"negative":       func(c *LossConfig) { c.Dice = -1 },
		"not a number":   func(c *LossConfig) { c.BCE = math.NaN() },
		"positive":       func(c *LossConfig) { c.Positive = 0 },
		"flat focal":     func(c *LossConfig) { c.Focal, c.Gamma = 1, 0.5 },
		"focal share":    func(c *LossConfig) { c.Focal, c.Alpha = 1, 1 },
		"empty tversky":  func(c *LossConfig) { c.Tversky, c.Over, c.Under = 1, 0, 0 },
		"no thinning":    func(c *LossConfig) { c.ClDice, c.Thinning = 1, 0 },
		"below, tversky": func(c *LossConfig) { c.Tversky, c.Over = 1, -1 },
	} {
		c := DefaultLoss()
		if err := c.Check(); err != nil {
			t.Fatal(err)
		}
		change(&c)
		if err := c.Check(); err == nil || !strings.HasPrefix(err.Error(), "train: ") {
			t.Errorf("%s: error %v", name, err)
		}
	}
}
