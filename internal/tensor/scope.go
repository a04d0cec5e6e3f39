package tensor

import (
	"fmt"
	"strings"
	"sync/atomic"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

// Tensor is a libtorch tensor. It belongs to the scope in which it was made until it is kept.
type Tensor struct {
	c lib.Ctensor
}

// Scope owns the tensors made through it. Its methods are the operations; a libtorch failure inside one
// of them ends the enclosing Device.Run with an error.
type Scope struct {
	dev  *Device
	live []*Tensor
}

// failure carries a libtorch error up to Device.Run; it never leaves this package.
type failure struct{ err error }

// Fail ends the enclosing Device.Run with err: for code inside a scope that has no error to return.
func (s *Scope) Fail(err error) { panic(failure{err}) }

// live counts the tensors that exist, of all devices.
var live atomic.Int64

// Live returns the number of tensors that were made and not freed yet.
func Live() int64 { return live.Load() }

// Device returns where the scope's tensors live.
func (s *Scope) Device() *Device { return s.dev }

func (s *Scope) close() {
	for _, t := range s.live {
		t.Drop()
	}
	s.live = nil
}

// Drop frees a kept tensor. A second call does nothing.
func (t *Tensor) Drop() {
	if t.c != nil {
		lib.AtFree(t.c)
		t.c = nil
		live.Add(-1)
	}
}

// Keep takes t out of the scope: the caller owns it and must Drop it.
func (s *Scope) Keep(t *Tensor) *Tensor {
	for i := len(s.live) - 1; i >= 0; i-- {
		if s.live[i] == t {
			s.live = append(s.live[:i], s.live[i+1:]...)
			return t
		}
	}
	panic(failure{fmt.Errorf("keep tensor: it does not belong to this scope")})
}

// Block runs f in a scope of its own and hands its result to s: all else that f made is freed on return.
func (s *Scope) Block(f func(s *Scope) *Tensor) *Tensor {
	return s.BlockN(func(s *Scope) []*Tensor { return []*Tensor{f(s)} })[0]
}

// BlockN is Block for several results. A result may also be a tensor that was made outside of f.
func (s *Scope) BlockN(f func(s *Scope) []*Tensor) []*Tensor {
	inner := &Scope{dev: s.dev}
	defer inner.close()
	out := f(inner)
	for _, t := range out {
		for i, l := range inner.live {
			if l == t {
				inner.live = append(inner.live[:i], inner.live[i+1:]...)
				s.live = append(s.live, t)
				break
			}
		}
	}
	return out
}

// Grad runs f with autograd on or off and then restores the mode. A device starts with autograd off.
func (s *Scope) Grad(on bool, f func()) {
	before := setGrad(on)
	defer setGrad(before)
	f()
}

// own takes over a handle that libtorch returned; nil is libtorch's sign of an error.
func (s *Scope) own(op string, c lib.Ctensor) *Tensor {
	if c == nil {
		panic(failure{lastError(op)})
	}
	live.Add(1)
	t := &Tensor{c}
	s.live = append(s.live, t)
	return t
}

// made runs an operation that writes one handle and takes it over.
func (s *Scope) made(op string, f func(out *lib.Ctensor)) *Tensor {
	var out lib.Ctensor
	f(&out)
	return s.own(op, out)
}

// inPlace runs an operation that changes a tensor; the second handle on it that libtorch returns is freed.
func (s *Scope) inPlace(op string, f func(out *lib.Ctensor)) {
	var out lib.Ctensor
	f(&out)
	if out == nil {
		panic(failure{lastError(op)})
	}
	lib.AtFree(out)
}

func check(op string) {
	if p := lib.GetAndResetLastErr(); p != nil {
		panic(failure{torchError(op, goString(unsafe.Pointer(p)))})
	}
}

func lastError(op string) error {
	p := lib.GetAndResetLastErr()
	if p == nil {
		return fmt.Errorf("%s: libtorch gave no result and no reason", op)
	}
	return torchError(op, goString(unsafe.Pointer(p)))
}

// torchError keeps the sentence of a libtorch message and drops its C++ stack.
func torchError(op, message string) error {
	first, _, _ := strings.Cut(message, "\n")
	first = strings.TrimSpace(first)
	for _, sign := range []string{"out of memory", "can't allocate memory", "CUBLAS_STATUS_ALLOC_FAILED", "CUDNN_STATUS_ALLOC_FAILED"} {
		if strings.Contains(first, sign) {
			return fmt.Errorf("%s: %w: %s", op, ErrMemory, first)
		}
	}
	return fmt.Errorf("%s: %s", op, first)
}
