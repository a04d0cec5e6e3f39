package train

import (
	"math"
	"testing"

	"samtune/model"
)

// TestBlendKeepsAPlane lays tiles that all show the same plane: overlaps must not show.
func TestBlendKeepsAPlane(t *testing.T) {
	const w, h = 101, 77
	for name, f := range map[string]func(x, y int) float32{
		"constant": func(int, int) float32 { return 0.3 },
		"linear":   func(x, y int) float32 { return float32(x)/200 + float32(y)/300 },
	} {
		t.Run(name, func(t *testing.T) {
			b := newBlend(w, h, 9)
			for _, r := range model.Tiles(w, h, 3, 40) {
				p := make([]float32, 0, r.Width*r.Height)
				for y := range r.Height {
					for x := range r.Width {
						p = append(p, f(r.X+x, r.Y+y))
					}
				}
				b.add(r, p)
			}
			for i, v := range b.result() {
				if want := f(i%w, i/w); math.Abs(float64(v-want)) > 1e-6 {
					t.Fatalf("pixel %d, %d is %g, want %g", i%w, i/w, v, want)
				}
			}
		})
	}
}

func TestBlendWithoutATileIsZero(t *testing.T) {
	b := newBlend(4, 4, 1)
	b.add(model.Rect{X: 0, Y: 0, Width: 2, Height: 4}, []float32{1, 1, 1, 1, 1, 1, 1, 1})
	for i, v := range b.result() {
		want := float32(0)
		if i%4 < 2 {
			want = 1
		}
		if v != want {
			t.Errorf("pixel %d is %g, want %g", i, v, want)
		}
	}
}

func TestTrainingLeavesOutTilesWithoutField(t *testing.T) {
	m := &model.Model{Spec: &model.Spec{ImageSize: 64}}
	s := picture(1)
	for y := range s.Valid.Height {
		for x := range s.Valid.Width {
			s.Valid.Pix[y*s.Valid.Width+x] = 0
			if x < 70 && y < 70 {
				s.Valid.Pix[y*s.Valid.Width+x] = 1
			}
		}
	}
	tiling := Tiling{Grid: 2, Tile: 64, MinValid: 0.5}
	all, trained := tiling.Views(m, s), tiling.Training(m, s)
	// 3 x 2 tiles; those from (0, 0), (32, 0) and (0, 33) have 100, 59 and 58 % of their area inside.
	if len(all) != 6 || len(trained) != 3 {
		t.Errorf("%d views predicted and %d trained on, want 6 and 3", len(all), len(trained))
	}
}
