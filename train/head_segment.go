package train

import (
	"fmt"
	"math"

	"samtune/data"
	"samtune/internal/tensor"
)

// together bounds the heads whose maps are held at a time.
const together = 8

// Logits returns the heads' logits of a picture at its own size, by head. All heads have a second stage or
// none has.
func (h *HeadFeatures) Logits(s *tensor.Scope, sample *data.Sample, heads []*Head) ([][]float32, error) {
	var out [][]float32
	err := h.levels(s, sample, heads, func(s *tensor.Scope, some []*Head, levels *tensor.Tensor) {
		var z *tensor.Tensor
		if some[0].Context == nil {
			z = s.SumDims(levels, 1)
		} else {
			z = applyContext(s, contextMaps(s, levels, sample.Valid), some)
		}
		for i := range some {
			out = append(out, s.Float32s(s.Select(z, 0, int64(i))))
		}
	})
	return out, err
}

// levels calls use with the first stage's logits of a picture, [heads, scales, height, width], for some of the
// heads after the other. The intercept is part of the first scale's.
func (h *HeadFeatures) levels(s *tensor.Scope, sample *data.Sample, heads []*Head, use func(s *tensor.Scope, heads []*Head, levels *tensor.Tensor)) error {
	moments, err := h.standard(s, sample)
	if err != nil {
		return err
	}
	blocks, _, err := h.Pyramid.Blocks(h.Model.Spec)
	if err != nil {
		return err
	}
	count, scales := int64(len(heads)), int64(len(h.Pyramid.Scales))
	width, height := int64(sample.Image.Width), int64(sample.Image.Height)
	at := map[int]int64{}
	for i, scale := range h.Pyramid.Scales {
		at[scale] = int64(i)
	}
	constants := make([]float32, count*scales)
	for i, head := range heads {
		for _, b := range blocks {
			c := 0.0
			for k := b.Start; k < b.Start+b.Feature.Channels; k++ {
				c -= float64(head.Weight[k]) * float64(moments.mean[k]) / float64(moments.deviation[k]+least)
			}
			constants[int64(i)*scales+at[b.Scale]] += float32(c)
		}
		constants[int64(i)*scales] += head.Bias
	}
	var failed error
	s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		sum := s.Add(s.Zeros(tensor.Float32, count, scales, height, width), s.FromFloat32(constants, count, scales, 1, 1))
		failed = h.visit(s, sample, func(s *tensor.Scope, v headView) {
			up := h.project(s, v, moments, heads)
			r := v.Geometry.Region
			part := s.Select(sum, 1, at[v.blocks[0].Scale])
			s.AddInto(s.Narrow(s.Narrow(part, 1, int64(r.Y), int64(r.Height)), 2, int64(r.X), int64(r.Width)), up)
		})
		if failed != nil {
			return nil
		}
		for from := 0; from < len(heads); from += together {
			to := min(from+together, len(heads))
			s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
				use(s, heads[from:to], s.Narrow(sum, 0, int64(from), int64(to-from)))
				return nil
			})
		}
		return nil
	})
	return failed
}

// project returns the heads' part of the logits from one view, weighed with the view's share of each pixel:
// [heads, region height, region width]. Projection and interpolation are both linear, so the few maps of
// logits are interpolated and not the many features.
func (h *HeadFeatures) project(s *tensor.Scope, v headView, moments *moments, heads []*Head) *tensor.Tensor {
	count := int64(len(heads))
	maps := map[int]*tensor.Tensor{}
	var sides []int
	for _, b := range v.blocks {
		channels, side := b.Feature.Channels, b.Feature.Side
		w := make([]float32, 0, len(heads)*channels)
		for _, head := range heads {
			for c := range channels {
				w = append(w, head.Weight[b.Start+c]/(moments.deviation[b.Start+c]+least))
			}
		}
		f := s.Reshape(v.features[b.Feature.Name], int64(channels), int64(side*side))
		m := s.Matmul(s.FromFloat32(w, count, int64(channels)), f)
		if maps[side] == nil {
			sides = append(sides, side)
			maps[side] = m
		} else {
			s.AddInto(maps[side], m)
		}
	}
	r := v.Geometry.Region
	var sum *tensor.Tensor
	for _, side := range sides {
		up := s.Select(v.Geometry.Upsample(s, s.Reshape(maps[side], 1, count, int64(side), int64(side))), 0, 0)
		if sum == nil {
			sum = up
		} else {
			s.AddInto(sum, up)
		}
	}
	return s.Mul(sum, s.FromFloat32(v.weights, 1, int64(r.Height), int64(r.Width)))
}

// Segment segments a picture with a head.
func (h *HeadFeatures) Segment(s *tensor.Scope, sample *data.Sample, head *Head) (*Segmentation, error) {
	all, err := h.SegmentAll(s, sample, []*Head{head})
	if err != nil {
		return nil, err
	}
	return all[0], nil
}

// SegmentAll segments a picture with several heads in one pass over its features.
func (h *HeadFeatures) SegmentAll(s *tensor.Scope, sample *data.Sample, heads []*Head) ([]*Segmentation, error) {
	logits, err := h.Logits(s, sample, heads)
	if err != nil {
		return nil, fmt.Errorf("segment %s: %w", sample.ID, err)
	}
	out := make([]*Segmentation, len(heads))
	parallel(len(heads), func(i int) {
		p := sigmoid(logits[i])
		out[i] = threshold(p, sample.Image.Width, sample.Image.Height, heads[i].threshold(p, sample.Valid))
	})
	return out, nil
}

// sigmoid turns logits into probabilities, in place.
func sigmoid(z []float32) []float32 {
	for i, v := range z {
		z[i] = float32(1 / (1 + math.Exp(-float64(v))))
	}
	return z
}
