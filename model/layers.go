package model

import (
	"fmt"

	"samtune/internal/tensor"
)

func linear(s *tensor.Scope, w Weights, name string, x *tensor.Tensor) *tensor.Tensor {
	return s.Linear(x, w.get(s, name+".weight"), w.get(s, name+".bias"))
}

func layerNorm(s *tensor.Scope, w Weights, name string, x *tensor.Tensor, eps float64) *tensor.Tensor {
	return s.LayerNorm(x, w.get(s, name+".weight"), w.get(s, name+".bias"), eps)
}

// perceptron is SAM's MLP: linear layers with ReLU between them.
func perceptron(s *tensor.Scope, w Weights, name string, depth int, x *tensor.Tensor) *tensor.Tensor {
	for i := range depth {
		x = linear(s, w, fmt.Sprintf("%s.layers.%d", name, i), x)
		if i < depth-1 {
			x = s.ReLU(x)
		}
	}
	return x
}

// patchLinear turns the kernel [Cout, Cin, k, k] of a convolution whose stride is its kernel's size into
// the matrix of the linear layer that it is over patches, [Cout, k*k*Cin].
func patchLinear(s *tensor.Scope, kernel *tensor.Tensor) *tensor.Tensor {
	return s.Reshape(s.Permute(kernel, 0, 2, 3, 1), kernel.Shape()[0], -1)
}

// patches cuts x [B, H, W, C] into 2 x 2 patches, [B, H/2, W/2, 4*C].
func patches(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	d := x.Shape()
	x = s.Reshape(x, d[0], d[1]/2, 2, d[2]/2, 2, d[3])
	return s.Reshape(s.Permute(x, 0, 1, 3, 2, 4, 5), d[0], d[1]/2, d[2]/2, 4*d[3])
}

// spreadLinear is patchLinear for the kernel [Cin, Cout, 2, 2] of a transposed convolution: the matrix
// [4*Cout, Cin] makes the four pixels that one becomes, row by row.
func spreadLinear(s *tensor.Scope, kernel *tensor.Tensor) *tensor.Tensor {
	d := kernel.Shape()
	return s.Reshape(s.Permute(kernel, 2, 3, 1, 0), 4*d[1], d[0])
}
