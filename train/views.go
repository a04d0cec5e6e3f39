package train

import (
	"math"

	"samtune/data"
	"samtune/model"
)

// Tiling says which regions of a picture a recipe looks at.
type Tiling struct {
	Grid     int     // 1: the whole picture; n: n x n tiles
	Tile     int     // side of a tile in the picture's pixels; 0: tileSide; unused for the whole picture
	Feather  int     // pixels from a tile's edge over which its weight in the blend rises
	MinValid float64 // tiles with less of the valid region than this share are not trained on
}

// Views returns the regions of a picture that are predicted and blended: those with at least one valid pixel.
func (t Tiling) Views(m *model.Model, sample *data.Sample) []View {
	hash := sample.Image.Hash()
	var out []View
	for _, r := range t.regions(sample) {
		if validShare(sample, r) > 0 {
			out = append(out, View{Sample: sample, Image: hash, Geometry: m.Spec.Geometry(r)})
		}
	}
	return out
}

// Training returns the views that have enough of the valid region to learn from.
func (t Tiling) Training(m *model.Model, sample *data.Sample) []View {
	var out []View
	for _, v := range t.Views(m, sample) {
		if validShare(sample, v.Geometry.Region) >= t.MinValid {
			out = append(out, v)
		}
	}
	return out
}

// Whole returns the view of the whole picture.
func Whole(m *model.Model, sample *data.Sample) View {
	return View{Sample: sample, Image: sample.Image.Hash(), Geometry: m.Spec.WholeImage(sample.Image.Width, sample.Image.Height)}
}

func (t Tiling) regions(sample *data.Sample) []model.Rect {
	img := sample.Image
	if t.Grid <= 1 {
		return []model.Rect{{Width: img.Width, Height: img.Height}}
	}
	side := t.Tile
	if side == 0 {
		side = tileSide(img.Width, img.Height, t.Grid)
	}
	return model.Tiles(img.Width, img.Height, t.Grid, side)
}

// tileSide returns the side of tiles of which grid in a row cover a picture's longest side and overlap by a
// tenth to a fifth.
func tileSide(width, height, grid int) int {
	return int(math.Ceil(float64(max(width, height)) / float64(grid) * 10 / 9))
}

func validShare(sample *data.Sample, r model.Rect) float64 {
	n := 0
	for _, v := range region(sample.Valid, r) {
		n += int(v)
	}
	return float64(n) / float64(r.Width*r.Height)
}

// region copies a rectangle out of a mask.
func region(m *data.Mask, r model.Rect) []uint8 { return crop(m.Pix, m.Width, r) }

// blend collects values of overlapping regions into one map of the picture's size.
type blend struct {
	width, height int
	feather       int
	sum, weight   []float32
}

func newBlend(width, height, feather int) *blend {
	n := width * height
	return &blend{width: width, height: height, feather: max(1, feather), sum: make([]float32, n), weight: make([]float32, n)}
}

// edge is a pixel's weight in a region: its distance to the region's nearest edge, at most feather, so that a
// tile's rim counts little where another tile sees further.
func (b *blend) edge(r model.Rect, x, y int) float32 {
	return float32(min(y+1, r.Height-y, x+1, r.Width-x, b.feather))
}

// add lays values of a region over the map.
func (b *blend) add(r model.Rect, p []float32) {
	for y := range r.Height {
		row := (r.Y+y)*b.width + r.X
		for x := range r.Width {
			w := b.edge(r, x, y)
			b.sum[row+x] += w * p[y*r.Width+x]
			b.weight[row+x] += w
		}
	}
}

// cover adds a region's weights without values.
func (b *blend) cover(r model.Rect) {
	for y := range r.Height {
		row := (r.Y+y)*b.width + r.X
		for x := range r.Width {
			b.weight[row+x] += b.edge(r, x, y)
		}
	}
}

// result returns the blended values; 0 where no region was laid.
func (b *blend) result() []float32 {
	out := make([]float32, len(b.sum))
	for i, w := range b.weight {
		if w > 0 {
			out[i] = b.sum[i] / w
		}
	}
	return out
}
