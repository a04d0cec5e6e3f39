package testkit

import (
	"encoding/binary"
	"math"
	"math/rand/v2"
	"path/filepath"
	"strings"
	"testing"

	"samtune/checkpoints"
	"samtune/internal/formula"
)

// FormulaWeights writes a file with the given parameters by the formula and returns its path.
func FormulaWeights(t testing.TB, infos []checkpoints.Info) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "formula.safetensors")
	if err := checkpoints.WriteSafetensors(path, nil, formula.Weights(infos)); err != nil {
		t.Fatal(err)
	}
	return path
}

// RandomWeights writes a file with the given parameters, drawn so that activations keep their size, and
// returns its path.
func RandomWeights(t testing.TB, infos []checkpoints.Info) string {
	t.Helper()
	r := rand.New(rand.NewPCG(1, 2))
	tensors := make([]checkpoints.Tensor, len(infos))
	for i, info := range infos {
		n, spread, centre := 1, 0.1, 0.0
		for _, d := range info.Shape {
			n *= int(d)
		}
		if len(info.Shape) > 1 {
			spread = math.Sqrt(float64(info.Shape[0]) / float64(n))
		} else if strings.HasSuffix(info.Name, ".weight") || strings.HasSuffix(info.Name, ".running_var") {
			centre = 1
		}
		tensors[i].Info = info
		if info.DType == "I64" {
			tensors[i].Data = make([]byte, 8*n)
			continue
		}
		for range n {
			value := float32(centre + spread*max(-3, min(3, r.NormFloat64())))
			tensors[i].Data = binary.LittleEndian.AppendUint32(tensors[i].Data, math.Float32bits(value))
		}
	}
	path := filepath.Join(t.TempDir(), "random.safetensors")
	if err := checkpoints.WriteSafetensors(path, nil, tensors); err != nil {
		t.Fatal(err)
	}
	return path
}
