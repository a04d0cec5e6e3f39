package model

import (
	"fmt"
	"math"

	"samtune/data"
	"samtune/internal/tensor"
)

// Rect is a region of a picture in its own pixels.
type Rect struct {
	X, Y, Width, Height int
}

// Mirror says in which directions a region is mirrored before it goes into the network.
type Mirror struct{ X, Y bool }

// axes are the dimensions of [B, C, H, W] that are reversed.
func (m Mirror) axes() []int64 {
	var axes []int64
	if m.Y {
		axes = append(axes, 2)
	}
	if m.X {
		axes = append(axes, 3)
	}
	return axes
}

// Geometry is how a region of a picture meets the network's input, and the way back: the region, mirrored
// where that is asked for, is resized so that its longest side is the input's, the rest is padded at the
// bottom and the right. One value serves pixels, prompts, labels and logits, so that they can't disagree.
type Geometry struct {
	Region        Rect
	Side          int // of the network's input
	Height, Width int // of the resized region within the input
	Mirror        Mirror
}

// NewGeometry fits region into an input of side x side pixels. Sizes are rounded as the official
// ResizeLongestSide does.
func NewGeometry(region Rect, side int) Geometry {
	scale := float64(side) / float64(max(region.Width, region.Height))
	return Geometry{
		Region: region, Side: side,
		Height: max(1, int(float64(region.Height)*scale+0.5)),
		Width:  max(1, int(float64(region.Width)*scale+0.5)),
	}
}

// Geometry is how the model looks at a region of a picture.
func (sp *Spec) Geometry(region Rect) Geometry {
	if sp.Stretch {
		return Geometry{Region: region, Side: sp.ImageSize, Height: sp.ImageSize, Width: sp.ImageSize}
	}
	return NewGeometry(region, sp.ImageSize)
}

// WholeImage is the geometry of all of a picture of the given size.
func (sp *Spec) WholeImage(width, height int) Geometry {
	return sp.Geometry(Rect{Width: width, Height: height})
}

// String writes the geometry in a form that is part of cache keys.
func (g Geometry) String() string {
	text := fmt.Sprintf("x%d y%d w%d h%d side%d -> w%d h%d", g.Region.X, g.Region.Y, g.Region.Width, g.Region.Height, g.Side, g.Width, g.Height)
	if g.Mirror.X {
		text += " mirrored in x"
	}
	if g.Mirror.Y {
		text += " mirrored in y"
	}
	return text
}

// ToInput maps a point in the picture's pixels to the input's, as the official apply_coords does.
func (g Geometry) ToInput(x, y float64) (float32, float32) {
	x, y = x-float64(g.Region.X), y-float64(g.Region.Y)
	if g.Mirror.X {
		x = float64(g.Region.Width) - x
	}
	if g.Mirror.Y {
		y = float64(g.Region.Height) - y
	}
	x *= float64(g.Width) / float64(g.Region.Width)
	y *= float64(g.Height) / float64(g.Region.Height)
	return float32(x), float32(y)
}

// FullBox is the box prompt around the whole region, in the input's pixels.
func (g Geometry) FullBox() Prompt {
	return Prompt{Box: &[4]float32{0, 0, float32(g.Width - 1), float32(g.Height - 1)}}
}

// Tiles returns regions of side tile that cover a picture evenly, the last ones flush with its edges, row
// by row: grid x grid of them, or as many more as it takes for neighbours to overlap by an eighth of
// their side. A picture smaller than tile in a direction is taken whole there.
func Tiles(width, height, grid, tile int) []Rect {
	positions := func(length int) (starts []int, size int) {
		size = min(tile, length)
		n := 1
		if length > size {
			step := float64(size) * 7 / 8
			n = max(grid, int(math.Ceil(float64(length-size)/step))+1)
		}
		for i := range n {
			start := 0
			if n > 1 {
				start = int(math.RoundToEven(float64(i*(length-size)) / float64(n-1)))
			}
			starts = append(starts, start)
		}
		return starts, size
	}
	xs, w := positions(width)
	ys, h := positions(height)
	out := make([]Rect, 0, len(xs)*len(ys))
	for _, y := range ys {
		for _, x := range xs {
			out = append(out, Rect{X: x, Y: y, Width: w, Height: h})
		}
	}
	return out
}

// Input returns the encoder's input for a region of a picture: [1, 3, side, side], float32.
// "minmax" scales the whole picture's minimum and maximum to 0 and 1 before it resizes (antialiased
// bilinear); "sam" resizes, rounds to whole grey values and subtracts SAM's mean and divides by its
// standard deviation. Padding is zero.
func (sp *Spec) Input(s *tensor.Scope, img *data.Image, g Geometry) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		x := s.FromUint8(crop(img, g.Region), 1, int64(g.Region.Height), int64(g.Region.Width), 3)
		x = s.Contiguous(s.Permute(s.ToDType(x, tensor.Float32), 0, 3, 1, 2))
		if axes := g.Mirror.axes(); len(axes) > 0 {
			x = s.Flip(x, axes...)
		}
		if sp.Normalise == "minmax" {
			low, high := img.Extremes()
			x = s.MulScalar(s.AddScalar(x, -float64(low)), 1/math.Max(float64(high-low), 1e-8))
		}
		if sp.Normalise == "sam" { // the official code resizes with PIL: across, then down, whole grey values each time
			x = s.Round(s.UpsampleBilinearAA(x, int64(g.Region.Height), int64(g.Width)))
		}
		if g.Height != g.Region.Height || g.Width != g.Region.Width {
			x = s.UpsampleBilinearAA(x, int64(g.Height), int64(g.Width))
		}
		if sp.Normalise == "sam" {
			mean := s.FromFloat32([]float32{123.675, 116.28, 103.53}, 1, 3, 1, 1)
			deviation := s.FromFloat32([]float32{58.395, 57.12, 57.375}, 1, 3, 1, 1)
			x = s.Div(s.Sub(s.Round(x), mean), deviation)
		}
		return s.Pad(x, int64(g.Side-g.Height), int64(g.Side-g.Width))
	})
}

// MaskInput returns a mask of a picture's size as the prompt encoder takes it: logits [1, 1, 4*grid, 4*grid] on the network's
// input, of +logit inside and -logit outside and between them on edges that are resized. Padding is outside.
func (sp *Spec) MaskInput(s *tensor.Scope, m *data.Mask, g Geometry, logit float64) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		r := g.Region
		values := make([]uint8, 0, r.Width*r.Height)
		for y := r.Y; y < r.Y+r.Height; y++ {
			values = append(values, m.Pix[y*m.Width+r.X:y*m.Width+r.X+r.Width]...)
		}
		x := s.ToDType(s.FromUint8(values, 1, 1, int64(r.Height), int64(r.Width)), tensor.Float32)
		if axes := g.Mirror.axes(); len(axes) > 0 {
			x = s.Flip(x, axes...)
		}
		x = s.Pad(s.UpsampleBilinearAA(x, int64(g.Height), int64(g.Width)), int64(g.Side-g.Height), int64(g.Side-g.Width))
		side := 4 * int64(sp.EmbeddingSize)
		if x.Shape()[2] != side {
			x = s.UpsampleBilinearAA(x, side, side)
		}
		return s.MulScalar(s.AddScalar(x, -0.5), 2*logit)
	})
}

func crop(img *data.Image, r Rect) []uint8 {
	out := make([]uint8, 0, r.Width*r.Height*3)
	for y := r.Y; y < r.Y+r.Height; y++ {
		row := (y*img.Width + r.X) * 3
		out = append(out, img.Pix[row:row+r.Width*3]...)
	}
	return out
}

// Restore brings low-resolution logits [B, M, 4*grid, 4*grid] back to the region's own pixels:
// [B, M, region height, region width]. As in the official postprocess_masks the logits are first
// resized to the input's side where that differs, the padding is cut off, and the rest resized.
func (g Geometry) Restore(s *tensor.Scope, lowRes *tensor.Tensor) *tensor.Tensor {
	side := lowRes.Shape()[2]
	if side != int64(g.Side) {
		lowRes = resize(s, lowRes, int64(g.Side), int64(g.Side))
	}
	valid := s.Narrow(s.Narrow(lowRes, 2, 0, int64(g.Height)), 3, 0, int64(g.Width))
	return g.unmirror(s, resize(s, valid, int64(g.Region.Height), int64(g.Region.Width)))
}

func (g Geometry) unmirror(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	if axes := g.Mirror.axes(); len(axes) > 0 {
		return s.Flip(x, axes...)
	}
	return x
}

// resize is bilinear interpolation (align_corners=False, no antialiasing) as two matrix products, whose
// gradient is again matrix products: it repeats bit for bit on every device.
func resize(s *tensor.Scope, x *tensor.Tensor, height, width int64) *tensor.Tensor {
	d := x.Shape()
	if d[2] != height {
		x = s.Matmul(interpolation(s, height, d[2]), x)
	}
	if d[3] != width {
		x = s.Matmul(x, s.Transpose(interpolation(s, width, d[3]), 0, 1))
	}
	return x
}

// interpolation is the matrix [out, in] of linear interpolation from in samples to out.
func interpolation(s *tensor.Scope, out, in int64) *tensor.Tensor {
	m := make([]float32, out*in)
	scale := float32(in) / float32(out)
	for i := range out {
		// rounded once, as the fused operation of libtorch's kernel is
		at := max(float32(float64(scale)*(float64(i)+0.5)-0.5), 0)
		low := min(int64(at), in-1)
		high := min(low+1, in-1)
		weight := at - float32(low)
		m[i*in+low] += 1 - weight
		m[i*in+high] += weight
	}
	return s.FromFloat32(m, out, in)
}
