package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
	"samtune/model"
)

// picture returns a random sample whose target is a few bars; n is its number.
func picture(n uint64) *data.Sample {
	const w, h = 128, 97
	r := rand.New(rand.NewPCG(n, 1))
	s := &data.Sample{ID: fmt.Sprint("case", n), Image: &data.Image{Width: w, Height: h, Pix: make([]uint8, 3*w*h)},
		Masks: map[string]*data.Mask{"bars": data.NewMask(w, h)}, Valid: data.NewMask(w, h)}
	for i := range s.Image.Pix {
		s.Image.Pix[i] = uint8(r.UintN(256))
	}
	for y := range h {
		for x := range w {
			if (x/8+int(n))%3 == 0 {
				s.Masks["bars"].Pix[y*w+x] = 1
			}
			if x > 4 {
				s.Valid.Pix[y*w+x] = 1
			}
		}
	}
	return s
}

// tinyJob is a training of the tiny decoder over made-up features that are in the cache already.
func tinyJob(t testing.TB, m *model.Model, cacheDir, runDir string) *Job {
	t.Helper()
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &Predictor{Model: m, Decoder: decoder, Cache: &EmbeddingCache{Dir: cacheDir, DType: tensor.Float16},
		Tiling: Tiling{Grid: 2, Tile: 64, Feather: 8, MinValid: 0.1}, Threshold: 0.5}
	store, err := checkpoints.OpenStore(filepath.Join(runDir, "checkpoints"), checkpoints.StoreOptions{Identity: "test", Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	j := &Job{
		Predictor: p, Target: "bars", Train: []*data.Sample{picture(1), picture(2)}, Validation: []*data.Sample{picture(3)},
		Store: store, LogPath: filepath.Join(runDir, "train.jsonl"),
		Config:  Config{Steps: 12, Batch: 2, LR: 1e-3, WeightDecay: 0.01, Warmup: 3, Clip: 1, Flips: true, ValidateEvery: 4, CheckpointEvery: 3, Seed: 7, Loss: DefaultLoss()},
		Resumed: func(int) {}, Warn: func(string) {}, Step: func(Point, int) {},
	}
	for _, s := range append(append([]*data.Sample(nil), j.Train...), j.Validation...) {
		for i, v := range p.Tiling.Views(m, s) {
			r := rand.New(rand.NewPCG(uint64(i), uint64(len(s.ID))))
			raw := make([]byte, 2*32*8*8)
			for k := 0; k < len(raw); k += 2 { // halves between 1 and 2
				binary.LittleEndian.PutUint16(raw[k:], uint16(0x3c00|r.UintN(1024)))
			}
			if err := p.Cache.write(p.Cache.path(p.Cache.Key(m, v, model.Embedding)), model.Embedding, "F16", []int64{1, 32, 8, 8}, raw); err != nil {
				t.Fatal(err)
			}
		}
	}
	return j
}

// content returns all files of a folder by their path within it.
func content(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return err
		}
		b, err := os.ReadFile(path)
		rel, _ := filepath.Rel(dir, path)
		out[rel] = b
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameContent(t *testing.T, what string, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%s: %d files, want %d", what, len(got), len(want))
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s: %s differs", what, name)
		}
	}
}

func fitted(t *testing.T, j *Job) *Result {
	t.Helper()
	r, err := Fit(context.Background(), j)
	if err != nil {
		t.Fatal(err)
	}
	r.Weights.DropOn(j.Predictor.Model.Device())
	return r
}

func TestFitRepeatsToTheByte(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	cache := t.TempDir()
	first, second := t.TempDir(), t.TempDir()
	a := fitted(t, tinyJob(t, m, cache, first))
	fitted(t, tinyJob(t, m, cache, second))
	sameContent(t, "second run", content(t, second), content(t, first))
	if a.Steps != 12 || a.BestStep == 0 || a.BestStep%4 != 0 {
		t.Errorf("%d steps, best at %d: want 12 and a step of a validation", a.Steps, a.BestStep)
	}
}

// TestFitGoesOnToTheSameBytes copies the run's folder as it is after each step, which is what a kill at that
// moment leaves behind, and lets the copy go on.
func TestFitGoesOnToTheSameBytes(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	cache, whole := t.TempDir(), t.TempDir()
	long := func(dir string) *Job {
		j := tinyJob(t, m, cache, dir)
		j.Config.Steps, j.Config.ValidateEvery, j.Config.CheckpointEvery = 40, 20, 10
		return j
	}
	job := long(whole)
	var copies []string
	job.Step = func(p Point, _ int) {
		to := filepath.Join(t.TempDir(), "copy")
		if err := os.CopyFS(to, os.DirFS(whole)); err != nil {
			t.Error(err)
		}
		copies = append(copies, to)
	}
	fitted(t, job)
	want := content(t, whole)
	if len(copies) != 40 {
		t.Fatalf("%d steps, want 40", len(copies))
	}
	for i, dir := range copies {
		j := long(dir)
		resumed := 0
		j.Resumed = func(step int) { resumed = step }
		fitted(t, j)
		sameContent(t, fmt.Sprintf("killed after step %d, resumed at %d", i+1, resumed), content(t, dir), want)
	}
}

// TestInterruptedFitKeepsItsStep cancels the training after each of its steps. What it goes on to keeps the same checkpoints as one that was
// not cancelled; their manifests tell where it went on.
func TestInterruptedFitKeepsItsStep(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	cache, whole := t.TempDir(), t.TempDir()
	fitted(t, tinyJob(t, m, cache, whole))
	kept := func(dir string) map[string][]byte {
		files := content(t, dir)
		maps.DeleteFunc(files, func(name string, _ []byte) bool { return filepath.Base(name) == "MANIFEST.json" })
		return files
	}
	want := kept(whole)
	for cut := 1; cut <= 11; cut++ {
		dir := t.TempDir()
		ctx, cancel := context.WithCancel(context.Background())
		j := tinyJob(t, m, cache, dir)
		j.Step = func(p Point, _ int) {
			if p.Step == cut {
				cancel()
			}
		}
		if _, err := Fit(ctx, j); !errors.Is(err, context.Canceled) {
			t.Fatalf("cut after step %d: error %v, want that of the context", cut, err)
		}
		j = tinyJob(t, m, cache, dir)
		at := -1
		j.Resumed = func(step int) { at = step }
		fitted(t, j)
		if at != cut {
			t.Errorf("cut after step %d: resumed at %d", cut, at)
		}
		sameContent(t, fmt.Sprintf("cut after step %d", cut), kept(dir), want)
	}
}

func TestNoTensorOutlivesItsStep(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	before := tensor.Live()
	j := tinyJob(t, m, t.TempDir(), t.TempDir())
	var counts []int64
	j.Step = func(Point, int) { counts = append(counts, tensor.Live()) }
	fitted(t, j)
	for i, n := range counts {
		if n != counts[0] {
			t.Errorf("%d tensors after step %d, %d after the first", n, i+1, counts[0])
		}
	}
	if after := tensor.Live(); after != before {
		t.Errorf("%d tensors after the training, %d before", after, before)
	}
}

// TestStepsTakeNoMemory takes 200 steps, or as many as SAMTUNE_TEST_STEPS says, and holds the second half's memory against the first's.
func TestStepsTakeNoMemory(t *testing.T) {
	steps := 200
	if text := os.Getenv("SAMTUNE_TEST_STEPS"); text != "" {
		var err error
		if steps, err = strconv.Atoi(text); err != nil || steps < 100 {
			t.Fatalf("SAMTUNE_TEST_STEPS is %q, want a number from 100", text)
		}
	}
	m := tiny(t, tensortest.CPU(t))
	j := tinyJob(t, m, t.TempDir(), t.TempDir())
	j.Config.Steps, j.Config.ValidateEvery, j.Config.CheckpointEvery = steps, steps, steps
	var live, resident [2]int64
	j.Step = func(p Point, _ int) {
		for i, moment := range []int{steps / 2, steps - 1} {
			if p.Step != moment {
				continue
			}
			live[i], resident[i] = tensor.Live(), testkit.Resident(t)
		}
	}
	fitted(t, j)
	t.Logf("%d steps: %d and %d tensors, %.1f and %.1f MiB", steps, live[0], live[1], float64(resident[0])/(1<<20), float64(resident[1])/(1<<20))
	if live[0] == 0 || live[0] != live[1] || float64(resident[1]) > 1.01*float64(resident[0]) {
		t.Errorf("%d and %d tensors, %d and %d bytes in half of the steps and all: want as many tensors, and less than 1 %% more bytes",
			live[0], live[1], resident[0], resident[1])
	}
}

func TestBestStepIsByValidationAlone(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	j := tinyJob(t, m, t.TempDir(), t.TempDir())
	bestStep, best := 0, math.Inf(-1)
	j.Step = func(p Point, _ int) {
		if p.ValDice != nil && *p.ValDice > best {
			bestStep, best = p.Step, *p.ValDice
		}
	}
	r := fitted(t, j)
	if r.BestStep != bestStep || float64(r.BestDice) != best {
		t.Errorf("best step %d with %v, want %d with %v", r.BestStep, r.BestDice, bestStep, best)
	}
	t.Run("without validation the last", func(t *testing.T) {
		j := tinyJob(t, m, t.TempDir(), t.TempDir())
		j.Validation = nil
		if r := fitted(t, j); r.BestStep != 12 || r.BestDice.Defined() {
			t.Errorf("best step %d with %v, want the last and no Dice", r.BestStep, r.BestDice)
		}
	})
}

func TestDamagedCheckpointIsPassedOver(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	cache, dir := t.TempDir(), t.TempDir()
	want := content(t, func() string {
		whole := t.TempDir()
		fitted(t, tinyJob(t, m, cache, whole))
		return whole
	}())["train.jsonl"]
	ctx, cancel := context.WithCancel(context.Background())
	j := tinyJob(t, m, cache, dir)
	j.Step = func(p Point, _ int) {
		if p.Step == 8 {
			cancel()
		}
	}
	if _, err := Fit(ctx, j); !errors.Is(err, context.Canceled) {
		t.Fatal(err)
	}
	path := filepath.Join(dir, "checkpoints", "step-000008", WeightsFile)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	b[len(b)/2] ^= 4
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	j = tinyJob(t, m, cache, dir)
	warned, at := "", 0
	j.Warn = func(s string) { warned = s }
	j.Resumed = func(step int) { at = step }
	fitted(t, j)
	if warned == "" || at >= 8 || at == 0 {
		t.Errorf("resumed at %d with warning %q, want an earlier step and a warning", at, warned)
	}
	if got := content(t, dir)["train.jsonl"]; !bytes.Equal(got, want) {
		t.Error("the log differs from that of an uninterrupted run")
	}
}

// TestDivergedTrainingIsSaid trains with a rate at which weights leave the finite numbers, seen by the next loss, or by the weights
// where no step comes after, or the run is stopped.
func TestDivergedTrainingIsSaid(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	for _, c := range []struct{ steps, stopAt int }{{1, 0}, {12, 0}, {12, 1}} {
		steps := c.steps
		j := tinyJob(t, m, t.TempDir(), t.TempDir())
		j.Config.Steps, j.Config.LR, j.Config.Warmup = steps, 1e38, 0
		ctx, cancel := context.WithCancel(context.Background())
		defer cancel()
		j.Step = func(p Point, _ int) {
			if p.Step == c.stopAt {
				cancel()
			}
		}
		if _, err := Fit(ctx, j); !errors.Is(err, ErrDiverged) {
			t.Errorf("%d steps: error %v, want ErrDiverged", steps, err)
		}
		if found, _, err := j.Store.Latest(); err != nil || found != nil {
			t.Errorf("%d steps: checkpoint %v, error %v, want none of weights that are no numbers", steps, found, err)
		}
	}
}

func TestConfigIsChecked(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	for name, change := range map[string]func(*Config){
		"no steps":           func(c *Config) { c.Steps = 0 },
		"no batch":           func(c *Config) { c.Batch = 0 },
		"no rate":            func(c *Config) { c.LR = 0 },
		"rate not a number":  func(c *Config) { c.LR = math.NaN() },
		"decay below zero":   func(c *Config) { c.WeightDecay = -1 },
		"never a checkpoint": func(c *Config) { c.CheckpointEvery = 0 },
	} {
		t.Run(name, func(t *testing.T) {
			j := tinyJob(t, m, t.TempDir(), t.TempDir())
			change(&j.Config)
			if _, err := Fit(context.Background(), j); err == nil {
				t.Error("no error")
			}
		})
	}
}

// TestStopTakesTheFirstPartOfTheSchedule ends early: the steps until then are those of the whole training.
func TestStopTakesTheFirstPartOfTheSchedule(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	cache := t.TempDir()
	run := func(stop int) ([]Point, *Result) {
		var out []Point
		j := tinyJob(t, m, cache, t.TempDir())
		j.Config.Stop = stop
		j.Step = func(p Point, _ int) { out = append(out, p) }
		return out, fitted(t, j)
	}
	whole, result := run(0)
	part, cut := run(8)
	if len(part) != 8 || cut.Steps != 8 {
		t.Fatalf("%d steps, want 8", len(part))
	}
	for i, p := range part {
		if p.Loss != whole[i].Loss || p.LR != whole[i].LR {
			t.Errorf("step %d: loss %g at rate %g, want %g at %g", p.Step, p.Loss, p.LR, whole[i].Loss, whole[i].LR)
		}
	}
	for _, step := range []int{4, 8, 12} {
		if d, ok := result.Validation[step]; !ok || (step <= 8 && d != cut.Validation[step]) {
			t.Errorf("validation after step %d is %v, %v after the part", step, d, cut.Validation[step])
		}
	}
}

// TestFineStartsAsTheHead compares the fine decoder before its first step with the convex head that it corrects,
// and takes a few steps.
func TestFineStartsAsTheHead(t *testing.T) {
	for _, context_ := range []bool{false, true} {
		t.Run(fmt.Sprint("second stage ", context_), func(t *testing.T) {
			m := tiny(t, tensortest.CPU(t))
			dev := m.Device()
			j := tinyJob(t, m, t.TempDir(), t.TempDir())
			p := j.Predictor
			h := &HeadFeatures{Model: m, Cache: p.Cache, Pyramid: Pyramid{Scales: []int{1, 2}, Mirrors: "x", Features: []string{model.Pixels}}}
			config := headConfig()
			config.Context = context_
			shots := append(append([]*data.Sample(nil), j.Train...), j.Validation...)
			heads, err := FitHeads(context.Background(), h, config, []HeadTask{{"bars", shots}}, func() {})
			if err != nil {
				t.Fatal(err)
			}
			p.Prior = &Prior{Features: h, Head: heads[0], Train: shots}
			if p.Decoder, err = m.NewDecoder("fine", h.PriorChannels(context_)); err != nil {
				t.Fatal(err)
			}
			test := picture(9)
			for i, v := range p.Tiling.Views(m, test) {
				raw := bytes.Repeat([]byte{byte(i), 0x3c}, 32*8*8)
				if err := p.Cache.write(p.Cache.path(p.Cache.Key(m, v, model.Embedding)), model.Embedding, "F16", []int64{1, 32, 8, 8}, raw); err != nil {
					t.Fatal(err)
				}
			}
			segment := func(w func(s *tensor.Scope) model.Weights) (fine, linear *Segmentation) {
				err := dev.Run(func(s *tensor.Scope) (err error) {
					if linear, err = h.Segment(s, test, heads[0]); err != nil {
						return err
					}
					fine, err = p.Predict(s, w(s), test)
					return err
				})
				if err != nil {
					t.Fatal(err)
				}
				return fine, linear
			}
			fine, linear := segment(func(s *tensor.Scope) model.Weights { return m.Weights().With(p.Decoder.Initial(s)) })
			for i := range fine.Mask.Pix {
				if test.Valid.Pix[i] == 1 && fine.Mask.Pix[i] != linear.Mask.Pix[i] {
					t.Fatalf("pixel %d differs from the head's", i)
				}
			}
			losses := []float64{}
			j.Step = func(p Point, _ int) { losses = append(losses, p.Loss) }
			result, err := Fit(context.Background(), j)
			if err != nil {
				t.Fatal(err)
			}
			defer result.Weights.DropOn(dev)
			if !(losses[len(losses)-1] < losses[0]) {
				t.Errorf("losses %v: want a lower one in the end", losses)
			}
			trained, _ := segment(func(*tensor.Scope) model.Weights { return m.Weights().With(result.Weights) })
			same := true
			for i, v := range trained.Probability {
				same = same && v == fine.Probability[i]
			}
			if same {
				t.Error("training changed nothing")
			}
		})
	}
}
