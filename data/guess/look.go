package guess

import (
	"cmp"
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

// Kinds of masks.
const (
	kindBinary    = "binary"    // inside and outside
	kindLabels    = "labels"    // a grey value for each target
	kindColours   = "colours"   // a colour for each
	kindInstances = "instances" // a grey value for each piece of one target
	kindOutline   = "outline"   // a line around the target
	kindSoft      = "soft"      // the share of experts
)

// content is what the masks of a series hold.
type content struct {
	kind    string
	values  []int           // of labels; of what is inside where it is not white
	colours [][3]int        // the most frequent first
	shares  []float64       // of the pixels, of each colour
	share   map[int]float64 // of the pixels, by value
	inverse bool            // what is inside is black
	from    int             // grey value that inside begins at; 0: 128
	seen    int             // files
}

// understand works out what masks hold. named is how their folder and file are called.
func understand(looks []*look, named string) content {
	c := content{share: map[int]float64{}, seen: len(looks)}
	if len(looks) == 0 {
		c.kind = kindBinary
		return c
	}
	values, colours, border, all, files := map[int]int{}, map[[3]int]int{}, map[int]int{}, 0, map[int]int{}
	exact, coloured := true, false
	for _, l := range looks {
		coloured = coloured || l.coloured
		if !l.deep && (l.colours == nil || len(l.colours) > maxLabels) {
			exact = false
		}
		for v, n := range l.values {
			values[v] += n
			files[v]++
			all += n
		}
		for k, n := range l.colours {
			colours[k] += n
		}
		for v, n := range l.border {
			border[v] += n
		}
	}
	for v, n := range values {
		c.share[v] = float64(n) / float64(all)
	}
	background := 0
	for v, n := range border {
		if n > border[background] {
			background = v
		}
	}
	switch {
	case !exact || len(values) > maxLabels || blurred(looks, values):
		c.kind = kindBinary
		c.inverse = background > 200 && c.share[255] > 0.5
	case coloured:
		c.kind = kindColours
		most := [3]int{}
		for k := range colours {
			if colours[k] > colours[most] {
				most = k
			}
		}
		delete(colours, most)
		for k := range colours {
			c.colours = append(c.colours, k)
		}
		slices.SortFunc(c.colours, func(a, b [3]int) int { return cmp.Or(cmp.Compare(colours[b], colours[a]), slices.Compare(a[:], b[:])) })
		for _, k := range c.colours {
			c.shares = append(c.shares, float64(colours[k])/float64(all))
		}
	default:
		for v := range values {
			if v != background {
				c.values = append(c.values, v)
			}
		}
		slices.Sort(c.values)
		c.classify(looks, background, files, named)
	}
	return c
}

// blurred says whether masks are black and white ones that were packed as JPEG or resized: both are surrounded by values near them.
func blurred(looks []*look, values map[int]int) bool {
	nearBlack, nearWhite := false, false
	for v := range values {
		nearBlack = nearBlack || v > 0 && v < 16
		nearWhite = nearWhite || v > 239 && v < 255
	}
	return !looks[0].deep && nearBlack && nearWhite && looks[0].extremes > 0.9
}

// classify tells kinds of grey masks apart.
func (c *content) classify(looks []*look, background int, files map[int]int, named string) {
	switch {
	case len(c.values) == 0:
		c.kind = kindBinary
	case soft(named) && len(c.values) > 1 && slices.Max(c.values) >= 250:
		c.kind = kindSoft
	case len(c.values) == 1:
		c.kind = kindBinary
		switch v := c.values[0]; {
		case background != 0:
			c.inverse = true
		case looks[0].deep || v < 128:
			c.from = v
		}
		if !looks[0].deep && !c.inverse && outlines(looks, c.values[0]) {
			c.kind = kindOutline
		}
	case instances(looks, c.values, files):
		c.kind, c.from = kindInstances, 1
	default:
		c.kind = kindLabels
	}
}

func soft(named string) bool {
	lower := strings.ToLower(named)
	return strings.Contains(lower, "soft") || strings.Contains(lower, "prob") || strings.Contains(lower, "fraction")
}

// outlines says whether masks are thin closed lines: what they enclose is much more, and each line encloses one thing.
func outlines(looks []*look, value int) bool {
	n := 0
	for _, l := range looks {
		img, ok := l.pixels()
		if !ok {
			return false
		}
		m := data.NewMask(l.width, l.height)
		for i := range m.Pix {
			if p := img.Pix[3*i]; int(p) >= min(value, 128) {
				m.Pix[i] = 1
			}
		}
		before, lines := m.Count(), len(m.Regions(1))
		if before == 0 {
			continue
		}
		filled := &data.Mask{Width: m.Width, Height: m.Height, Pix: slices.Clone(m.Pix)}
		filled.Fill()
		after := filled.Count()
		for i, v := range m.Pix { // leave what was enclosed
			filled.Pix[i] -= v
		}
		if after < 3*before || len(filled.Regions(1)) > 2*lines {
			return false
		}
		n++
	}
	return n > 0
}

// instances says whether grey values count the pieces of one target: each is one connected region, but for slips of the pen, and files have different
// numbers of them, always from the same end.
func instances(looks []*look, values []int, files map[int]int) bool {
	if len(values) < 3 || looks[0].deep {
		return false
	}
	down := values[len(values)-1] > 250
	for k := range len(values) - 1 {
		if values[k+1] != values[k]+1 {
			return false
		}
		a, b := files[values[k]], files[values[k+1]]
		if down && a > b || !down && a < b {
			return false
		}
	}
	if files[values[0]] == files[values[len(values)-1]] || !down && values[0] != 1 {
		return false
	}
	pieces, broken := 0, 0
	for _, l := range looks {
		img, ok := l.pixels()
		if !ok {
			return false
		}
		for v := range l.values {
			if v == 0 {
				continue
			}
			m := data.NewMask(l.width, l.height)
			for i := range m.Pix {
				if int(img.Pix[3*i]) == v {
					m.Pix[i] = 1
				}
			}
			pieces++
			if len(m.Regions(1)) > 1 {
				broken++
			}
		}
	}
	return 10*broken <= pieces
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
