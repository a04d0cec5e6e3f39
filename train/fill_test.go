package train

import (
	"context"
	"errors"
	"fmt"
	"math"
	"slices"
	"strings"
	"testing"

	"samtune/data"
	"samtune/internal/featurecache"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

// TestFillHalvesTheBatch fills the cache on a device that has memory for so many views at a time.
func TestFillHalvesTheBatch(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	for _, c := range []struct {
		name    string
		views   int
		batch   int
		room    int
		passes  []int // views in each pass that was tried
		smaller []int
	}{
		{"enough", 5, 4, 4, []int{4, 1}, nil},
		{"half of it", 9, 8, 4, []int{8, 4, 4, 1}, []int{4}},
		{"one", 5, 4, 1, []int{4, 2, 1, 1, 1, 1, 1}, []int{2, 1}},
		{"odd", 7, 7, 3, []int{7, 4, 2, 2, 2, 1}, []int{4, 2}},
		{"none", 3, 2, 0, []int{2, 1}, []int{1}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var passes, smaller []int
			cache := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16, Smaller: func(batch int) { smaller = append(smaller, batch) }}
			locks, err := featurecache.OpenLocks(cache.Dir, encodingName)
			if err != nil {
				t.Fatal(err)
			}
			defer locks.Close()
			done := 0
			f := &filling{c: cache, m: m, locks: locks, stack: true, batch: c.batch, done: func() { done++ }}
			f.encode = func(s *tensor.Scope, _ *model.Model, wants []Want, _ int) ([]map[string]*tensor.Tensor, error) {
				passes = append(passes, len(wants))
				if len(wants) > c.room {
					s.Fail(fmt.Errorf("conv2d: %w: CUDA out of memory", tensor.ErrMemory))
				}
				out := make([]map[string]*tensor.Tensor, len(wants))
				for i := range out {
					out[i] = map[string]*tensor.Tensor{model.Embedding: s.ToDType(s.Full(1, 1, 2, 2), tensor.Float16)}
				}
				return out, nil
			}
			for i := range c.views {
				w := Want{View: Whole(m, picture(uint64(i+1))), Features: []string{model.Embedding}}
				if ok, err := locks.Try(cache.at(m, w.View)); !ok || err != nil {
					t.Fatal(ok, err)
				}
				if err = f.add(context.Background(), w); err != nil {
					break
				}
			}
			err = errors.Join(err, f.flush(context.Background()))
			if c.room == 0 {
				if !errors.Is(err, tensor.ErrMemory) || !strings.Contains(err.Error(), "--precision bfloat16") {
					t.Errorf("error %v, want ErrMemory with what to do", err)
				}
			} else if err != nil || done != c.views {
				t.Errorf("%d of %d views done: %v", done, c.views, err)
			}
			if c.room > 0 && !slices.Equal(passes, c.passes) || !slices.Equal(smaller, c.smaller) {
				t.Errorf("passes %v, smaller %v, want %v and %v", passes, smaller, c.passes, c.smaller)
			}
		})
	}
}

// TestFillIsTheSameOnAnyThreads fills the cache one view at a time and several at a time.
func TestFillIsTheSameOnAnyThreads(t *testing.T) {
	var want map[string][]byte
	for _, threads := range []int{1, 2, 3} {
		m := small(t, tensortest.Threads(t, threads))
		c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float32}
		var wants []Want
		for i := range uint64(7) {
			wants = append(wants, Want{View: Whole(m, picture(i+1)), Features: []string{model.Embedding, model.Stage0}})
		}
		done := 0
		if err := c.Fill(context.Background(), m, wants, func(int) {}, func() { done++ }); err != nil {
			t.Fatal(err)
		}
		if c.Encoded != 7 || c.EncodedImages() != 7 || done != 7 {
			t.Errorf("%d threads: %d views of %d pictures encoded, %d done, want 7", threads, c.Encoded, c.EncodedImages(), done)
		}
		c.Close()
		got := content(t, c.Dir)
		if want == nil {
			want = got
		}
		sameContent(t, fmt.Sprint(threads, " threads"), got, want)
	}
}

var errGone = errors.New("it is gone")

// oneGone are views of six pictures, the fourth of which can't be read any more.
func oneGone(m *model.Model) []Want {
	var wants []Want
	for i := range uint64(6) {
		w := Want{View: Whole(m, picture(i+1)), Features: []string{model.Embedding}}
		wants = append(wants, w.Later(func(string) (*data.Sample, error) {
			if i == 3 {
				return nil, errGone
			}
			return picture(i + 1), nil
		}))
	}
	return wants
}

// TestFillKeepsWhatWasDone lets a picture in the midst of others be unreadable.
func TestFillKeepsWhatWasDone(t *testing.T) {
	m := small(t, tensortest.CPU(t))
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16}
	wants := oneGone(m)
	err := c.Fill(context.Background(), m, wants, func(int) {}, func() {})
	if !errors.Is(err, errGone) || c.Encoded < 3 {
		t.Errorf("error %v after %d views, want that of the fourth picture after the three before it", err, c.Encoded)
	}
	again := &EmbeddingCache{Dir: c.Dir, DType: tensor.Float16}
	wants = slices.Delete(wants, 3, 4)
	if err := again.Fill(context.Background(), m, wants, func(int) {}, func() {}); err != nil || again.Found != c.Encoded {
		t.Errorf("error %v, %d views found, want the %d that were encoded", err, again.Found, c.Encoded)
	}
}

// TestBatchesBeforeOneThatFailsAreKept lets a picture of the second batch be unreadable, as a GPU takes them.
func TestBatchesBeforeOneThatFailsAreKept(t *testing.T) {
	m := small(t, tensortest.CPU(t))
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16}
	locks, err := featurecache.OpenLocks(c.Dir, encodingName)
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	done := 0
	f := &filling{c: c, m: m, locks: locks, stack: true, batch: 2, missing: oneGone(m), done: func() { done++ }, encode: c.encode}
	for _, w := range f.missing {
		if ok, err := locks.Try(c.at(m, w.View)); !ok || err != nil {
			t.Fatal(ok, err)
		}
	}
	if err := f.flush(context.Background()); !errors.Is(err, errGone) || done != 2 || c.Encoded != 2 || len(f.missing) != 4 {
		t.Errorf("error %v, %d done, %d encoded, %d missing: want that of the picture, the two before it done, and the others missing", err, done, c.Encoded, len(f.missing))
	}
}

// TestBatchesAreOfOneKind gathers views of two kinds, as they come by turns, into batches.
func TestBatchesAreOfOneKind(t *testing.T) {
	f := &filling{stack: true, batch: 2}
	for i := range 7 {
		w := Want{View: View{Image: fmt.Sprint(i)}, Features: []string{model.Stage0}}
		if i%2 == 1 {
			w.Features = []string{model.Stage0, model.Embedding}
		}
		f.missing = append(f.missing, w)
	}
	var got []string
	for _, group := range f.groups() {
		text := ""
		for _, w := range group {
			if !slices.Equal(w.Features, group[0].Features) {
				t.Errorf("%v beside %v in a batch", w.Features, group[0].Features)
			}
			text += w.Image
		}
		got = append(got, text)
	}
	if want := []string{"02", "46", "13", "5"}; !slices.Equal(got, want) {
		t.Errorf("batches %v, want %v", got, want)
	}
}

// TestFilledUpBatchIsHalved fills the cache with one view on a device that has memory for fewer views than a batch.
func TestFilledUpBatchIsHalved(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16}
	locks, err := featurecache.OpenLocks(c.Dir, encodingName)
	if err != nil {
		t.Fatal(err)
	}
	defer locks.Close()
	var sizes []int
	f := &filling{c: c, m: m, locks: locks, stack: true, batch: 8, done: func() {}}
	f.missing = []Want{{View: Whole(m, picture(1)), Features: []string{model.Embedding}}}
	f.encode = func(s *tensor.Scope, _ *model.Model, wants []Want, full int) ([]map[string]*tensor.Tensor, error) {
		if sizes = append(sizes, full); full > 2 {
			s.Fail(fmt.Errorf("conv2d: %w: CUDA out of memory", tensor.ErrMemory))
		}
		return []map[string]*tensor.Tensor{{model.Embedding: s.ToDType(s.Full(1, 1, 2, 2), tensor.Float16)}}, nil
	}
	if err := f.flush(context.Background()); err != nil || !slices.Equal(sizes, []int{8, 4, 2}) {
		t.Errorf("batches of %v: %v, want 8, 4 and 2", sizes, err)
	}
}

// TestBatchIsFilledUp encodes a view alone and in a batch that is filled up.
func TestBatchIsFilledUp(t *testing.T) {
	m := lite(t, tensortest.CPU(t))
	want := Want{View: Whole(m, picture(1)), Features: []string{model.Embedding}}
	var got [2][]float32
	for i, full := range []int{1, 3} {
		c := &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float32}
		if err := m.Device().Run(func(s *tensor.Scope) error {
			out, err := c.encode(s, m, []Want{want}, full)
			if err != nil {
				return err
			}
			if len(out) != 1 || c.Encoded != 1 {
				t.Errorf("%d results and %d views counted, want 1", len(out), c.Encoded)
			}
			got[i] = s.Float32s(out[0][model.Embedding])
			return nil
		}); err != nil {
			t.Fatal(err)
		}
	}
	for i, v := range got[0] {
		if math.Abs(float64(v-got[1][i])) > 1e-4 {
			t.Fatalf("number %d is %g alone and %g in a batch", i, v, got[1][i])
		}
	}
}
