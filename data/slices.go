package data

import (
	"fmt"
	"math"
	"slices"

	"samtune/data/format"
)

// slicing says which slices of a volume are cases.
type slicing struct {
	Axis      string `toml:"axis"`       // "axial" (the default), "coronal", "sagittal", or a file's own "x", "y", "z"
	Channel   int    `toml:"channel"`    // of images with several, from 0
	Each      int    `toml:"each"`       // slices of a volume, spread evenly; 0: all
	MinPixels int    `toml:"min_pixels"` // a slice holds a target from so many pixels on; 0: 1
	Empty     bool   `toml:"empty"`      // slices without the target are cases too
}

func (s *slicing) check() error {
	if s == nil {
		return nil
	}
	if s.Axis == "" {
		s.Axis = "axial"
	}
	axes := []string{"axial", "coronal", "sagittal", "x", "y", "z"}
	switch {
	case !slices.Contains(axes, s.Axis):
		return fmt.Errorf("slices.axis is %q, want one of %v", s.Axis, axes)
	case s.Channel < 0 || s.Each < 0 || s.MinPixels < 0:
		return fmt.Errorf("slices: channel %d, each %d, min_pixels %d: want 0 or more", s.Channel, s.Each, s.MinPixels)
	}
	return nil
}

// choose lists slices of a volume, given how many pixels of the target each has.
func (s *slicing) choose(pixels []int) []int {
	var all []int
	for i, n := range pixels {
		if s.Empty || n >= max(1, s.MinPixels) {
			all = append(all, i)
		}
	}
	if s.Each == 0 || len(all) <= s.Each {
		return all
	}
	out := make([]int, s.Each)
	for i := range out { // the middles of as many equal parts
		out[i] = all[(2*i+1)*len(all)/(2*s.Each)]
	}
	return out
}

// view is how slices lie in a volume: each of them is a picture with columns and rows along two of its axes.
type view struct {
	size                [3]int // voxels along x, y, z
	axis, column, row   int    // axes of the volume: across slices, along a picture's rows and along its columns
	flipColumn, flipRow bool
	spacing             [2]float64 // between rows and between columns
}

func (v view) width() int  { return v.size[v.column] }
func (v view) height() int { return v.size[v.row] }
func (v view) slices() int { return v.size[v.axis] }

// viewOf turns anatomical slices as radiologists look at them: the patient's right on the picture's left, anterior or
// superior at its top.
func (s *slicing) viewOf(vol *format.Volume) (view, error) {
	v := view{size: vol.Size}
	if i := slices.Index([]string{"x", "y", "z"}, s.Axis); i >= 0 {
		rest := [][2]int{{1, 2}, {0, 2}, {0, 1}}[i]
		v.axis, v.column, v.row = i, rest[0], rest[1]
	} else {
		if !vol.Oriented {
			return v, fmt.Errorf("it does not say how it lies in the patient, so no slices are %s: declare slices.axis as x, y or z, the file's own axes", s.Axis)
		}
		axes, up := orientation(vol.Affine)
		// Which world axis (0 right, 1 anterior, 2 superior) goes across slices, to the right and down, the last two reversed.
		world := map[string][3]int{"axial": {2, 0, 1}, "coronal": {1, 0, 2}, "sagittal": {0, 1, 2}}[s.Axis]
		v.axis, v.column, v.row = axes[world[0]], axes[world[1]], axes[world[2]]
		v.flipColumn, v.flipRow = up[world[1]], up[world[2]]
	}
	v.spacing = [2]float64{vol.Spacing[v.row], vol.Spacing[v.column]}
	return v, nil
}

// orientation finds for each world axis (right, anterior, superior) the volume's axis that lies along it best, and whether
// it goes that way rather than against it.
func orientation(affine [3][4]float64) (axes [3]int, up [3]bool) {
	var cosine [3][3]float64
	for k := range 3 {
		norm := math.Hypot(math.Hypot(affine[0][k], affine[1][k]), affine[2][k])
		for w := range 3 {
			cosine[w][k] = affine[w][k] / max(norm, math.SmallestNonzeroFloat64)
		}
	}
	best := -1.0
	for _, p := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		fit := 0.0
		for w, k := range p {
			fit += math.Abs(cosine[w][k])
		}
		if fit > best+1e-9 {
			best, axes = fit, p
		}
	}
	for w, k := range axes {
		up[w] = cosine[w][k] > 0
	}
	return axes, up
}

// scatter hands out the voxels of plane z that lie in chosen slices, each with its slice and its pixel's index there.
func (v view) scatter(z int, plane []float32, chosen map[int]bool, put func(slice, pixel int, value float32)) {
	at := [3]int{2: z}
	if v.axis == 2 && !chosen[z] {
		return
	}
	for y := range v.size[1] {
		at[1] = y
		if v.axis == 1 && !chosen[y] {
			continue
		}
		for x := range v.size[0] {
			at[0] = x
			if v.axis == 0 && !chosen[x] {
				continue
			}
			put(at[v.axis], v.pixel(at), plane[y*v.size[0]+x])
		}
	}
}

// pixel is the index of a voxel in the picture of its slice.
func (v view) pixel(at [3]int) int {
	column, row := at[v.column], at[v.row]
	if v.flipColumn {
		column = v.width() - 1 - column
	}
	if v.flipRow {
		row = v.height() - 1 - row
	}
	return row*v.width() + column
}
