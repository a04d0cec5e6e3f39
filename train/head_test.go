package train

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"testing"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

// pixelHead gives the features of a head that looks at pixels alone, which needs no encoder.
func pixelHead(t *testing.T, scales []int, mirrors string) *HeadFeatures {
	t.Helper()
	m := tiny(t, tensortest.CPU(t))
	m.Spec.Normalise = "minmax"
	return &HeadFeatures{Model: m, Cache: &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16},
		Pyramid: Pyramid{Scales: scales, Mirrors: mirrors, Features: []string{model.Pixels}}}
}

// plane returns a picture whose red rises across, whose green rises down and whose blue is flat but for one pixel.
func plane(w, h int) *data.Sample {
	s := &data.Sample{ID: "plane", Image: &data.Image{Width: w, Height: h, Pix: make([]uint8, 3*w*h)}, Valid: data.FullMask(w, h),
		Masks: map[string]*data.Mask{"right": data.NewMask(w, h)}}
	for y := range h {
		for x := range w {
			p := s.Image.Pix[3*(y*w+x):]
			p[0], p[1], p[2] = uint8(x), uint8(y), 40
			if x > w/2 {
				s.Masks["right"].Pix[y*w+x] = 1
			}
		}
	}
	return s
}

// TestSeamsAreInvisible looks at a constant and a linear field in overlapping, mirrored tiles of two scales: what is
// put together again must be constant and linear, but for the picture's own rim.
func TestSeamsAreInvisible(t *testing.T) {
	const w, h = 200, 150
	h3 := pixelHead(t, []int{1, 2, 3}, "xy")
	sample := plane(w, h)
	weights := func(channel int) *Head {
		head := &Head{Weight: make([]float32, 9)}
		for scale := range 3 {
			head.Weight[3*scale+channel] = 1
		}
		return head
	}
	var logits [][]float32
	var moments *moments
	err := h3.Model.Device().Run(func(s *tensor.Scope) (err error) {
		if logits, err = h3.Logits(s, sample, []*Head{weights(0), weights(1), weights(2)}); err != nil {
			return err
		}
		moments, err = h3.standard(s, sample)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	const rim = 6 // pixels at the picture's edge, where there is no further cell to interpolate with
	for name, c := range map[string]struct {
		field int
		want  func(x, y int) float64 // of one scale, before it is standardised
	}{
		"linear across": {0, func(x, _ int) float64 { return float64(x) / (w - 1) }},
		"linear down":   {1, func(_, y int) float64 { return float64(y) / (w - 1) }},
		"constant":      {2, func(int, int) float64 { return 40.0 / (w - 1) }},
	} {
		t.Run(name, func(t *testing.T) {
			for y := rim; y < h-rim; y++ {
				for x := rim; x < w-rim; x++ {
					want := 0.0
					if c.field < 2 { // a flat feature has no deviation to be measured with: see below
						for scale := range 3 {
							k := 3*scale + c.field
							want += (c.want(x, y) - float64(moments.mean[k])) / (float64(moments.deviation[k]) + least)
						}
					}
					got := float64(logits[c.field][y*w+x])
					tolerance := 2e-3
					if c.field == 2 { // what rounding leaves of a constant, over a deviation of a millionth
						tolerance = 0.5
					}
					if math.Abs(got-want) > tolerance {
						t.Fatalf("at %d, %d: %g, want %g", x, y, got, want)
					}
				}
			}
		})
	}
}

// TestDesignHoldsWhatPredictionSees compares the features that a head is fitted on with those that it is applied
// to: the same numbers, but for float16.
func TestDesignHoldsWhatPredictionSees(t *testing.T) {
	h := pixelHead(t, []int{1, 2}, "x")
	sample := picture(4)
	var x []float32
	var d *designImage
	logits := make([][]float32, 6)
	err := h.Model.Device().Run(func(s *tensor.Scope) (err error) {
		if d, err = h.design(s, sample, sample.Masks["bars"], 3000); err != nil {
			return err
		}
		m, err := h.load(s, d)
		if err != nil {
			return err
		}
		x = s.Float32s(m)
		for k := range logits {
			head := &Head{Weight: make([]float32, 6)}
			head.Weight[k] = 1
			one, err := h.Logits(s, sample, []*Head{head})
			if err != nil {
				return err
			}
			logits[k] = one[0]
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	n := len(d.pixels.index)
	if n != 3000 {
		t.Fatalf("%d pixels, want 3000", n)
	}
	for k := range logits {
		for at, i := range d.pixels.index {
			if got, want := float64(x[k*n+at]), float64(logits[k][i]); math.Abs(got-want) > 2e-3*(1+math.Abs(want)) {
				t.Fatalf("feature %d at pixel %d: fitted on %g, applied to %g", k, i, got, want)
			}
		}
	}
	for at := range n {
		if x[6*n+at] != 1 {
			t.Fatalf("the last row is %g, want 1", x[6*n+at])
		}
	}
}

func TestSampledPixels(t *testing.T) {
	sample := plane(100, 80)
	rare := data.NewMask(100, 80)
	for i := range 40 {
		rare.Pix[4000+i] = 1
	}
	sample.Valid.Pix[4001] = 0
	for name, c := range map[string]struct {
		truth  *data.Mask
		pixels int
		inside int
	}{
		"all":           {sample.Masks["right"], 10000, 3920},
		"a part":        {sample.Masks["right"], 1000, 490},
		"rare":          {rare, 1000, 39},
		"rare, few":     {rare, 100, 10},
		"nothing there": {data.NewMask(100, 80), 500, 0},
	} {
		t.Run(name, func(t *testing.T) {
			p := samplePixels(sample, c.truth, c.pixels)
			if want := min(c.pixels, 7999); len(p.index) != want {
				t.Fatalf("%d pixels, want %d", len(p.index), want)
			}
			seen := map[int]bool{}
			inside, mass, weight := 0, 0.0, 0.0
			for k, i := range p.index {
				if seen[i] || sample.Valid.Pix[i] == 0 || uint8(p.label[k]) != c.truth.Pix[i] {
					t.Fatalf("pixel %d: twice, not valid or with a wrong label", i)
				}
				seen[i] = true
				inside += int(p.label[k])
				mass += float64(p.label[k] * p.weight[k])
				weight += float64(p.weight[k])
			}
			total := 0
			for i, v := range c.truth.Pix {
				total += int(v & sample.Valid.Pix[i])
			}
			if inside != c.inside {
				t.Errorf("%d pixels inside, want %d", inside, c.inside)
			}
			if got, want := mass/weight, float64(total)/7999; math.Abs(got-want) > 1e-5 {
				t.Errorf("they stand for a share of %g, want %g", got, want)
			}
			end := 0
			for _, b := range p.blocks {
				if b[0] != end {
					t.Errorf("blocks %v leave a gap", p.blocks)
				}
				end = b[1]
			}
			if end != len(p.index) {
				t.Errorf("blocks %v, want all of %d pixels", p.blocks, len(p.index))
			}
		})
	}
}

func headConfig() HeadConfig {
	return HeadConfig{Pixels: 4000, Ridges: []float64{1e-3, 1e-1}, Positive: 1}
}

// TestHeadFindsWhatPixelsTell fits heads on pictures whose target is told by the red channel.
func TestHeadFindsWhatPixelsTell(t *testing.T) {
	for name, sizes := range map[string][][2]int{"one picture": {{120, 90}}, "three pictures": {{120, 90}, {100, 110}, {90, 90}}} {
		t.Run(name, func(t *testing.T) {
			h := pixelHead(t, []int{1, 2}, "none")
			var shots []*data.Sample
			for _, size := range sizes {
				shots = append(shots, plane(size[0], size[1]))
			}
			heads, err := FitHeads(context.Background(), h, headConfig(), []HeadTask{{"right", shots}}, func() {})
			if err != nil {
				t.Fatal(err)
			}
			head := heads[0]
			if head.LeftOut < 0.9 || head.Ridge != 1e-3 {
				t.Errorf("left out Dice %g at ridge %g, want 0.9 or more at 0.001", head.LeftOut, head.Ridge)
			}
			if want := len(sizes); want > 1 && len(head.folds) != want {
				t.Errorf("%d heads without a picture, want %d", len(head.folds), want)
			}
			test := plane(150, 100)
			var seg *Segmentation
			err = h.Model.Device().Run(func(s *tensor.Scope) (err error) { seg, err = h.Segment(s, test, head); return err })
			if err != nil {
				t.Fatal(err)
			}
			wrong := 0
			for i, v := range seg.Mask.Pix {
				if v != test.Masks["right"].Pix[i] {
					wrong++
				}
			}
			if share := float64(wrong) / float64(len(seg.Mask.Pix)); share > 0.05 {
				t.Errorf("%.1f %% of the pixels are wrong", 100*share)
			}
		})
	}
}

// TestManyTasksAtOnce fits two targets and three draws together: each head is that of its own task.
func TestManyTasksAtOnce(t *testing.T) {
	h := pixelHead(t, []int{1}, "none")
	a, b := plane(120, 90), plane(100, 110)
	for _, s := range []*data.Sample{a, b} {
		left := data.NewMask(s.Image.Width, s.Image.Height)
		for i, v := range s.Masks["right"].Pix {
			left.Pix[i] = 1 - v
		}
		s.Masks["left"] = left
	}
	tasks := []HeadTask{{"right", []*data.Sample{a, b}}, {"left", []*data.Sample{a, b}}, {"right", []*data.Sample{a}}}
	together, err := FitHeads(context.Background(), h, headConfig(), tasks, func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range together[0].Weight {
		if sum := math.Abs(float64(together[0].Weight[i] + together[1].Weight[i])); sum > 0.02*math.Abs(float64(together[0].Weight[i]))+0.02 {
			t.Errorf("weight %d: %g for the right, %g for the left, want opposite ones", i, together[0].Weight[i], together[1].Weight[i])
		}
	}
	alone, err := FitHeads(context.Background(), h, headConfig(), tasks[2:], func() {})
	if err != nil {
		t.Fatal(err)
	}
	for i := range alone[0].Weight {
		if math.Abs(float64(alone[0].Weight[i]-together[2].Weight[i])) > 0.05*(1+math.Abs(float64(alone[0].Weight[i]))) {
			t.Errorf("weight %d: %g alone, %g with others", i, alone[0].Weight[i], together[2].Weight[i])
		}
	}
}

// TestHeadRepeatsToTheByte fits twice: from an empty cache, and from what that left there.
func TestHeadRepeatsToTheByte(t *testing.T) {
	h := pixelHead(t, []int{1, 2}, "x")
	shots := []*data.Sample{picture(1), picture(2)}
	fit := func(c *EmbeddingCache) map[string][]byte {
		t.Helper()
		dir := t.TempDir()
		one := *h
		one.Cache = c
		heads, err := FitHeads(context.Background(), &one, headConfig(), []HeadTask{{"bars", shots}}, func() {})
		if err != nil {
			t.Fatal(err)
		}
		store, err := checkpoints.OpenStore(dir, checkpoints.StoreOptions{})
		if err != nil {
			t.Fatal(err)
		}
		if err := SaveHead(store, &one, heads[0]); err != nil {
			t.Fatal(err)
		}
		return content(t, dir)
	}
	first := fit(h.Cache)
	sameContent(t, "second fit", fit(h.Cache), first)
	sameContent(t, "fit without a place in the cache", fit(&EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float16, Budget: 1}), first)
}

func TestHeadFileIsCheckedAgainstItsFeatures(t *testing.T) {
	h := pixelHead(t, []int{1, 2}, "x")
	head := &Head{Weight: make([]float32, 6), Mean: make([]float32, 6), Deviation: make([]float32, 6), Bias: 2, Threshold: 0.4, Ridge: 1e-3, LeftOut: 0.7}
	head.Weight[5] = 3
	dir := t.TempDir()
	store, err := checkpoints.OpenStore(dir, checkpoints.StoreOptions{})
	if err != nil {
		t.Fatal(err)
	}
	if err := SaveHead(store, h, head); err != nil {
		t.Fatal(err)
	}
	best, err := store.Best()
	if err != nil {
		t.Fatal(err)
	}
	path := best.Path(WeightsFile)
	got, err := LoadHead(h, path)
	if err != nil {
		t.Fatal(err)
	}
	if fmt.Sprint(got) != fmt.Sprint(head) {
		t.Errorf("%+v became %+v", head, got)
	}
	other := *h
	other.Pyramid.Scales = []int{1, 3}
	if _, err := LoadHead(&other, path); err == nil {
		t.Error("a head over other scales is taken")
	}
	other.Pyramid = Pyramid{Scales: []int{1, 2}, Mirrors: "none", Features: h.Pyramid.Features}
	if _, err := LoadHead(&other, path); err == nil {
		t.Error("a head for other mirrorings is taken")
	}
	plain := filepath.Join(t.TempDir(), "plain.safetensors")
	if err := checkpoints.WriteSafetensors(plain, nil, head.tensors()); err != nil {
		t.Fatal(err)
	}
	if _, err := LoadHead(h, plain); err == nil {
		t.Error("a file without a description of its head is taken")
	}
}

func TestBudget(t *testing.T) {
	dir := t.TempDir()
	c := &EmbeddingCache{Dir: dir, DType: tensor.Float16, Budget: 2500}
	put := func(c *EmbeddingCache, name string) string {
		t.Helper()
		path := c.path(name)
		if err := c.keep(path, "x", "F16", []int64{400}, make([]byte, 800)); err != nil {
			t.Fatal(err)
		}
		return path
	}
	kept := func(path string) bool { _, err := os.Stat(path); return err == nil }
	foreign := filepath.Join(dir, "mine.safetensors")
	if err := os.WriteFile(foreign, make([]byte, 5000), 0o644); err != nil {
		t.Fatal(err)
	}
	a, b := put(c, "a"), put(c, "b")
	third := put(c, "c")
	if !kept(a) || !kept(b) || !kept(third) {
		t.Error("what fits into the budget is not kept")
	}
	if path := put(c, "d"); kept(path) {
		t.Error("the budget is passed, or what this process uses was given up")
	}
	later := &EmbeddingCache{Dir: dir, DType: tensor.Float16, Budget: 2500}
	if err := later.read(b, "x", "F16", func([]int64, []byte) error { return nil }); err != nil {
		t.Fatal(err)
	}
	if path := put(later, "e"); !kept(path) || !kept(b) {
		t.Error("another process finds no place, or gives up what it uses itself")
	}
	if kept(a) && kept(third) {
		t.Error("nothing was given up")
	}
	if !kept(foreign) {
		t.Error("a file that is not the cache's was removed")
	}
}
