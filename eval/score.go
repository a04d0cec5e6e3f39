package eval

import (
	"bytes"
	"fmt"
	"math"

	"samtune/data"
)

// Input is a segmentation and what it is scored against. Masks and probabilities have one size.
type Input struct {
	Prediction   *data.Mask
	Truth        *data.Mask
	Valid        *data.Mask // pixels that count; nil: all
	Probability  []float32  // Height*Width foreground scores in row-major order, for AUC; nil: AUC is undefined
	Spacing      [2]float64 // distance between rows and between columns; 0, 0 stands for 1, 1
	NSDTolerance float64    // in the unit of Spacing
	Thickness    []float64  // bounds of the classes of local thickness, rising, in the unit of Spacing; nil: not asked for
}

// Score computes the metrics of one case. Both masks are and-ed with Valid first, so nothing outside
// it counts, and specificity, accuracy and AUC are over its pixels.
//
// Dice, IoU, sensitivity, specificity and accuracy come from counts and are undefined where their
// denominator is 0. AUC is scikit-learn's roc_auc_score, undefined without both classes. HD95 and ASSD
// are MedPy 0.5.2's hd95 and assd, undefined where a mask is empty. NSD is surface-distance 0.1's
// compute_surface_dice_at_tolerance, undefined where both masks are empty. ClDice (Shit et al., CVPR
// 2021) takes its skeletons as scikit-image's skeletonize does and is undefined where one is empty.
func Score(in Input) (Scores, error) {
	if err := in.check(); err != nil {
		return Scores{}, fmt.Errorf("score: %w", err)
	}
	if in.Spacing == ([2]float64{}) {
		in.Spacing = [2]float64{1, 1}
	}
	pred, truth := within(in.Prediction, in.Valid), within(in.Truth, in.Valid)
	s := in.counts(pred, truth)
	auc, err := in.auc()
	if err != nil {
		return Scores{}, fmt.Errorf("score: %w", err)
	}
	s.AUC = auc
	if in.Thickness != nil {
		s.ByThickness = diceByThickness(pred, truth, in.Thickness, in.Spacing)
	}
	// Beyond the objects there is only background, so nothing below depends on it.
	p, ok := newPair(pred, truth, in.Spacing)
	if !ok {
		s.ClDice, s.HD95, s.ASSD, s.NSD = Undefined, Undefined, Undefined, Undefined
		return s, nil
	}
	s.ClDice = clDice(pred, truth)
	s.HD95, s.ASSD = p.surfaceDistances()
	s.NSD = p.surfaceDice(in.NSDTolerance)
	return s, nil
}

func (in *Input) check() error {
	if in.Prediction == nil || in.Truth == nil {
		return fmt.Errorf("prediction or truth is missing")
	}
	w, h := in.Truth.Width, in.Truth.Height
	for _, m := range []struct {
		name string
		mask *data.Mask
	}{{"truth", in.Truth}, {"prediction", in.Prediction}, {"valid region", in.Valid}} {
		if m.mask == nil {
			continue
		}
		if m.mask.Width != w || m.mask.Height != h {
			return fmt.Errorf("%s is %d x %d, want %d x %d as the truth", m.name, m.mask.Width, m.mask.Height, w, h)
		}
		if len(m.mask.Pix) != w*h {
			return fmt.Errorf("%s holds %d pixels, want %d x %d", m.name, len(m.mask.Pix), w, h)
		}
		for i, v := range m.mask.Pix {
			if v > 1 {
				return fmt.Errorf("%s is %d at x %d, y %d, want 0 or 1", m.name, v, i%w, i/w)
			}
		}
	}
	if in.Probability != nil && len(in.Probability) != w*h {
		return fmt.Errorf("probability holds %d pixels, want %d x %d", len(in.Probability), w, h)
	}
	if in.Spacing != ([2]float64{}) {
		for _, v := range in.Spacing {
			if !(v > 0) || math.IsInf(v, 0) {
				return fmt.Errorf("spacing is %g x %g, want finite positive numbers", in.Spacing[0], in.Spacing[1])
			}
		}
	}
	if !(in.NSDTolerance >= 0) {
		return fmt.Errorf("NSD tolerance is %g, want 0 or more", in.NSDTolerance)
	}
	return nil
}

// within returns the mask's pixels inside valid.
func within(m, valid *data.Mask) *data.Mask {
	if valid == nil {
		return m
	}
	out := data.NewMask(m.Width, m.Height)
	for i, v := range m.Pix {
		out.Pix[i] = v & valid.Pix[i]
	}
	return out
}

func (in *Input) counts(pred, truth *data.Mask) Scores {
	var n [4]int
	for i, p := range pred.Pix {
		if in.Valid == nil || in.Valid.Pix[i] == 1 {
			n[p<<1|truth.Pix[i]]++
		}
	}
	s := Scores{TN: n[0], FN: n[1], FP: n[2], TP: n[3]}
	s.overlap()
	return s
}

// overlap computes the metrics that come from counts.
func (s *Scores) overlap() {
	s.Dice = ratio(2*s.TP, 2*s.TP+s.FP+s.FN)
	s.IoU = ratio(s.TP, s.TP+s.FP+s.FN)
	s.Sensitivity = ratio(s.TP, s.TP+s.FN)
	s.Specificity = ratio(s.TN, s.TN+s.FP)
	s.Accuracy = ratio(s.TP+s.TN, s.TP+s.TN+s.FP+s.FN)
}

func ratio(a, b int) Float {
	if b == 0 {
		return Undefined
	}
	return Float(float64(a) / float64(b))
}

// auc is the area under the ROC curve over the valid pixels by mid-ranks (Mann and Whitney), which is
// the trapezoidal area of roc_auc_score.
func (in *Input) auc() (Float, error) {
	if in.Probability == nil {
		return Undefined, nil
	}
	keys := make([]uint64, 0, len(in.Probability))
	positives := 0
	for i, p := range in.Probability {
		if in.Valid != nil && in.Valid.Pix[i] == 0 {
			continue
		}
		if p != p {
			return Undefined, fmt.Errorf("probability is not a number at x %d, y %d", i%in.Truth.Width, i/in.Truth.Width)
		}
		label := in.Truth.Pix[i]
		positives += int(label)
		keys = append(keys, uint64(ordered(p))<<1|uint64(label))
	}
	negatives := len(keys) - positives
	if positives == 0 || negatives == 0 {
		return Undefined, nil
	}
	keys = sorted(keys)
	// Twice the number of (positive, negative) pairs in the right order, ties counted once.
	var twice, below int
	for i := 0; i < len(keys); {
		var n [2]int
		j := i
		for ; j < len(keys) && keys[j]>>1 == keys[i]>>1; j++ {
			n[keys[j]&1]++
		}
		twice += n[1] * (2*below + n[0])
		below += n[0]
		i = j
	}
	return Float(float64(twice) / 2 / float64(positives) / float64(negatives)), nil
}

// sorted returns numbers below 2^33 in rising order, counted by 11 bits at a time from the lowest on, which for a picture's pixels takes
// a fraction of the time of comparing them. Their order in keys is lost.
func sorted(keys []uint64) []uint64 {
	const digit = 11
	other := make([]uint64, len(keys))
	for shift := 0; shift < 33; shift += digit {
		var place [1 << digit]int
		for _, k := range keys {
			place[k>>shift&(1<<digit-1)]++
		}
		n := 0
		for d, count := range place {
			place[d] = n
			n += count
		}
		for _, k := range keys {
			d := k >> shift & (1<<digit - 1)
			other[place[d]] = k
			place[d]++
		}
		keys, other = other, keys
	}
	return keys
}

// ordered maps a float32 to an integer of the same order; -0 and 0 are one value.
func ordered(f float32) uint32 {
	b := math.Float32bits(f)
	if f == 0 {
		b = 0
	}
	if b>>31 == 1 {
		return ^b
	}
	return b | 1<<31
}

// box is a range of pixels: y0 <= y < y1, x0 <= x < x1.
type box struct{ x0, y0, x1, y1 int }

// boundingBox returns the smallest box around all pixels inside the masks, of one size; false where there are none.
func boundingBox(masks ...*data.Mask) (box, bool) {
	w, h := masks[0].Width, masks[0].Height
	b := box{x0: w, y0: h}
	for _, m := range masks {
		for y := range h {
			row := m.Pix[y*w : (y+1)*w]
			first := bytes.IndexByte(row, 1)
			if first < 0 {
				continue
			}
			b.x0, b.x1 = min(b.x0, first), b.x1+1+bytes.LastIndexByte(row[b.x1:], 1)
			b.y0, b.y1 = min(b.y0, y), max(b.y1, y+1)
		}
	}
	return b, b.x1 > 0
}
