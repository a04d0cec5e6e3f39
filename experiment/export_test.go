package experiment

import (
	"encoding/binary"
	"errors"
	"math"
	"path/filepath"
	"testing"

	"samtune/checkpoints"
)

func weightsOf(t *testing.T, tensors map[string][]float32, shapes map[string][]int64) *checkpoints.File {
	t.Helper()
	var list []checkpoints.Tensor
	for name, values := range tensors {
		var b []byte
		for _, v := range values {
			b = binary.LittleEndian.AppendUint32(b, math.Float32bits(v))
		}
		list = append(list, checkpoints.Tensor{Info: checkpoints.Info{Name: name, DType: "F32", Shape: shapes[name]}, Data: b})
	}
	path := filepath.Join(t.TempDir(), "w.safetensors")
	if err := checkpoints.WriteSafetensors(path, nil, list); err != nil {
		t.Fatal(err)
	}
	f, err := checkpoints.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// TestMerge: what was tuned takes its place, and a low-rank update is added as weight + B A.
func TestMerge(t *testing.T) {
	shapes := map[string][]int64{
		"e.attn.qkv.weight": {3, 2}, "d.bias": {2}, "kept": {1},
		"e.attn.qkv.lora_a": {1, 2}, "e.attn.qkv.lora_b": {3, 1},
	}
	base := weightsOf(t, map[string][]float32{"e.attn.qkv.weight": {1, 2, 3, 4, 5, 6}, "d.bias": {1, 1}, "kept": {7}}, shapes)
	tuned := weightsOf(t, map[string][]float32{"d.bias": {8, 9}, "e.attn.qkv.lora_a": {10, 100}, "e.attn.qkv.lora_b": {1, 0, -1}}, shapes)
	tensors, replaced, err := merge(base, tuned)
	if err != nil || replaced != 2 {
		t.Fatal(replaced, err)
	}
	want := map[string][]float32{"e.attn.qkv.weight": {11, 102, 3, 4, -5, -94}, "d.bias": {8, 9}, "kept": {7}}
	for _, x := range tensors {
		for i, v := range want[x.Name] {
			if got := math.Float32frombits(binary.LittleEndian.Uint32(x.Data[4*i:])); got != v {
				t.Errorf("%s[%d] is %g, want %g", x.Name, i, got, v)
			}
		}
		delete(want, x.Name)
	}
	if len(want) > 0 {
		t.Errorf("%v are missing", want)
	}
	other := weightsOf(t, map[string][]float32{"head.weight": {1}}, map[string][]int64{"head.weight": {1}})
	if _, _, err := merge(base, other); !errors.Is(err, ErrExport) {
		t.Errorf("a tensor that the model has no place for: %v", err)
	}
}
