//go:build gotorch

package witness

import (
	"math"
	"math/rand/v2"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// repetition is one computation, done by samtune's own code and again by gotorch's calls.
type repetition struct {
	name         string
	tolerance    float64 // largest difference, relative to ours' largest magnitude; 0: the same bits
	ours, theirs func(s *tensor.Scope, in inputs) *tensor.Tensor
}

// inputs are what all computations begin with.
type inputs struct {
	seed     int64          // of libtorch's generator
	picture  *tensor.Tensor // [1, 4, 16, 16]
	kernel   *tensor.Tensor // [8, 4, 3, 3]
	bias     *tensor.Tensor // [8]
	head     *tensor.Tensor // [1, 8, 1, 1]
	up       *tensor.Tensor // [4, 8, 2, 2], of a transposed convolution
	target   *tensor.Tensor // [1, 1, 16, 16] of 0 and 1
	gradient *tensor.Tensor // [8, 4, 3, 3]
}

// ulp is the distance between 1 and the next float32.
const ulp = 1.0 / (1 << 23)

const (
	steps        = 3
	learningRate = 1e-2
)

// The two do the same where they come to the same kernel with the same numbers: then the bits agree. The loss, and what is
// computed from it, does not: gotorch has cross-entropy of probabilities alone, where samtune's is of logits. 1 - p
// is rounded at the size of p, so that its logarithm is wrong by up to exp(|logit|) ulp/2, 27 ulp for the largest logits
// here, which are below 4. Over 256 pixels errors of either sign average out to 27/sqrt(256) = 2 ulp; twice that is let pass.
var repetitions = []repetition{
	{"normal initialisation", 0,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			w := copied(s, in.kernel)
			tensor.Seed(in.seed)
			s.NormalInto(w, 0, 0.02)
			return w
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			w := copied(s, in.kernel)
			normalInto(s, in.seed, w, 0, 0.02)
			return w
		}},
	{"He initialisation", 0,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			w := copied(s, in.kernel)
			bound := math.Sqrt(3) * math.Sqrt(2) / math.Sqrt(float64(4*3*3))
			tensor.Seed(in.seed)
			s.UniformInto(w, -bound, bound)
			return w
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			w := copied(s, in.kernel)
			kaimingUniformInto(s, in.seed, w)
			return w
		}},
	{"convolution", 0,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			return s.Conv2d(in.picture, in.kernel, in.bias, 2, 1, 1)
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			return conv2d(s, in.picture, in.kernel, in.bias, 2, 1, 1)
		}},
	{"depthwise convolution", 0,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			return s.Conv2d(in.picture, s.Narrow(s.Narrow(in.kernel, 0, 0, 4), 1, 0, 1), nil, 1, 1, 4)
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			return conv2d(s, in.picture, s.Narrow(s.Narrow(in.kernel, 0, 0, 4), 1, 0, 1), nil, 1, 1, 4)
		}},
	{"transposed convolution", 0,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			return s.ConvTranspose2d(in.picture, in.up, in.bias, 2)
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			return convTranspose2d(s, in.picture, in.up, in.bias, 2)
		}},
	{"network", 0,
		func(s *tensor.Scope, in inputs) *tensor.Tensor { return in.ourLogits(s, in.weights()) },
		func(s *tensor.Scope, in inputs) *tensor.Tensor { return in.theirLogits(s, in.weights()) }},
	{"loss", 4 * ulp,
		func(s *tensor.Scope, in inputs) *tensor.Tensor { return in.ourLoss(s, in.weights()) },
		func(s *tensor.Scope, in inputs) *tensor.Tensor { return in.theirLoss(s, in.weights()) }},
	// The same graph, recorded by gotch's calls, is walked back by each.
	{"backward", 0, ourGradient,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			opt := in.optimiser(s, parameters)
			defer opt.Drop()
			s.Grad(true, func() { backward(s, in.ourLoss(s, opt.Leaves())) })
			return gradients(s, opt.Leaves())
		}},
	// Forward, loss and backward, all by each. A pixel's gradient has the error of the loss once more, from the division by
	// p (1 - p) that the sigmoid's derivative takes back.
	{"gradient", 8 * ulp, ourGradient,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			leaves := in.leaves(s)
			s.Grad(true, func() { backward(s, in.theirLoss(s, leaves)) })
			return gradients(s, leaves)
		}},
	// From the same gradients. A step's size has an error of some ulp, which is nothing beside the parameter; what is left is
	// that either rounds the parameter once in each step.
	{"Adam", steps * ulp,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			opt := in.optimiser(s, parameters[2:])
			defer opt.Drop()
			for i := range steps {
				opt.Step(s, s.Reshape(in.gradientOf(s, i), -1), learningRate, 0, 0)
			}
			return copied(s, opt.Weights(s)["kernel"])
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			leaf := s.Leaf(copied(s, in.kernel))
			opt := newAdam(s, learningRate, 0.9, 0.999, leaf)
			defer opt.close()
			for i := range steps {
				s.Grad(true, func() { backward(s, sum(s, mul(s, leaf, in.gradientOf(s, i)))) })
				opt.step()
			}
			return leaf
		}},
	// All of it in a loop, and the losses of its steps. Parameters may differ by more: Adam divides a gradient by its own size, so
	// that one which is nearly zero may send its parameter the other way. Such a parameter hardly moves the loss.
	{"training", 8 * ulp,
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			opt := in.optimiser(s, parameters)
			defer opt.Drop()
			var losses []*tensor.Tensor
			for range steps {
				var g *tensor.Tensor
				s.Grad(true, func() {
					loss := in.ourLoss(s, opt.Leaves())
					losses = append(losses, loss)
					g = opt.Gradient(s, loss)
				})
				opt.Step(s, g, learningRate, 0, 0)
			}
			return s.Stack(0, losses...)
		},
		func(s *tensor.Scope, in inputs) *tensor.Tensor {
			leaves := in.leaves(s)
			opt := newAdam(s, learningRate, 0.9, 0.999, leaves["bias"], leaves["head"], leaves["kernel"])
			defer opt.close()
			var losses []*tensor.Tensor
			for range steps {
				s.Grad(true, func() {
					loss := in.theirLoss(s, leaves)
					losses = append(losses, loss)
					backward(s, loss)
				})
				opt.step()
			}
			return s.Stack(0, losses...)
		}},
}

// parameters are the network's, ordered by name.
var parameters = []checkpoints.Info{
	{Name: "bias", DType: "F32", Shape: []int64{8}},
	{Name: "head", DType: "F32", Shape: []int64{1, 8, 1, 1}},
	{Name: "kernel", DType: "F32", Shape: []int64{8, 4, 3, 3}},
}

// newInputs draws the same inputs each time.
func newInputs(s *tensor.Scope) inputs {
	r := rand.New(rand.NewPCG(7, 7))
	normal := func(deviation float64, shape ...int64) *tensor.Tensor {
		values := make([]float32, tensor.Numel(shape))
		for i := range values {
			values[i] = float32(deviation * r.NormFloat64())
		}
		return s.FromFloat32(values, shape...)
	}
	target := make([]float32, 16*16)
	for i := range target {
		target[i] = float32(r.IntN(2))
	}
	return inputs{
		seed: 1, picture: normal(1, 1, 4, 16, 16), kernel: normal(0.2, 8, 4, 3, 3), bias: normal(0.1, 8), head: normal(0.3, 1, 8, 1, 1),
		up: normal(0.2, 4, 8, 2, 2), target: s.FromFloat32(target, 1, 1, 16, 16), gradient: normal(1, 8, 4, 3, 3),
	}
}

func (in inputs) weights() model.Weights {
	return model.Weights{"bias": in.bias, "head": in.head, "kernel": in.kernel}
}

// leaves are copies of the weights that gradients are asked for.
func (in inputs) leaves(s *tensor.Scope) model.Weights {
	w := model.Weights{}
	for name, t := range in.weights() {
		w[name] = s.Leaf(copied(s, t))
	}
	return w
}

// optimiser is samtune's, over some of the weights.
func (in inputs) optimiser(s *tensor.Scope, infos []checkpoints.Info) *train.AdamW {
	opt, err := train.NewAdamW(s, infos, in.weights())
	if err != nil {
		s.Fail(err)
	}
	return opt
}

// gradientOf is the gradient of one step: another one each time.
func (in inputs) gradientOf(s *tensor.Scope, step int) *tensor.Tensor {
	return s.MulScalar(in.gradient, 1-0.4*float64(step))
}

func (in inputs) ourLogits(s *tensor.Scope, w model.Weights) *tensor.Tensor {
	return s.Conv2d(s.ReLU(s.Conv2d(in.picture, w["kernel"], w["bias"], 1, 1, 1)), w["head"], nil, 1, 0, 1)
}

func (in inputs) theirLogits(s *tensor.Scope, w model.Weights) *tensor.Tensor {
	return conv2d(s, relu(s, conv2d(s, in.picture, w["kernel"], w["bias"], 1, 1, 1)), w["head"], nil, 1, 0, 1)
}

// ourLoss is the loss that samtune trains with.
func (in inputs) ourLoss(s *tensor.Scope, w model.Weights) *tensor.Tensor {
	valid := s.Full(1, in.target.Shape()...)
	return train.DefaultLoss().Loss(s, in.ourLogits(s, w), in.target, valid, nil)
}

// theirLoss is cross-entropy plus 1 - (2 sum(p t) + 1) / (sum p + sum t + 1).
func (in inputs) theirLoss(s *tensor.Scope, w model.Weights) *tensor.Tensor {
	p := sigmoid(s, in.theirLogits(s, w))
	one := ones(s, 1)
	overlap := add(s, one, sum(s, mul(s, p, in.target)), 2)
	total := add(s, one, add(s, sum(s, p), sum(s, in.target), 1), 1)
	return sum(s, add(s, add(s, binaryCrossEntropy(s, p, in.target), one, 1), div(s, overlap, total), -1))
}

// ourGradient is that of all parameters, flat.
func ourGradient(s *tensor.Scope, in inputs) *tensor.Tensor {
	opt := in.optimiser(s, parameters)
	defer opt.Drop()
	var g *tensor.Tensor
	s.Grad(true, func() { g = opt.Gradient(s, in.ourLoss(s, opt.Leaves())) })
	return g
}

// gradients are those that backward left with leaves, flat.
func gradients(s *tensor.Scope, leaves model.Weights) *tensor.Tensor {
	var flat []*tensor.Tensor
	for _, p := range parameters {
		flat = append(flat, grad(s, leaves[p.Name]))
	}
	return s.Flatten(flat...)
}

func copied(s *tensor.Scope, t *tensor.Tensor) *tensor.Tensor { return s.MulScalar(t, 1) }
