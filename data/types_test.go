package data

import "testing"

func TestExtremes(t *testing.T) {
	for _, pix := range [][]uint8{{7, 7, 7}, {0, 255, 3}, {9, 8, 200, 10, 8, 9}} {
		img := &Image{Width: len(pix) / 3, Height: 1, Pix: pix}
		want := [2]uint8{255, 0}
		for _, v := range pix {
			want = [2]uint8{min(want[0], v), max(want[1], v)}
		}
		for range 2 {
			if low, high := img.Extremes(); low != want[0] || high != want[1] {
				t.Errorf("extremes of %v are %d and %d, want %v", pix, low, high, want)
			}
		}
	}
}
