package train

import (
	"context"
	"fmt"
	"math"
	"path/filepath"
	"reflect"
	"testing"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

// TestCUDATraining takes a short training of the tiny decoder on a GPU twice, and compares with the CPU.
func TestCUDATraining(t *testing.T) {
	m := tiny(t, tensortest.GPU(t))
	cache := t.TempDir()
	first, second := t.TempDir(), t.TempDir()
	var losses []float64
	j := tinyJob(t, m, cache, first)
	j.Step = func(p Point, _ int) { losses = append(losses, p.Loss) }
	fitted(t, j)
	fitted(t, tinyJob(t, m, cache, second))
	sameContent(t, "second run on the GPU", content(t, second), content(t, first))

	cpu := tiny(t, tensortest.CPU(t))
	j = tinyJob(t, cpu, t.TempDir(), t.TempDir())
	i := 0
	j.Step = func(p Point, _ int) {
		if math.Abs(p.Loss-losses[i]) > 1e-2*p.Loss {
			t.Errorf("loss of step %d is %g on the GPU, %g on the CPU", p.Step, losses[i], p.Loss)
		}
		i++
	}
	fitted(t, j)
}

// TestCUDARepeats encodes pictures with LiteMedSAM, trains its decoder on them and fits heads, all of it twice: to the same bytes.
func TestCUDARepeats(t *testing.T) {
	m := lite(t, tensortest.GPU(t))
	for _, precision := range []tensor.DType{tensor.Float32, tensor.BFloat16} {
		if err := m.SetPrecision(precision); err != nil {
			t.Fatal(err)
		}
		var want map[string][]byte
		for range 2 {
			got := content(t, liteRun(t, m))
			if want == nil {
				want = got
			}
			sameContent(t, fmt.Sprint("second run, encoder in ", precision), got, want)
		}
	}
}

// TestCUDAHeld compares the features that a GPU holds with those that are read, and has them freed.
func TestCUDAHeld(t *testing.T) {
	m := lite(t, tensortest.GPU(t))
	dir := t.TempDir()
	features := []string{model.Embedding, model.Stage0, model.Stage1}
	want := Want{View: Whole(m, picture(1)), Features: features}
	before := tensor.Live()
	var got [2]map[string][]float32
	for i := range got {
		c := &EmbeddingCache{Dir: dir, DType: tensor.Float16}
		if err := c.Fill(context.Background(), m, []Want{want}, func(int) {}, func() {}); err != nil {
			t.Fatal(err)
		}
		if held := tensor.Live() - before; i == 0 && held != int64(len(features)) {
			t.Errorf("%d features are held, want %d", held, len(features))
		}
		if err := m.Device().Run(func(s *tensor.Scope) error {
			tensors, err := c.Load(s, m, want.View, features)
			got[i] = map[string][]float32{}
			for name, x := range tensors {
				got[i][name] = s.Float32s(x)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
		if held := tensor.Live() - before; held != int64(len(features)) {
			t.Errorf("after they were used %d features are held, want %d", held, len(features))
		}
		c.Close()
		if left := tensor.Live() - before; left != 0 {
			t.Errorf("%d tensors are left when the cache is closed", left)
		}
	}
	if !reflect.DeepEqual(got[0], got[1]) {
		t.Error("features that were held and features that were read differ")
	}
}

// liteRun encodes, trains and fits from an empty folder, which it returns.
func liteRun(t *testing.T, m *model.Model) string {
	t.Helper()
	dir := t.TempDir()
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	c := &EmbeddingCache{Dir: filepath.Join(dir, "cache"), DType: tensor.Float16}
	defer c.Close()
	p := &Predictor{Model: m, Decoder: decoder, Cache: c, Tiling: Tiling{Grid: 2, Tile: 64, Feather: 8, MinValid: 0.1}, Threshold: 0.5}
	shots := []*data.Sample{picture(1), picture(2), picture(3)}
	var wants []Want
	for _, s := range shots {
		for _, v := range p.Tiling.Views(m, s) {
			wants = append(wants, Want{View: v, Features: []string{model.Embedding, model.Stage0}})
		}
	}
	if err := c.Fill(context.Background(), m, wants, func(int) {}, func() {}); err != nil {
		t.Fatal(err)
	}
	store, err := checkpoints.OpenStore(filepath.Join(dir, "plain"), checkpoints.StoreOptions{Identity: "test", Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	fitted(t, &Job{Predictor: p, Target: "bars", Train: shots[:2], Validation: shots[2:], Store: store, LogPath: filepath.Join(dir, "train.jsonl"),
		Config:  Config{Steps: 12, Batch: 2, LR: 5e-4, WeightDecay: 0.01, Warmup: 3, Clip: 1, Flips: true, ValidateEvery: 6, CheckpointEvery: 6, Seed: 7, Loss: DefaultLoss()},
		Resumed: func(int) {}, Warn: func(string) {}, Step: func(Point, int) {}})
	h := &HeadFeatures{Model: m, Cache: c, Pyramid: Pyramid{Scales: []int{1, 2}, Mirrors: "x", Features: []string{model.Embedding, model.Stage0, model.Pixels}}}
	heads, err := FitHeads(context.Background(), h, headConfig(), []HeadTask{{"bars", shots}}, func() {})
	if err != nil {
		t.Fatal(err)
	}
	store, err = checkpoints.OpenStore(filepath.Join(dir, "head"), checkpoints.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveHead(store, h, heads[0]); err != nil {
		t.Fatal(err)
	}
	return dir
}

// TestCUDAMemory takes 400 steps, whose second half may take no more of the GPU's memory, and encodes more pictures at a time than
// what is left of it holds.
func TestCUDAMemory(t *testing.T) {
	gpu := tensortest.GPU(t)
	free := func() int64 {
		t.Helper()
		g, err := gpu.GPU()
		if err != nil {
			t.Fatal(err)
		}
		return g.Free
	}
	const steps = 400
	j := tinyJob(t, tiny(t, gpu), t.TempDir(), t.TempDir())
	j.Config.Steps, j.Config.ValidateEvery, j.Config.CheckpointEvery = steps, steps, steps
	var live, left [2]int64
	j.Step = func(p Point, _ int) {
		for i, moment := range []int{steps / 2, steps - 1} {
			if p.Step == moment {
				live[i], left[i] = tensor.Live(), free()
			}
		}
	}
	fitted(t, j)
	t.Logf("%d and %d tensors, %d and %d bytes of the GPU free after half of the steps and all", live[0], live[1], left[0], left[1])
	if live[0] == 0 || live[0] != live[1] || left[1] < left[0] {
		t.Errorf("%d and %d tensors, %d and %d bytes free: want the same", live[0], live[1], left[0], left[1])
	}

	m := lite(t, gpu)
	var smaller []int
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16, Batch: 64, Smaller: func(batch int) { smaller = append(smaller, batch) }}
	defer c.Close()
	var wants []Want
	for i := range uint64(64) {
		wants = append(wants, Want{View: Whole(m, picture(i)), Features: []string{model.Embedding}})
	}
	var taken *tensor.Tensor
	room := free() - 1<<30
	if err := gpu.Run(func(s *tensor.Scope) error { taken = s.Keep(s.Zeros(tensor.Uint8, room)); return nil }); err != nil {
		t.Fatal(err)
	}
	defer func() {
		_ = gpu.Run(func(*tensor.Scope) error { taken.Drop(); return nil })
	}()
	if err := c.Fill(context.Background(), m, wants, func(int) {}, func() {}); err != nil {
		t.Fatal(err)
	}
	t.Logf("with 1 GiB free, batches of %v", smaller)
	if c.Encoded != 64 || len(smaller) == 0 {
		t.Errorf("%d of 64 views encoded, batches of %v: want all, in batches made smaller", c.Encoded, smaller)
	}
}
