package eval

import (
	"math/bits"
	"slices"

	"samtune/data"
)

// clDice is the centre-line Dice of Shit et al. (CVPR 2021): the harmonic mean of the part of the
// prediction's skeleton inside the truth and the part of the truth's skeleton inside the prediction.
func clDice(prediction, reference *data.Mask) Float {
	var pred, truth bitmap
	both(func() { pred = bitmapOf(prediction) }, func() { truth = bitmapOf(reference) })
	var precision, sensitivity Float
	both(func() { precision = share(pred.skeleton(), truth) }, func() { sensitivity = share(truth.skeleton(), pred) })
	if !precision.Defined() || !sensitivity.Defined() {
		return Undefined
	}
	if precision+sensitivity == 0 {
		return 0
	}
	return 2 * precision * sensitivity / (precision + sensitivity)
}

// share is the part of the skeleton's pixels inside the solid.
func share(skeleton, solid bitmap) Float {
	inside, all := 0, 0
	for i, w := range skeleton.words {
		inside += bits.OnesCount64(w & solid.words[i])
		all += bits.OnesCount64(w)
	}
	return ratio(inside, all)
}

// bitmap is a mask with a bit for each pixel, 64 pixels to a word and row words to a row, within a margin of one pixel on every side: no
// pixel lacks a neighbour, and the end of a row is none of the next one's begin. A word of zeros lies before all rows and after them.
type bitmap struct {
	row   int
	words []uint64
}

func bitmapOf(m *data.Mask) bitmap {
	b := bitmap{row: (m.Width + 2 + 63) / 64}
	b.words = make([]uint64, (m.Height+2)*b.row+2)
	for y := range m.Height {
		line, words := m.Pix[y*m.Width:(y+1)*m.Width], b.words[1+(y+1)*b.row:]
		margin := uint64(0)
		for w := range b.row {
			part := line[min(w*64, len(line)):min(w*64+64, len(line))]
			points := packed(part)
			words[w] = points<<1 | margin
			margin = points >> 63
		}
	}
	return b
}

// packed makes the bits of a word of up to 64 bytes of 0 or 1.
func packed(points []uint8) (bits uint64) {
	x := 0
	for ; x+wordSize <= len(points); x += wordSize {
		// eight bytes of 0 or 1 become eight bits
		bits |= word(points, x) * 0x0102040810204080 >> 56 << x
	}
	for ; x < len(points); x++ {
		bits |= uint64(points[x]) << x
	}
	return bits
}

// has says whether the pixel is in the bitmap.
func (b bitmap) has(y, x int) bool { return b.words[1+(y+1)*b.row+(x+1)/64]>>((x+1)%64)&1 == 1 }

// skeleton thins a picture's solid until nothing can be removed, giving the same pixels as scikit-image 0.26's skeletonize on a 2-D
// image: two passes take turns, and each removes at once all pixels whose neighbourhood firstPass or secondPass names. 64 pixels go through
// a pass together; they are looked at again only after one of them or of their neighbours has gone, which keeps the time linear in the
// pixels however thick an object is.
func (b bitmap) skeleton() bitmap {
	var waiting [2]wordSet // that each pass has to look at
	for pass := range waiting {
		waiting[pass] = newWordSet(len(b.words))
	}
	for w, solid := range b.words {
		if solid != 0 {
			waiting[0].add(w)
			waiting[1].add(w)
		}
	}
	// A pass writes what it looks at; in all else both are the same, for what has changed is looked at in the next pass.
	left, next := slices.Clone(b.words), slices.Clone(b.words)
	changed := newWordSet(len(left))
	for pass, idle := 0, 0; idle < len(waiting); pass = 1 - pass {
		idle++
		for i, set := range waiting[pass] {
			waiting[pass][i] = 0
			var all, first, last uint64 // of the set's words, those of which any pixel goes, and the first or the last one
			for ; set != 0; set &= set - 1 {
				w := i*64 + bits.TrailingZeros64(set)
				gone := thin(left, w, b.row, pass)
				next[w] = left[w] &^ gone
				if gone != 0 {
					bit := set & -set
					all |= bit
					first |= bit & -(gone & 1)
					last |= bit & -(gone >> 63)
				}
			}
			if all != 0 {
				idle = 0
				changed.join(i, all, first, last)
			}
		}
		left, next = next, left
		if idle > 0 {
			continue
		}
		for i := range changed {
			near := changed[i] | changed.shifted(i, b.row) | changed.shifted(i, -b.row)
			waiting[0][i] |= near
			waiting[1][i] |= near
		}
		clear(changed)
	}
	return bitmap{b.row, left}
}

// wordSet is a set of a bitmap's words, a bit for each.
type wordSet []uint64

func newWordSet(words int) wordSet { return make(wordSet, (words+63)/64) }

func (s wordSet) add(w int) { s[w/64] |= 1 << (w % 64) }

// join adds words of the i-th 64, and those before some of them and after others.
func (s wordSet) join(i int, words, before, after uint64) {
	s[i] |= words | before>>1 | after<<1
	if before&1 != 0 {
		s[i-1] |= 1 << 63
	}
	if after>>63 != 0 {
		s[i+1] |= 1
	}
}

// shifted is the i-th 64 bits of the set whose words are n further on.
func (s wordSet) shifted(i, n int) (out uint64) {
	from := i*64 - n // of which the first bit comes
	k, part := from>>6, from&63
	if k >= 0 && k < len(s) {
		out = s[k] >> part
	}
	if k+1 >= 0 && k+1 < len(s) && part > 0 {
		out |= s[k+1] << (64 - part)
	}
	return out
}

// thin returns which pixels of a word a pass removes.
func thin(words []uint64, at, row, pass int) uint64 {
	here := words[at-1:][:3]
	if here[1] == 0 {
		return 0
	}
	above, below := words[at-row-1:][:3], words[at+row-1:][:3]
	nw, n, ne := above[1]<<1|above[0]>>63, above[1], above[1]>>1|above[2]<<63
	w, e := here[1]<<1|here[0]>>63, here[1]>>1|here[2]<<63
	sw, s, se := below[1]<<1|below[0]>>63, below[1], below[1]>>1|below[2]<<63
	if pass == 0 {
		return here[1] & firstPass(nw, n, ne, e, se, s, sw, w)
	}
	return here[1] & secondPass(nw, n, ne, e, se, s, sw, w)
}

// firstPass tells for 64 pixels, by their eight neighbours clockwise from the upper left, which go in the first pass: a short form of the
// rule of Zhang and Suen (CACM 27:3, 1984) with the exceptions of scikit-image's skeletonize, which keeps ends that the paper's
// rule erodes and straightens staircases.
func firstPass(nw, n, ne, e, se, s, sw, w uint64) uint64 {
	return n&^se&^s&(w&^e|e&^sw&^w|(nw|ne)&^e&^sw|nw&ne&w) |
		nw&sw&w&^e&(s&^ne|^(ne|se)|n&^se) |
		e&^s&^sw&(nw&n&ne|ne&^nw&^w) |
		s&^n&^ne&(se&sw&^nw&^w|w&^se&^e&^sw|se&sw&w&^e|e&^se&^nw&^w&^sw) |
		ne&e&se&s&^nw&^n&^w
}

// secondPass is that of the second pass.
func secondPass(nw, n, ne, e, se, s, sw, w uint64) uint64 {
	return e&se&^w&(s&^n&^nw|n&ne&^sw|^(s|sw|nw)|ne&s&^nw) |
		e&^w&(s&^n&^nw&(sw|^ne)|n&^s&^sw&(nw&ne|^(nw|ne))) |
		w&^n&^ne&(s&sw&se|sw&^e&^se|s&^nw&^e) |
		n&^s&^sw&^e&^se&(nw&ne|w&^ne&^nw) |
		s&sw&^n&^nw&(^(w|ne)|e&se) |
		nw&n&sw&w&^e&^se&^s
}
