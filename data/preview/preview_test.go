package preview

import (
	"context"
	"errors"
	"fmt"
	"image"
	"image/color"
	"testing"

	"samtune/data"
	"samtune/internal/canvas"
)

// bench has grey pictures of a size, whose masks are squares in their middles.
func bench(pool, test, width, height int, spacing [2]float64) *data.Benchmark {
	b := &data.Benchmark{Name: "x", Title: "X", Targets: []string{"square"}}
	for i := range pool + test {
		id := fmt.Sprintf("c%02d", i)
		c := data.Case{ID: id, Load: func() (*data.Sample, error) {
			s := &data.Sample{ID: id, Spacing: spacing, Image: &data.Image{Width: width, Height: height, Pix: make([]uint8, 3*width*height)},
				Masks: map[string]*data.Mask{"square": data.NewMask(width, height)}, Valid: data.FullMask(width, height)}
			for k := range s.Image.Pix {
				s.Image.Pix[k] = 100
			}
			for y := height / 4; y < 3*height/4; y++ {
				for x := width / 4; x < 3*width/4; x++ {
					s.Masks["square"].Pix[y*width+x] = 1
				}
			}
			for x := range width {
				s.Valid.Pix[x] = 0 // the first row
			}
			return s, nil
		}}
		if i < pool {
			b.Pool = append(b.Pool, c)
		} else {
			b.Test = append(b.Test, c)
		}
	}
	return b
}

func sheet(t *testing.T, b *data.Benchmark, cases int) *image.RGBA {
	t.Helper()
	drawn := 0
	img, err := Sheet(context.Background(), b, Options{Targets: b.Targets, Cases: cases}, func(int, int) { drawn++ })
	if err != nil {
		t.Fatal(err)
	}
	if want := min(cases, len(b.Pool)+len(b.Test)); drawn != want {
		t.Errorf("%d pictures are drawn, want %d", drawn, want)
	}
	return img.(*image.RGBA)
}

// extent is the box around all pixels of a colour in a part of a picture.
func extent(img *image.RGBA, part image.Rectangle, c color.RGBA) image.Rectangle {
	var box image.Rectangle
	for y := part.Min.Y; y < part.Max.Y; y++ {
		for x := part.Min.X; x < part.Max.X; x++ {
			if img.RGBAAt(x, y) == c {
				box = box.Union(image.Rect(x, y, x+1, y+1))
			}
		}
	}
	return box
}

func TestSheetShowsPicturesAsTheyAreInMillimetres(t *testing.T) {
	for name, c := range map[string]struct {
		width, height int
		spacing       [2]float64 // of rows, of columns
		wide, high    int
	}{
		"square pixels":         {40, 20, [2]float64{1, 1}, side, side / 2},
		"rows twice as far":     {40, 20, [2]float64{2, 1}, side, side},
		"columns twice as far":  {40, 20, [2]float64{1, 2}, side, side / 4},
		"larger than the sheet": {1760, 880, [2]float64{0.5, 0.5}, side, side / 2},
	} {
		t.Run(name, func(t *testing.T) {
			img := sheet(t, bench(1, 0, c.width, c.height, c.spacing), 1)
			at := image.Pt(gap, gap+2*strip)
			picture := image.Rectangle{at, at.Add(image.Pt(c.wide, c.high))}
			if got := extent(img, img.Rect, color.RGBA{100, 100, 100, 255}); !got.In(picture) || got.Dx() != c.wide || got.Max.Y != picture.Max.Y {
				t.Errorf("the picture lies in %v, want it in %v", got, picture)
			}
			box := extent(img, picture, canvas.Palette[0])
			want := image.Rect(c.wide/4, c.high/4, 3*c.wide/4, 3*c.high/4).Add(at)
			for _, d := range []int{box.Min.X - want.Min.X, box.Min.Y - want.Min.Y, box.Max.X - want.Max.X, box.Max.Y - want.Max.Y} {
				if d < -1 || d > 1 {
					t.Errorf("the outline lies in %v, want it in %v", box, want)
					break
				}
			}
			middle := img.RGBAAt(at.X+c.wide/2, at.Y+c.high/2)
			if middle != (color.RGBA{100, 100, 100, 255}) {
				t.Errorf("the middle of the mask is %v, want the picture", middle)
			}
			if edge := img.RGBAAt(at.X+c.wide/2, at.Y); edge.R >= 100 || edge.R < 0x30 {
				t.Errorf("outside the valid region it is %v, want it dimmed", edge)
			}
		})
	}
}

func TestChooseSpreadsOverBothSides(t *testing.T) {
	for _, c := range []struct{ pool, test, n, fromPool, fromTest int }{
		{20, 20, 12, 6, 6}, {20, 2, 4, 3, 1}, {2, 20, 4, 1, 3}, {3, 1, 99, 3, 1}, {5, 0, 3, 3, 0}, {5, 5, 1, 0, 1}, {1, 1, 2, 1, 1}, {0, 0, 3, 0, 0},
	} {
		seen, sides := map[string]bool{}, map[string]int{}
		for _, x := range choose(bench(c.pool, c.test, 4, 4, [2]float64{1, 1}), c.n) {
			seen[x.ID] = true
			sides[x.side]++
		}
		if sides["pool"] != c.fromPool || sides["test"] != c.fromTest || len(seen) != c.fromPool+c.fromTest {
			t.Errorf("%d of %d + %d: %v of %d different cases, want %d and %d", c.n, c.pool, c.test, sides, len(seen), c.fromPool, c.fromTest)
		}
	}
}

// TestThinMasksStay: a vessel of one pixel in a picture that is shrunk to a third is still seen.
func TestThinMasksStay(t *testing.T) {
	m := data.NewMask(1320, 1320)
	for y := range 1320 {
		m.Pix[y*1320+600] = 1
	}
	rim := outline(resized(m, side, side))
	if rim.Count() != side {
		t.Errorf("%d pixels are left of it, want %d", rim.Count(), side)
	}
}

func TestStrokesDiffer(t *testing.T) {
	seen := map[stroke]bool{}
	for k := range 3 * len(canvas.Palette) {
		seen[look(k)] = true
	}
	if len(seen) != 3*len(canvas.Palette) {
		t.Errorf("of %d targets %d look different", 3*len(canvas.Palette), len(seen))
	}
}

func TestSheetRefuses(t *testing.T) {
	if _, err := Sheet(context.Background(), bench(0, 0, 4, 4, [2]float64{1, 1}), Options{Cases: 3}, nil); !errors.Is(err, data.ErrInvalid) {
		t.Errorf("error of no case is %v, want ErrInvalid", err)
	}
	if _, err := Sheet(context.Background(), bench(1, 0, 4, 4, [2]float64{1, 1}), Options{Targets: []string{"disc"}, Cases: 1}, nil); !errors.Is(err, data.ErrInvalid) {
		t.Errorf("error of a target without masks is %v, want ErrInvalid", err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Sheet(ctx, bench(1, 0, 4, 4, [2]float64{1, 1}), Options{Cases: 1}, nil); err != context.Canceled {
		t.Errorf("error is %v, want that of the context", err)
	}
}
