package segment

import (
	"encoding/json"
	"fmt"

	"samtune/data"
)

// RLE is a mask as COCO's run lengths: the picture is read column by column, from the top of the left one on, and
// Counts are the lengths of the runs outside and inside by turns, beginning with one outside, which may be 0.
type RLE struct {
	Height, Width int
	Counts        []int
}

// runs collects run lengths.
type runs struct {
	counts []int
	inside bool
	length int // of the run that is not finished
}

func (r *runs) add(inside bool, n int) {
	if n > 0 && inside != r.inside {
		r.counts = append(r.counts, r.length)
		r.inside, r.length = inside, 0
	}
	r.length += n
}

func (r *runs) finish(height, width int) RLE {
	return RLE{Height: height, Width: width, Counts: append(r.counts, r.length)}
}

// NewRLE encodes a mask.
func NewRLE(m *data.Mask) RLE {
	var r runs
	for x := range m.Width {
		for y := range m.Height {
			r.add(m.Pix[y*m.Width+x] != 0, 1)
		}
	}
	return r.finish(m.Height, m.Width)
}

// spans calls f for each run inside, with its first pixel in column order and its length.
func (r RLE) spans(f func(start, length int)) {
	at := 0
	for i, n := range r.Counts {
		if i%2 == 1 && n > 0 {
			f(at, n)
		}
		at += n
	}
}

// Area is the number of pixels inside.
func (r RLE) Area() int {
	area := 0
	r.spans(func(_, n int) { area += n })
	return area
}

// Mask decodes to a mask of the picture's size.
func (r RLE) Mask() *data.Mask {
	m := data.NewMask(r.Width, r.Height)
	r.AddTo(m)
	return m
}

// AddTo sets the pixels inside in a mask of the picture's size.
func (r RLE) AddTo(m *data.Mask) {
	r.spans(func(start, length int) {
		for i := start; i < start+length; i++ {
			m.Pix[i%r.Height*r.Width+i/r.Height] = 1
		}
	})
}

// Box is the smallest box around the mask, whose corners are its outermost pixels; all 0 for an empty mask.
func (r RLE) Box() Box {
	b := Box{X0: r.Width, Y0: r.Height, X1: -1, Y1: -1}
	r.spans(func(start, length int) {
		last := start + length - 1
		top, bottom := start%r.Height, last%r.Height
		if start/r.Height != last/r.Height {
			top, bottom = 0, r.Height-1
		}
		b.X0, b.X1 = min(b.X0, start/r.Height), max(b.X1, last/r.Height)
		b.Y0, b.Y1 = min(b.Y0, top), max(b.Y1, bottom)
	})
	if b.X1 < 0 {
		return Box{}
	}
	return b
}

// String is COCO's compressed form of the counts, which pycocotools reads: from the third count on differences to the
// last but one, in groups of five bits, least first, each group a character from '0' on whose sixth bit says that more follow.
func (r RLE) String() string {
	var out []byte
	for i, n := range r.Counts {
		if i > 2 {
			n -= r.Counts[i-2]
		}
		for more := true; more; {
			group := byte(n & 31)
			n >>= 5 // keeps the sign
			more = !(n == 0 && group&16 == 0 || n == -1 && group&16 != 0)
			if more {
				group |= 32
			}
			out = append(out, '0'+group)
		}
	}
	return string(out)
}

// ParseRLE reads COCO's compressed form for a picture of the given size.
func ParseRLE(text string, height, width int) (RLE, error) {
	r := RLE{Height: height, Width: width}
	for at := 0; at < len(text); {
		n, shift := 0, 0
		for more := true; more; shift += 5 {
			if at == len(text) || shift > 50 {
				return RLE{}, fmt.Errorf("read run lengths: count %d does not end", len(r.Counts))
			}
			c := text[at]
			if c < '0' || c >= '0'+64 {
				return RLE{}, fmt.Errorf("read run lengths: character %q at %d, want one from %q to %q", c, at, '0', '0'+63)
			}
			c -= '0'
			at++
			n |= int(c&31) << shift
			more = c&32 != 0
			if !more && c&16 != 0 {
				n |= -1 << (shift + 5)
			}
		}
		if i := len(r.Counts); i > 2 {
			n += r.Counts[i-2]
		}
		r.Counts = append(r.Counts, n)
	}
	return r, r.check()
}

func (r RLE) check() error {
	total := 0
	for i, n := range r.Counts {
		if n < 0 || n > r.Height*r.Width {
			return fmt.Errorf("read run lengths: count %d is %d, want 0 to %d", i, n, r.Height*r.Width)
		}
		total += n
	}
	if total != r.Height*r.Width {
		return fmt.Errorf("read run lengths: they add up to %d, want %d x %d pixels", total, r.Width, r.Height)
	}
	return nil
}

type jsonRLE struct {
	Size   [2]int `json:"size"` // height, width
	Counts []int  `json:"counts"`
}

// MarshalJSON writes {"size": [height, width], "counts": [...]}, as the official code does.
func (r RLE) MarshalJSON() ([]byte, error) {
	return json.Marshal(jsonRLE{Size: [2]int{r.Height, r.Width}, Counts: r.Counts})
}

// UnmarshalJSON reads what MarshalJSON writes.
func (r *RLE) UnmarshalJSON(text []byte) error {
	var j jsonRLE
	if err := json.Unmarshal(text, &j); err != nil {
		return err
	}
	*r = RLE{Height: j.Size[0], Width: j.Size[1], Counts: j.Counts}
	return r.check()
}
