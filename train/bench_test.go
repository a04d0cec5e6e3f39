package train

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/testkit"
	"samtune/model"
)

// The Go sides of bench/run.py's cases encode, step and head.

func benchDevice(b *testing.B) *tensor.Device {
	b.Helper()
	d, err := tensor.Open(testkit.Setting("DEVICE", "cpu"), testkit.Number(b, "THREADS", 2))
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(d.Close)
	return d
}

// BenchmarkFill reads the pictures of the folder SAMTUNE_BENCH_IMAGES and encodes each as a whole, the embedding alone, into an
// empty cache.
func BenchmarkFill(b *testing.B) {
	folder := testkit.Setting("IMAGES", "")
	if folder == "" {
		b.Skip("SAMTUNE_BENCH_IMAGES names no folder of pictures")
	}
	paths, err := filepath.Glob(filepath.Join(folder, "*.*"))
	if err != nil || len(paths) == 0 {
		b.Fatal("no pictures in ", folder, err)
	}
	paths = paths[:min(len(paths), testkit.Number(b, "COUNT", len(paths)))]
	m := lite(b, benchDevice(b))
	precision, err := tensor.ParseDType(testkit.Setting("PRECISION", "float32"))
	if err == nil {
		err = m.SetPrecision(precision)
	}
	if err != nil {
		b.Fatal(err)
	}
	fill := func(paths []string) (*EmbeddingCache, View) {
		cache := &EmbeddingCache{Dir: b.TempDir(), DType: tensor.Float16}
		var wants []Want
		for _, path := range paths {
			img, err := data.ReadImage(path)
			if err != nil {
				b.Fatal(err)
			}
			wants = append(wants, Want{View: Whole(m, &data.Sample{ID: path, Image: img}), Features: []string{model.Embedding}})
		}
		if err := cache.Fill(context.Background(), m, wants, func(int) {}, func() {}); err != nil {
			b.Fatal(err)
		}
		return cache, wants[0].View
	}
	fill(paths[:min(len(paths), m.Device().Threads())]) // what the first pass through a network sets up on each thread is not part of an image's cost
	var cache *EmbeddingCache
	var first View
	for b.Loop() {
		cache, first = fill(paths)
	}
	err = m.Device().Run(func(s *tensor.Scope) error {
		features, err := cache.Load(s, m, first, []string{model.Embedding})
		if err != nil {
			return err
		}
		e := features[model.Embedding]
		testkit.Report(b, map[string]float64{"mean": s.Item(s.Mean(e)), "rms": math.Sqrt(s.Item(s.Mean(s.Mul(e, e))))})
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
}

// BenchmarkStep takes training steps of LiteMedSAM's decoder, of SAMTUNE_BENCH_BATCH pictures each, as Fit takes them: features
// from the cache, forward, cross-entropy and Dice, backward, clipping, AdamW. All pictures have the embedding and the target
// of testdata/parity/lite_synth.safetensors.
func BenchmarkStep(b *testing.B) {
	const side = 256
	m := lite(b, benchDevice(b))
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		b.Fatal(err)
	}
	store, err := checkpoints.OpenStore(filepath.Join(b.TempDir(), "checkpoints"), checkpoints.StoreOptions{Identity: "bench", Keep: 1})
	if err != nil {
		b.Fatal(err)
	}
	batch := testkit.Number(b, "BATCH", 1)
	p := &Predictor{Model: m, Decoder: decoder, Cache: &EmbeddingCache{Dir: b.TempDir(), DType: tensor.Float16}, Tiling: Tiling{Grid: 1}}
	f := &fit{dev: m.Device(), prompts: map[[2]int]model.EncodedPrompts{}, job: &Job{
		Predictor: p, Target: "made", Store: store, LogPath: filepath.Join(b.TempDir(), "train.jsonl"),
		Config:  Config{Steps: 1 << 20, Batch: batch, LR: 5e-4, WeightDecay: 0.01, Clip: 1, ValidateEvery: 1 << 20, CheckpointEvery: 1 << 20, Loss: DefaultLoss()},
		Resumed: func(int) {}, Warn: func(string) {},
	}}
	vectors := testkit.Vectors(b, "lite_synth.safetensors")
	var embedding bytes.Buffer
	if err := m.Device().Run(func(s *tensor.Scope) error {
		embedding.Write(s.Bytes(s.ToDType(load(s, b, vectors, "embedding_f16"), tensor.Float16)))
		return nil
	}); err != nil {
		b.Fatal(err)
	}
	target := &data.Mask{Width: side, Height: side, Pix: testkit.Raw(b, vectors, "target_u8")}
	for i := range batch {
		s := &data.Sample{ID: fmt.Sprint(i), Image: &data.Image{Width: side, Height: side, Pix: make([]uint8, 3*side*side)},
			Masks: map[string]*data.Mask{"made": target}, Valid: data.NewMask(side, side)}
		s.Image.Pix[0] = uint8(i) // so that each has a file of its own in the cache
		for k := range s.Valid.Pix {
			s.Valid.Pix[k] = 1
		}
		v := Whole(m, s)
		if err := p.Cache.write(p.Cache.path(p.Cache.Key(m, v, model.Embedding)), model.Embedding, "F16", []int64{1, 256, 64, 64}, embedding.Bytes()); err != nil {
			b.Fatal(err)
		}
		f.views = append(f.views, v)
	}
	defer f.drop()
	if err := f.start(); err != nil {
		b.Fatal(err)
	}
	defer f.log.close()
	values := map[string]float64{}
	f.job.Step = func(p Point, _ int) {
		if p.Step <= 2 {
			values[fmt.Sprintf("loss%d", p.Step)] = p.Loss
		}
	}
	for range 2 {
		if err := f.step(); err != nil {
			b.Fatal(err)
		}
	}
	for b.Loop() {
		if err := f.step(); err != nil {
			b.Fatal(err)
		}
	}
	testkit.Report(b, values)
}

// BenchmarkConvexFit fits the convex head to the pixels in the folder SAMTUNE_BENCH_FIT, which bench/python_head.py writes:
// labels.f32 holds [blocks, pixels], and features.f32 [blocks, features+1, pixels] with a last row of 1, little-endian float32.
func BenchmarkConvexFit(b *testing.B) {
	folder := testkit.Setting("FIT", "")
	if folder == "" {
		b.Skip("SAMTUNE_BENCH_FIT names no folder of made features")
	}
	raw, err := os.ReadFile(filepath.Join(folder, "labels.f32"))
	if err != nil {
		b.Fatal(err)
	}
	labels := make([]float32, len(raw)/4)
	if _, err := binary.Decode(raw, binary.LittleEndian, labels); err != nil {
		b.Fatal(err)
	}
	features, err := os.Open(filepath.Join(folder, "features.f32"))
	if err != nil {
		b.Fatal(err)
	}
	defer features.Close()
	info, err := features.Stat()
	if err != nil {
		b.Fatal(err)
	}
	blocks := testkit.Number(b, "BLOCKS", 5)
	n, rows := len(labels)/blocks, int(info.Size())/len(raw)
	c := &convex{ctx: context.Background(), dev: benchDevice(b), rows: rows, stride: 1}
	p := problem{ridge: 1e-3, positive: 1}
	for i := range blocks {
		image := convexImage{labels: [][]float32{labels[i*n : (i+1)*n]}, weights: make([]float32, n)}
		for k := range image.weights {
			image.weights[k] = 1
		}
		c.images = append(c.images, image)
		c.groups = append(c.groups, group{i, 0, n})
		p.groups = append(p.groups, i)
	}
	c.load = func(s *tensor.Scope, image int) (*tensor.Tensor, error) {
		return s.Load(tensor.Float32, []int64{int64(rows), int64(n)}, func(dst []byte) error {
			_, err := features.ReadAt(dst, int64(image)*int64(len(dst)))
			return err
		}), nil
	}
	var fitted problem
	for b.Loop() {
		fitted = p
		if err := c.solve([]*problem{&fitted}); err != nil {
			b.Fatal(err)
		}
		c.release()
	}
	testkit.Report(b, map[string]float64{"loss": fitted.loss})
}
