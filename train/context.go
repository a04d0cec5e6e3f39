package train

import (
	"math"

	"samtune/data"
	"samtune/internal/tensor"
)

// Context is a convex head's second stage: a logistic regression on the first stage's own logits, scale by
// scale, and on what they are like along lines through each pixel. It tells a vessel's gap from the end
// of a vessel. It is fitted on logits of heads that have not seen the picture.
type Context struct {
	Weight []float32 // of the scales' logits, then of lineFeatures
	Bias   float32

	Mean, Deviation []float32 // what its features are standardised with: those of the pixels that it was fitted on
}

// Lines go through each pixel in lineAngles directions and reach to both sides of it.
const lineAngles = 12

var lineReaches = []int{3, 6, 10, 15}

// lineFeatures are, for each reach, the highest mean logit along a line, and how far it is above the mean of all
// lines.
var lineFeatures = 2 * len(lineReaches)

const (
	boundLogit   = 8   // logits beyond this are equally sure
	outsideLogit = -4  // of pixels that are not valid
	lineWidth    = 0.8 // standard deviation, in pixels, of the smoothing across lines
)

// contextMaps returns what a context reads: levels [P, scales, H, W], a head's logits by scale, followed by the
// line features, [P, scales + lineFeatures, H, W].
func contextMaps(s *tensor.Scope, levels *tensor.Tensor, valid *data.Mask) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		inside := s.ToDType(s.FromUint8(valid.Pix, 1, 1, int64(valid.Height), int64(valid.Width)), tensor.Float32)
		z := s.Unsqueeze(s.SumDims(levels, 1), 1)
		s.ClampInto(z, -boundLogit, boundLogit)
		z = s.Mul(s.AddScalar(z, -outsideLogit), inside)
		s.ShiftInto(z, outsideLogit)
		return s.Cat(1, append([]*tensor.Tensor{levels}, lines(s, smooth(s, z))...)...)
	})
}

// smooth blurs maps [P, 1, H, W] with a Gaussian of lineWidth.
func smooth(s *tensor.Scope, z *tensor.Tensor) *tensor.Tensor {
	const radius = 2
	kernel := make([]float32, 2*radius+1)
	sum := 0.0
	for i := range kernel {
		sum += math.Exp(-float64((i-radius)*(i-radius)) / (2 * lineWidth * lineWidth))
	}
	for i := range kernel {
		kernel[i] = float32(math.Exp(-float64((i-radius)*(i-radius))/(2*lineWidth*lineWidth)) / sum)
	}
	n := int64(len(kernel))
	z = s.PadEdge(z, radius)
	z = s.Conv2d(z, s.FromFloat32(kernel, 1, 1, 1, n), nil, 1, 0, 1)
	return s.Conv2d(z, s.FromFloat32(kernel, 1, 1, n, 1), nil, 1, 0, 1)
}

// lines returns the line features of smoothed maps [P, 1, H, W], each of that shape. A line's pixels are those
// nearest to steps of one pixel along it.
func lines(s *tensor.Scope, z *tensor.Tensor) []*tensor.Tensor {
	reach := lineReaches[len(lineReaches)-1]
	d := z.Shape()
	padded := s.PadEdge(z, int64(reach))
	highest, mean := make([]*tensor.Tensor, len(lineReaches)), make([]*tensor.Tensor, len(lineReaches))
	for i := range lineReaches {
		highest[i], mean[i] = s.AddScalar(s.Zeros(tensor.Float32, d...), math.Inf(-1)), s.Zeros(tensor.Float32, d...)
	}
	for a := range lineAngles {
		s.BlockN(func(s *tensor.Scope) []*tensor.Tensor { // what a direction needs is freed before the next
			sin, cos := math.Sincos(math.Pi * float64(a) / lineAngles)
			sum := s.MulScalar(z, 1)
			done := 0
			for k := 1; k <= reach; k++ {
				dy, dx := int(math.Round(float64(k)*sin)), int(math.Round(float64(k)*cos))
				for _, sign := range []int{1, -1} {
					s.AddInto(sum, s.Narrow(s.Narrow(padded, 2, int64(reach+sign*dy), d[2]), 3, int64(reach+sign*dx), d[3]))
				}
				if k != lineReaches[done] {
					continue
				}
				s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
					line := s.MulScalar(sum, 1/float64(2*k+1))
					s.CopyInto(highest[done], s.Maximum(highest[done], line))
					s.ScaleInto(line, 1.0/lineAngles)
					s.AddInto(mean[done], line)
					return nil
				})
				done++
			}
			return nil
		})
	}
	var out []*tensor.Tensor
	for i := range lineReaches {
		out = append(out, highest[i], s.Sub(highest[i], mean[i]))
	}
	return out
}

// applyContext returns a context's logits for its maps [P, features, H, W] of the heads, each with its own context:
// [P, H, W].
func applyContext(s *tensor.Scope, maps *tensor.Tensor, heads []*Head) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		d := maps.Shape()
		var weights, biases []float32
		for _, head := range heads {
			c := head.Context
			bias := float64(c.Bias)
			for k, w := range c.Weight {
				weights = append(weights, w/(c.Deviation[k]+least))
				bias -= float64(w) * float64(c.Mean[k]) / float64(c.Deviation[k]+least)
			}
			biases = append(biases, float32(bias))
		}
		w := s.FromFloat32(weights, d[0], 1, d[1])
		z := s.Matmul(w, s.Reshape(maps, d[0], d[1], d[2]*d[3]))
		return s.Add(s.Reshape(z, d[0], d[2], d[3]), s.FromFloat32(biases, d[0], 1, 1))
	})
}
