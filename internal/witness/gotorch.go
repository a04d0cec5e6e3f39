//go:build gotorch

package witness

import (
	"fmt"
	"runtime"
	"strings"

	"github.com/wangkuiyi/gotorch"
	"github.com/wangkuiyi/gotorch/nn/functional"
	"github.com/wangkuiyi/gotorch/nn/initializer"

	"samtune/internal/tensor"
)

// gotorch frees tensors by finalizers, even while a call of its own is at work on them, and reports errors by panics. So
// each of its calls is made here by itself: tensors are lent to it, and what it returns is taken from its finalizer
// and belongs to a scope of ours. All of it runs on the device's thread, whose autograd mode and threads it shares.

// borrow lends t to gotorch: the same at::Tensor, without a copy, and without a finalizer.
func borrow(t *tensor.Tensor) gotorch.Tensor {
	handle := t.Handle()
	return gotorch.Tensor{T: &handle}
}

// guarded turns gotorch's panics, whose values are libtorch's messages, into an error of the enclosing Device.Run.
func guarded(s *tensor.Scope, op string, f func()) {
	defer func() {
		switch r := recover().(type) {
		case nil:
		case string:
			first, _, _ := strings.Cut(r, "\n")
			s.Fail(fmt.Errorf("gotorch: %s: %s", op, strings.TrimSpace(first)))
		default:
			panic(r)
		}
	}()
	f()
}

// made runs one call of gotorch and takes over its result.
func made(s *tensor.Scope, op string, f func() gotorch.Tensor) *tensor.Tensor {
	var t gotorch.Tensor
	guarded(s, op, func() { t = f() })
	runtime.SetFinalizer(t.T, nil)
	return s.Adopt("gotorch: "+op, *t.T)
}

// wide is the same stride, padding or dilation for height and width.
func wide(n int64) []int64 { return []int64{n, n} }

func conv2d(s *tensor.Scope, x, w, b *tensor.Tensor, stride, padding, groups int64) *tensor.Tensor {
	return made(s, "conv2d", func() gotorch.Tensor {
		bias := gotorch.Tensor{}
		if b != nil {
			bias = borrow(b)
		}
		return functional.Conv2d(borrow(x), borrow(w), bias, wide(stride), wide(padding), wide(1), groups)
	})
}

func convTranspose2d(s *tensor.Scope, x, w, b *tensor.Tensor, stride int64) *tensor.Tensor {
	return made(s, "conv_transpose2d", func() gotorch.Tensor {
		return functional.ConvTranspose2d(borrow(x), borrow(w), borrow(b), wide(stride), wide(0), wide(0), 1, wide(1))
	})
}

func relu(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	return made(s, "relu", func() gotorch.Tensor { return functional.Relu(borrow(x), false) })
}

func sigmoid(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	return made(s, "sigmoid", func() gotorch.Tensor { return gotorch.Sigmoid(borrow(x)) })
}

func mul(s *tensor.Scope, a, b *tensor.Tensor) *tensor.Tensor {
	return made(s, "mul", func() gotorch.Tensor { return gotorch.Mul(borrow(a), borrow(b)) })
}

func div(s *tensor.Scope, a, b *tensor.Tensor) *tensor.Tensor {
	return made(s, "div", func() gotorch.Tensor { return gotorch.Div(borrow(a), borrow(b)) })
}

// add returns a + alpha b.
func add(s *tensor.Scope, a, b *tensor.Tensor, alpha float32) *tensor.Tensor {
	return made(s, "add", func() gotorch.Tensor { return gotorch.Add(borrow(a), borrow(b), alpha) })
}

// addInto adds alpha b to a, in the memory of a.
func addInto(s *tensor.Scope, a, b *tensor.Tensor, alpha float32) {
	made(s, "add_", func() gotorch.Tensor {
		lent := borrow(a)
		return lent.AddI(borrow(b), alpha)
	})
}

// detach returns a tensor over the memory of x.
func detach(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	return made(s, "detach", func() gotorch.Tensor {
		lent := borrow(x)
		return lent.Detach()
	})
}

func sum(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	return made(s, "sum", func() gotorch.Tensor { return gotorch.Sum(borrow(x)) })
}

func ones(s *tensor.Scope, shape ...int64) *tensor.Tensor {
	return made(s, "ones", func() gotorch.Tensor { return gotorch.Ones(shape, false) })
}

// binaryCrossEntropy is that of probabilities p, averaged.
func binaryCrossEntropy(s *tensor.Scope, p, target *tensor.Tensor) *tensor.Tensor {
	return made(s, "binary_cross_entropy", func() gotorch.Tensor {
		return functional.BinaryCrossEntropy(borrow(p), borrow(target), gotorch.Tensor{}, "mean")
	})
}

func normalInto(s *tensor.Scope, seed int64, dst *tensor.Tensor, mean, deviation float64) {
	lent := borrow(dst)
	guarded(s, "normal_", func() {
		initializer.ManualSeed(seed)
		initializer.Normal(&lent, mean, deviation)
	})
}

// kaimingUniformInto draws as He et al. (ICCV 2015) do before a rectifier.
func kaimingUniformInto(s *tensor.Scope, seed int64, dst *tensor.Tensor) {
	lent := borrow(dst)
	guarded(s, "kaiming_uniform_", func() {
		initializer.ManualSeed(seed)
		initializer.KaimingUniform(&lent, 0, "fan_in", "relu")
	})
}

// backward leaves d loss / d leaf with each leaf that loss was computed from. An exception in C++ would end the
// process here, so what makes libtorch throw one is looked for before.
func backward(s *tensor.Scope, loss *tensor.Tensor) {
	if n := tensor.Numel(loss.Shape()); n != 1 || !loss.Differentiable() {
		s.Fail(fmt.Errorf("gotorch: backward: a loss of %d elements, with a graph: %t: want one element and a graph", n, loss.Differentiable()))
	}
	lent := borrow(loss)
	lent.Backward()
}

// grad returns the gradient that backward left with a leaf.
func grad(s *tensor.Scope, leaf *tensor.Tensor) *tensor.Tensor {
	return made(s, "grad", func() gotorch.Tensor {
		lent := borrow(leaf)
		return lent.Grad()
	})
}

// adam is libtorch's C++ optimiser over leaves.
type adam struct{ opt gotorch.Optimizer }

// newAdam returns an optimiser that the caller closes. An exception in C++ would end the process here and in step: only
// leaves are let in.
func newAdam(s *tensor.Scope, lr, beta1, beta2 float64, leaves ...*tensor.Tensor) *adam {
	lent := make([]gotorch.Tensor, len(leaves))
	for i, l := range leaves {
		if !l.IsLeaf() || !l.Differentiable() {
			s.Fail(fmt.Errorf("gotorch: adam: parameter %d is no leaf that gradients are asked for", i))
		}
		lent[i] = borrow(l)
	}
	if len(lent) == 0 {
		s.Fail(fmt.Errorf("gotorch: adam: no parameters"))
	}
	a := &adam{gotorch.Adam(lr, beta1, beta2, 0)}
	runtime.SetFinalizer(a.opt.Opt, nil) // it would free a second time what close frees
	a.opt.AddParameters(lent)
	return a
}

// step takes one step along the gradients that backward left, and takes these away.
func (a *adam) step() {
	a.opt.Step()
	a.opt.ZeroGrad()
}

func (a *adam) close() { a.opt.Close() }
