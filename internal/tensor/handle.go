//go:build gotorch

package tensor

// #include <stdint.h>
// void at_manual_seed(int64_t);
import "C"

import (
	"errors"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// Handle returns the at::Tensor that t stands for, for another binding of the same libtorch. It stays t's: it may be
// used until t is freed, and is not to be freed by anyone else.
func (t *Tensor) Handle() unsafe.Pointer { return unsafe.Pointer(t.c) }

// Adopt takes over an at::Tensor that another binding made, as own does with those of this one. An undefined one, such as the
// gradient of what no gradient has reached, is an error.
func (s *Scope) Adopt(op string, handle unsafe.Pointer) *Tensor {
	t := s.own(op, lib.Ctensor(handle))
	if !lib.AtDefined(t.c) {
		s.Fail(errors.New(op + ": the tensor is undefined"))
	}
	return t
}

// IsLeaf says whether t is where gradients end up: it was not computed from a tensor that has them.
func (t *Tensor) IsLeaf() bool { return lib.AtgIsLeaf(t.c) }

// Seed sets libtorch's own generator of random numbers, which samtune draws nothing from.
func Seed(seed int64) { C.at_manual_seed(C.int64_t(seed)) }

// NormalInto overwrites dst with draws from libtorch's generator.
func (s *Scope) NormalInto(dst *Tensor, mean, deviation float64) {
	s.inPlace("normal_", func(o *lib.Ctensor) { lib.AtgNormal_(o, dst.c, mean, deviation) })
}

// UniformInto overwrites dst with draws from libtorch's generator, between low and high.
func (s *Scope) UniformInto(dst *Tensor, low, high float64) {
	s.inPlace("uniform_", func(o *lib.Ctensor) { lib.AtgUniform_(o, dst.c, low, high) })
}
