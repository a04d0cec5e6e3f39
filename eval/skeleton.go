package eval

import "samtune/data"

// clDice is the centre-line Dice of Shit et al. (CVPR 2021): the harmonic mean of the part of the
// prediction's skeleton inside the truth and the part of the truth's skeleton inside the prediction.
func clDice(pred, truth *data.Mask) Float {
	precision := share(skeletonise(pred), truth)
	sensitivity := share(skeletonise(truth), pred)
	if !precision.Defined() || !sensitivity.Defined() {
		return Undefined
	}
	if precision+sensitivity == 0 {
		return 0
	}
	return 2 * precision * sensitivity / (precision + sensitivity)
}

// share is the part of the skeleton's pixels inside the mask.
func share(skeleton, m *data.Mask) Float {
	inside, all := 0, 0
	for i, v := range skeleton.Pix {
		inside += int(v & m.Pix[i])
		all += int(v)
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

// Bits of a pixel's state while it is thinned.
const (
	isSet = 1 << iota
	inFirst
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

// skeletonise thins the mask until nothing can be removed, giving the same pixels as scikit-image
// 0.26's skeletonize on a 2-D image. A pixel is looked at again only after a neighbour has gone, which
// keeps the time linear in the pixels however thick an object is.
func skeletonise(m *data.Mask) *data.Mask {
	stride := m.Width + 2
	state := make([]uint8, stride*(m.Height+2))
	around := [8]int{-stride - 1, -stride, -stride + 1, 1, stride + 1, stride, stride - 1, -1}
	var waiting [2][]int
	for y := range m.Height {
		for x := range m.Width {
			if m.Pix[y*m.Width+x] == 1 {
				i := (y+1)*stride + x + 1
				state[i] = isSet | inFirst | inSecond
				waiting[0] = append(waiting[0], i)
			}
		}
	}
	waiting[1] = append(waiting[1], waiting[0]...)
	var gone []int
	for pass := 0; len(waiting[0])+len(waiting[1]) > 0; pass = 1 - pass {
		flag := uint8(inFirst) << pass
		gone = gone[:0]
		for _, i := range waiting[pass] {
			state[i] &^= flag
			if state[i]&isSet == 0 {
				continue
			}
			code := 0
			for bit, d := range around {
				code |= int(state[i+d]&isSet) << bit
			}
			if removable[code]&flag != 0 {
				gone = append(gone, i)
			}
		}
		waiting[pass] = waiting[pass][:0]
		for _, i := range gone {
			state[i] &^= isSet
		}
		for _, i := range gone {
			for _, d := range around {
				j := i + d
				for p := range 2 {
					if flag := uint8(inFirst) << p; state[j]&(isSet|flag) == isSet {
						state[j] |= flag
						waiting[p] = append(waiting[p], j)
					}
				}
			}
		}
	}
	out := data.NewMask(m.Width, m.Height)
	for y := range m.Height {
		for x := range m.Width {
			out.Pix[y*m.Width+x] = state[(y+1)*stride+x+1] & isSet
		}
	}
	return out
}
