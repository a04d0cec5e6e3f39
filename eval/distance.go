package eval

import (
	"math"
	"sync"

	"samtune/data"
)

// nearest returns the squared Euclidean distance from each point to the nearest of some others; both are indexes in rising order, and
// there is at least one of the others. It is exact and takes time linear in the lattice (Felzenszwalb and Huttenlocher, Distance
// Transforms of Sampled Functions, 2012): whole steps across planes, then, plane by plane, a look around each point or, where that
// would take longer, lower envelopes of parabolas along columns and rows.
func (l *lattice) nearest(from, to []int) []float64 {
	if l.planes < math.MaxUint16 {
		return nearest[uint16](l, from, to)
	}
	return nearest[uint32](l, from, to)
}

// nearest counts planes as T.
func nearest[T uint16 | uint32](l *lattice, from, to []int) []float64 {
	size := l.rows * l.columns
	steps := planesToNearest[T](l.planes, size, to)
	overPlanes := append(squares(l.planes, l.spacing[0]), math.Inf(1))
	p := newPlane(l)
	out := make([]float64, len(from))
	for k := 0; k < len(from); {
		first := from[k] / size * size
		for i, n := range steps[first : first+size] {
			p.heights[i] = overPlanes[n]
		}
		p.begin()
		for ; k < len(from) && from[k] < first+size; k++ {
			out[k] = p.at((from[k]-first)/l.columns, (from[k]-first)%l.columns)
		}
	}
	return out
}

// planesToNearest counts for each point of so many planes how many planes lie between it and the nearest of some points with its row
// and column; as many as there are planes where there is none.
func planesToNearest[T uint16 | uint32](planes, size int, to []int) []T {
	steps := make([]T, planes*size)
	for i := range steps {
		steps[i] = T(planes)
	}
	for _, i := range to {
		steps[i] = 0
	}
	for z := 1; z < planes; z++ {
		nearer(steps[z*size:(z+1)*size], steps[(z-1)*size:z*size])
	}
	for z := planes - 2; z >= 0; z-- {
		nearer(steps[z*size:(z+1)*size], steps[(z+1)*size:(z+2)*size])
	}
	return steps
}

// nearer counts one step more from where there are fewer.
func nearer[T uint16 | uint32](here, from []T) {
	here = here[:len(from)]
	for i, n := range from {
		here[i] = min(here[i], n+1)
	}
}

// plane works out the squared distances of points of one plane from those across planes.
type plane struct {
	rows, columns           int
	finest                  float64   // the lesser spacing
	overRows, overColumns   []float64 // squared distances of points so many rows and columns apart
	heights                 []float64 // the squared distances so far of all points: across planes and, once budget is spent, along columns
	budget                  int       // points that may still be looked at before envelopes are built
	alongColumns, alongRows envelope
	column                  []float64
	row                     int // of which alongRows is
}

func newPlane(l *lattice) *plane {
	finest := l.spacing[2]
	if !l.flat() {
		finest = min(finest, l.spacing[1])
	}
	return &plane{
		rows: l.rows, columns: l.columns, finest: finest,
		overRows: squares(l.rows, l.spacing[1]), overColumns: squares(l.columns, l.spacing[2]),
		heights: make([]float64, l.rows*l.columns), column: make([]float64, l.rows),
		alongColumns: newEnvelope(l.rows, l.spacing[1]), alongRows: newEnvelope(l.columns, l.spacing[2]),
	}
}

// begin begins with new heights.
func (p *plane) begin() { p.budget, p.row = 2*p.rows*p.columns, -1 }

// at is the squared distance of a point; points are asked for in rising order.
func (p *plane) at(y, x int) float64 {
	if p.budget > 0 {
		if d, ok := p.look(y, x); ok {
			return d
		}
		for x := 0; x < p.columns && p.rows > 1; x++ {
			for y := range p.column {
				p.column[y] = p.heights[y*p.columns+x]
			}
			p.alongColumns.over(p.column)
			for y := range p.column {
				p.heights[y*p.columns+x] = p.alongColumns.at(y)
			}
		}
	}
	if p.row != y {
		p.row = y
		p.alongRows.over(p.heights[y*p.columns:][:p.columns])
	}
	return p.alongRows.at(x)
}

// look looks around a point in growing squares for as long as something nearer may be there: mostly a few points. False: the budget
// is spent.
func (p *plane) look(y, x int) (float64, bool) {
	nearest := p.heights[y*p.columns+x]
	for r := 1; y-r >= 0 || y+r < p.rows || x-r >= 0 || x+r < p.columns; r++ {
		if d := float64(r) * p.finest; d*d >= nearest {
			break
		}
		x0, x1 := max(x-r, 0), min(x+r, p.columns-1)
		for _, v := range [2]int{y - r, y + r} {
			if v < 0 || v >= p.rows || p.overRows[r] >= nearest {
				continue
			}
			for u, height := range p.heights[v*p.columns:][x0 : x1+1] {
				if d := height + p.overRows[r] + p.overColumns[max(x0+u-x, x-x0-u)]; d < nearest {
					nearest = d
				}
			}
			p.budget -= x1 - x0 + 1
		}
		y0, y1 := max(y-r+1, 0), min(y+r-1, p.rows-1)
		for _, u := range [2]int{x - r, x + r} {
			if u < 0 || u >= p.columns || p.overColumns[r] >= nearest {
				continue
			}
			for v := y0; v <= y1; v++ {
				if d := p.heights[v*p.columns+u] + p.overRows[max(v-y, y-v)] + p.overColumns[r]; d < nearest {
					nearest = d
				}
			}
			p.budget -= y1 - y0 + 1
		}
		if p.budget <= 0 {
			return 0, false
		}
	}
	return nearest, true
}

// envelope is the lower envelope of parabolas along a line of points.
type envelope struct {
	spacing   float64
	parabolas []parabola
	k         int // the last one on the envelope
	j         int // that of the point that was asked for last
}

type parabola struct {
	apex   int     // where it is least
	height float64 // its value there
	from   float64 // where it becomes the lowest, in points
}

func newEnvelope(points int, spacing float64) envelope {
	return envelope{spacing: spacing, parabolas: make([]parabola, points)}
}

// over begins a line with the squared distances so far of all its points.
func (e *envelope) over(heights []float64) {
	squared := e.spacing * e.spacing
	k := -1
	for x, f := range heights {
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
	e.k, e.j = k, 0
}

// at is the squared distance of a point; points are asked for in rising order.
func (e *envelope) at(x int) float64 {
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

// squares are the squared distances of points 0, 1, 2 ... steps apart.
func squares(n int, spacing float64) []float64 {
	out := make([]float64, n)
	for k := range out {
		d := float64(k) * spacing
		out[k] = float64(d * d) // rounded before it is part of a sum
	}
	return out
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
