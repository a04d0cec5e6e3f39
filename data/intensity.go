package data

import (
	"errors"
	"fmt"
	"math"

	"samtune/data/format"
)

// intensity says how the values of volumes and of pictures with more than 8 bits become grey values: those up to the lower
// end of a window are black, those from its upper end on white.
type intensity struct {
	Window      []float64 `toml:"window"`      // lower and upper end, in the data's unit
	Percentiles []float64 `toml:"percentiles"` // or: the ends as percentiles, 0 to 100, of the voxels of a volume that are not 0
}

func (in *intensity) check() error {
	if in == nil {
		return nil
	}
	ends, name := in.Window, "window"
	if len(in.Percentiles) > 0 {
		ends, name = in.Percentiles, "percentiles"
	}
	switch {
	case (len(in.Window) > 0) == (len(in.Percentiles) > 0):
		return fmt.Errorf("intensity wants one of window and percentiles")
	case len(ends) != 2 || !(ends[0] < ends[1]) || math.IsInf(ends[0], 0) || math.IsInf(ends[1], 0):
		return fmt.Errorf("intensity.%s is %v, want two rising numbers", name, ends)
	case name == "percentiles" && (ends[0] < 0 || ends[1] > 100):
		return fmt.Errorf("intensity.percentiles is %v, want numbers from 0 to 100", ends)
	}
	return nil
}

// window maps values to grey values.
type window struct {
	low, scale float32
	blackZero  bool // voxels that are 0, the air around a scan, stay black
	inverted   bool // small values are bright
}

// grey returns a value's grey value, rounded; what is not a number is black.
func (w window) grey(v float32) uint8 {
	g := (v - w.low) * w.scale
	if w.inverted {
		g = 255 - g
	}
	switch {
	case !(g > 0) || w.blackZero && v == 0:
		return 0
	case g >= 255:
		return 255
	}
	return uint8(g + 0.5)
}

// window is that of one volume, whose voxels each goes through.
func (in *intensity) window(each func(see func(voxels []float32)) error) (window, error) {
	low, high := 0.0, 0.0
	if len(in.Window) == 2 {
		low, high = in.Window[0], in.Window[1]
	} else {
		var err error
		if low, high, err = percentiles(in.Percentiles[0], in.Percentiles[1], each); err != nil {
			return window{}, err
		}
	}
	if !(high > low) {
		return window{}, fmt.Errorf("its values from the %g th to the %g th percentile are all %g: there is nothing to see",
			in.Percentiles[0], in.Percentiles[1], low)
	}
	return window{low: float32(low), scale: float32(255 / (high - low)), blackZero: len(in.Percentiles) > 0}, nil
}

// percentileSteps is how finely the range of a volume's values is divided.
const percentileSteps = 1 << 16

// percentiles returns two percentiles of the finite voxels that are not 0, exact to a 65,536th of their range. A volume
// without any has the percentiles 0.
func percentiles(p, q float64, each func(see func(voxels []float32)) error) (low, high float64, err error) {
	counts := func(v float32) bool { return v != 0 && !math.IsNaN(float64(v)) && !math.IsInf(float64(v), 0) }
	from, to, n := math.Inf(1), math.Inf(-1), 0
	err = each(func(voxels []float32) {
		for _, v := range voxels {
			if counts(v) {
				n++
				from, to = min(from, float64(v)), max(to, float64(v))
			}
		}
	})
	if err != nil || n == 0 {
		return 0, 0, err
	}
	bins := make([]int, percentileSteps+1)
	step := (to - from) / percentileSteps
	if step == 0 {
		return from, to, nil
	}
	err = each(func(voxels []float32) {
		for _, v := range voxels {
			if counts(v) {
				bins[int((float64(v)-from)/step+0.5)]++
			}
		}
	})
	at := func(p float64) float64 {
		rank := int(math.Round(p / 100 * float64(n-1)))
		for i, below := 0, 0; i < len(bins); i++ {
			if below += bins[i]; below > rank {
				return from + float64(i)*step
			}
		}
		return to
	}
	return at(p), at(q), err
}

// planes says which plane of a file is meant where it holds several: of the image's file and of the masks'.
type planes struct {
	Image *int `toml:"image"`
	Mask  *int `toml:"mask"`
}

func (p planes) check() error {
	for _, n := range []*int{p.Image, p.Mask} {
		if n != nil && *n < 0 {
			return fmt.Errorf("planes count from 0, not from %d", *n)
		}
	}
	return nil
}

// readImage reads a case's picture; one of more than 8 bits goes through the declared window.
func (d *Decl) readImage(path string) (*Image, error) {
	deep, err := format.IsVolume(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !deep {
		return ReadImage(path)
	}
	if d.Intensity == nil {
		return nil, fmt.Errorf("%w: read %q: it has more than 8 bits a pixel and nothing says how these become grey values: "+
			"declare [intensity] with window = [low, high], or percentiles = [0.5, 99.5]", ErrInvalid, path)
	}
	v, voxels, err := readPlane(path, d.Planes.Image, "image")
	if err != nil {
		return nil, err
	}
	w, err := d.Intensity.window(func(see func([]float32)) error { see(voxels); return nil })
	if err != nil {
		return nil, fmt.Errorf("%w: read %q: %w", ErrInvalid, path, err)
	}
	w.inverted = v.Inverted
	grey := make([]uint8, len(voxels))
	for i, v := range voxels {
		grey[i] = w.grey(v)
	}
	return greyImage(v.Size[0], v.Size[1], grey), nil
}

// readMask reads a mask by a rule.
func (d *Decl) readMask(r rule, path string) (*Mask, error) {
	deep, err := format.IsVolume(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !deep {
		picture, err := ReadImage(path)
		if err != nil {
			return nil, err
		}
		return r.mask(picture), nil
	}
	v, voxels, err := readPlane(path, d.Planes.Mask, "mask")
	if err != nil {
		return nil, err
	}
	m := NewMask(v.Size[0], v.Size[1])
	if err := r.labels(voxels, func(i int) { m.Pix[i] = 1 }); err != nil {
		return nil, fmt.Errorf("%w: read %q: %w", ErrInvalid, path, err)
	}
	if r.Fill {
		m.Fill()
	}
	return m, nil
}

// readPlane reads one plane of a file, rows from top to bottom.
func readPlane(path string, want *int, what string) (v *format.Volume, out []float32, err error) {
	if v, err = format.OpenVolume(path); err != nil {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	plane := 0
	if want != nil {
		plane = *want
	} else if v.Size[2] > 1 {
		return nil, nil, fmt.Errorf("%w: read %q: it holds %d planes: declare planes.%s, the number of the one that is meant, from 0, or engine = %q",
			ErrInvalid, path, v.Size[2], what, engineVolumes)
	}
	if plane >= v.Size[2] {
		return nil, nil, fmt.Errorf("%w: read %q: it holds %d planes and planes.%s is %d", ErrInvalid, path, v.Size[2], what, plane)
	}
	err = v.Planes(0, func(z int, voxels []float32) error {
		if z != plane {
			return nil
		}
		out = append(out, voxels...)
		return format.ErrStop
	})
	if err != nil && !errors.Is(err, format.ErrStop) {
		return nil, nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return v, out, nil
}

// greyImage repeats grey values over the channels.
func greyImage(width, height int, grey []uint8) *Image {
	img := &Image{Width: width, Height: height, Pix: make([]uint8, 0, 3*len(grey))}
	for _, g := range grey {
		img.Pix = append(img.Pix, g, g, g)
	}
	return img
}
