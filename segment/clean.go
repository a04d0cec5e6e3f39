package segment

import (
	"samtune/data"
)

// clean removes holes and islands smaller than area pixels from the masks, and then masks whose box overlaps that of another
// by more than threshold, those that had to be changed first.
func clean(masks []Mask, area int, threshold float64) []Mask {
	changed := make([]bool, len(masks))
	for i := range masks {
		m := masks[i].RLE.Mask()
		holes := removeSmall(m, area, true)
		islands := removeSmall(m, area, false)
		if changed[i] = holes || islands; changed[i] {
			masks[i].setRLE(NewRLE(m))
		}
	}
	return suppressMasks(masks, threshold, func(i int) float32 {
		if changed[i] {
			return 0
		}
		return 1
	})
}

// removeSmall fills the holes of m with less than area pixels, or removes the islands; of islands that are all smaller the
// largest stays. Pixels that touch at a corner belong together. It says whether m was changed.
func removeSmall(m *data.Mask, area int, holes bool) bool {
	want := uint8(1) // the value of the pixels whose regions are looked at
	if holes {
		want = 0
	}
	regions := m.Regions(want)
	small, largest := 0, 0
	for i, r := range regions {
		if len(r) < area {
			small++
		}
		if len(r) > len(regions[largest]) {
			largest = i
		}
	}
	for i, r := range regions {
		if len(r) >= area || !holes && small == len(regions) && i == largest {
			continue
		}
		for _, p := range r {
			m.Pix[p] = 1 - want
		}
	}
	return small > 0
}
