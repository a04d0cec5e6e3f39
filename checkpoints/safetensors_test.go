package checkpoints

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func safetensorsOf(header string, data ...byte) []byte {
	out := binary.LittleEndian.AppendUint64(nil, uint64(len(header)))
	return append(append(out, header...), data...)
}

func TestSafetensorsHeadersThatAreRefused(t *testing.T) {
	huge := binary.LittleEndian.AppendUint64(nil, 100<<20+1)
	u32 := func(s string) []byte { return safetensorsOf(s, 1, 2, 3, 4, 5, 6, 7, 8) }
	tests := []struct {
		name    string
		content []byte
		says    string
	}{
		{"header longer than the format allows", append(huge, '{'), "claims"},
		{"header longer than the file", append(binary.LittleEndian.AppendUint64(nil, 99), '{', '}'), "claims"},
		{"no JSON", safetensorsOf("{abcdefg"), "JSON"},
		{"text behind", safetensorsOf("{} {}"), "behind"},
		{"no end", safetensorsOf(`{"a":1,`), "header"},
		{"not UTF-8", safetensorsOf("{\"a\xff\":1}"), "UTF-8"},
		{"twice", u32(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]},"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`), "twice"},
		{"member twice", u32(`{"a":{"dtype":"F32","dtype":"F32","shape":[2],"data_offsets":[0,8]}}`), "twice"},
		{"unknown member", u32(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8],"x":0}}`), "more than 3"},
		{"member of another case", u32(`{"a":{"DType":"F32","shape":[2],"data_offsets":[0,8]}}`), "dtype"},
		{"unknown type", u32(`{"a":{"dtype":"F33","shape":[2],"data_offsets":[0,8]}}`), "F33"},
		{"no type", u32(`{"a":{"shape":[2],"data_offsets":[0,8]}}`), "dtype"},
		{"no shape", safetensorsOf(`{"a":{"dtype":"F32","data_offsets":[0,4]}}`, 1, 2, 3, 4), "shape"},
		{"null shape", safetensorsOf(`{"a":{"dtype":"F32","shape":null,"data_offsets":[0,4]}}`, 1, 2, 3, 4), "shape"},
		{"null in shape", u32(`{"a":{"dtype":"F32","shape":[2,null],"data_offsets":[0,8]}}`), "shape"},
		{"fraction in shape", u32(`{"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}}`), "shape"},
		{"negative shape", u32(`{"a":{"dtype":"F32","shape":[-1,-2],"data_offsets":[0,8]}}`), "shape"},
		{"size overflows", u32(`{"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}}`), "shape"},
		{"one offset", u32(`{"a":{"dtype":"F32","shape":[0],"data_offsets":[0]}}`), "data_offsets"},
		{"three offsets", u32(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8,8]}}`), "data_offsets"},
		{"negative offset", u32(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[-8,0]}}`), "lies at"},
		{"offsets turned round", u32(`{"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}}`), "lies at"},
		{"offset behind the end", u32(`{"a":{"dtype":"F32","shape":[4],"data_offsets":[0,16]}}`), "lies at"},
		{"size does not fit", u32(`{"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}}`), "needs 12"},
		{"gap at the start", u32(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[4,8]}}`), "gap"},
		{"gap", safetensorsOf(`{"a":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[1],"data_offsets":[2,3]}}`, 1, 2, 3), "gap"},
		{"overlap", u32(`{"a":{"dtype":"U8","shape":[5],"data_offsets":[0,5]},"b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}}`), "overlap"},
		{"bytes of nobody", u32(`{"a":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}`), "no tensor"},
		{"metadata of numbers", safetensorsOf(`{"__metadata__":{"a":1}}`), "no text"},
		{"metadata of nulls", safetensorsOf(`{"__metadata__":{"a":null}}`), "no text"},
		{"metadata twice", safetensorsOf(`{"__metadata__":{"a":"1","a":"2"}}`), "twice"},
		{"much metadata", safetensorsOf(`{"__metadata__":{"a":"` + strings.Repeat("a", 5<<20) + `"}}`), "more than"},
		{"long description", safetensorsOf(`{"a":{"dtype":"F32","shape":[0` + strings.Repeat(",1", 1000) + `],"data_offsets":[0,0]}}`), "description"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := openBytes(t, test.content)
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsafe) {
				t.Fatalf("got %v", err)
			}
			if !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "weights") {
				t.Errorf("got %v, want one that says %q", err, test.says)
			}
		})
	}
}

func TestSafetensorsThatAreRead(t *testing.T) {
	b := safetensorsOf(`{"b":{"data_offsets":[0,4],"shape":[],"dtype":"F32"},"__metadata__":{"format":"pt"},"a":{"dtype":"U8","shape":[0,9],"data_offsets":[4,4]}}   `, 0, 0, 0x80, 0x3f)
	f, err := openBytes(t, b)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, f.Names(), []string{"a", "b"})
	wantEqual(t, f.Metadata(), map[string]string{"format": "pt"})
	got, err := f.Float32("b")
	if err != nil || !slices.Equal(got, []float32{1}) {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := f.Float32("a"); err != nil && !strings.Contains(err.Error(), "floating") {
		t.Error(err)
	}
	for name, dst := range map[string][]byte{"b": make([]byte, 3), "c": nil} {
		if err := f.ReadInto(name, dst); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// The first bytes of a file are its header's length, which may look like the start of another format.
func TestSafetensorsOfAnyHeaderLength(t *testing.T) {
	for _, length := range []int{640, 0x280 + 8, 896, 1152, 1408, 0x10280, 0x20580} {
		header := `{"__metadata__":{"k":"v"}}`
		header += strings.Repeat(" ", length-len(header))
		f, err := openBytes(t, safetensorsOf(header))
		if err != nil {
			t.Errorf("%d: %v", length, err)
			continue
		}
		wantEqual(t, f.Metadata(), map[string]string{"k": "v"})
	}
}

func TestWrittenTensorsComeBack(t *testing.T) {
	want := samples()
	shuffled := slices.Clone(want)
	slices.Reverse(shuffled)
	meta := map[string]string{"b": "<&>", "a": "ü\n"}
	for name, write := range map[string]func(path string, tensors []Tensor) error{
		"pth":         WritePTH,
		"safetensors": func(path string, tensors []Tensor) error { return WriteSafetensors(path, meta, tensors) },
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			one, two := filepath.Join(dir, "one"), filepath.Join(dir, "two")
			if err := errors.Join(write(one, want), write(two, want), write(two, shuffled)); err != nil {
				t.Fatal(err)
			}
			got, gotMeta, err := load(one)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, got, want)
			if name == "safetensors" {
				wantEqual(t, gotMeta, meta)
			}
			a, _ := os.ReadFile(one)
			b, _ := os.ReadFile(two)
			if !bytes.Equal(a, b) {
				t.Error("the order of tensors changes the bytes")
			}
			f := mustOpen(t, one)
			if err := f.Verify(); err != nil {
				t.Error(err)
			}
			if left, _ := filepath.Glob(filepath.Join(dir, ".*")); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
			for _, bad := range []struct {
				name    string
				tensors []Tensor
			}{
				{"size", []Tensor{{Info{"a", "F32", []int64{2}}, floats(1)}}},
				{"type", []Tensor{{Info{"a", "F8", nil}, []byte{1}}}},
				{"shape", []Tensor{{Info{"a", "U8", []int64{-1}}, []byte{1}}}},
				{"twice", []Tensor{{Info{"a", "U8", nil}, []byte{1}}, {Info{"a", "U8", nil}, []byte{1}}}},
				{"name", []Tensor{{Info{"\xff", "U8", nil}, []byte{1}}}},
			} {
				if err := write(one, bad.tensors); err == nil || !strings.Contains(err.Error(), one) {
					t.Errorf("%s: %v", bad.name, err)
				}
			}
			if c, _ := os.ReadFile(one); !bytes.Equal(a, c) {
				t.Error("a write that failed changed the file")
			}
			if err := write(filepath.Join(dir, "none", "x"), want); !errors.Is(err, os.ErrNotExist) {
				t.Errorf("no folder: %v", err)
			}
		})
	}
}

// PyTorch's own file, written again by us, holds the same tensors.
func TestStateDictOfPyTorchWrittenAgain(t *testing.T) {
	want, _, err := load(filepath.Join("..", "testdata", "parity", "tiny_sam.pth"))
	if err != nil {
		t.Fatal(err)
	}
	path := filepath.Join(t.TempDir(), "again.pth")
	if err := WritePTH(path, want); err != nil {
		t.Fatal(err)
	}
	got, _, err := load(path)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, got, want)
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for _, tensor := range want[:20] {
		if at := bytes.Index(b, tensor.Data); at%recordAlignment != 0 && len(tensor.Data) > 64 {
			t.Errorf("%s lies at %d, want a multiple of %d", tensor.Name, at, recordAlignment)
		}
	}
}

// The bytes that follow from the format's description.
func TestSafetensorsBytes(t *testing.T) {
	var got bytes.Buffer
	err := EncodeSafetensors(&got, map[string]string{"k": "v"}, []Tensor{{Info{"b", "U8", []int64{2}}, []byte{1, 2}}, {Info{"a", "I16", nil}, []byte{3, 4}}})
	if err != nil {
		t.Fatal(err)
	}
	header := `{"__metadata__":{"k":"v"},"a":{"dtype":"I16","shape":[],"data_offsets":[0,2]},"b":{"dtype":"U8","shape":[2],"data_offsets":[2,4]}}`
	header += strings.Repeat(" ", (8-len(header)%8)%8)
	wantEqual(t, got.Bytes(), safetensorsOf(header, 3, 4, 1, 2))
}

func TestCutSafetensors(t *testing.T) {
	var whole bytes.Buffer
	if err := EncodeSafetensors(&whole, nil, samples()); err != nil {
		t.Fatal(err)
	}
	path := writeTemp(t, nil)
	for n := range whole.Len() {
		if err := os.WriteFile(path, whole.Bytes()[:n], 0o644); err != nil {
			t.Fatal(err)
		}
		if _, _, err := load(path); !isSentinel(err) {
			t.Fatalf("cut to %d of %d bytes: %v", n, whole.Len(), err)
		}
	}
	if err := os.WriteFile(path, append(whole.Bytes(), 0), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, _, err := load(path); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a byte behind the end: %v", err)
	}
}

func TestMatch(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	err := WriteSafetensors(path, nil, []Tensor{
		{Info{"c", "U8", []int64{2}}, []byte{1, 2}}, {Info{"a", "U8", []int64{}}, []byte{1}}, {Info{"z", "U8", []int64{1}}, []byte{1}},
		{Info{"d", "U8", []int64{1, 2}}, []byte{1, 2}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path)
	if err := Match([]Info{{"a", "U8", nil}, {"z", "U8", []int64{1}}, {"d", "U8", []int64{1, 2}}, {"c", "U8", []int64{2}}}, f); err != nil {
		t.Error(err)
	}
	err = Match([]Info{{"y", "U8", nil}, {"d", "U8", []int64{2, 1}}, {"b", "U8", nil}, {"a", "U8", nil}}, f)
	var got *MismatchError
	if !errors.As(err, &got) {
		t.Fatalf("got %v", err)
	}
	wantEqual(t, got, &MismatchError{Path: path, Missing: []string{"b", "y"}, Unexpected: []string{"c", "z"}, Shapes: []string{"d: [1 2], want [2 1]"}})
	for _, text := range []string{path, "2 names missing, 2 unexpected, 1 of another shape", "missing: b\n", "unexpected: z\n", "d: [1 2], want [2 1]"} {
		if !strings.Contains(err.Error(), text) {
			t.Errorf("%q is missing from %q", text, err)
		}
	}
}

func TestFileHashAndFloats(t *testing.T) {
	path := filepath.Join(t.TempDir(), "w")
	err := WriteSafetensors(path, nil, []Tensor{
		{Info{"half", "F16", []int64{2}}, []byte{0x00, 0x3c, 0x00, 0xc0}},
		{Info{"double", "F64", []int64{}}, binary.LittleEndian.AppendUint64(nil, math.Float64bits(-0.5))},
		{Info{"whole", "I32", []int64{1}}, []byte{1, 0, 0, 0}},
	})
	if err != nil {
		t.Fatal(err)
	}
	f := mustOpen(t, path)
	for name, want := range map[string][]float32{"half": {1, -2}, "double": {-0.5}} {
		got, err := f.Float32(name)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, got, want)
	}
	if _, err := f.Float32("whole"); err == nil || !strings.Contains(err.Error(), "I32, want a floating one") {
		t.Errorf("whole numbers: %v", err)
	}
	if _, err := f.Float32("none"); err == nil || !strings.Contains(err.Error(), `no tensor "none"`) {
		t.Errorf("no tensor: %v", err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.SHA256()
	if want := fmt.Sprintf("%x", sha256.Sum256(b)); err != nil || got != want || f.Path() != path {
		t.Errorf("%s, %v, want %s", got, err, want)
	}
}
