package tensor

import (
	"fmt"

	lib "github.com/sugarme/gotch/libtch"
)

// optional returns the handle of a tensor that may be left out.
func optional(t *Tensor) lib.Ctensor {
	if t == nil {
		return nil
	}
	return t.c
}

func handles(ts []*Tensor) []lib.Ctensor {
	out := make([]lib.Ctensor, len(ts))
	for i, t := range ts {
		out[i] = t.c
	}
	return out
}

func (s *Scope) scalar(op string, v float64, f func(o *lib.Ctensor, v lib.Cscalar)) *Tensor {
	c := lib.AtsFloat(v)
	defer lib.AtsFree(c)
	return s.made(op, func(o *lib.Ctensor) { f(o, c) })
}

// Add returns a + b, broadcast.
func (s *Scope) Add(a, b *Tensor) *Tensor {
	return s.made("add", func(o *lib.Ctensor) { lib.AtgAdd(o, a.c, b.c) })
}

// Sub returns a - b, broadcast.
func (s *Scope) Sub(a, b *Tensor) *Tensor {
	return s.made("sub", func(o *lib.Ctensor) { lib.AtgSub(o, a.c, b.c) })
}

// Mul returns a * b element by element, broadcast.
func (s *Scope) Mul(a, b *Tensor) *Tensor {
	return s.made("mul", func(o *lib.Ctensor) { lib.AtgMul(o, a.c, b.c) })
}

// Div returns a / b element by element, broadcast.
func (s *Scope) Div(a, b *Tensor) *Tensor {
	return s.made("div", func(o *lib.Ctensor) { lib.AtgDiv(o, a.c, b.c) })
}

// AddScalar returns a + v.
func (s *Scope) AddScalar(a *Tensor, v float64) *Tensor {
	return s.scalar("add scalar", v, func(o *lib.Ctensor, v lib.Cscalar) { lib.AtgAddScalar(o, a.c, v) })
}

// MulScalar returns a * v.
func (s *Scope) MulScalar(a *Tensor, v float64) *Tensor {
	return s.scalar("mul scalar", v, func(o *lib.Ctensor, v lib.Cscalar) { lib.AtgMulScalar(o, a.c, v) })
}

// Sqrt returns the square root of each element.
func (s *Scope) Sqrt(a *Tensor) *Tensor {
	return s.made("sqrt", func(o *lib.Ctensor) { lib.AtgSqrt(o, a.c) })
}

// Sin returns the sine of each element.
func (s *Scope) Sin(a *Tensor) *Tensor {
	return s.made("sin", func(o *lib.Ctensor) { lib.AtgSin(o, a.c) })
}

// Cos returns the cosine of each element.
func (s *Scope) Cos(a *Tensor) *Tensor {
	return s.made("cos", func(o *lib.Ctensor) { lib.AtgCos(o, a.c) })
}

// Sigmoid returns 1 / (1 + exp(-a)).
func (s *Scope) Sigmoid(a *Tensor) *Tensor {
	return s.made("sigmoid", func(o *lib.Ctensor) { lib.AtgSigmoid(o, a.c) })
}

// ReLU returns max(a, 0).
func (s *Scope) ReLU(a *Tensor) *Tensor {
	return s.made("relu", func(o *lib.Ctensor) { lib.AtgRelu(o, a.c) })
}

// GELU returns the exact (erf) Gaussian error linear unit.
func (s *Scope) GELU(a *Tensor) *Tensor {
	return s.made("gelu", func(o *lib.Ctensor) { gelu(o, a) })
}

// Softmax normalises exp(a) along dim.
func (s *Scope) Softmax(a *Tensor, dim int64) *Tensor {
	return s.made("softmax", func(o *lib.Ctensor) { lib.AtgSoftmax(o, a.c, dim, int32(a.DType())) })
}

// Matmul returns the matrix product over the last two dimensions, the others broadcast.
func (s *Scope) Matmul(a, b *Tensor) *Tensor {
	return s.made("matmul", func(o *lib.Ctensor) { lib.AtgMatmul(o, a.c, b.c) })
}

// Conv2d convolves x [B, Cin, H, W] with w [Cout, Cin/groups, kh, kw]; b may be nil.
func (s *Scope) Conv2d(x, w, b *Tensor, stride, padding, groups int64) *Tensor {
	return s.made("conv2d", func(o *lib.Ctensor) {
		lib.AtgConv2d(o, x.c, w.c, optional(b), []int64{stride, stride}, 2, []int64{padding, padding}, 2, []int64{1, 1}, 2, groups)
	})
}

// ConvTranspose2d up-samples x [B, Cin, H, W] with w [Cin, Cout, kh, kw], without padding; b may be nil.
func (s *Scope) ConvTranspose2d(x, w, b *Tensor, stride int64) *Tensor {
	return s.made("conv_transpose2d", func(o *lib.Ctensor) {
		lib.AtgConvTranspose2d(o, x.c, w.c, optional(b), []int64{stride, stride}, 2, []int64{0, 0}, 2, []int64{0, 0}, 2, 1, []int64{1, 1}, 2)
	})
}

// LayerNorm normalises over the last dimension, whose size is that of w and b.
func (s *Scope) LayerNorm(x, w, b *Tensor, eps float64) *Tensor {
	shape := w.Shape()
	return s.made("layer_norm", func(o *lib.Ctensor) {
		lib.AtgLayerNorm(o, x.c, shape, len(shape), w.c, b.c, eps, 1)
	})
}

// BCEWithLogits returns the binary cross-entropy of each element, not reduced.
func (s *Scope) BCEWithLogits(logits, target *Tensor) *Tensor {
	return s.made("binary_cross_entropy_with_logits", func(o *lib.Ctensor) {
		lib.AtgBinaryCrossEntropyWithLogits(o, logits.c, target.c, nil, nil, 0)
	})
}

// UpsampleBilinear resizes x [B, C, H, W] to h x w (align_corners=False, no antialiasing).
func (s *Scope) UpsampleBilinear(x *Tensor, h, w int64) *Tensor {
	return s.made("upsample_bilinear2d", func(o *lib.Ctensor) {
		lib.AtgUpsampleBilinear2d(o, x.c, []int64{h, w}, 2, 0, 0, 1, 0, 1)
	})
}

// UpsampleBilinearAA resizes x [B, C, H, W] to h x w with antialiasing, as torchvision and PIL do when they shrink.
func (s *Scope) UpsampleBilinearAA(x *Tensor, h, w int64) *Tensor {
	return s.made("_upsample_bilinear2d_aa", func(o *lib.Ctensor) {
		lib.Atg_UpsampleBilinear2dAa(o, x.c, []int64{h, w}, 2, 0, 0, 1, 0, 1)
	})
}

// Sum returns the sum of all elements, as a scalar.
func (s *Scope) Sum(a *Tensor) *Tensor {
	return s.made("sum", func(o *lib.Ctensor) { lib.AtgSum(o, a.c, int32(a.DType())) })
}

// SumDims sums over dims, which are dropped.
func (s *Scope) SumDims(a *Tensor, dims ...int64) *Tensor {
	s.dims("sum over dims", dims)
	return s.made("sum", func(o *lib.Ctensor) {
		lib.AtgSumDimIntlist(o, a.c, dims, len(dims), 0, int32(a.DType()))
	})
}

// Mean returns the mean of all elements, as a scalar.
func (s *Scope) Mean(a *Tensor) *Tensor {
	return s.made("mean", func(o *lib.Ctensor) { lib.AtgMean(o, a.c, int32(a.DType())) })
}

// Norm returns the Euclidean norm of all elements, as a scalar.
func (s *Scope) Norm(a *Tensor) *Tensor {
	return s.made("norm", func(o *lib.Ctensor) { lib.AtgNorm(o, a.c) })
}

// Backward returns d loss / d leaf for a scalar loss and each leaf, nil for one that the loss does not depend on, and frees the graph.
func (s *Scope) Backward(loss *Tensor, leaves ...*Tensor) []*Tensor {
	l, of, grads := loss.c, handles(leaves), make([]lib.Ctensor, len(leaves))
	lib.AtRunBackward(&l, 1, &of[0], len(of), &grads[0], 0, 0)
	check("backward")
	out := make([]*Tensor, len(grads))
	for i, g := range grads {
		if t := s.own("backward", g); lib.AtDefined(t.c) {
			out[i] = t
		}
	}
	return out
}

// Flatten joins tensors, each in row-major order, to one of one dimension.
func (s *Scope) Flatten(ts ...*Tensor) *Tensor {
	return s.made("flatten", func(o *lib.Ctensor) { lib.AtgFlattenDenseTensors(o, handles(ts), len(ts)) })
}

// Leaf returns a tensor over the memory of t that gradients are asked for.
func (s *Scope) Leaf(t *Tensor) *Tensor {
	d := s.made("detach", func(o *lib.Ctensor) { lib.AtgDetach(o, t.c) })
	s.inPlace("requires_grad_", func(o *lib.Ctensor) { lib.AtgRequiresGrad_(o, d.c, 1) })
	return d
}

// Differentiable says whether gradients flow through t: it is a leaf or was made from one with autograd on.
func (t *Tensor) Differentiable() bool { return lib.AtRequiresGrad(t.c) }

// Split cuts a along dim into parts of the given sizes, which are views of a.
func (s *Scope) Split(a *Tensor, dim int64, sizes []int64) []*Tensor {
	s.dims("split", sizes)
	parts := splitSizes(a, sizes, dim)
	if parts == nil {
		panic(failure{lastError("split")})
	}
	out := make([]*Tensor, len(parts))
	for i, h := range parts {
		out[i] = s.own("split", h)
	}
	return out
}

// Cat joins tensors along dim.
func (s *Scope) Cat(dim int64, ts ...*Tensor) *Tensor {
	if len(ts) == 0 {
		s.Fail(fmt.Errorf("cat: no tensors"))
	}
	return s.made("cat", func(o *lib.Ctensor) { lib.AtgCat(o, handles(ts), len(ts), dim) })
}

// Stack joins tensors of one shape along a new dimension dim.
func (s *Scope) Stack(dim int64, ts ...*Tensor) *Tensor {
	if len(ts) == 0 {
		s.Fail(fmt.Errorf("stack: no tensors"))
	}
	return s.made("stack", func(o *lib.Ctensor) { lib.AtgStack(o, handles(ts), len(ts), dim) })
}

// Attention returns softmax(q k^T / sqrt(width) + bias) v for q, k, v [B, heads, N, width] and a bias that
// broadcasts to [B, heads, N, N], by libtorch's fused kernel.
func (s *Scope) Attention(q, k, v, bias *Tensor) *Tensor {
	return s.made("scaled_dot_product_attention", func(o *lib.Ctensor) {
		lib.AtgScaledDotProductAttention(o, q.c, k.c, v.c, bias.c, 0, 0, 1, 1)
	})
}

// Round returns each element rounded to the nearest whole number, halves to even.
func (s *Scope) Round(a *Tensor) *Tensor {
	return s.made("round", func(o *lib.Ctensor) { lib.AtgRound(o, a.c) })
}

// Maximum returns the larger of two elements.
func (s *Scope) Maximum(a, b *Tensor) *Tensor {
	return s.made("maximum", func(o *lib.Ctensor) { lib.AtgMaximum(o, a.c, b.c) })
}

// Minimum returns the smaller of two elements.
func (s *Scope) Minimum(a, b *Tensor) *Tensor {
	return s.made("minimum", func(o *lib.Ctensor) { lib.AtgMinimum(o, a.c, b.c) })
}

// Abs returns the absolute value of each element.
func (s *Scope) Abs(a *Tensor) *Tensor {
	return s.made("abs", func(o *lib.Ctensor) { lib.AtgAbs(o, a.c) })
}

// Pow raises each element to a power.
func (s *Scope) Pow(a *Tensor, exponent float64) *Tensor {
	return s.scalar("pow", exponent, func(o *lib.Ctensor, v lib.Cscalar) { lib.AtgPowTensorScalar(o, a.c, v) })
}

// MaxPool returns the largest value in the height x width window around each element of the last two
// dimensions, both odd.
func (s *Scope) MaxPool(a *Tensor, height, width int64) *Tensor {
	return s.made("max_pool2d", func(o *lib.Ctensor) {
		lib.AtgMaxPool2d(o, a.c, []int64{height, width}, 2, []int64{1, 1}, 2, []int64{height / 2, width / 2}, 2, []int64{1, 1}, 2, 0)
	})
}
