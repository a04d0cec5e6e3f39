package data

// Regions lists the 8-connected regions of the pixels of one value, each as indices into Pix, in the order of their first
// pixels, row by row.
func (m *Mask) Regions(value uint8) [][]int {
	var regions [][]int
	seen := make([]bool, len(m.Pix))
	for start, v := range m.Pix {
		if v != value || seen[start] {
			continue
		}
		seen[start] = true
		region := []int{start}
		for next := 0; next < len(region); next++ { // the region is its own queue
			px, py := region[next]%m.Width, region[next]/m.Width
			for y := max(py-1, 0); y <= min(py+1, m.Height-1); y++ {
				for x := max(px-1, 0); x <= min(px+1, m.Width-1); x++ {
					if p := y*m.Width + x; m.Pix[p] == value && !seen[p] {
						seen[p] = true
						region = append(region, p)
					}
				}
			}
		}
		regions = append(regions, region)
	}
	return regions
}
