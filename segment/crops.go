package segment

import (
	"math"

	"samtune/model"
)

// layerCrop is a part of the picture that is segmented by itself: layer 0 is the whole picture, layer n has 2^n x 2^n crops.
type layerCrop struct {
	model.Rect
	layer int
}

// crops lists the parts as the official generator does, column by column within a layer; neighbours overlap by a share of
// the picture's shorter side that is halved from layer to layer.
func crops(width, height, layers int, overlapRatio float64) []layerCrop {
	out := []layerCrop{{Rect: model.Rect{Width: width, Height: height}}}
	for layer := 1; layer <= layers; layer++ {
		n := 1 << layer
		overlap := int(overlapRatio * float64(min(width, height)) * (2 / float64(n)))
		side := func(length int) int { return int(math.Ceil(float64(overlap*(n-1)+length) / float64(n))) }
		w, h := side(width), side(height)
		for i := range n {
			for j := range n {
				x, y := (w-overlap)*i, (h-overlap)*j
				r := model.Rect{X: x, Y: y, Width: min(x+w, width) - x, Height: min(y+h, height) - y}
				if r.Width > 0 && r.Height > 0 { // rounding up leaves nothing for the last ones of a tiny picture
					out = append(out, layerCrop{Rect: r, layer: layer})
				}
			}
		}
	}
	return out
}

// grid returns side x side points evenly over a crop, row by row, in the picture's pixels.
func (c layerCrop) grid(side int) [][2]float64 {
	offset := 1 / (2 * float64(side))
	at := func(i int) float64 {
		if i == 0 {
			return offset
		}
		if i == side-1 {
			return 1 - offset
		}
		return offset + float64(i)*((1-offset)-offset)/float64(side-1)
	}
	out := make([][2]float64, 0, side*side)
	for j := range side {
		for i := range side {
			out = append(out, [2]float64{at(i)*float64(c.Width) + float64(c.X), at(j)*float64(c.Height) + float64(c.Y)})
		}
	}
	return out
}

// edgeDistance is how near to an edge, in pixels, a box counts as touching it.
const edgeDistance = 20

// cuts says whether a box touches an edge of the crop that is not one of the picture's: its mask is likely cut off there.
func (c layerCrop) cuts(b Box, width, height int) bool {
	near := func(a, b int) bool { return max(a-b, b-a) <= edgeDistance }
	return near(b.X0, c.X) && !near(b.X0, 0) ||
		near(b.Y0, c.Y) && !near(b.Y0, 0) ||
		near(b.X1, c.X+c.Width) && !near(b.X1, width) ||
		near(b.Y1, c.Y+c.Height) && !near(b.Y1, height)
}
