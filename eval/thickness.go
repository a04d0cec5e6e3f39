package eval

import (
	"fmt"

	"samtune/data"
)

// diceByThickness returns Dice by local thickness: a pixel of a mask is thicker than a bound where a disc of
// more than that diameter fits into the mask and covers it (the local thickness of Hildebrand &
// Rüegsegger, J. Microsc. 1997, on the pixel grid). Class k holds what is thicker than bounds[k-1] and not
// thicker than bounds[k]. Hits and misses count in the truth's class, false positives in that which they
// have in the prediction. A class that neither mask has is undefined.
func diceByThickness(pred, truth *data.Mask, bounds []float64, spacing [2]float64) []Float {
	inTruth, inPred := thickness(truth, bounds, spacing), thickness(pred, bounds, spacing)
	hit, wrong := make([]int, len(bounds)+1), make([]int, len(bounds)+1)
	for i, v := range truth.Pix {
		switch {
		case v == 1 && pred.Pix[i] == 1:
			hit[inTruth[i]]++
		case v == 1:
			wrong[inTruth[i]]++
		case pred.Pix[i] == 1:
			wrong[inPred[i]]++
		}
	}
	out := make([]Float, len(hit))
	for k := range out {
		out[k] = Undefined
		if n := 2*hit[k] + wrong[k]; n > 0 {
			out[k] = Float(float64(2*hit[k]) / float64(n))
		}
	}
	return out
}

// thickness returns for each pixel of the mask how many of the bounds, which rise, it is thicker than.
func thickness(m *data.Mask, bounds []float64, spacing [2]float64) []uint8 {
	out := make([]uint8, len(m.Pix))
	outside := data.NewMask(m.Width, m.Height)
	for i, v := range m.Pix {
		outside.Pix[i] = 1 - v
	}
	toOutside, ok := distanceTransform(outside, spacing)
	pixel := (spacing[0] + spacing[1]) / 2
	for k, bound := range bounds {
		radius := (bound + pixel) / 2 // from the middle of a structure of that width to the first pixel beyond it
		middles := data.NewMask(m.Width, m.Height)
		for i, v := range m.Pix {
			if v == 1 && (!ok || toOutside[i] > radius) {
				middles.Pix[i] = 1
			}
		}
		toMiddle, any := distanceTransform(middles, spacing)
		if !any {
			break
		}
		for i, v := range m.Pix {
			if v == 1 && toMiddle[i] <= radius {
				out[i] = uint8(k + 1)
			}
		}
	}
	return out
}

// ThicknessLabels names the classes of diceByThickness, as "up to 3 px", "3 to 5 px", "over 5 px".
func ThicknessLabels(bounds []float64, unit string) []string {
	var out []string
	for i, b := range bounds {
		if i == 0 {
			out = append(out, fmt.Sprintf("up to %g %s", b, unit))
		} else {
			out = append(out, fmt.Sprintf("%g to %g %s", bounds[i-1], b, unit))
		}
	}
	if len(bounds) > 0 {
		out = append(out, fmt.Sprintf("over %g %s", bounds[len(bounds)-1], unit))
	}
	return out
}
