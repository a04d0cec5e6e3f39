package eval

import (
	"math/rand/v2"
	"testing"

	"samtune/data"
)

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

// The two passes of thinning.
const (
	inFirst = 1 << iota
	inSecond
)

// thinningTable tells for each neighbourhood code in which passes its pixel goes: the rule of Zhang and Suen as the paper has it, then the
// exceptions of scikit-image one by one.
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

// TestThinningPasses compares the short forms of the rule with its table, in the word's first, last and other bits.
func TestThinningPasses(t *testing.T) {
	table := thinningTable()
	for code := range 256 {
		for _, bit := range []int{0, 31, 63} {
			var plane [8]uint64
			for i := range plane {
				if code>>i&1 == 1 {
					plane[i] = 1 << bit
				}
			}
			first := firstPass(plane[0], plane[1], plane[2], plane[3], plane[4], plane[5], plane[6], plane[7])>>bit&1 == 1
			second := secondPass(plane[0], plane[1], plane[2], plane[3], plane[4], plane[5], plane[6], plane[7])>>bit&1 == 1
			if first != (table[code]&inFirst != 0) || second != (table[code]&inSecond != 0) {
				t.Errorf("neighbours %08b: first pass %t, second %t, want %02b", code, first, second, table[code])
			}
		}
	}
}

// TestSkeletonMovesWithItsMask thins masks of all widths around a word's, once as they are, up to the picture's edges, and once within a
// larger picture.
func TestSkeletonMovesWithItsMask(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	for w := 1; w <= 131; w++ {
		m, moved := randomMask(r, w, 9, 0.8), data.NewMask(w+37, 9+5)
		for i, v := range m.Pix {
			moved.Pix[(i/w+2)*moved.Width+i%w+30] = v
		}
		got, want := skeletonise(m), skeletonise(moved)
		for i, v := range got.Pix {
			if v != want.Pix[(i/w+2)*moved.Width+i%w+30] {
				t.Fatalf("width %d: the skeleton at x %d, y %d is another in a larger picture", w, i%w, i/w)
			}
		}
	}
}
