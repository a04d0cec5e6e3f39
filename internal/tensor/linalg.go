package tensor

import lib "github.com/sugarme/gotch/libtch"

// Cholesky returns the lower triangle L of a symmetric positive definite matrix a = L L^T. A matrix
// that is not positive definite is an error.
func (s *Scope) Cholesky(a *Tensor) *Tensor {
	return s.made("cholesky", func(o *lib.Ctensor) { lib.AtgLinalgCholesky(o, a.c, 0) })
}

// CholeskySolve returns x [N, K] with L L^T x = b for the lower triangle L [N, N].
func (s *Scope) CholeskySolve(b, lower *Tensor) *Tensor {
	return s.made("cholesky_solve", func(o *lib.Ctensor) { lib.AtgCholeskySolve(o, b.c, lower.c, 0) })
}
