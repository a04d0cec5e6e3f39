package tensor

import lib "github.com/sugarme/gotch/libtch"

// CopyInto overwrites the elements of dst with those of src, of the same shape.
func (s *Scope) CopyInto(dst, src *Tensor) {
	lib.AtCopy_(dst.c, src.c)
	check("copy_")
}

// AddInto adds t to dst.
func (s *Scope) AddInto(dst, t *Tensor) {
	s.inPlace("add_", func(o *lib.Ctensor) { lib.AtgAdd_(o, dst.c, t.c) })
}

// ScaleInto multiplies dst by v.
func (s *Scope) ScaleInto(dst *Tensor, v float64) {
	c := lib.AtsFloat(v)
	defer lib.AtsFree(c)
	s.inPlace("mul_", func(o *lib.Ctensor) { lib.AtgMulScalar_(o, dst.c, c) })
}

// ShiftInto adds v to dst.
func (s *Scope) ShiftInto(dst *Tensor, v float64) {
	c := lib.AtsFloat(v)
	defer lib.AtsFree(c)
	s.inPlace("add_", func(o *lib.Ctensor) { lib.AtgAddScalar_(o, dst.c, c) })
}

// GELUInto applies the exact GELU in place: only without autograd.
func (s *Scope) GELUInto(dst *Tensor) {
	s.inPlace("gelu_", func(o *lib.Ctensor) { geluInto(o, dst) })
}

// ClampInto bounds the elements of dst.
func (s *Scope) ClampInto(dst *Tensor, low, high float64) {
	a, b := lib.AtsFloat(low), lib.AtsFloat(high)
	defer lib.AtsFree(a)
	defer lib.AtsFree(b)
	s.inPlace("clamp_", func(o *lib.Ctensor) { lib.AtgClamp_(o, dst.c, a, b) })
}
