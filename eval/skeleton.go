package eval

import (
	"encoding/binary"
	"math/bits"
	"slices"
)

// clDice is the centre-line Dice of Shit et al. (CVPR 2021): the harmonic mean of the part of the
// prediction's skeleton inside the truth and the part of the truth's skeleton inside the prediction.
func (p *pair) clDice() Float {
	var precision, sensitivity Float
	both(func() { precision = share(p.skeleton(p.pred), p.truth) }, func() { sensitivity = share(p.skeleton(p.truth), p.pred) })
	if !precision.Defined() || !sensitivity.Defined() {
		return Undefined
	}
	if precision+sensitivity == 0 {
		return 0
	}
	return 2 * precision * sensitivity / (precision + sensitivity)
}

// share is the part of the skeleton's pixels inside the solid.
func share(skeleton, solid []uint8) Float {
	inside, all := 0, 0
	for i := 0; i < len(skeleton); i += wordSize {
		w := word(skeleton, i)
		inside += bits.OnesCount64(w & word(solid, i))
		all += bits.OnesCount64(w)
	}
	return ratio(inside, all)
}

// The eight neighbours clockwise from the upper left, as bits of a neighbourhood code.
const (
	northWest = 1 << iota
	north
	northEast
	east
	southEast
	south
	southWest
	west
)

// The two passes of thinning, which take turns.
const (
	inFirst = 1 << iota
	inSecond
)

// removable tells for each neighbourhood code in which passes (inFirst, inSecond) its pixel goes.
var removable = thinningTable()

// thinningTable is the rule of Zhang and Suen (CACM 27:3, 1984) with the exceptions of scikit-image's
// skeletonize, which keeps ends that the paper's rule erodes and straightens staircases.
func thinningTable() (table [256]uint8) {
	for code := range 256 {
		var p [8]bool
		neighbours, runs := 0, 0
		for i := range 8 {
			p[i] = code>>i&1 == 1
			if p[i] {
				neighbours++
				if code>>((i+7)%8)&1 == 0 {
					runs++
				}
			}
		}
		if neighbours < 2 || neighbours > 6 || runs != 1 {
			continue
		}
		n, e, s, w := p[1], p[3], p[5], p[7]
		if !(n && e && s) && !(e && s && w) {
			table[code] |= inFirst
		}
		if !(n && e && w) && !(n && s && w) {
			table[code] |= inSecond
		}
	}
	for _, exception := range []struct {
		passes uint8
		codes  []int
	}{
		{0, []int{southEast | south, northWest | west}},
		{inFirst, []int{
			northWest | north, north | northEast, northEast | east,
			north | northEast | east, northWest | north | west,
			northWest | north | east, north | northEast | west, northWest | south | west, north | southWest | west,
			north | northEast | southWest | west,
		}},
		{inSecond, []int{
			east | southEast, south | southWest, southWest | west,
			east | southEast | south, south | southWest | west,
			north | east | southEast, east | south | southWest, southEast | south | west,
			northEast | east | south | southWest,
		}},
		{inFirst | inSecond, []int{north | east, east | south, south | west, north | west}},
	} {
		for _, code := range exception.codes {
			table[code] = exception.passes
		}
	}
	return table
}

// skeleton thins a picture's solid until nothing can be removed, giving the same pixels as scikit-image 0.26's skeletonize on a 2-D
// image. Eight pixels go through a pass together; they are looked at again only after one of them or of their neighbours has gone, which
// keeps the time linear in the pixels however thick an object is.
func (l *lattice) skeleton(solid []uint8) []uint8 {
	left := slices.Clone(solid)
	row := l.columns / wordSize
	words := l.points() / wordSize
	at := func(w int) int { return w*wordSize + 1 } // the first column is margin
	waits := make([]uint8, words)                   // passes that a word is waiting for
	var waiting [2][]int
	for w := range words {
		if word(left, at(w)) != 0 {
			waits[w] = inFirst | inSecond
			waiting[0] = append(waiting[0], w)
		}
	}
	waiting[1] = slices.Clone(waiting[0])
	var gone []thinned
	for pass := 0; len(waiting[0])+len(waiting[1]) > 0; pass = 1 - pass {
		flag := uint8(inFirst) << pass
		gone = gone[:0]
		for _, w := range waiting[pass] {
			waits[w] &^= flag
			if pixels := l.thin(left, at(w), pass); pixels != 0 {
				gone = append(gone, thinned{w, pixels})
			}
		}
		waiting[pass] = waiting[pass][:0]
		for _, g := range gone {
			rest := left[at(g.word):]
			binary.LittleEndian.PutUint64(rest, word(rest, 0)&^g.pixels)
		}
		for _, g := range gone {
			from, to := g.word, g.word
			if g.pixels&0xff != 0 && g.word%row != 0 {
				from--
			}
			if g.pixels>>56 != 0 {
				to++
			}
			for w := from; w <= to; w++ {
				for n := w - row; n <= w+row; n += row {
					if waits[n] == inFirst|inSecond || word(left, at(n)) == 0 {
						continue
					}
					for p := range waiting {
						if flag := uint8(inFirst) << p; waits[n]&flag == 0 {
							waits[n] |= flag
							waiting[p] = append(waiting[p], n)
						}
					}
				}
			}
		}
	}
	return left
}

// thinned are pixels that a pass removes, as bytes of a word.
type thinned struct {
	word   int
	pixels uint64
}

// thin returns which of eight pixels from i on a pass removes, as bytes of 1.
func (l *lattice) thin(solid []uint8, i, pass int) (gone uint64) {
	above, here, below := solid[i-l.columns-1:][:wordSize+2], solid[i-1:][:wordSize+2], solid[i+l.columns-1:][:wordSize+2]
	n, e, s, w := word(above, 1), word(here, 2), word(below, 1), word(here, 0)
	stays := e & s & (n | w) // in the first pass, whatever the corners; in the second what is opposite
	if pass == 1 {
		stays = n & w & (e | s)
	}
	rest := word(here, 1) &^ stays
	if rest == 0 {
		return 0
	}
	codes := word(above, 0) | n<<1 | word(above, 2)<<2 | e<<3 | word(below, 2)<<4 | s<<5 | word(below, 0)<<6 | w<<7
	for ; rest != 0; rest &= rest - 1 {
		k := bits.TrailingZeros64(rest) & 63
		gone |= uint64(removable[uint8(codes>>k)]>>(pass&1)&1) << k
	}
	return gone
}
