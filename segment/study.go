package segment

import (
	"fmt"

	"samtune/data"
	"samtune/eval"
)

// BestOverlap is the mask with the highest Dice against the truth inside the valid region (nil: all): an oracle, which only
// the truth's owner can ask; results that rest on it are to be called so. best is -1 where no mask has a Dice.
func BestOverlap(masks []Mask, truth, valid *data.Mask) (best int, dice eval.Float, err error) {
	best, dice = -1, eval.Undefined
	for i, m := range masks {
		d, err := eval.Dice(m.RLE.Mask(), truth, valid)
		if err != nil {
			return -1, eval.Undefined, fmt.Errorf("choose the mask with the best overlap: mask %d: %w", i, err)
		}
		if d.Defined() && (best < 0 || d > dice) {
			best, dice = i, d
		}
	}
	return best, dice, nil
}

// UnionRule chooses masks without ground truth: those with at least the given predicted IoU and stability whose area is
// a share of the picture between the two bounds. The upper one keeps out the background and the whole field of view.
type UnionRule struct {
	MinIoU, MinStability float64
	MinArea, MaxArea     float64 // shares of the picture's pixels, 0 to 1
}

// Chooses says whether the rule takes a mask.
func (r UnionRule) Chooses(m Mask) bool {
	share := float64(m.Area) / float64(m.RLE.Width*m.RLE.Height)
	return m.PredictedIoU >= float32(r.MinIoU) && m.Stability >= float32(r.MinStability) && share >= r.MinArea && share <= r.MaxArea
}

// Check says what is wrong with a rule.
func (r UnionRule) Check() error {
	if !isShare(r.MinIoU) || !isShare(r.MinStability) || !isShare(r.MinArea) || !isShare(r.MaxArea) {
		return fmt.Errorf("union of masks with predicted IoU from %g, stability from %g and %g to %g of the picture: want 0 to 1", r.MinIoU, r.MinStability, r.MinArea, r.MaxArea)
	}
	return nil
}

// Union is the union of the masks of a picture that a rule chooses, and how many they are.
func Union(masks []Mask, rule UnionRule, width, height int) (union *data.Mask, chosen int, err error) {
	union = data.NewMask(width, height)
	for i, m := range masks {
		if m.RLE.Width != width || m.RLE.Height != height {
			return nil, 0, fmt.Errorf("unite masks: mask %d is %d x %d, want the picture's %d x %d", i, m.RLE.Width, m.RLE.Height, width, height)
		}
		if rule.Chooses(m) {
			m.RLE.AddTo(union)
			chosen++
		}
	}
	return union, chosen, nil
}
