package eval

import (
	"math"
	"slices"

	"samtune/data"
)

// surfaceDistances returns MedPy's hd95 and assd: a mask's surface are its pixels with a 4-neighbour
// outside it or outside the image; the distances from each surface to the other are pooled, HD95 is
// their 95th percentile (linear interpolation as in numpy), ASSD their mean.
func surfaceDistances(a, b *data.Mask, spacing [2]float64) (hd95, assd Float) {
	surfaceA, surfaceB := surface(a), surface(b)
	toA, okA := distanceTransform(surfaceA, spacing)
	toB, okB := distanceTransform(surfaceB, spacing)
	if !okA || !okB {
		return Undefined, Undefined
	}
	var pooled []float64
	for i := range a.Pix {
		if surfaceA.Pix[i] == 1 {
			pooled = append(pooled, toB[i])
		}
		if surfaceB.Pix[i] == 1 {
			pooled = append(pooled, toA[i])
		}
	}
	slices.Sort(pooled)
	sum := 0.0
	for _, d := range pooled {
		sum += d
	}
	return Float(quantile(pooled, 0.95)), Float(sum / float64(len(pooled)))
}

// surface returns the pixels of the mask that an erosion with the 4-neighbourhood takes away.
func surface(m *data.Mask) *data.Mask {
	w, h := m.Width, m.Height
	out := data.NewMask(w, h)
	for y := range h {
		for x := range w {
			i := y*w + x
			if m.Pix[i] == 0 {
				continue
			}
			inner := y > 0 && y < h-1 && x > 0 && x < w-1 &&
				m.Pix[i-w]&m.Pix[i+w]&m.Pix[i-1]&m.Pix[i+1] == 1
			if !inner {
				out.Pix[i] = 1
			}
		}
	}
	return out
}

// surfaceDice is surface-distance's NSD in two dimensions: contours run between pixels, their elements
// sit at the corners where four pixels meet, and each has a length that the four pixels and the
// spacing give. An element agrees when the other mask's contour is within the tolerance.
func surfaceDice(a, b *data.Mask, spacing [2]float64, tolerance float64) Float {
	cornersA, lengthA := contour(a, spacing)
	cornersB, lengthB := contour(b, spacing)
	toA, okA := distanceTransform(cornersA, spacing)
	toB, okB := distanceTransform(cornersB, spacing)
	var agreeing, total float64
	for i := range cornersA.Pix {
		if cornersA.Pix[i] == 1 {
			total += lengthA[i]
			if okB && toB[i] <= tolerance {
				agreeing += lengthA[i]
			}
		}
		if cornersB.Pix[i] == 1 {
			total += lengthB[i]
			if okA && toA[i] <= tolerance {
				agreeing += lengthB[i]
			}
		}
	}
	if total == 0 {
		return Undefined
	}
	return Float(agreeing / total)
}

// contour marks the (Width+1) x (Height+1) pixel corners that the mask's outline passes through and
// gives the outline's length at each.
func contour(m *data.Mask, spacing [2]float64) (*data.Mask, []float64) {
	corners := data.NewMask(m.Width+1, m.Height+1)
	lengths := make([]float64, len(corners.Pix))
	diagonal := math.Hypot(spacing[0], spacing[1]) / 2
	at := func(x, y int) uint8 {
		if x < 0 || y < 0 || x >= m.Width || y >= m.Height {
			return 0
		}
		return m.Pix[y*m.Width+x]
	}
	for y := range corners.Height {
		topLeft, bottomLeft := uint8(0), uint8(0)
		for x := range corners.Width {
			topRight, bottomRight := at(x, y-1), at(x, y)
			var length float64
			switch inside := topLeft + topRight + bottomLeft + bottomRight; {
			case inside == 1 || inside == 3:
				length = diagonal
			case inside == 2 && topLeft == bottomRight:
				length = 2 * diagonal
			case inside == 2 && topLeft == topRight:
				length = spacing[1]
			case inside == 2:
				length = spacing[0]
			}
			if length > 0 {
				corners.Pix[y*corners.Width+x] = 1
				lengths[y*corners.Width+x] = length
			}
			topLeft, bottomLeft = topRight, bottomRight
		}
	}
	return corners, lengths
}

// distanceTransform returns each pixel's Euclidean distance to the nearest pixel inside the mask;
// false where the mask is empty. It is exact and takes time linear in the pixels (Felzenszwalb and
// Huttenlocher, Distance Transforms of Sampled Functions, 2012).
func distanceTransform(m *data.Mask, spacing [2]float64) ([]float64, bool) {
	w, h := m.Width, m.Height
	d := make([]float64, w*h)
	empty := true
	for i, v := range m.Pix {
		switch {
		case v == 1:
			empty = false
		case i < w:
			d[i] = math.Inf(1)
		default:
			d[i] = d[i-w] + 1
		}
	}
	for i := w*(h-1) - 1; i >= 0; i-- {
		d[i] = min(d[i], d[i+w]+1)
	}
	if empty {
		return nil, false
	}
	for i, rows := range d {
		rows *= spacing[0]
		d[i] = rows * rows
	}
	e := envelope{spacing: spacing[1], apex: make([]int, w), from: make([]float64, w), height: make([]float64, w)}
	for y := range h {
		e.transform(d[y*w : (y+1)*w])
	}
	return d, true
}

// envelope is the lower envelope of parabolas over a row of pixels.
type envelope struct {
	spacing float64
	apex    []int     // columns of the parabolas on the envelope
	height  []float64 // their values at the apex
	from    []float64 // where each becomes the lowest, in columns
}

// transform replaces squared distances along columns by distances in the plane.
func (e *envelope) transform(row []float64) {
	squared := e.spacing * e.spacing
	k := -1
	for x, f := range row {
		if math.IsInf(f, 1) {
			continue
		}
		start := math.Inf(-1)
		for ; k >= 0; k-- {
			v := e.apex[k]
			start = ((f-e.height[k])/squared/float64(x-v) + float64(x+v)) / 2
			if start > e.from[k] {
				break
			}
			start = math.Inf(-1)
		}
		k++
		e.apex[k], e.height[k], e.from[k] = x, f, start
	}
	j := 0
	for x := range row {
		for j < k && e.from[j+1] < float64(x) {
			j++
		}
		// The conversion keeps the product from being fused into the sum, so that all machines agree.
		across := float64(x-e.apex[j]) * e.spacing
		row[x] = math.Sqrt(float64(across*across) + e.height[j])
	}
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
