package checkpoints

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"math"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// record is one of an archive's; the zip package adds checksums and descriptors as torch.save has them.
type record struct {
	name string
	data []byte
}

func archiveOf(t testing.TB, method uint16, records ...record) []byte {
	t.Helper()
	var out bytes.Buffer
	z := zip.NewWriter(&out)
	for _, r := range records {
		w, err := z.CreateHeader(&zip.FileHeader{Name: r.name, Method: method})
		if err == nil {
			_, err = w.Write(r.data)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// pth is an archive with an index and storages 0, 1, ...
func pth(t testing.TB, index []byte, storages ...[]byte) []byte {
	t.Helper()
	records := []record{{"m/data.pkl", index}, {"m/byteorder", []byte("little")}}
	for i, s := range storages {
		records = append(records, record{"m/data/" + string(rune('0'+i)), s})
	}
	return archiveOf(t, zip.Store, append(records, record{"m/version", []byte("3\n")})...)
}

// tensorPickle appends the instructions that rebuild a view of a storage.
func (p *pickler) tensor(storage class, key string, count, offset int64, shape, stride []int64) {
	p.global(rebuildTensor)
	p.op('(', '(')
	p.text("storage")
	p.global(storage)
	p.text(key)
	p.text("cpu")
	p.int(count)
	p.op('t', 'Q')
	p.int(offset)
	p.ints(shape)
	p.ints(stride)
	p.op(0x89, '}', 't', 'R')
}

// dictOf is a pickled dictionary whose items are written by fill.
func dictOf(fill func(p *pickler)) []byte {
	p := pickler{out: []byte{0x80, 2, '}', '('}}
	fill(&p)
	p.op('u', '.')
	return p.out
}

func writeTemp(t testing.TB, content []byte) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "weights")
	if err := os.WriteFile(path, content, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

// openBytes opens weights that have just these bytes.
func openBytes(t testing.TB, content []byte) (*File, error) {
	t.Helper()
	f, err := Open(writeTemp(t, content))
	if err == nil {
		t.Cleanup(func() { f.Close() })
	}
	return f, err
}

// mustOpen opens weights that are whole.
func mustOpen(t testing.TB, path string) *File {
	t.Helper()
	f, err := Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// content reads all tensors of a file.
func content(f *File) ([]Tensor, error) {
	var out []Tensor
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		size, err := info.bytes()
		if err != nil {
			return nil, err
		}
		t := Tensor{Info: info, Data: make([]byte, size)}
		if err := f.ReadInto(name, t.Data); err != nil {
			return nil, err
		}
		out = append(out, t)
	}
	return out, nil
}

// load opens and reads weights that have just these bytes.
func load(path string) ([]Tensor, map[string]string, error) {
	f, err := Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	tensors, err := content(f)
	return tensors, f.Metadata(), err
}

func isSentinel(err error) bool {
	return errors.Is(err, ErrCorrupt) || errors.Is(err, ErrFormat) || errors.Is(err, ErrUnsafe)
}

func floats(values ...float32) []byte {
	var out []byte
	for _, v := range values {
		out = binary.LittleEndian.AppendUint32(out, math.Float32bits(v))
	}
	return out
}

// samples are tensors of every element type, with a scalar and an empty one; in order of names.
func samples() []Tensor {
	out := []Tensor{
		{Info{"a.empty", "F32", []int64{0, 3}}, []byte{}},
		{Info{"a.scalar", "I64", []int64{}}, []byte{1, 2, 3, 4, 5, 6, 7, 8}},
	}
	for _, d := range []DType{"BF16", "BOOL", "F16", "F32", "F64", "I16", "I32", "I64", "I8", "U8"} {
		data := make([]byte, 6*d.Size())
		for i := range data {
			data[i] = byte(i*37 + len(out))
		}
		if d == "BOOL" {
			data = []byte{0, 1, 1, 0, 0, 1}
		}
		out = append(out, Tensor{Info{"b.ü." + string(d), d, []int64{2, 3}}, data})
	}
	return out
}

func wantEqual(t testing.TB, got, want any) {
	t.Helper()
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("differs (-want +got):\n%s", d)
	}
}

func constant(b []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(b); return err }
}
