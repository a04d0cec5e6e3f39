package eval

import (
	"math"
	"slices"
)

// surfaceDistances returns MedPy's hd95 and assd: a solid's surface are its pixels or voxels with a neighbour outside it or outside the
// picture or volume, of 4 or 6; the distances from each surface to the other are pooled, HD95 is their 95th percentile (linear
// interpolation as in numpy), ASSD their mean.
func (p *pair) surfaceDistances() (hd95, assd Float) {
	var ofPred, ofTruth []int
	both(func() { ofPred = p.surface(p.pred) }, func() { ofTruth = p.surface(p.truth) })
	if ofPred == nil || ofTruth == nil {
		return Undefined, Undefined
	}
	var toTruth, toPred []float64
	both(func() { toTruth = p.nearest(ofPred, ofTruth) }, func() { toPred = p.nearest(ofTruth, ofPred) })
	pooled := append(toTruth, toPred...)
	slices.Sort(pooled)
	sum := 0.0
	for i, d := range pooled {
		pooled[i] = math.Sqrt(d)
		sum += pooled[i]
	}
	return Float(quantile(pooled, 0.95)), Float(sum / float64(len(pooled)))
}

// surfaceDice is surface-distance's NSD: surfaces run between pixels or voxels, and a surfel agrees when the other surface is within
// the tolerance.
func (p *pair) surfaceDice(tolerance float64) Float {
	var ofPred, ofTruth surfels
	both(func() { ofPred = p.surfels(p.pred) }, func() { ofTruth = p.surfels(p.truth) })
	var toTruth, toPred []float64
	if ofPred.at != nil && ofTruth.at != nil {
		both(func() { toTruth = p.nearest(ofPred.at, ofTruth.at) }, func() { toPred = p.nearest(ofTruth.at, ofPred.at) })
	}
	var agreeing, total float64
	sizes := p.sizes()
	add := func(s *surfels, distances []float64, i int) {
		size := sizes[s.code[i]]
		total += size
		if distances != nil && math.Sqrt(distances[i]) <= tolerance {
			agreeing += size
		}
	}
	// In the order of corners, which decides the last digit.
	for i, k := 0, 0; i < len(ofPred.at) || k < len(ofTruth.at); {
		if k == len(ofTruth.at) || i < len(ofPred.at) && ofPred.at[i] <= ofTruth.at[k] {
			add(&ofPred, toTruth, i)
			i++
		} else {
			add(&ofTruth, toPred, k)
			k++
		}
	}
	if total == 0 {
		return Undefined
	}
	return Float(agreeing / total)
}
