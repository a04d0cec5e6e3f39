package tensor

/*
#include <stdint.h>
#include <stdlib.h>

char *samtune_linear(void **, void *, void *, void *);
char *samtune_attention(void **, void **, int64_t);
*/
import "C"

import (
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// fused takes over the result of one of fused.cc's functions, or fails with their error.
func (s *Scope) fused(op string, f func(out *unsafe.Pointer) *C.char) *Tensor {
	var out unsafe.Pointer
	if text := f(&out); text != nil {
		defer C.free(unsafe.Pointer(text))
		s.Fail(torchError(op, C.GoString(text)))
	}
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
