package train

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"testing"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

func TestCacheKeyHoldsAllThatDecides(t *testing.T) {
	d := tensortest.CPU(t)
	m := tiny(t, d)
	sample := picture(1)
	tiling := Tiling{Grid: 2, Tile: 64}
	views := tiling.Views(m, sample)
	cache := &EmbeddingCache{Dir: "c", DType: tensor.Float16}
	base := cache.Key(m, views[0], model.Embedding)
	seen := map[string]string{base: "the view itself"}
	differs := func(what, path string) {
		if other, same := seen[path]; same {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[path] = what
	}
	changed := picture(1)
	changed.Image.Pix[5]++
	differs("a picture with one byte changed", cache.Key(m, tiling.Views(m, changed)[0], model.Embedding))
	differs("another tile", cache.Key(m, views[1], model.Embedding))
	differs("the whole picture", cache.Key(m, Whole(m, sample), model.Embedding))
	differs("another feature", cache.Key(m, views[0], model.Stage0))
	differs("float32", (&EmbeddingCache{Dir: "c", DType: tensor.Float32}).Key(m, views[0], model.Embedding))
	other := *m
	other.SHA256 = "0"
	differs("other weights", cache.Key(&other, views[0], model.Embedding))
	spec := *m.Spec
	spec.Normalise = "minmax"
	other = *m
	other.Spec = &spec
	differs("another normalisation", cache.Key(&other, views[0], model.Embedding))
	if again := cache.Key(m, tiling.Views(m, picture(1))[0], model.Embedding); again != base {
		t.Error("the same view has another key")
	}
}

// TestCacheEncodesOnceAndMendsDamage runs LiteMedSAM's encoder.
func TestCacheEncodesOnceAndMendsDamage(t *testing.T) {
	d := tensortest.CPU(t)
	m := lite(t, d)
	dir := t.TempDir()
	features := []string{model.Embedding}
	views := []Want{{View: Whole(m, picture(1)), Features: features}, {View: Whole(m, picture(2)), Features: features}}
	reads := 0
	views[1] = views[1].Later(func(string) (*data.Sample, error) { reads++; return picture(2), nil })
	if views[1].Sample.Image != nil {
		t.Error("a view whose picture is read later holds its pixels")
	}
	fill := func() *EmbeddingCache {
		t.Helper()
		c := &EmbeddingCache{Dir: dir, DType: tensor.Float16}
		n := 0
		if err := c.Fill(context.Background(), m, views, func(int) {}, func() { n++ }); err != nil {
			t.Fatal(err)
		}
		if n != len(views) {
			t.Errorf("%d views reported, want %d", n, len(views))
		}
		return c
	}
	if c := fill(); c.Encoded != 2 || c.Found != 0 || c.EncodedImages() != 2 {
		t.Errorf("first: %d encoded, %d found", c.Encoded, c.Found)
	}
	first := content(t, dir)
	if c := fill(); c.Encoded != 0 || c.Found != 2 {
		t.Errorf("second: %d encoded, %d found", c.Encoded, c.Found)
	}
	if reads != 1 {
		t.Errorf("the picture that is read later was read %d times, want once: when it was encoded", reads)
	}
	plain := &EmbeddingCache{Dir: dir, DType: tensor.Float16}
	path := plain.path(plain.Key(m, views[0].View, model.Embedding))
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for name, damaged := range map[string][]byte{
		"a byte flipped": func() []byte { b := bytes.Clone(whole); b[len(b)-100] ^= 1; return b }(),
		"cut in half":    whole[:len(whole)/2],
		"empty":          {},
		"another file":   []byte("this is no safetensors file at all"),
	} {
		t.Run(name, func(t *testing.T) {
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			c := fill()
			if c.Damaged != 1 || c.Encoded != 1 {
				t.Errorf("%d damaged, %d encoded: want 1 and 1", c.Damaged, c.Encoded)
			}
			sameContent(t, "mended cache", content(t, dir), first)
			if err := os.WriteFile(path, damaged, 0o644); err != nil {
				t.Fatal(err)
			}
			err := d.Run(func(s *tensor.Scope) error {
				_, err := c.Load(s, m, views[0].View, features)
				return err
			})
			if err != nil {
				t.Errorf("load of a damaged entry: %v", err)
			}
		})
	}
}

// TestCacheFindsEveryFlippedByteAndEveryCut damages an embedding's file at each of its places.
func TestCacheFindsEveryFlippedByteAndEveryCut(t *testing.T) {
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16}
	path := c.path("one")
	raw := make([]byte, 2*4*4*4)
	for i := range raw {
		raw[i] = byte(i * 7)
	}
	if err := c.write(path, model.Embedding, "F16", []int64{1, 4, 4, 4}, raw); err != nil {
		t.Fatal(err)
	}
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	detected := func(what string, damaged []byte) {
		t.Helper()
		if err := os.WriteFile(path, damaged, 0o644); err != nil {
			t.Fatal(err)
		}
		err := c.read(path, model.Embedding, "F16", func(shape []int64, data []byte) error {
			if slices.Equal(shape, []int64{1, 4, 4, 4}) && bytes.Equal(data, raw) {
				return nil
			}
			t.Errorf("%s: it was read as %v, %x", what, shape, data)
			return nil
		})
		// A changed space between the header's words changes nothing that is read.
		if err != nil && !c.lost(err) {
			t.Errorf("%s: error %v, want one that says that it is damaged", what, err)
		}
	}
	for i := range whole {
		for _, flip := range []byte{0x01, 0x20, 0xff} {
			damaged := bytes.Clone(whole)
			damaged[i] ^= flip
			detected(fmt.Sprintf("byte %d flipped by %02x", i, flip), damaged)
		}
		detected(fmt.Sprintf("cut after %d bytes", i), whole[:i])
	}
}

func TestCacheThatCantBeWrittenSaysWhere(t *testing.T) {
	d := tensortest.CPU(t)
	m := lite(t, d)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &EmbeddingCache{Dir: file, DType: tensor.Float16}
	err := c.Fill(context.Background(), m, []Want{{View: Whole(m, picture(1)), Features: []string{model.Embedding}}}, func(int) {}, func() {})
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte(file)) {
		t.Errorf("error %v, want one that names %s", err, file)
	}
}

func TestFillStopsWhenAsked(t *testing.T) {
	d := tensortest.CPU(t)
	m := lite(t, d)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16}
	if err := c.Fill(ctx, m, []Want{{View: Whole(m, picture(1)), Features: []string{model.Embedding}}}, func(int) {}, func() {}); err != context.Canceled || c.Encoded != 0 {
		t.Errorf("error %v after %d views, want that of the context after none", err, c.Encoded)
	}
}

func TestAViewIsEncodedOnce(t *testing.T) {
	want := func(image string, x int, features ...string) Want {
		g := model.NewGeometry(model.Rect{X: x, Width: 8, Height: 8}, 8)
		return Want{View: View{Image: image, Geometry: g}, Features: features}
	}
	mirrored := want("a", 0, "late")
	mirrored.Geometry.Mirror.X = true
	got := merge([]Want{want("a", 0, "early"), want("a", 1, "early"), want("a", 0, "late", "early", model.Pixels), want("b", 0, "early"), mirrored})
	if len(got) != 4 {
		t.Fatalf("%d views, want 4", len(got))
	}
	if f := got[0].Features; len(f) != 2 || f[0] != "early" || f[1] != "late" {
		t.Errorf("features %q, want early and late: pixels are not cached", f)
	}
}

// TestCacheOfTwoProcessesEncodesOnce fills one folder from two caches at once: they stand for two processes, since what is
// locked is locked for an open file. LiteMedSAM's encoder runs.
func TestCacheOfTwoProcessesEncodesOnce(t *testing.T) {
	dir := t.TempDir()
	caches := make([]*EmbeddingCache, 2)
	failed := make([]error, len(caches))
	var wg sync.WaitGroup
	for i := range caches {
		d := tensortest.CPU(t)
		m := lite(t, d)
		var wants []Want
		for k := range 4 {
			wants = append(wants, Want{View: Whole(m, picture(uint64(k))), Features: []string{model.Embedding}})
		}
		if i == 1 {
			slices.Reverse(wants) // so that both want what the other has
		}
		c := &EmbeddingCache{Dir: dir, DType: tensor.Float16}
		caches[i] = c
		wg.Go(func() { failed[i] = c.Fill(context.Background(), m, wants, func(int) {}, func() {}) })
	}
	wg.Wait()
	if err := errors.Join(failed...); err != nil {
		t.Fatal(err)
	}
	a, b := caches[0], caches[1]
	if a.Encoded+b.Encoded != 4 || a.Found+b.Found != 4 {
		t.Errorf("encoded %d and %d, found %d and %d: want 4 views encoded and 4 found", a.Encoded, b.Encoded, a.Found, b.Found)
	}
}
