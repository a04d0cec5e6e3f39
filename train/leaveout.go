package train

import "samtune/data"

// LeaveOut lists for each picture those that are left out of a fit together with it: all of its patient, whose pictures are too much
// alike to tell how the fit does on others. Where all pictures are of one patient it is the picture alone.
func LeaveOut(pictures []*data.Sample) [][]int {
	by := map[string][]int{}
	for i, s := range pictures {
		by[s.Patient] = append(by[s.Patient], i)
	}
	out := make([][]int, len(pictures))
	for i, s := range pictures {
		if out[i] = by[s.Patient]; len(by) == 1 {
			out[i] = []int{i}
		}
	}
	return out
}
