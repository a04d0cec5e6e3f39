package eval

import (
	"encoding/binary"
	"math/bits"

	"samtune/data"
)

// lattice is a grid of points with a margin of one or more on every side: pixels of a picture, or voxels of a volume, and the corners
// where they meet. Point (z, y, x) has the index (z*rows + y)*columns + x. A picture's rows are its planes, of one row each. The corner
// with an index lies before the pixel or voxel with that index on every axis.
type lattice struct {
	planes, rows, columns int
	spacing               [3]float64 // between planes, rows and columns
}

// flat says whether it is of a picture.
func (l *lattice) flat() bool { return l.rows == 1 }

func (l *lattice) points() int { return l.planes * l.rows * l.columns }

// steps are the differences of the indexes of neighbours along columns and rows and, in a volume, planes.
func (l *lattice) steps() []int {
	if l.flat() {
		return []int{1, l.columns}
	}
	return []int{1, l.columns, l.rows * l.columns}
}

// margin is the index of the first point that is not in the margin.
func (l *lattice) margin() (n int) {
	for _, s := range l.steps() {
		n += s
	}
	return n
}

// word holds eight points from one on, each a byte: solids have as many more at their end.
func word(solid []uint8, i int) uint64 { return binary.LittleEndian.Uint64(solid[i:]) }

const wordSize = 8

// pair is two solids on one lattice. A solid has a byte for each point, 1 inside and 0 outside and in the margin.
type pair struct {
	lattice
	pred, truth []uint8
}

// newPair puts two masks on a lattice around what is inside either; false where nothing is.
func newPair(pred, truth *data.Mask, spacing [2]float64) (*pair, bool) {
	box, ok := boundingBox(pred, truth)
	if !ok {
		return nil, false
	}
	p := &pair{lattice: lattice{planes: box.y1 - box.y0 + 2, rows: 1, columns: padded(box), spacing: [3]float64{spacing[0], 1, spacing[1]}}}
	solid := func(m *data.Mask) []uint8 {
		points := p.solid()
		copyRows(points[p.margin():], p.columns, m, box)
		return points
	}
	both(func() { p.pred = solid(pred) }, func() { p.truth = solid(truth) })
	return p, true
}

// padded is the length of a lattice's rows: whole words, a point of margin on either side.
func padded(b box) int { return (b.x1 - b.x0 + 2 + wordSize - 1) / wordSize * wordSize }

func (l *lattice) solid() []uint8 { return make([]uint8, l.points()+wordSize) }

// copyRows copies a mask's pixels in the box to rows that lie stride apart.
func copyRows(to []uint8, stride int, m *data.Mask, b box) {
	for y := b.y0; y < b.y1; y++ {
		copy(to[(y-b.y0)*stride:], m.Pix[y*m.Width+b.x0:y*m.Width+b.x1])
	}
}

// surface lists the points of a solid with a neighbour outside it, of 4 in a picture and 6 in a volume, in the order of indexes.
func (l *lattice) surface(solid []uint8) (out []int) {
	steps := l.steps()
	margin := l.margin()
	for i, end := margin, l.points()-margin; i < end; i += wordSize {
		w := word(solid, i)
		if w == 0 {
			continue
		}
		inner := ^uint64(0)
		for _, s := range steps {
			inner &= word(solid, i-s) & word(solid, i+s)
		}
		for edge := w &^ inner; edge != 0; edge &= edge - 1 {
			out = append(out, i+bits.TrailingZeros64(edge)/8)
		}
	}
	return out
}
