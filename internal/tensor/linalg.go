package tensor

import (
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// FromFloat64 copies values in row-major order into a float64 tensor of the given shape.
func (s *Scope) FromFloat64(values []float64, shape ...int64) *Tensor {
	return s.fromMemory("from float64", Float64, len(values), unsafe.Pointer(unsafe.SliceData(values)), shape)
}

// Float64s returns a copy of t's elements as float64, row-major.
func (s *Scope) Float64s(t *Tensor) []float64 {
	out := make([]float64, Numel(t.Shape()))
	if len(out) == 0 {
		return out
	}
	inner := &Scope{dev: s.dev}
	defer inner.close()
	host := inner.Contiguous(inner.ToDType(inner.to(t, -1), Float64))
	copy(out, unsafe.Slice((*float64)(dataPointer(host)), len(out)))
	return out
}

// Cholesky returns the lower triangle L of a symmetric positive definite matrix a = L L^T. A matrix
// that is not positive definite is an error.
func (s *Scope) Cholesky(a *Tensor) *Tensor {
	return s.made("cholesky", func(o *lib.Ctensor) { lib.AtgLinalgCholesky(o, a.c, 0) })
}

// CholeskySolve returns x [N, K] with L L^T x = b for the lower triangle L [N, N].
func (s *Scope) CholeskySolve(b, lower *Tensor) *Tensor {
	return s.made("cholesky_solve", func(o *lib.Ctensor) { lib.AtgCholeskySolve(o, b.c, lower.c, 0) })
}
