package train

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"samtune/internal/tensor"
	"samtune/model"
)

func TestCacheKeyHoldsAllThatDecides(t *testing.T) {
	d := openDevice(t)
	m := tiny(t, d)
	sample := picture(1)
	tiling := Tiling{Grid: 2, Tile: 64}
	views := tiling.Views(m, sample)
	cache := &EmbeddingCache{Dir: "c", DType: tensor.Float16}
	base := cache.path(m, views[0], model.Embedding)
	seen := map[string]string{base: "the view itself"}
	differs := func(what, path string) {
		if other, same := seen[path]; same {
			t.Errorf("%s has the key of %s", what, other)
		}
		seen[path] = what
	}
	changed := picture(1)
	changed.Image.Pix[5]++
	differs("a picture with one byte changed", cache.path(m, tiling.Views(m, changed)[0], model.Embedding))
	differs("another tile", cache.path(m, views[1], model.Embedding))
	differs("the whole picture", cache.path(m, Whole(m, sample), model.Embedding))
	differs("another feature", cache.path(m, views[0], model.Stage0))
	differs("float32", (&EmbeddingCache{Dir: "c", DType: tensor.Float32}).path(m, views[0], model.Embedding))
	other := *m
	other.SHA256 = "0"
	differs("other weights", cache.path(&other, views[0], model.Embedding))
	spec := *m.Spec
	spec.Normalise = "minmax"
	other = *m
	other.Spec = &spec
	differs("another normalisation", cache.path(&other, views[0], model.Embedding))
	if again := cache.path(m, tiling.Views(m, picture(1))[0], model.Embedding); again != base {
		t.Error("the same view has another key")
	}
}

// TestCacheEncodesOnceAndMendsDamage runs LiteMedSAM's encoder.
func TestCacheEncodesOnceAndMendsDamage(t *testing.T) {
	d := openDevice(t)
	m := lite(t, d)
	dir := t.TempDir()
	views := []View{Whole(m, picture(1)), Whole(m, picture(2))}
	features := []string{model.Embedding}
	fill := func() *EmbeddingCache {
		t.Helper()
		c := &EmbeddingCache{Dir: dir, DType: tensor.Float16}
		n := 0
		if err := c.Fill(context.Background(), m, views, features, func() { n++ }); err != nil {
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
	path := (&EmbeddingCache{Dir: dir, DType: tensor.Float16}).path(m, views[0], model.Embedding)
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
				_, err := c.Load(s, m, views[0], features)
				return err
			})
			if err != nil {
				t.Errorf("load of a damaged entry: %v", err)
			}
		})
	}
}

func TestCacheThatCantBeWrittenSaysWhere(t *testing.T) {
	d := openDevice(t)
	m := lite(t, d)
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o644); err != nil {
		t.Fatal(err)
	}
	c := &EmbeddingCache{Dir: file, DType: tensor.Float16}
	err := c.Fill(context.Background(), m, []View{Whole(m, picture(1))}, []string{model.Embedding}, func() {})
	if err == nil || !bytes.Contains([]byte(err.Error()), []byte(file)) {
		t.Errorf("error %v, want one that names %s", err, file)
	}
}

func TestFillStopsWhenAsked(t *testing.T) {
	d := openDevice(t)
	m := lite(t, d)
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16}
	if err := c.Fill(ctx, m, []View{Whole(m, picture(1))}, []string{model.Embedding}, func() {}); err != context.Canceled || c.Encoded != 0 {
		t.Errorf("error %v after %d views, want that of the context after none", err, c.Encoded)
	}
}
