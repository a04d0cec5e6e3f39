package eval

import (
	"math"
	"sync"

	"samtune/data"
)

// nearest returns the squared Euclidean distance from each point to the nearest of some others; both are indexes in rising order, and
// there is at least one of the others. It is exact and takes time linear in the lattice (Felzenszwalb and Huttenlocher, Distance
// Transforms of Sampled Functions, 2012): whole steps across planes, then, plane by plane, lower envelopes of parabolas along
// columns and rows, of which only what is asked for is worked out.
func (l *lattice) nearest(from, to []int) []float64 {
	if l.planes < 1<<15 {
		return nearest[uint16](l, from, to, 1<<15)
	}
	return nearest[uint32](l, from, to, 1<<31)
}

// nearest counts planes as T; far is more than there are, and twice as many are still within T.
func nearest[T uint16 | uint32](l *lattice, from, to []int, far T) []float64 {
	plane := l.rows * l.columns
	steps := planesToNearest(l.planes, plane, to, far)
	square := make([]float64, l.planes) // of distances across planes
	for k := range square {
		d := float64(k) * l.spacing[0]
		square[k] = float64(d * d) // rounded before it is part of a sum
	}
	heights := make([]float64, plane) // of the squared distances so far, of one plane
	column := make([]float64, l.rows)
	exact := true
	for _, s := range l.spacing {
		exact = exact && s == math.Trunc(s) && s < 1<<8 // squares of 2^16 such steps are whole numbers below 2^53
	}
	alongRows := newEnvelope(l.rows, l.spacing[1], false) // of which all points are asked for
	alongColumns := newEnvelope(l.columns, l.spacing[2], exact)
	out := make([]float64, len(from))
	for k := 0; k < len(from); {
		z := from[k] / plane
		for i, n := range steps[z*plane : (z+1)*plane] {
			heights[i] = math.Inf(1)
			if n < far {
				heights[i] = square[n]
			}
		}
		for x := 0; x < l.columns && !l.flat(); x++ {
			for y := range column {
				column[y] = heights[y*l.columns+x]
			}
			alongRows.over(column)
			for y := range column {
				heights[y*l.columns+x] = alongRows.at(y)
			}
		}
		for k < len(from) && from[k] < (z+1)*plane {
			row := from[k] / l.columns
			// The first column is margin, and columns are counted from what lies behind it.
			alongColumns.over(heights[row*l.columns-z*plane:][1:l.columns])
			for first := row*l.columns + 1; k < len(from) && from[k] < (row+1)*l.columns; k++ {
				out[k] = alongColumns.at(from[k] - first)
			}
		}
	}
	return out
}

// planesToNearest counts for each point of so many planes how many planes lie between it and the nearest of some points with its row
// and column; far or more where there is none.
func planesToNearest[T uint16 | uint32](planes, plane int, to []int, far T) []T {
	steps := make([]T, planes*plane)
	for i := range steps {
		steps[i] = far
	}
	for _, i := range to {
		steps[i] = 0
	}
	for z := 1; z < planes; z++ {
		before, here := steps[(z-1)*plane:z*plane], steps[z*plane:(z+1)*plane]
		for i, n := range before {
			here[i] = min(here[i], n+1)
		}
	}
	for z := planes - 2; z >= 0; z-- {
		here, behind := steps[z*plane:(z+1)*plane], steps[(z+1)*plane:(z+2)*plane]
		for i, n := range behind {
			here[i] = min(here[i], n+1)
		}
	}
	return steps
}

// envelope is the lower envelope of parabolas along a line of points.
type envelope struct {
	spacing   float64
	search    bool      // for few points: allowed where squared distances are whole numbers, so that it and the envelope agree to the last bit
	heights   []float64 // the squared distances so far of all points
	budget    int       // points that may still be looked at before the envelope is built
	parabolas []parabola
	k         int // the last one on the envelope
	j         int // that of the point that was asked for last
}

type parabola struct {
	apex   int     // where it is least
	height float64 // its value there
	from   float64 // where it becomes the lowest, in points
}

func newEnvelope(points int, spacing float64, search bool) *envelope {
	return &envelope{spacing: spacing, search: search, parabolas: make([]parabola, points)}
}

// over begins a line.
func (e *envelope) over(heights []float64) {
	e.heights, e.budget = heights, len(heights)
	if !e.search {
		e.build()
	}
}

// at is the squared distance of a point; points are asked for in rising order.
func (e *envelope) at(x int) float64 {
	if e.budget > 0 {
		if d, ok := e.look(x); ok {
			return d
		}
		e.build()
	}
	if e.k < 0 {
		return math.Inf(1)
	}
	for e.j < e.k && e.parabolas[e.j+1].from < float64(x) {
		e.j++
	}
	p := &e.parabolas[e.j]
	// The conversion keeps the product from being fused into the sum, so that all machines agree.
	across := float64(x-p.apex) * e.spacing
	return float64(across*across) + p.height
}

// look looks to both sides of a point for as long as something nearer may be there: mostly a few points. False: the budget is spent.
func (e *envelope) look(x int) (float64, bool) {
	nearest := e.heights[x]
	for d := 1; x-d >= 0 || x+d < len(e.heights); d++ {
		across := float64(d) * e.spacing
		across *= across
		if across >= nearest {
			break
		}
		if x-d >= 0 {
			nearest = min(nearest, across+e.heights[x-d])
		}
		if x+d < len(e.heights) {
			nearest = min(nearest, across+e.heights[x+d])
		}
		if e.budget--; e.budget == 0 {
			return 0, false
		}
	}
	return nearest, true
}

// build builds the envelope.
func (e *envelope) build() {
	squared := e.spacing * e.spacing
	k := -1
	for x, f := range e.heights {
		if f > math.MaxFloat64 {
			continue
		}
		start := math.Inf(-1)
		for ; k >= 0; k-- {
			p := &e.parabolas[k]
			start = ((f-p.height)/squared/float64(x-p.apex) + float64(x+p.apex)) / 2
			if start > p.from {
				break
			}
			start = math.Inf(-1)
		}
		k++
		e.parabolas[k] = parabola{x, f, start}
	}
	e.k, e.j, e.budget = k, 0, 0
}

// both does two things at the same time.
func both(a, b func()) {
	var wg sync.WaitGroup
	wg.Go(a)
	b()
	wg.Wait()
}

// distanceTransform returns each pixel's distance to the nearest pixel inside the mask; false where the mask is empty.
func distanceTransform(m *data.Mask, spacing [2]float64) ([]float64, bool) {
	l := lattice{planes: m.Height, rows: 1, columns: m.Width + 1, spacing: [3]float64{spacing[0], 1, spacing[1]}}
	all, inside := make([]int, len(m.Pix)), []int(nil)
	for i, v := range m.Pix {
		all[i] = i/m.Width*l.columns + i%m.Width + 1
		if v == 1 {
			inside = append(inside, all[i])
		}
	}
	if inside == nil {
		return nil, false
	}
	d := l.nearest(all, inside)
	for i := range d {
		d[i] = math.Sqrt(d[i])
	}
	return d, true
}

// SignedDistance returns how far each pixel is from the mask's boundary, in pixels: outside the distance to the
// nearest pixel inside, inside 1 less than that to the nearest pixel outside, negative (Kervadec et al.,
// MIDL 2019). It is 0 everywhere where the mask is empty.
func SignedDistance(m *data.Mask) []float32 {
	out := make([]float32, len(m.Pix))
	toInside, any := distanceTransform(m, [2]float64{1, 1})
	if !any {
		return out
	}
	outside := data.NewMask(m.Width, m.Height)
	for i, v := range m.Pix {
		outside.Pix[i] = 1 - v
	}
	toOutside, rest := distanceTransform(outside, [2]float64{1, 1})
	for i, v := range m.Pix {
		switch {
		case v == 0:
			out[i] = float32(toInside[i])
		case rest:
			out[i] = float32(1 - toOutside[i])
		}
	}
	return out
}
