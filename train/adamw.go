// Package train fine-tunes a decoder over the cached features of a frozen image encoder.
package train

import (
	"fmt"
	"slices"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/model"
)

// AdamW is decoupled weight decay with Adam (Loshchilov & Hutter, ICLR 2019), with PyTorch's arithmetic,
// over all trained parameters as one flat float32 buffer ordered by name: clipping, decay and step
// are a handful of operations however many parameters there are.
type AdamW struct {
	infos []checkpoints.Info
	sizes []int64
	flat  *tensor.Tensor // parameters, [N]
	mean  *tensor.Tensor // first moment, [N]
	vari  *tensor.Tensor // second moment, [N]
	steps int

	leaves model.Weights // the parameters as autograd sees them, each over its part of flat
}

// AdamW's constants, PyTorch's defaults.
const (
	beta1   = 0.9
	beta2   = 0.999
	epsilon = 1e-8
)

// NewAdamW copies the named parameters out of weights; infos must be ordered by name.
func NewAdamW(s *tensor.Scope, infos []checkpoints.Info, weights model.Weights) (*AdamW, error) {
	a := &AdamW{infos: infos, sizes: make([]int64, len(infos))}
	parts := make([]*tensor.Tensor, len(infos))
	for i, info := range infos {
		w, ok := weights[info.Name]
		if !ok {
			return nil, fmt.Errorf("train: parameter %q is not among the model's", info.Name)
		}
		a.sizes[i] = tensor.Numel(info.Shape)
		parts[i] = w
	}
	a.flat = s.Keep(s.Flatten(parts...))
	n := a.flat.Shape()[0]
	a.mean = s.Keep(s.Zeros(tensor.Float32, n))
	a.vari = s.Keep(s.Zeros(tensor.Float32, n))
	a.leaves = a.Weights(s)
	for name, w := range a.leaves {
		a.leaves[name] = s.Keep(s.Leaf(w))
	}
	return a, nil
}

// Drop frees the parameters and the optimiser's state.
func (a *AdamW) Drop() {
	a.flat.Drop()
	a.mean.Drop()
	a.vari.Drop()
	a.leaves.Drop()
}

// Len is how many numbers are trained.
func (a *AdamW) Len() int { return int(tensor.Numel(a.flat.Shape())) }

// Leaves returns the parameters by name as tensors that gradients are asked for; they share the buffer's memory and stay the optimiser's.
func (a *AdamW) Leaves() model.Weights { return a.leaves }

// Gradient returns the gradient [N] of a scalar loss that was computed from the leaves, and frees the graph. It is 0 where the loss does
// not reach.
func (a *AdamW) Gradient(s *tensor.Scope, loss *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		leaves := make([]*tensor.Tensor, len(a.infos))
		for i, info := range a.infos {
			leaves[i] = a.leaves[info.Name]
		}
		grads := s.Backward(loss, leaves...)
		var zeros *tensor.Tensor
		for i, g := range grads {
			if g != nil {
				continue
			}
			if zeros == nil {
				zeros = s.Zeros(tensor.Float32, slices.Max(a.sizes))
			}
			grads[i] = s.Narrow(zeros, 0, 0, a.sizes[i])
		}
		return s.Flatten(grads...)
	})
}

// Views cuts a flat buffer, the parameters or a gradient, into the parameters by name, without a copy.
func (a *AdamW) Views(s *tensor.Scope, flat *tensor.Tensor) model.Weights {
	w := make(model.Weights, len(a.infos))
	for i, part := range s.Split(flat, 0, a.sizes) {
		w[a.infos[i].Name] = s.Reshape(part, a.infos[i].Shape...)
	}
	return w
}

// Weights returns the parameters by name; they share the buffer's memory and belong to the scope.
func (a *AdamW) Weights(s *tensor.Scope) model.Weights { return a.Views(s, a.flat) }

// Step clips the gradient [N] to the norm clip (0: not at all) and takes one step. It returns the
// gradient's norm before clipping. The gradient is changed.
func (a *AdamW) Step(s *tensor.Scope, grad *tensor.Tensor, lr, decay, clip float64) float64 {
	norm := s.Item(s.Norm(grad))
	if clip > 0 {
		if scale := clip / (norm + 1e-6); scale < 1 {
			s.ScaleInto(grad, scale)
		}
	}
	a.steps++
	s.AdamWInto(a.flat, grad, a.mean, a.vari, a.steps, tensor.AdamWRates{LR: lr, Beta1: beta1, Beta2: beta2, Decay: decay, Epsilon: epsilon})
	return norm
}

// state returns what a checkpoint keeps: the parameters under their names, and the two moments.
func (a *AdamW) state(s *tensor.Scope) (weights, moments []checkpoints.Tensor) {
	flat := s.Bytes(a.flat)
	var at int64
	for i, info := range a.infos {
		n := a.sizes[i] * 4
		weights = append(weights, checkpoints.Tensor{Info: info, Data: flat[at : at+n]})
		at += n
	}
	size := []int64{tensor.Numel(a.flat.Shape())}
	moments = []checkpoints.Tensor{
		{Info: checkpoints.Info{Name: "first_moment", DType: "F32", Shape: size}, Data: s.Bytes(a.mean)},
		{Info: checkpoints.Info{Name: "second_moment", DType: "F32", Shape: size}, Data: s.Bytes(a.vari)},
	}
	return weights, moments
}

// restore sets the state to what state returned when steps had been taken.
func (a *AdamW) restore(s *tensor.Scope, weights, moments *checkpoints.File, steps int) error {
	if err := checkpoints.Match(a.infos, weights); err != nil {
		return err
	}
	parts := make([]*tensor.Tensor, len(a.infos))
	for i, info := range a.infos {
		parts[i] = read(s, weights, info)
	}
	s.CopyInto(a.flat, s.Flatten(parts...))
	size := []int64{tensor.Numel(a.flat.Shape())}
	want := []checkpoints.Info{{Name: "first_moment", DType: "F32", Shape: size}, {Name: "second_moment", DType: "F32", Shape: size}}
	if err := checkpoints.Match(want, moments); err != nil {
		return err
	}
	s.CopyInto(a.mean, read(s, moments, want[0]))
	s.CopyInto(a.vari, read(s, moments, want[1]))
	a.steps = steps
	return nil
}

func read(s *tensor.Scope, f *checkpoints.File, info checkpoints.Info) *tensor.Tensor {
	return s.Load(tensor.Float32, info.Shape, func(dst []byte) error { return f.ReadInto(info.Name, dst) })
}
