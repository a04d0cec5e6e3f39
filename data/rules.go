package data

import (
	"fmt"
	"math"
	"slices"
)

// files are the paths of one target's masks: one, or several that are put together.
type files []string

// UnmarshalTOML takes a path or a list of paths.
func (f *files) UnmarshalTOML(v any) error {
	switch v := v.(type) {
	case string:
		*f = files{v}
		return nil
	case []any:
		for _, e := range v {
			path, ok := e.(string)
			if !ok {
				return fmt.Errorf("a list of masks holds %v, want paths", e)
			}
			*f = append(*f, path)
		}
		return nil
	}
	return fmt.Errorf("masks are %v, want a path or a list of paths", v)
}

// rule says which pixels of a target's mask files are inside. Without any the grey value decides, from 128 on.
type rule struct {
	AtLeast int       `toml:"at_least"` // grey values from this on: 1 to 255, of volumes 1 to 65,535
	Values  []int     `toml:"values"`   // these grey values
	Colours [][3]int  `toml:"colours"`  // these colours, R, G, B
	Fill    bool      `toml:"fill"`     // the files hold outlines: what they enclose is inside too
	Agree   agreement `toml:"agree"`    // of several files so many must have the pixel; missing: one, their union
}

// agreement is how many of several files must have a pixel: so many, or a share of those that are there.
type agreement struct {
	count int     // 1 or more, or 0 where there is a share, or nothing is said
	share float64 // above 0 and below 1
}

// UnmarshalTOML takes a whole number, or a share below 1.
func (a *agreement) UnmarshalTOML(v any) error {
	*a = agreement{}
	switch v := v.(type) {
	case int64:
		if a.count = int(v); v >= 1 && v <= 255 {
			return nil
		}
	case float64:
		if a.share = v; v > 0 && v < 1 {
			return nil
		}
	}
	return fmt.Errorf("agree is %v, want so many files, as agree = 2, or a share of them below 1, as agree = 0.75", v)
}

// of returns how many of so many files it takes.
func (a agreement) of(files int) (int, error) {
	if a.count > files {
		return 0, fmt.Errorf("agree is %d and there are %d files", a.count, files)
	}
	return max(1, a.count, int(math.Ceil(a.share*float64(files)-1e-9))), nil // 0.1 * 30 is more than 3
}

// check refuses a rule that can't be meant. Files of more than 8 bits, deep, have greater values.
func (r rule) check(target string, deep bool) error {
	ways, most := 0, 255
	if deep {
		most = 65535
	}
	for _, set := range []bool{r.AtLeast != 0, len(r.Values) > 0, len(r.Colours) > 0} {
		if set {
			ways++
		}
	}
	in := func(v, most int) bool { return v >= 0 && v <= most }
	switch {
	case ways > 1:
		return fmt.Errorf("rule.%s has more than one of at_least, values and colours", target)
	case !in(r.AtLeast, most) || slices.ContainsFunc(r.Values, func(v int) bool { return !in(v, most) }):
		return fmt.Errorf("rule.%s: grey values go from 0 to %d", target, most)
	case slices.ContainsFunc(r.Colours, func(c [3]int) bool { return !in(c[0], 255) || !in(c[1], 255) || !in(c[2], 255) }):
		return fmt.Errorf("rule.%s: parts of colours go from 0 to 255", target)
	}
	return nil
}

// mask is the mask that a picture file holds.
func (r rule) mask(img *Image) *Mask {
	from := uint8(threshold)
	if r.AtLeast > 0 {
		from = uint8(r.AtLeast)
	}
	m := NewMask(img.Width, img.Height)
	for i := range m.Pix {
		p := img.Pix[3*i : 3*i+3]
		inside := false
		switch {
		case len(r.Colours) > 0:
			inside = slices.Contains(r.Colours, [3]int{int(p[0]), int(p[1]), int(p[2])})
		case len(r.Values) > 0:
			inside = slices.Contains(r.Values, int(grey(p[0], p[1], p[2])))
		default:
			inside = grey(p[0], p[1], p[2]) >= from
		}
		if inside {
			m.Pix[i] = 1
		}
	}
	if r.Fill {
		m.Fill()
	}
	return m
}

// label says whether a voxel of a label volume is inside: without a rule, where it rounds to 1 or more. With values one
// that is no whole number is an error, since it is of no class.
func (r rule) label(v float32) (bool, error) {
	if r.AtLeast > 0 {
		return v >= float32(r.AtLeast), nil
	}
	if len(r.Values) == 0 {
		return v >= 0.5, nil
	}
	whole := math.Round(float64(v))
	if !(math.Abs(float64(v)-whole) <= labelRounding) {
		return false, fmt.Errorf("a voxel is %g: labels are whole numbers", v)
	}
	return slices.Contains(r.Values, int(whole)), nil
}

// labelRounding is how far a label may be from a whole number: some files scale theirs.
const labelRounding = 1e-3

// labels calls put with the index of every voxel that is inside.
func (r rule) labels(voxels []float32, put func(i int)) error {
	for i, v := range voxels {
		inside, err := r.label(v)
		if err != nil {
			return err
		}
		if inside {
			put(i)
		}
	}
	return nil
}

// read puts the mask of a target together from its files.
func (d *Decl) read(target string, paths []string, imagePath string, img *Image) (*Mask, error) {
	r := d.Rules[target]
	least, err := r.Agree.of(len(paths))
	if err != nil {
		return nil, fmt.Errorf("%w: rule.%s, masks of %q: %w", ErrInvalid, target, imagePath, err)
	}
	votes := make([]int, img.Width*img.Height)
	for _, path := range paths {
		m, err := d.readMask(r, path)
		if err != nil {
			return nil, err
		}
		if m, err = sized(m, path, imagePath, img); err != nil {
			return nil, err
		}
		for i, v := range m.Pix {
			votes[i] += int(v)
		}
	}
	out := NewMask(img.Width, img.Height)
	for i, n := range votes {
		if n >= least {
			out.Pix[i] = 1
		}
	}
	return out, nil
}

// Fill makes what an outline encloses part of the mask: all that can't be reached from the picture's edge by steps
// across, up and down.
func (m *Mask) Fill() {
	reached := make([]bool, len(m.Pix))
	var queue []int
	visit := func(i int) {
		if m.Pix[i] == 0 && !reached[i] {
			reached[i] = true
			queue = append(queue, i)
		}
	}
	for x := range m.Width {
		visit(x)
		visit((m.Height-1)*m.Width + x)
	}
	for y := range m.Height {
		visit(y * m.Width)
		visit(y*m.Width + m.Width - 1)
	}
	for len(queue) > 0 {
		i := queue[len(queue)-1]
		queue = queue[:len(queue)-1]
		x, y := i%m.Width, i/m.Width
		if x > 0 {
			visit(i - 1)
		}
		if x < m.Width-1 {
			visit(i + 1)
		}
		if y > 0 {
			visit(i - m.Width)
		}
		if y < m.Height-1 {
			visit(i + m.Width)
		}
	}
	for i := range m.Pix {
		if !reached[i] {
			m.Pix[i] = 1
		}
	}
}
