package guess

import (
	"fmt"
	"maps"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"samtune/data"
	"samtune/data/format"
)

// Limits of what a mask holds.
const (
	maxLabels  = 40 // values or colours
	maxSamples = 12 // pictures that are looked at of a series; of volumes a third
)

// look is what a file holds.
type look struct {
	err           error
	width, height int
	planes        int  // 0 for a picture of 8 bits
	deep          bool // more than 8 bits a pixel
	oriented      bool
	axis          string // across slices, of a volume
	coloured      bool
	values        map[int]int    // how often a grey value, or a whole number of a deep file, is there; nil where there are too many
	colours       map[[3]int]int // of a picture in colour; nil where there are too many
	border        map[int]int    // grey values along the edge
	extremes      float64        // share of pixels that are nearly black or nearly white
	low, high     float64
	whole         bool // all voxels are whole numbers
	path          string
}

// pixels reads a picture again: to keep those of all that is looked at would take too much memory.
func (l *look) pixels() (*data.Image, bool) {
	img, err := data.ReadImage(l.path)
	return img, err == nil
}

// lookAt reads a file.
func lookAt(f file) *look {
	if strings.HasPrefix(f.ext, "/{any}") { // the middle one of a stack
		inside, err := os.ReadDir(f.path)
		if err != nil {
			return &look{err: err}
		}
		return lookAtFile(filepath.Join(f.path, inside[len(inside)/2].Name()))
	}
	return lookAtFile(f.path)
}

func lookAtFile(path string) *look {
	info, err := os.Stat(path)
	if err != nil {
		return &look{err: err}
	}
	deep := info.IsDir()
	if !deep {
		if deep, err = format.IsVolume(path); err != nil {
			return &look{err: err}
		}
	}
	if deep {
		return lookDeep(path, info.IsDir())
	}
	img, err := data.ReadImage(path)
	if err != nil {
		return &look{err: err}
	}
	l := &look{width: img.Width, height: img.Height, values: map[int]int{}, colours: map[[3]int]int{}, border: map[int]int{}, whole: true, high: 255, path: path}
	ends := 0
	for i := range img.Width * img.Height {
		r, g, b := int(img.Pix[3*i]), int(img.Pix[3*i+1]), int(img.Pix[3*i+2])
		grey := (19595*r + 38470*g + 7471*b + 1<<15) >> 16 // as data's rule has it
		l.values[grey]++
		if l.colours != nil {
			if l.colours[[3]int{r, g, b}]++; len(l.colours) > 256 {
				l.colours = nil
			}
		}
		if r != g || g != b {
			l.coloured = true
		}
		if grey < 16 || grey > 239 {
			ends++
		}
		if x, y := i%img.Width, i/img.Width; x == 0 || y == 0 || x == img.Width-1 || y == img.Height-1 {
			l.border[grey]++
		}
	}
	l.extremes = float64(ends) / float64(img.Width*img.Height)
	return l
}

func lookDeep(path string, folder bool) *look {
	open := format.OpenVolume
	if folder {
		open = format.OpenSeries
	}
	v, err := open(path)
	if err != nil {
		return &look{err: err}
	}
	l := &look{
		width: v.Size[0], height: v.Size[1], planes: v.Size[2], deep: true, oriented: v.Oriented, axis: sliceAxis(v), whole: true,
		low: math.Inf(1), high: math.Inf(-1), values: map[int]int{},
	}
	l.err = v.Planes(0, func(z int, voxels []float32) error {
		for _, x := range voxels {
			if math.IsNaN(float64(x)) || math.IsInf(float64(x), 0) {
				continue
			}
			l.low, l.high = min(l.low, float64(x)), max(l.high, float64(x))
			if x != float32(int(x)) {
				l.whole, l.values = false, nil
			}
			if l.values != nil {
				if l.values[int(x)]++; len(l.values) > 4*maxLabels {
					l.values = nil
				}
			}
		}
		return nil
	})
	return l
}

// sliceAxis is the axis across which a volume was cut: axial, or the file's own where it does not say, or was cut otherwise.
func sliceAxis(v *format.Volume) string {
	across := 2
	if v.Physical {
		for k := range 3 {
			if v.Spacing[k] > 1.3*v.Spacing[across] {
				across = k
			}
		}
	}
	own := []string{"x", "y", "z"}[across]
	if !v.Oriented {
		return own
	}
	for k := range 3 {
		if math.Abs(v.Affine[2][k]) > math.Abs(v.Affine[2][across]) && v.Spacing[across] > 1.3*v.Spacing[k] {
			return own
		}
	}
	return "axial"
}

// isMask says whether a file's values are those of a mask: few, or nearly all black or white.
func (l *look) isMask() bool {
	switch {
	case l.err != nil:
		return false
	case l.deep:
		return l.whole && l.values != nil && len(l.values) <= maxLabels && l.low >= 0
	case l.colours != nil && len(l.colours) <= maxLabels:
		return true
	}
	return l.extremes > 0.985 && l.bimodal()
}

// bimodal says whether both black and white are there in earnest, as in a mask that was resized or packed as JPEG.
func (l *look) bimodal() bool {
	black, white, all := 0, 0, 0
	for v, n := range l.values {
		all += n
		switch {
		case v < 16:
			black += n
		case v > 239:
			white += n
		}
	}
	return black > all/1000 && white > all/1000
}

// fieldOfView says whether masks are fields of view: large, without holes, and the pictures are dark outside.
func fieldOfView(images, masks []*look) bool {
	if len(images) != len(masks) { // some can't be read
		return false
	}
	n := 0
	for i, m := range masks {
		if m.deep || images[i].deep || m.width != images[i].width || m.height != images[i].height {
			return false
		}
		field, ok := m.pixels()
		img, also := images[i].pixels()
		if !ok || !also {
			return false
		}
		inside, outside, sumIn, sumOut := 0, 0, 0, 0
		for p := range m.width * m.height {
			g := int(img.Pix[3*p]) + int(img.Pix[3*p+1]) + int(img.Pix[3*p+2])
			if field.Pix[3*p] > 127 {
				inside, sumIn = inside+1, sumIn+g
			} else {
				outside, sumOut = outside+1, sumOut+g
			}
		}
		if 100*inside < 40*(inside+outside) || outside == 0 || 5*sumOut/outside > sumIn/max(1, inside) || sumOut/outside > 90 {
			return false
		}
		n++
	}
	return n > 0
}

// String says what was seen.
func (l *look) String() string {
	if l.err != nil {
		return "unreadable: " + l.err.Error()
	}
	size := fmt.Sprintf("%d x %d", l.width, l.height)
	if l.planes > 1 {
		size += fmt.Sprintf(" x %d", l.planes)
	}
	switch {
	case l.coloured && l.colours != nil:
		return fmt.Sprintf("%s, %d colours", size, len(l.colours))
	case l.coloured:
		return size + ", in colour"
	case l.values != nil && len(l.values) <= 8:
		return fmt.Sprintf("%s, values %v", size, slices.Sorted(maps.Keys(l.values)))
	case l.values != nil && !l.deep:
		return fmt.Sprintf("%s, %d grey values", size, len(l.values))
	}
	return fmt.Sprintf("%s, values %g to %g", size, l.low, l.high)
}
