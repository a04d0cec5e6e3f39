package tensor

import lib "github.com/sugarme/gotch/libtch"

// AddMatmul returns a + x y for x [B, N, K], y [B, K, M] and an a that broadcasts to [B, N, M].
func (s *Scope) AddMatmul(a, x, y *Tensor) *Tensor {
	one := lib.AtsFloat(1)
	defer lib.AtsFree(one)
	return s.made("baddbmm", func(o *lib.Ctensor) { lib.AtgBaddbmm(o, a.c, x.c, y.c, one, one) })
}
