package model

import (
	"fmt"
	"math"
	"sort"
	"strings"

	"samtune/checkpoints"
	"samtune/internal/tensor"
)

// Weights are parameters by their official names.
type Weights map[string]*tensor.Tensor

func (w Weights) get(s *tensor.Scope, name string) *tensor.Tensor {
	t, ok := w[name]
	if !ok {
		s.Fail(fmt.Errorf("model: parameter %q is not there", name))
	}
	return t
}

// Names returns the parameters' names in order.
func (w Weights) Names() []string {
	names := make([]string, 0, len(w))
	for n := range w {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Drop frees all parameters.
func (w Weights) Drop() {
	for _, t := range w {
		t.Drop()
	}
}

// DropOn frees all parameters on the thread of the device that they are on.
func (w Weights) DropOn(dev *tensor.Device) {
	// Freeing does not fail, and the closure has no error of its own.
	_ = dev.Run(func(*tensor.Scope) error { w.Drop(); return nil })
}

// convert brings all parameters to another element type.
func (w Weights) convert(s *tensor.Scope, dtype tensor.DType) {
	for name, t := range w {
		w[name] = s.Keep(s.ToDType(t, dtype))
		t.Drop()
	}
}

// With returns the parameters of w with those of other in their place where both have one.
func (w Weights) With(other Weights) Weights {
	out := make(Weights, len(w)+len(other))
	for n, t := range w {
		out[n] = t
	}
	for n, t := range other {
		out[n] = t
	}
	return out
}

// params collects the names and shapes that a network is made of.
type params []checkpoints.Info

func (p *params) add(name string, shape ...int64) {
	*p = append(*p, checkpoints.Info{Name: name, DType: "F32", Shape: shape})
}

func (p *params) linear(name string, in, out int) {
	p.add(name+".weight", int64(out), int64(in))
	p.add(name+".bias", int64(out))
}

func (p *params) norm(name string, dim int) {
	p.add(name+".weight", int64(dim))
	p.add(name+".bias", int64(dim))
}

// Params lists every parameter and buffer of the model's official state dictionary, ordered by name.
func (s *Spec) Params() []checkpoints.Info {
	p := s.encoderParams()
	s.promptParams(&p)
	s.decoderParams(&p)
	sort.Slice(p, func(i, j int) bool { return p[i].Name < p[j].Name })
	return p
}

// loadWeights reads the parameters whose names start with prefix as float32 tensors that the caller drops.
func loadWeights(s *tensor.Scope, f *checkpoints.File, prefix string) (Weights, error) {
	w := Weights{}
	for _, name := range f.Names() {
		if !strings.HasPrefix(name, prefix) {
			continue
		}
		info, _ := f.Info(name)
		dtype, err := dtypeOf(info)
		if err != nil {
			w.Drop()
			return nil, err
		}
		if dtype == tensor.Int64 { // num_batches_tracked: counts that inference does not use
			continue
		}
		var failed error
		t := s.Block(func(s *tensor.Scope) *tensor.Tensor {
			t := s.Load(dtype, info.Shape, func(dst []byte) error {
				failed = f.ReadInto(name, dst)
				return failed
			})
			if dtype != tensor.Float32 {
				t = s.ToDType(t, tensor.Float32)
			}
			if sum := s.Item(s.Sum(t)); math.IsNaN(sum) || math.IsInf(sum, 0) {
				s.Fail(fmt.Errorf("%w: parameter %q holds what is no number: the training that made it has failed", checkpoints.ErrCorrupt, name))
			}
			return t
		})
		w[name] = s.Keep(t)
	}
	return w, nil
}

func dtypeOf(info checkpoints.Info) (tensor.DType, error) {
	switch info.DType {
	case "F32":
		return tensor.Float32, nil
	case "F16":
		return tensor.Float16, nil
	case "BF16":
		return tensor.BFloat16, nil
	case "F64":
		return tensor.Float64, nil
	case "I64":
		return tensor.Int64, nil
	}
	return 0, fmt.Errorf("parameter %q has element type %s, want F32, F16, BF16 or F64", info.Name, info.DType)
}
