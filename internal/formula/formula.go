// Package formula gives weights that need no file: every parameter's values are a function of its name.
package formula

import (
	"encoding/binary"
	"hash/fnv"
	"math"
	"strings"

	"samtune/checkpoints"
)

// Values returns the deterministic values of a parameter that the parity vectors were computed with:
// testdata/parity/README.md states the rule.
func Values(name string, shape []int64) []float32 {
	n := int64(1)
	for _, d := range shape {
		n *= d
	}
	base, spread := 0.0, 0.0
	contains := func(parts ...string) bool {
		for _, p := range parts {
			if strings.Contains(name, p) {
				return true
			}
		}
		return false
	}
	switch {
	case strings.HasSuffix(name, ".running_var"), len(shape) == 1 && strings.HasSuffix(name, ".weight"):
		base, spread = 1, 0.1
	case len(shape) == 1:
		spread = 0.05
	case contains("gaussian_matrix"):
		spread = 1
	case contains("pos_embed", "rel_pos", "point_embeddings", "not_a_point", "no_mask", "iou_token", "mask_tokens"):
		spread = 0.3
	default:
		spread = math.Sqrt(3 / (float64(n) / float64(shape[0])))
	}
	out := make([]float32, n)
	for i := range out {
		out[i] = float32(base + spread*(2*uniform(name, uint64(i))-1))
	}
	return out
}

// uniform returns the i-th number in 0..1 of the sequence of a name.
func uniform(name string, i uint64) float64 {
	h := fnv.New64a()
	h.Write([]byte(name))
	const golden = 0x9E3779B97F4A7C15
	z := (h.Sum64()+i)*golden + golden
	z = (z ^ z>>30) * 0xBF58476D1CE4E5B9
	z = (z ^ z>>27) * 0x94D049BB133111EB
	z ^= z >> 31
	return float64(z>>40) / (1 << 24)
}

// Weights returns parameters with their values.
func Weights(infos []checkpoints.Info) []checkpoints.Tensor {
	tensors := make([]checkpoints.Tensor, len(infos))
	for i, info := range infos {
		tensors[i].Info = info
		if info.DType == "I64" { // a count that nothing uses
			tensors[i].Data = make([]byte, 8)
			continue
		}
		for _, v := range Values(info.Name, info.Shape) {
			tensors[i].Data = binary.LittleEndian.AppendUint32(tensors[i].Data, math.Float32bits(v))
		}
	}
	return tensors
}
