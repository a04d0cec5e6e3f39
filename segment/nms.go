package segment

import (
	"cmp"
	"slices"
)

// Box is a box between two pixels, both part of it, in the picture's pixels.
type Box struct{ X0, Y0, X1, Y1 int }

func (b Box) area() float32 { return float32(b.X1-b.X0) * float32(b.Y1-b.Y0) }

// overlap is the intersection over union of two boxes, not a number where both have no area; as torchvision has it, in float32.
func (b Box) overlap(o Box) float32 {
	w := float32(max(0, min(b.X1, o.X1)-max(b.X0, o.X0)))
	h := float32(max(0, min(b.Y1, o.Y1)-max(b.Y0, o.Y0)))
	return w * h / (b.area() + o.area() - w*h)
}

// suppress is non-maximum suppression as in torchvision: boxes are taken by falling score, equal ones in their order, and
// each drops those after it that overlap it by more than threshold. It returns the places of those that stay, in that order.
func suppress(boxes []Box, scores []float32, threshold float64) []int {
	order := make([]int, len(boxes))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int { return cmp.Compare(scores[b], scores[a]) })
	dropped := make([]bool, len(boxes))
	var kept []int
	for n, i := range order {
		if dropped[i] {
			continue
		}
		kept = append(kept, i)
		for _, j := range order[n+1:] {
			if !dropped[j] && float64(boxes[i].overlap(boxes[j])) > threshold {
				dropped[j] = true
			}
		}
	}
	return kept
}

// suppressMasks keeps the masks that suppress keeps, in its order.
func suppressMasks(masks []Mask, threshold float64, score func(i int) float32) []Mask {
	boxes, scores := make([]Box, len(masks)), make([]float32, len(masks))
	for i, m := range masks {
		boxes[i], scores[i] = m.box, score(i)
	}
	out := make([]Mask, 0, len(masks))
	for _, i := range suppress(boxes, scores, threshold) {
		out = append(out, masks[i])
	}
	return out
}
