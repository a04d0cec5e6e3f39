package guess

import (
	"cmp"
	"slices"
	"strings"

	"samtune/data"
)

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
