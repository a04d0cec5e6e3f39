package tensor

/*
#include <stdbool.h>
#include <stdint.h>

char *samtune_empty(void **, const int64_t *, int, int, bool);
char *samtune_upload(void **, void *, int);
char *samtune_host(void **, void *, bool);
*/
import "C"

import (
	"bytes"
	"fmt"
	"slices"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// pinnedBytes is the most of a tensor that goes between a GPU and the host by way of pinned memory: libtorch never gives that back.
const pinnedBytes = 64 << 20

// pinned says whether such a tensor goes by way of pinned memory.
func (s *Scope) pinned(dtype DType, shape []int64) bool {
	return s.dev.CUDA() && Numel(shape)*dtype.Size() <= pinnedBytes
}

// FromFloat32 copies values in row-major order into a tensor of the given shape.
func (s *Scope) FromFloat32(values []float32, shape ...int64) *Tensor {
	return s.fromMemory("from float32", Float32, len(values), unsafe.Pointer(unsafe.SliceData(values)), shape)
}

// FromInt64 copies values in row-major order into a tensor of the given shape.
func (s *Scope) FromInt64(values []int64, shape ...int64) *Tensor {
	return s.fromMemory("from int64", Int64, len(values), unsafe.Pointer(unsafe.SliceData(values)), shape)
}

// FromUint8 copies values in row-major order into a tensor of the given shape.
func (s *Scope) FromUint8(values []uint8, shape ...int64) *Tensor {
	return s.fromMemory("from uint8", Uint8, len(values), unsafe.Pointer(unsafe.SliceData(values)), shape)
}

// FromFloat64 copies values in row-major order into a float64 tensor of the given shape.
func (s *Scope) FromFloat64(values []float64, shape ...int64) *Tensor {
	return s.fromMemory("from float64", Float64, len(values), unsafe.Pointer(unsafe.SliceData(values)), shape)
}

func (s *Scope) fromMemory(op string, dtype DType, n int, data unsafe.Pointer, shape []int64) *Tensor {
	s.dims(op, shape)
	if Numel(shape) != int64(n) {
		s.Fail(fmt.Errorf("%s: %d values for shape %v", op, n, shape))
	}
	return s.Load(dtype, shape, func(dst []byte) error { copy(dst, unsafe.Slice((*byte)(data), len(dst))); return nil })
}

// Load returns a tensor of the given type and shape whose row-major little-endian bytes read writes straight into libtorch's
// memory, where it finds what was there. Shape [] becomes [1].
func (s *Scope) Load(dtype DType, shape []int64, read func(dst []byte) error) *Tensor {
	if len(shape) == 0 {
		shape = []int64{1}
	}
	if Numel(shape) == 0 {
		return s.Zeros(dtype, shape...)
	}
	t := s.fused("load", func(out *unsafe.Pointer) *C.char {
		return C.samtune_empty(out, (*C.int64_t)(unsafe.Pointer(&shape[0])), C.int(len(shape)), C.int(dtype), C.bool(s.pinned(dtype, shape)))
	})
	if err := read(t.Memory()); err != nil {
		s.Fail(err)
	}
	return s.ToDevice(t)
}

// ToDevice returns t on the scope's device.
func (s *Scope) ToDevice(t *Tensor) *Tensor {
	switch {
	case int(lib.AtDevice(t.c)) == s.dev.index:
		return t
	case s.dev.CUDA():
		return s.fused("to device", func(out *unsafe.Pointer) *C.char {
			return C.samtune_upload(out, unsafe.Pointer(t.c), C.int(s.dev.index))
		})
	}
	return s.Host(t)
}

// Host returns t's elements in memory of the host, row-major, for Memory; on a CPU it may be t's own memory.
func (s *Scope) Host(t *Tensor) *Tensor {
	return s.fused("to host", func(out *unsafe.Pointer) *C.char {
		return C.samtune_host(out, unsafe.Pointer(t.c), C.bool(s.pinned(t.DType(), t.Shape())))
	})
}

// Memory is the memory of a tensor on the host, as Host returns it: little-endian, until it is dropped.
func (t *Tensor) Memory() []byte {
	n := Numel(t.Shape()) * t.DType().Size()
	if n == 0 {
		return nil
	}
	return unsafe.Slice((*byte)(dataPointer(t)), n)
}

// Bytes returns a copy of t's elements, row-major and little-endian.
func (s *Scope) Bytes(t *Tensor) []byte {
	inner := &Scope{dev: s.dev}
	defer inner.close()
	return bytes.Clone(inner.Host(t).Memory())
}

// Float32s returns a copy of t's elements as float32, row-major.
func (s *Scope) Float32s(t *Tensor) []float32 { return converted[float32](s, t, Float32) }

// Float64s returns a copy of t's elements as float64, row-major.
func (s *Scope) Float64s(t *Tensor) []float64 { return converted[float64](s, t, Float64) }

func converted[T float32 | float64](s *Scope, t *Tensor, dtype DType) []T {
	inner := &Scope{dev: s.dev}
	defer inner.close()
	host := inner.Host(inner.ToDType(t, dtype)).Memory()
	if len(host) == 0 {
		return []T{}
	}
	return slices.Clone(unsafe.Slice((*T)(unsafe.Pointer(&host[0])), Numel(t.Shape())))
}
