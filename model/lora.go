package model

import (
	"fmt"
	"hash/fnv"
	"math"
	"math/rand/v2"
	"strings"

	"samtune/checkpoints"
	"samtune/internal/tensor"
)

// Suffixes of the factors of a low-rank update, behind the official name of the linear layer.
const (
	loraA = ".lora_a" // [rank, in]
	loraB = ".lora_b" // [out, rank]
)

// LowRank says whether a name is that of a factor of a low-rank update, and of which weight.
func LowRank(name string) (weight string, first, ok bool) {
	if layer, ok := strings.CutSuffix(name, loraA); ok {
		return layer + ".weight", true, true
	}
	if layer, ok := strings.CutSuffix(name, loraB); ok {
		return layer + ".weight", false, true
	}
	return "", false, false
}

// LowRankNames are the names of the factors A [rank, in] and B [out, rank] of a weight's low-rank update, weight + B A.
func LowRankNames(weight string) (a, b string) {
	layer := strings.TrimSuffix(weight, ".weight")
	return layer + loraA, layer + loraB
}

// TuneLoRA returns the decoder with low-rank updates of the encoder's attention trained together with it (Hu et al.,
// LoRA, ICLR 2022, alpha = rank): weight + B A on qkv and proj of every block with attention. A is drawn
// from a Gaussian of deviation 1/sqrt(in), by a sequence of its name alone; B starts at zero.
func (m *Model) TuneLoRA(d Decoder, rank int) (Decoder, error) {
	var layers []string
	var own params
	for _, info := range m.Spec.encoderParams() {
		layer, ok := strings.CutSuffix(info.Name, ".weight")
		if !ok || !(strings.HasSuffix(layer, ".attn.qkv") || strings.HasSuffix(layer, ".attn.proj")) {
			continue
		}
		out, in := info.Shape[0], info.Shape[1]
		if rank < 1 || int64(rank) > in {
			return nil, fmt.Errorf("tune the encoder: rank is %d, want 1 to %d, the width of %s", rank, in, layer)
		}
		layers = append(layers, layer)
		own.add(layer+loraA, int64(rank), in)
		own.add(layer+loraB, out, int64(rank))
	}
	return &tuned{Decoder: d, from: m.Spec.attentionInput(), params: own, first: firstLoRA,
		embed: func(s *tensor.Scope, w Weights, x *tensor.Tensor) *tensor.Tensor {
			frozen := m.encoder(s)
			merged := Weights{}
			for _, layer := range layers {
				update := s.Matmul(w.get(s, layer+loraB), w.get(s, layer+loraA))
				merged[layer+".weight"] = s.Add(frozen.parameter(s, layer+".weight"), update)
			}
			return frozen.with(merged).embed(s, m.Spec.attentionInput(), x)
		},
	}, nil
}

// firstLoRA makes the first values of a factor.
func firstLoRA(s *tensor.Scope, info checkpoints.Info) *tensor.Tensor {
	values := make([]float32, tensor.Numel(info.Shape))
	if strings.HasSuffix(info.Name, loraA) {
		draw := sequence(info.Name)
		deviation := 1 / math.Sqrt(float64(info.Shape[1]))
		for i := range values {
			values[i] = float32(draw.NormFloat64() * deviation)
		}
	}
	return s.FromFloat32(values, info.Shape...)
}

// sequence is the sequence of random numbers that a parameter's first values are drawn from: its name alone decides.
func sequence(name string) *rand.Rand {
	h := fnv.New64a()
	h.Write([]byte(name))
	return rand.New(rand.NewPCG(h.Sum64(), 0))
}

// gelu overwrites x where no gradient flows through it. Where one does, it reaches libtorch's kernel contiguous,
// like x: that of libtorch 2.1 is wrong on others.
func gelu(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	if !x.Differentiable() {
		s.GELUInto(x)
		return x
	}
	y := s.GELU(s.Contiguous(x))
	return s.Reshape(s.Reshape(y, -1), x.Shape()...)
}

// windowAttention is softmax(q k^T / sqrt(width) + bias) v: fused where no gradient flows, and of single operations
// otherwise, whose gradients are the same bytes each time on a GPU too.
func windowAttention(s *tensor.Scope, q, k, v, bias *tensor.Tensor) *tensor.Tensor {
	if !q.Differentiable() {
		return s.Attention(q, k, v, bias)
	}
	width := q.Shape()[3]
	scores := s.MulScalar(s.Matmul(q, s.Transpose(k, 2, 3)), 1/math.Sqrt(float64(width)))
	return s.Matmul(s.Softmax(s.Add(scores, bias), -1), v)
}
