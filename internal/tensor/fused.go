package tensor

/*
#include <stdint.h>
#include <stdlib.h>

char *samtune_linear(void **, void *, void *, void *);
char *samtune_attention(void **, void **, int64_t);
char *samtune_adamw(void **, int64_t, const double *);
*/
import "C"

import (
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// done fails with the error of one of fused.cc's functions, if it is one.
func (s *Scope) done(op string, text *C.char) {
	if text != nil {
		defer C.free(unsafe.Pointer(text))
		s.Fail(torchError(op, C.GoString(text)))
	}
}

// fused takes over the result of one of fused.cc's functions, or fails with their error.
func (s *Scope) fused(op string, f func(out *unsafe.Pointer) *C.char) *Tensor {
	var out unsafe.Pointer
	s.done(op, f(&out))
	return s.own(op, lib.Ctensor(out))
}

// Linear returns x w^T + b; b may be nil. Shapes: x [..., in], w [out, in], b [out].
func (s *Scope) Linear(x, w, b *Tensor) *Tensor {
	if b == nil || !(x.Differentiable() || w.Differentiable() || b.Differentiable()) {
		return s.made("linear", func(o *lib.Ctensor) { lib.AtgLinear(o, x.c, w.c, optional(b)) })
	}
	return s.fused("linear", func(out *unsafe.Pointer) *C.char {
		return C.samtune_linear(out, unsafe.Pointer(x.c), unsafe.Pointer(w.c), unsafe.Pointer(b.c))
	})
}

// Projection is a linear layer: Weight [out, in] and Bias [out].
type Projection struct{ Weight, Bias *Tensor }

// MultiHead returns multi-head attention of q [B, Nq, in] to k and v [B, Nk, in], each projected before by a layer of its own and the
// result by a fourth: [B, Nq, out]. A head's scores are divided by the root of its width.
func (s *Scope) MultiHead(heads int64, q, k, v *Tensor, onQ, onK, onV, onOut Projection) *Tensor {
	var of [11]unsafe.Pointer
	for i, t := range []*Tensor{q, k, v, onQ.Weight, onQ.Bias, onK.Weight, onK.Bias, onV.Weight, onV.Bias, onOut.Weight, onOut.Bias} {
		of[i] = unsafe.Pointer(t.c)
	}
	return s.fused("attention", func(out *unsafe.Pointer) *C.char { return C.samtune_attention(out, &of[0], C.int64_t(heads)) })
}

// AdamWRates are a step's learning rate, the two moments' decay, the weights' and the epsilon beside the root of the second moment.
type AdamWRates struct{ LR, Beta1, Beta2, Decay, Epsilon float64 }

// AdamWInto takes the step-th step, counted from 1, of AdamW: it changes the weights and their two moments, all of one shape, by a gradient.
func (s *Scope) AdamWInto(weights, grad, mean, variance *Tensor, step int, r AdamWRates) {
	of := [...]unsafe.Pointer{unsafe.Pointer(weights.c), unsafe.Pointer(grad.c), unsafe.Pointer(mean.c), unsafe.Pointer(variance.c)}
	rates := [...]C.double{C.double(r.LR), C.double(r.Beta1), C.double(r.Beta2), C.double(r.Decay), C.double(r.Epsilon)}
	s.done("adamw", C.samtune_adamw(&of[0], C.int64_t(step), &rates[0]))
}
