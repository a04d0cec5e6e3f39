package tensor

import (
	"fmt"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// DType is the type of a tensor's elements, with libtorch's numbers.
type DType int32

// The element types that samtune uses.
const (
	Uint8    DType = 0
	Int64    DType = 4
	Float16  DType = 5
	Float32  DType = 6
	Float64  DType = 7
	BFloat16 DType = 15
)

// Size returns the bytes of one element.
func (d DType) Size() int64 {
	switch d {
	case Uint8:
		return 1
	case Float16, BFloat16:
		return 2
	case Float32:
		return 4
	default:
		return 8
	}
}

func (d DType) String() string {
	switch d {
	case Uint8:
		return "uint8"
	case Int64:
		return "int64"
	case Float16:
		return "float16"
	case Float32:
		return "float32"
	case Float64:
		return "float64"
	case BFloat16:
		return "bfloat16"
	}
	return fmt.Sprintf("dtype %d", int32(d))
}

// ParseDType is the inverse of String for the types of floating-point numbers.
func ParseDType(name string) (DType, error) {
	for _, d := range []DType{Float16, BFloat16, Float32, Float64} {
		if d.String() == name {
			return d, nil
		}
	}
	return 0, fmt.Errorf("unknown element type %q: want float16, bfloat16, float32 or float64", name)
}

// Numel returns the number of elements of a shape.
func Numel(shape []int64) int64 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	return n
}

func (s *Scope) dims(op string, shape []int64) {
	if len(shape) == 0 {
		s.Fail(fmt.Errorf("%s: shape [] is not supported, want one dimension or more", op))
	}
}

// Zeros returns a tensor of zeros on the scope's device.
func (s *Scope) Zeros(dtype DType, shape ...int64) *Tensor {
	s.dims("zeros", shape)
	return s.made("zeros", func(o *lib.Ctensor) {
		lib.AtgZeros(o, shape, len(shape), int32(dtype), int32(s.dev.index))
	})
}

// Full returns a float32 tensor with every element v.
func (s *Scope) Full(v float64, shape ...int64) *Tensor {
	s.dims("full", shape)
	c := lib.AtsFloat(v)
	defer lib.AtsFree(c)
	return s.made("full", func(o *lib.Ctensor) {
		lib.AtgFull(o, shape, len(shape), c, int32(Float32), int32(s.dev.index))
	})
}

// Item returns the only element of t.
func (s *Scope) Item(t *Tensor) float64 {
	if n := Numel(t.Shape()); n != 1 {
		s.Fail(fmt.Errorf("item: tensor of shape %v has %d elements, want 1", t.Shape(), n))
	}
	return float64(s.Float32s(s.Reshape(t, 1))[0])
}

// Shape returns the tensor's dimensions; [] for a scalar.
func (t *Tensor) Shape() []int64 {
	n := lib.AtDim(t.c)
	if n == 0 {
		return nil
	}
	shape := make([]int64, n)
	lib.AtShape(t.c, unsafe.Pointer(&shape[0]))
	return shape
}

// DType returns the type of the tensor's elements.
func (t *Tensor) DType() DType { return DType(lib.AtScalarType(t.c)) }

// ToDType returns t with its elements converted.
func (s *Scope) ToDType(t *Tensor, dtype DType) *Tensor {
	return s.made("to dtype", func(o *lib.Ctensor) { lib.AtgToDtype(o, t.c, int32(dtype), 0, 0) })
}
