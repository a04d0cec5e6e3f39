package model

import (
	"fmt"
	"math"
	"strings"

	"samtune/internal/tensor"
)

// tinyViT is the encoder, made ready for inference: batch norms are folded into the convolutions
// before them, 1 x 1 convolutions are kept as matrices, attention biases are spread over the window.
// Activations are [B, H, W, C], which linear layers and convolutions both take without copies.
type tinyViT struct {
	spec *Spec
	w    Weights
}

// newTinyViT makes the encoder from its official parameters, which stay the caller's.
func newTinyViT(s *tensor.Scope, sp *Spec, raw Weights) *tinyViT {
	v := &tinyViT{spec: sp, w: Weights{}}
	keep := func(name string, f func(s *tensor.Scope) *tensor.Tensor) { v.w[name] = s.Keep(s.Block(f)) }
	for _, name := range raw.Names() {
		switch {
		case strings.HasSuffix(name, ".c.weight"):
			conv := strings.TrimSuffix(name, ".c.weight")
			keep(conv+".weight", func(s *tensor.Scope) *tensor.Tensor {
				kernel := raw[name]
				return asMatrix(s, s.Mul(kernel, s.Reshape(batchNormGain(s, raw, conv), -1, 1, 1, 1)))
			})
			keep(conv+".bias", func(s *tensor.Scope) *tensor.Tensor {
				shift := s.Mul(raw.get(s, conv+".bn.running_mean"), batchNormGain(s, raw, conv))
				return s.Sub(raw.get(s, conv+".bn.bias"), shift)
			})
		case strings.Contains(name, ".bn."):
			// folded above
		case strings.HasPrefix(name, encoderPrefix+"norm_head."), strings.HasPrefix(name, encoderPrefix+"head."):
			// of a classification that nothing here uses
		case strings.HasSuffix(name, ".attention_biases"):
			keep(name, func(s *tensor.Scope) *tensor.Tensor { return spreadBiases(s, raw[name]) })
		default:
			keep(name, func(s *tensor.Scope) *tensor.Tensor { return asMatrix(s, raw[name]) })
		}
	}
	return v
}

// batchNormGain is what a batch norm in inference multiplies each channel with: [C].
func batchNormGain(s *tensor.Scope, raw Weights, conv string) *tensor.Tensor {
	const eps = 1e-5
	deviation := s.Sqrt(s.AddScalar(raw.get(s, conv+".bn.running_var"), eps))
	return s.Div(raw.get(s, conv+".bn.weight"), deviation)
}

// asMatrix turns the kernel of a 1 x 1 convolution into a matrix and lays out larger kernels as
// convolutions over [B, H, W, C] like them. It always copies.
func asMatrix(s *tensor.Scope, w *tensor.Tensor) *tensor.Tensor {
	d := w.Shape()
	if len(d) != 4 {
		return s.MulScalar(w, 1)
	}
	if d[2] == 1 && d[3] == 1 {
		return s.Reshape(s.MulScalar(w, 1), d[0], d[1])
	}
	return s.ChannelsLast(s.MulScalar(w, 1))
}

// spreadBiases turns the learned biases of a window, [heads, offsets], into [1, heads, N, N] with N the
// window's cells. Offsets are numbered in the order in which the official code first meets them.
func spreadBiases(s *tensor.Scope, biases *tensor.Tensor) *tensor.Tensor {
	d := biases.Shape()
	side := int(math.Round(math.Sqrt(float64(d[1]))))
	numbers := map[[2]int]int64{}
	n := side * side
	index := make([]int64, 0, n*n)
	for p := range n {
		for q := range n {
			offset := [2]int{abs(p/side - q/side), abs(p%side - q%side)}
			if _, met := numbers[offset]; !met {
				numbers[offset] = int64(len(numbers))
			}
			index = append(index, numbers[offset])
		}
	}
	spread := s.IndexSelect(biases, 1, s.FromInt64(index, int64(n*n)))
	return s.Reshape(spread, 1, d[0], int64(n), int64(n))
}

func abs(n int) int { return max(n, -n) }

func (v *tinyViT) drop() { v.w.Drop() }

func (v *tinyViT) weights() Weights { return v.w }

func (v *tinyViT) parameter(s *tensor.Scope, name string) *tensor.Tensor { return v.w.get(s, name) }

func (v *tinyViT) with(w Weights) imageEncoder { return &tinyViT{spec: v.spec, w: v.w.With(w)} }

func (v *tinyViT) embed(s *tensor.Scope, from string, x *tensor.Tensor) *tensor.Tensor {
	if from == Stage3 {
		return neck(s, v.w, x)
	}
	return v.stagesFrom(s, 1, x, func(string, *tensor.Tensor) bool { return false })
}

func (v *tinyViT) encode(s *tensor.Scope, x *tensor.Tensor, want map[string]bool) map[string]*tensor.Tensor {
	out := map[string]*tensor.Tensor{}
	x = s.Block(func(s *tensor.Scope) *tensor.Tensor {
		x := v.stem(s, "patch_embed.seq.0", s.Contiguous(s.Permute(x, 0, 2, 3, 1)))
		s.GELUInto(x)
		return v.stem(s, "patch_embed.seq.2", x)
	})
	v.stagesFrom(s, 0, x, func(name string, x *tensor.Tensor) (enough bool) {
		if want[name] {
			out[name] = s.Permute(x, 0, 3, 1, 2)
		}
		return len(out) == len(want)
	})
	return out
}

// stem is one of the stem's two convolutions on x [B, H, W, C].
func (v *tinyViT) stem(s *tensor.Scope, name string, x *tensor.Tensor) *tensor.Tensor {
	name = encoderPrefix + name
	if v.spec.Encoder.TinyViT.stemKernel() == 1 {
		return linear(s, v.w, name, x)
	}
	y := s.Conv2d(s.Permute(x, 0, 3, 1, 2), v.w.get(s, name+".weight"), v.w.get(s, name+".bias"), 2, 1, 1)
	return s.Permute(y, 0, 2, 3, 1)
}

// stagesFrom runs the stages from the first-th on, whose input is x, and the neck. It shows each feature to seen,
// stops when that has enough, and returns the embedding otherwise; all are [B, H, W, C].
func (v *tinyViT) stagesFrom(s *tensor.Scope, first int, x *tensor.Tensor, seen func(name string, x *tensor.Tensor) (enough bool)) *tensor.Tensor {
	for i, st := range v.spec.stages() {
		if i < first {
			continue
		}
		x = v.stage(s, i, st, x)
		if seen(stageFeatures[i], x) {
			return nil
		}
		if st.stride > 0 {
			in := x
			x = s.Block(func(s *tensor.Scope) *tensor.Tensor { return v.merge(s, st, in) })
		}
		if i == 0 && seen(Merge0, x) {
			return nil
		}
	}
	x = neck(s, v.w, x)
	seen(Embedding, x)
	return x
}

// stage runs the blocks of the i-th stage.
func (v *tinyViT) stage(s *tensor.Scope, i int, st stage, x *tensor.Tensor) *tensor.Tensor {
	for b := range st.depth {
		name := fmt.Sprintf("%sblocks.%d.", st.name, b)
		in := x
		x = s.Block(func(s *tensor.Scope) *tensor.Tensor {
			if i == 0 {
				return v.convBlock(s, name, in)
			}
			return v.block(s, name, st, in)
		})
	}
	return x
}

// depthwise is a 3 x 3 convolution of each channel of x [B, H, W, C] by itself.
func (v *tinyViT) depthwise(s *tensor.Scope, name string, x *tensor.Tensor, stride int64) *tensor.Tensor {
	groups := x.Shape()[3]
	y := s.Conv2d(s.Permute(x, 0, 3, 1, 2), v.w.get(s, name+".weight"), v.w.get(s, name+".bias"), stride, 1, groups)
	return s.Permute(y, 0, 2, 3, 1)
}

// convBlock is an inverted bottleneck with a shortcut (MBConv).
func (v *tinyViT) convBlock(s *tensor.Scope, name string, x *tensor.Tensor) *tensor.Tensor {
	y := v.bottleneck(s, name, x, 1)
	s.AddInto(y, x)
	s.GELUInto(y)
	return y
}

// merge brings one stage's grid and channels to the next one's.
func (v *tinyViT) merge(s *tensor.Scope, st stage, x *tensor.Tensor) *tensor.Tensor {
	return v.bottleneck(s, st.name+"downsample.", x, int64(st.stride))
}

// bottleneck is two linear layers with a depthwise convolution between them.
func (v *tinyViT) bottleneck(s *tensor.Scope, name string, x *tensor.Tensor, stride int64) *tensor.Tensor {
	wide := v.w.get(s, name+"conv1.weight").Shape()[0]
	return inStrips(s, x, wide, 1, stride, func(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
		y := gelu(s, linear(s, v.w, name+"conv1", x))
		y = gelu(s, v.depthwise(s, name+"conv2", y, stride))
		return linear(s, v.w, name+"conv3", y)
	})
}

// block is windowed attention, a depthwise convolution and a perceptron, each with a shortcut but the
// convolution.
func (v *tinyViT) block(s *tensor.Scope, name string, st stage, x *tensor.Tensor) *tensor.Tensor {
	y := s.Block(func(s *tensor.Scope) *tensor.Tensor {
		window := int64(st.window)
		parts, grid := partition(s, x, window)
		return unpartition(s, v.attend(s, name+"attn.", int64(st.heads), parts), window, grid, x.Shape())
	})
	y = s.Add(y, x)
	y = v.depthwise(s, name+"local_conv", y, 1)
	wide := v.w.get(s, name+"mlp.fc1.weight").Shape()[0]
	h := inStrips(s, y, wide, 0, 1, func(s *tensor.Scope, y *tensor.Tensor) *tensor.Tensor {
		h := gelu(s, linear(s, v.w, name+"mlp.fc1", layerNorm(s, v.w, name+"mlp.norm", y, 1e-5)))
		return linear(s, v.w, name+"mlp.fc2", h)
	})
	s.AddInto(h, y)
	return h
}

// stripFloats bounds what is made at a time of a map that is widened on the way from one layer to another: it stays in a processor's
// cache so, and memory holds a strip of it instead of the whole.
const stripFloats = 2 << 20

// inStrips returns f of x [B, H, W, C], some rows at a time on a CPU. f widens x to so many channels; a row of its result depends on
// every stride-th row of x and on so many above and below as it reaches, with zeros beyond the edges.
func inStrips(s *tensor.Scope, x *tensor.Tensor, channels, reach, stride int64, f func(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor) *tensor.Tensor {
	d := x.Shape()
	step := max(stripFloats/(d[0]*d[2]*channels*stride), 1)
	out := (d[1] + stride - 1) / stride
	if step >= out || s.Device().CUDA() || x.Differentiable() {
		return f(s, x)
	}
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		var strips []*tensor.Tensor
		for from := int64(0); from < out; from += step {
			rows := min(step, out-from)
			above := min(from, reach)
			first, end := (from-above)*stride, min((from+rows-1)*stride+reach+1, d[1])
			strips = append(strips, s.Block(func(s *tensor.Scope) *tensor.Tensor {
				return s.Narrow(f(s, s.Narrow(x, 1, first, end-first)), 1, above, rows)
			}))
		}
		return s.Cat(1, strips...)
	})
}

// partition cuts x [B, H, W, C], padded with zeros to whole windows, into [B*windows, window^2, C] and
// returns the padded height and width.
func partition(s *tensor.Scope, x *tensor.Tensor, window int64) (*tensor.Tensor, [2]int64) {
	d := x.Shape()
	h, w := roundUp(d[1], window), roundUp(d[2], window)
	x = s.PadGrid(x, h-d[1], w-d[2])
	x = s.Reshape(x, d[0], h/window, window, w/window, window, d[3])
	return s.Reshape(s.Transpose(x, 2, 3), -1, window*window, d[3]), [2]int64{h, w}
}

// unpartition puts windows back in their places and cuts the padding off: shape is [B, H, W, C].
func unpartition(s *tensor.Scope, x *tensor.Tensor, window int64, grid [2]int64, shape []int64) *tensor.Tensor {
	x = s.Reshape(x, shape[0], grid[0]/window, grid[1]/window, window, window, shape[3])
	x = s.Reshape(s.Transpose(x, 2, 3), shape[0], grid[0], grid[1], shape[3])
	return s.Narrow(s.Narrow(x, 1, 0, shape[1]), 2, 0, shape[2])
}

func roundUp(n, multiple int64) int64 { return (n + multiple - 1) / multiple * multiple }

// attend is multi-head attention with learned biases within each window: x [windows, N, C].
func (v *tinyViT) attend(s *tensor.Scope, name string, heads int64, x *tensor.Tensor) *tensor.Tensor {
	d := x.Shape()
	width := d[2] / heads
	y := inStrips(s, s.Reshape(x, 1, d[0], d[1], d[2]), 3*d[2], 0, 1, func(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
		windows := x.Shape()[1]
		x = s.Reshape(x, windows, d[1], d[2])
		qkv := linear(s, v.w, name+"qkv", layerNorm(s, v.w, name+"norm", x, 1e-5))
		qkv = s.Permute(s.Reshape(qkv, windows, d[1], heads, 3*width), 0, 2, 1, 3) // [windows, heads, N, 3*width]
		q, k, val := s.Narrow(qkv, 3, 0, width), s.Narrow(qkv, 3, width, width), s.Narrow(qkv, 3, 2*width, width)
		out := windowAttention(s, q, k, val, v.w.get(s, name+"attention_biases"))
		out = s.Reshape(s.Transpose(out, 1, 2), windows, d[1], d[2])
		return s.Reshape(linear(s, v.w, name+"proj", out), 1, windows, d[1], d[2])
	})
	return s.Reshape(y, d...)
}
