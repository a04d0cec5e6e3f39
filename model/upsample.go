package model

import (
	"samtune/internal/tensor"
)

// Tap says between which two cells of a row or column of a feature a pixel lies: its value is
// (1-Weight) * cell Low + Weight * cell High.
type Tap struct {
	Low, High int
	Weight    float32
}

// Taps returns, for each row and each column of the geometry's region, where it lies on a feature of side x
// side cells. Cells that hold nothing but padding are not used.
func (g Geometry) Taps(side int) (rows, columns []Tap) {
	return taps(g.Region.Height, g.Height, g.Side, side, g.Mirror.Y), taps(g.Region.Width, g.Width, g.Side, side, g.Mirror.X)
}

// taps maps length pixels to the first part of a feature's side cells: part of the input's input pixels.
func taps(length, part, input, side int, mirrored bool) []Tap {
	cells := (part*side + input - 1) / input
	scale := float64(part) * float64(side) / (float64(input) * float64(length))
	out := make([]Tap, length)
	for i := range out {
		at := min(max((float64(i)+0.5)*scale-0.5, 0), float64(cells-1))
		low := int(at)
		tap := Tap{Low: low, High: min(low+1, cells-1), Weight: float32(at - float64(low))}
		if mirrored {
			out[length-1-i] = tap
		} else {
			out[i] = tap
		}
	}
	return out
}

// matrix writes taps as the matrix [pixels, side] that interpolates.
func matrix(s *tensor.Scope, taps []Tap, side int) *tensor.Tensor {
	m := make([]float32, len(taps)*side)
	for i, t := range taps {
		m[i*side+t.Low] += 1 - t.Weight
		m[i*side+t.High] += t.Weight
	}
	return s.FromFloat32(m, int64(len(taps)), int64(side))
}

// Upsample brings maps [B, C, side, side] on a feature's grid to the region's own pixels, bilinearly, in one
// step: [B, C, region height, region width].
func (g Geometry) Upsample(s *tensor.Scope, maps *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		side := int(maps.Shape()[2])
		rows, columns := g.Taps(side)
		return s.Matmul(s.Matmul(matrix(s, rows, side), maps), s.Transpose(matrix(s, columns, side), 0, 1))
	})
}

// Gather is the adjoint of Upsample: it adds up weights of the region's pixels [B, C, region height, region
// width] on the cells [B, C, side, side] that they are interpolated from.
func (g Geometry) Gather(s *tensor.Scope, weights *tensor.Tensor, side int) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		rows, columns := g.Taps(side)
		return s.Matmul(s.Matmul(s.Transpose(matrix(s, rows, side), 0, 1), weights), matrix(s, columns, side))
	})
}
