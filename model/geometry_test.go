package model

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

// TestInputFollowsOfficialPreprocessing compares with ResizeLongestSide on PIL images, normalised and padded:
// at most one grey level a pixel.
func TestInputFollowsOfficialPreprocessing(t *testing.T) {
	d := tensortest.CPU(t)
	v := testkit.Vectors(t, "prep.safetensors")
	for _, name := range []string{"rgb_37x53", "rgb_61x40", "rgb_64x64", "gray_45x33", "rgb_1x9", "u16_45x71"} {
		for _, side := range []int{24, 64} {
			t.Run(fmt.Sprintf("%s to %d", name, side), func(t *testing.T) {
				info, _ := v.Info(name + ".in_u8")
				img := &data.Image{Width: int(info.Shape[1]), Height: int(info.Shape[0]), Pix: testkit.Raw(t, v, name+".in_u8")}
				spec := &Spec{ImageSize: side, Normalise: "sam"}
				g := spec.WholeImage(img.Width, img.Height)
				resized, _ := v.Info(fmt.Sprintf("%s.resize%d_pil", name, side))
				if int64(g.Height) != resized.Shape[0] || int64(g.Width) != resized.Shape[1] {
					t.Fatalf("resized to %d x %d, want %d x %d", g.Width, g.Height, resized.Shape[1], resized.Shape[0])
				}
				want := testkit.Values(t, v, fmt.Sprintf("%s.sam%d_chw", name, side))
				err := d.Run(func(s *tensor.Scope) error {
					got := s.Float32s(spec.Input(s, img, g))
					deviation := []float64{58.395, 57.12, 57.375}
					var worst, sum float64
					for i := range got {
						levels := math.Abs(float64(got[i])-float64(want[i])) * deviation[i/(side*side)]
						worst = max(worst, levels)
						sum += levels
					}
					mean := sum / float64(len(got))
					if worst > 1.001 || mean > 0.1 {
						t.Errorf("differs by up to %.2f grey levels, %.3f on average", worst, mean)
					}
					t.Logf("differs by up to %.2f grey levels, %.4f on average", worst, mean)
					return nil
				})
				if err != nil {
					t.Fatal(err)
				}
				coords := testkit.Values(t, v, fmt.Sprintf("%s.coords%d", name, side))
				for i, p := range [][2]float64{{0, 0}, {3.5, 7.25}, {float64(img.Width), float64(img.Height)}} {
					x, y := g.ToInput(p[0], p[1])
					if math.Abs(float64(x-coords[2*i])) > 1e-4 || math.Abs(float64(y-coords[2*i+1])) > 1e-4 {
						t.Errorf("point %v goes to %g, %g, want %g, %g", p, x, y, coords[2*i], coords[2*i+1])
					}
				}
			})
		}
	}
}

// TestMinmaxInput checks the preprocessing of LiteMedSAM by what must hold: 0 and 1 at the extremes, zero
// padding, and a picture that needs no resizing scaled to the bit.
func TestMinmaxInput(t *testing.T) {
	d := tensortest.CPU(t)
	spec := &Spec{ImageSize: 64, Normalise: "minmax"}
	img := &data.Image{Width: 64, Height: 48, Pix: make([]uint8, 64*48*3)}
	r := rand.New(rand.NewPCG(1, 2))
	for i := range img.Pix {
		img.Pix[i] = uint8(20 + r.IntN(200))
	}
	img.Pix[0], img.Pix[1] = 20, 220
	err := d.Run(func(s *tensor.Scope) error {
		got := s.Float32s(spec.Input(s, img, spec.WholeImage(64, 48)))
		for c := range 3 {
			for y := range 64 {
				for x := range 64 {
					want := 0.0
					if y < 48 {
						want = (float64(img.Pix[(y*64+x)*3+c]) - 20) / 200
					}
					if v := got[(c*64+y)*64+x]; math.Abs(float64(v)-want) > 1e-6 {
						t.Fatalf("channel %d at %d, %d is %g, want %g", c, x, y, v, want)
					}
				}
			}
		}
		// A tile is scaled by the whole picture's extremes, not by its own.
		tile := NewGeometry(Rect{X: 16, Y: 8, Width: 32, Height: 32}, 64)
		in := s.Float32s(spec.Input(s, img, tile))
		centre := in[(0*64+33)*64+33]
		near := float64(img.Pix[((8+16)*64+16+16)*3])
		if centre < 0 || centre > 1 || math.Abs(float64(centre)-(near-20)/200) > 0.6 {
			t.Errorf("a tile's middle is %g beside a pixel of %g", centre, (near-20)/200)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestRestoreFollowsPostprocessMasks(t *testing.T) {
	d := tensortest.CPU(t)
	v := testkit.Vectors(t, "prep.safetensors")
	for _, c := range []struct{ h, w, height, width int }{{256, 235, 203, 187}, {192, 256, 61, 81}, {256, 256, 97, 97}} {
		name := fmt.Sprintf("post.%dx%d_%dx%d", c.h, c.w, c.height, c.width)
		t.Run(name, func(t *testing.T) {
			g := Geometry{Region: Rect{Width: c.width, Height: c.height}, Side: 256, Height: c.h, Width: c.w}
			err := d.Run(func(s *tensor.Scope) error {
				near(t, name, s.Float32s(g.Restore(s, load(s, t, v, "post.low_res"))), testkit.Values(t, v, name), 1e-5)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestResizeIsLibtorchs compares the two matrix products with libtorch's own operator.
func TestResizeIsLibtorchs(t *testing.T) {
	d := tensortest.CPU(t)
	r := rand.New(rand.NewPCG(3, 4))
	for _, c := range [][4]int64{{16, 16, 40, 31}, {64, 64, 216, 216}, {40, 31, 16, 16}, {7, 9, 7, 20}, {1, 5, 3, 5}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			x := make([]float32, 2*c[0]*c[1])
			for i := range x {
				x[i] = float32(r.NormFloat64())
			}
			err := d.Run(func(s *tensor.Scope) error {
				in := s.FromFloat32(x, 1, 2, c[0], c[1])
				near(t, "resize", s.Float32s(resize(s, in, c[2], c[3])), s.Float32s(s.UpsampleBilinear(in, c[2], c[3])), 1e-6)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
		})
	}
}

func TestTilesCoverThePicture(t *testing.T) {
	for _, c := range [][4]int{{565, 584, 3, 216}, {565, 584, 1, 216}, {2000, 1500, 3, 216}, {100, 700, 3, 216}, {216, 216, 3, 216}, {217, 216, 2, 216}} {
		t.Run(fmt.Sprint(c), func(t *testing.T) {
			covered := make([]bool, c[0]*c[1])
			for _, r := range Tiles(c[0], c[1], c[2], c[3]) {
				if r.X < 0 || r.Y < 0 || r.X+r.Width > c[0] || r.Y+r.Height > c[1] {
					t.Fatalf("tile %+v leaves the picture", r)
				}
				for y := r.Y; y < r.Y+r.Height; y++ {
					for x := r.X; x < r.X+r.Width; x++ {
						covered[y*c[0]+x] = true
					}
				}
			}
			for i, ok := range covered {
				if !ok {
					t.Fatalf("pixel %d, %d is in no tile", i%c[0], i/c[0])
				}
			}
		})
	}
	if n := len(Tiles(565, 584, 3, 216)); n != 9 {
		t.Errorf("%d tiles on a picture of DRIVE, want 9", n)
	}
}

func TestFullBox(t *testing.T) {
	g := NewGeometry(Rect{Width: 565, Height: 584}, 256)
	if g.Height != 256 || g.Width != 248 {
		t.Fatalf("565 x 584 becomes %d x %d, want 248 x 256", g.Width, g.Height)
	}
	if box := *g.FullBox().Box; box != [4]float32{0, 0, 247, 255} {
		t.Errorf("full box is %v", box)
	}
}

// TestSpreadLinearIsATransposedConvolution compares with libtorch's own operator.
func TestSpreadLinearIsATransposedConvolution(t *testing.T) {
	d := tensortest.CPU(t)
	r := rand.New(rand.NewPCG(5, 6))
	random := func(s *tensor.Scope, shape ...int64) *tensor.Tensor {
		v := make([]float32, tensor.Numel(shape))
		for i := range v {
			v[i] = float32(r.NormFloat64())
		}
		return s.FromFloat32(v, shape...)
	}
	err := d.Run(func(s *tensor.Scope) error {
		x, kernel, bias := random(s, 2, 5, 3, 8), random(s, 8, 4, 2, 2), random(s, 4)
		want := s.ConvTranspose2d(s.Permute(x, 0, 3, 1, 2), kernel, bias, 2)
		four := s.Reshape(s.Expand(s.Unsqueeze(bias, 0), 4, -1), -1)
		got := s.Reshape(s.Linear(x, spreadLinear(s, kernel), four), 2, 5, 3, 2, 2, 4) // y, x, dy, dx, channel
		got = s.Reshape(s.Permute(got, 0, 5, 1, 3, 2, 4), 2, 4, 10, 6)
		near(t, "transposed convolution", s.Float32s(got), s.Float32s(want), 1e-5)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestStretch: MedSAM's pictures fill the input, so that a point, the labels and the logits of an asymmetric picture are
// stretched by different factors across and down, and come back to their places.
func TestStretch(t *testing.T) {
	d := tensortest.CPU(t)
	spec := &Spec{ImageSize: 64, Normalise: "minmax", Stretch: true}
	g := spec.WholeImage(32, 16)
	if x, y := g.ToInput(8, 4); x != 16 || y != 16 {
		t.Errorf("(8, 4) is at (%g, %g), want (16, 16)", x, y)
	}
	img := &data.Image{Width: 32, Height: 16, Pix: make([]uint8, 3*32*16)}
	for i := range img.Pix {
		img.Pix[i] = uint8(i / 3 % 32 * 8) // a slope from left to right
	}
	if err := d.Run(func(s *tensor.Scope) error {
		in := spec.Input(s, img, g)
		back := s.Float32s(g.Restore(s, in))
		want := make([]float32, 0, len(back))
		for c := 0; c < 3; c++ {
			for i := range 32 * 16 {
				want = append(want, float32(img.Pix[3*i+c])/248)
			}
		}
		near(t, "there and back", back, want, 0.02)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}

// TestMaskInput: a mask lies in the prompt encoder's grid where its picture lies in the input; padding is outside.
func TestMaskInput(t *testing.T) {
	d := tensortest.CPU(t)
	spec := &Spec{ImageSize: 64, EmbeddingSize: 4}
	m := data.NewMask(32, 16)
	for y := range 8 {
		for x := range 8 {
			m.Pix[(y+8)*32+x+24] = 1 // the right lower corner
		}
	}
	if err := d.Run(func(s *tensor.Scope) error {
		in := spec.MaskInput(s, m, spec.WholeImage(32, 16), 5)
		got := s.Float32s(in)
		for y := range 16 {
			for x := range 16 {
				want := float32(-5)
				if y >= 4 && y < 8 && x >= 12 { // the picture fills the upper 8 rows
					want = 5
				}
				edge := y >= 3 && y <= 8 && (x == 11 || x == 12) || x >= 11 && (y >= 3 && y <= 4 || y >= 7 && y <= 8)
				if v := got[y*16+x]; !edge && (v < want-0.01 || v > want+0.01) {
					t.Errorf("x %d, y %d is %g, want %g", x, y, v, want)
				}
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
