package segment

import (
	"encoding/json"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"samtune/data"
	"samtune/model"
)

// picture draws a mask from rows of '#' and '.'.
func picture(rows ...string) *data.Mask {
	m := data.NewMask(len(rows[0]), len(rows))
	for i, c := range strings.Join(rows, "") {
		if c == '#' {
			m.Pix[i] = 1
		}
	}
	return m
}

func TestRLEIsTheOfficialOne(t *testing.T) {
	compared := 0
	for _, name := range []string{"defaults", "whole", "open", "crops", "clean"} {
		for i, w := range official(t, name) {
			rle, err := ParseRLE(w.Counts, 220, 300)
			if err != nil {
				t.Fatal(err)
			}
			if got := rle.String(); got != w.Counts {
				t.Errorf("%s, mask %d: compressed %q, want %q", name, i, got, w.Counts)
			}
			if w.Uncompressed != nil && !slices.Equal(rle.Counts, w.Uncompressed) {
				t.Errorf("%s, mask %d: counts %v, want %v", name, i, rle.Counts, w.Uncompressed)
			}
			b := rle.Box()
			if got := [4]float64{float64(b.X0), float64(b.Y0), float64(b.X1 - b.X0), float64(b.Y1 - b.Y0)}; rle.Area() != w.Area || got != w.BBox {
				t.Errorf("%s, mask %d: area %d, box %v, want %d, %v", name, i, rle.Area(), got, w.Area, w.BBox)
			}
			if again := NewRLE(rle.Mask()); !slices.Equal(again.Counts, rle.Counts) {
				t.Errorf("%s, mask %d: decoding and encoding changes the counts", name, i)
			}
			compared++
		}
	}
	if compared == 0 {
		t.Error("nothing was compared")
	}
}

func TestRLEOfSmallMasks(t *testing.T) {
	for name, c := range map[string]struct {
		mask   *data.Mask
		counts []int
		box    Box
	}{
		"empty":           {picture("...", "..."), []int{6}, Box{}},
		"full":            {picture("###", "###"), []int{0, 6}, Box{0, 0, 2, 1}},
		"first pixel":     {picture("#..", "..."), []int{0, 1, 5}, Box{0, 0, 0, 0}},
		"over two colums": {picture(".#.", "#.."), []int{1, 2, 3}, Box{0, 0, 1, 1}},
		"last pixel":      {picture("...", "..#"), []int{5, 1}, Box{2, 1, 2, 1}},
	} {
		t.Run(name, func(t *testing.T) {
			rle := NewRLE(c.mask)
			if !slices.Equal(rle.Counts, c.counts) || rle.Box() != c.box || rle.Area() != c.mask.Count() || !slices.Equal(rle.Mask().Pix, c.mask.Pix) {
				t.Errorf("counts %v, box %v, area %d, want %v, %v, %d", rle.Counts, rle.Box(), rle.Area(), c.counts, c.box, c.mask.Count())
			}
			text, err := json.Marshal(rle)
			if err != nil {
				t.Fatal(err)
			}
			var again RLE
			if err := json.Unmarshal(text, &again); err != nil || !slices.Equal(again.Counts, rle.Counts) || again.Height != 2 || again.Width != 3 {
				t.Errorf("%s is read as %v, %v", text, again, err)
			}
		})
	}
}

func TestParseRLERefuses(t *testing.T) {
	for name, text := range map[string]string{"cut": "P", "too few pixels": "1", "too many": "6O", "no character of it": "!", "negative": "O7", "endless": strings.Repeat("P", 40) + "0"} {
		t.Run(name, func(t *testing.T) {
			if r, err := ParseRLE(text, 2, 3); err == nil {
				t.Errorf("no error, counts %v", r.Counts)
			}
		})
	}
}

func TestCropEncodesInThePicture(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 50 {
		whole := data.NewMask(9, 7)
		c := layerCrop{Rect: model.Rect{X: r.IntN(4), Y: r.IntN(3), Width: 1 + r.IntN(5), Height: 1 + r.IntN(4)}}
		logits := make([]float32, c.Width*c.Height)
		for x := range c.Width {
			for y := range c.Height {
				logits[x*c.Height+y] = float32(r.IntN(3) - 1)
				if logits[x*c.Height+y] > 0 {
					whole.Pix[(c.Y+y)*9+c.X+x] = 1
				}
			}
		}
		if got, want := c.encode(logits, 9, 7).Counts, NewRLE(whole).Counts; !slices.Equal(got, want) {
			t.Fatalf("crop %v: counts %v, want %v", c.Rect, got, want)
		}
	}
}

func TestSuppressKeepsTheBest(t *testing.T) {
	boxes := []Box{{0, 0, 10, 10}, {0, 0, 10, 9}, {20, 20, 30, 30}, {0, 0, 10, 10}, {5, 5, 5, 5}, {5, 5, 5, 5}}
	got := suppress(boxes, []float32{0.5, 0.9, 0.1, 0.5, 0.2, 0.2}, 0.85)
	if want := []int{1, 4, 5, 2}; !slices.Equal(got, want) {
		t.Errorf("kept %v, want %v", got, want)
	}
	if got := suppress(boxes, []float32{0.5, 0.9, 0.1, 0.5, 0.2, 0.2}, 0.9); !slices.Equal(got, []int{1, 0, 4, 5, 2}) {
		t.Errorf("an overlap of the threshold itself: kept %v, want both", got)
	}
}

func TestCleanFillsHolesAndRemovesIslands(t *testing.T) {
	ring := picture(
		"#####...",
		"#...#...",
		"#.#.#..#",
		"#...#...",
		"#####..#")
	for name, c := range map[string]struct {
		area    int
		holes   bool
		changed bool
		want    *data.Mask
	}{
		"hole below":     {9, true, true, picture("#####...", "#####...", "#####..#", "#####...", "#####..#")},
		"hole not below": {8, true, false, ring},
		"islands":        {2, false, true, picture("#####...", "#...#...", "#...#...", "#...#...", "#####...")},
		"all islands":    {100, false, true, picture("#####...", "#...#...", "#...#...", "#...#...", "#####...")},
		"islands stay":   {1, false, false, ring},
	} {
		t.Run(name, func(t *testing.T) {
			m := data.NewMask(ring.Width, ring.Height)
			copy(m.Pix, ring.Pix)
			if changed := removeSmall(m, c.area, c.holes); changed != c.changed || !slices.Equal(m.Pix, c.want.Pix) {
				t.Errorf("changed %v, want %v; %v", changed, c.changed, m.Pix)
			}
		})
	}
	corners := picture("#..", ".#.", "..#")
	if removeSmall(corners, 3, false); corners.Count() != 3 {
		t.Error("pixels that touch at a corner were taken for islands")
	}
	if m := picture("..", ".."); removeSmall(m, 5, false) || m.Count() != 0 {
		t.Error("an empty mask was changed")
	}
}

func TestCropsCoverThePicture(t *testing.T) {
	for _, size := range [][2]int{{300, 220}, {97, 400}, {3, 2}} {
		seen := map[int]*data.Mask{}
		for _, c := range crops(size[0], size[1], 2, 512.0/1500) {
			if c.X < 0 || c.Y < 0 || c.X+c.Width > size[0] || c.Y+c.Height > size[1] {
				t.Errorf("%v: crop %v lies outside", size, c.Rect)
			}
			if seen[c.layer] == nil {
				seen[c.layer] = data.NewMask(size[0], size[1])
			}
			for y := c.Y; y < c.Y+c.Height; y++ {
				for x := c.X; x < c.X+c.Width; x++ {
					seen[c.layer].Pix[y*size[0]+x] = 1
				}
			}
		}
		for layer := range 3 {
			if got := seen[layer].Count(); got != size[0]*size[1] {
				t.Errorf("%v: layer %d covers %d pixels", size, layer, got)
			}
		}
	}
}
