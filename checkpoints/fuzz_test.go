package checkpoints

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"
)

// memoryLimit is what a reader may allocate for a file of that size.
func memoryLimit(size int) uint64 { return 64<<20 + 4*uint64(size) }

// allocated returns the bytes allocated in all while open runs: an upper bound of what it holds at once.
func allocated(open func()) uint64 {
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	open()
	runtime.ReadMemStats(&after)
	return after.TotalAlloc - before.TotalAlloc
}

// readSome opens a file and reads its first tensors; what it returns must keep the reader's promises.
func readSome(t *testing.T, path string, size int) {
	var f *File
	var err error
	if got := allocated(func() { f, err = Open(path) }); got > memoryLimit(size) {
		t.Errorf("%d bytes allocated for a file of %d", got, size)
	}
	if err != nil {
		if !isSentinel(err) || !strings.Contains(err.Error(), path) {
			t.Errorf("%v is none of the errors of a damaged file", err)
		}
		return
	}
	defer f.Close()
	names := f.Names()
	for _, name := range names[:min(len(names), 8)] {
		info, ok := f.Info(name)
		n, err := info.bytes()
		if !ok || info.Name != name || err != nil || n > int64(size) {
			t.Fatalf("%+v has %d bytes in a file of %d: %v", info, n, size, err)
		}
		if err := f.ReadInto(name, make([]byte, n)); err != nil && !isSentinel(err) {
			t.Errorf("%q: %v", name, err)
		}
	}
}

// scratch returns a function that writes the file to be read.
func scratch(f *testing.F) func(*testing.T, []byte) string {
	path := filepath.Join(f.TempDir(), "weights")
	return func(t *testing.T, content []byte) string {
		if err := os.WriteFile(path, content, 0o644); err != nil {
			t.Fatal(err)
		}
		return path
	}
}

// FuzzPTHIndex puts any pickle into an archive whose checksums are right.
func FuzzPTHIndex(f *testing.F) {
	f.Add(dictOf(func(p *pickler) {
		p.text("x")
		p.tensor("torch FloatStorage", "0", 4, 0, []int64{2, 2}, []int64{1, 2})
		p.text("y")
		p.tensor("torch ByteStorage", "1", 3, 1, []int64{2}, []int64{1})
	}))
	for _, seed := range []string{
		"\x80\x02ccollections\nOrderedDict\nq\x00)Rq\x01(X\x01\x00\x00\x00ah\x01u}X\x09\x00\x00\x00_metadatah\x00)Rsb.",
		"\x80\x04\x95\x10\x00\x00\x00\x00\x00\x00\x00}\x94\x8c\x01a\x94]\x94(K\x01M\x02\x00J\x03\x00\x00\x00G\x00\x00\x00\x00\x00\x00\x00\x00es.",
		"\x80\x02cposix\nsystem\nX\x02\x00\x00\x00id\x85R.",
		"\x8e00000000",
	} {
		f.Add([]byte(seed))
	}
	write := scratch(f)
	f.Fuzz(func(t *testing.T, index []byte) {
		b := pth(t, index, floats(1, 2, 3, 4), []byte{1, 2, 3})
		readSome(t, write(t, b), len(b))
	})
}

// FuzzWeightsFile reads any bytes as a file of weights.
func FuzzWeightsFile(f *testing.F) {
	tensors := samples()[:4]
	var safe, zip bytes.Buffer
	if err := EncodeSafetensors(&safe, map[string]string{"k": "v"}, tensors); err != nil {
		f.Fatal(err)
	}
	if err := encodePTH(&zip, tensors); err != nil {
		f.Fatal(err)
	}
	f.Add(safe.Bytes())
	f.Add(zip.Bytes())
	f.Add([]byte("\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19."))
	write := scratch(f)
	f.Fuzz(func(t *testing.T, b []byte) { readSome(t, write(t, b), len(b)) })
}

// FuzzSafetensorsHeader puts any header before a few bytes, its length set right.
func FuzzSafetensorsHeader(f *testing.F) {
	for _, seed := range []string{
		`{}`, `{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,8]}}`,
		`{"__metadata__":{"k":"v"},"a":{"dtype":"U8","shape":[],"data_offsets":[0,1]},"b":{"dtype":"U8","shape":[7],"data_offsets":[1,8]}}`,
		`{"a":{"dtype":"F32","shape":[9223372036854775807,2],"data_offsets":[-1,9223372036854775807]}}`,
	} {
		f.Add(seed)
	}
	write := scratch(f)
	f.Fuzz(func(t *testing.T, header string) {
		b := safetensorsOf(header, 1, 2, 3, 4, 5, 6, 7, 8)
		path := write(t, b)
		readSome(t, path, len(b))
		tensors, meta, err := load(path)
		if err != nil {
			return
		}
		var again bytes.Buffer // what was read can be written and read again
		if err := EncodeSafetensors(&again, meta, tensors); err != nil {
			t.Fatal(err)
		}
		got, gotMeta, err := load(write(t, again.Bytes()))
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, got, tensors)
		if len(meta) > 0 {
			wantEqual(t, gotMeta, meta)
		}
	})
}

// Files of a few MB that are made to need as much memory as can be.
func TestMemoryIsBounded(t *testing.T) {
	repeated := func(n int, unit func(i int) string) string {
		var b strings.Builder
		for i := range n {
			b.WriteString(unit(i))
		}
		return b.String()
	}
	same := func(s string) func(int) string { return func(int) string { return s } }
	var view pickler
	view.tensor("torch FloatStorage", "0", 1, 0, []int64{1, 1, 1, 1, 1, 1, 1, 1}, []int64{1, 1, 1, 1, 1, 1, 1, 1})
	call := bytes.TrimSuffix(view.out, []byte{'R'})
	args := call[bytes.IndexByte(call, '('):]
	pickles := map[string]string{
		"dictionaries": "\x80\x02" + repeated(2<<20, same("}")),
		"lists":        "\x80\x02" + repeated(2<<20, same("]")),
		"numbers":      "\x80\x02" + repeated(2<<20, same("J\x00\x00\x01\x00")),
		"texts":        "\x80\x02" + repeated(2<<20, same("U\x01a")),
		"marks":        "\x80\x02" + repeated(2<<20, same("(t")),
		"memory": "\x80\x02N" + repeated(2<<20, func(i int) string {
			return "r" + string(binary.LittleEndian.AppendUint32(nil, uint32(i*2654435761)))
		}),
		"tensors": "\x80\x02ctorch._utils\n_rebuild_tensor_v2\nq\x00" + string(args) + "q\x01" + repeated(1<<20, same("h\x00h\x01R")),
		"names":   doubledTensor(),
	}
	for name, pickle := range pickles {
		t.Run("pickle of "+name, func(t *testing.T) {
			bounded(t, pth(t, []byte(pickle), floats(1)))
		})
	}
	headers := map[string]string{
		"tensors":  repeated(200_000, func(i int) string { return fmt.Sprintf(`"%d":{"dtype":"U8","shape":[0],"data_offsets":[0,0]},`, i) }),
		"members":  repeated(1<<20, func(i int) string { return fmt.Sprintf(`"%x":0,`, i) }),
		"texts":    `"__metadata__":{` + repeated(1<<19, func(i int) string { return fmt.Sprintf(`"%x":"",`, i) }) + `"z":""},`,
		"shape":    `"a":{"dtype":"U8","data_offsets":[0,0],"shape":[` + repeated(4<<20, same("0,")) + `0]},`,
		"brackets": `"a":` + repeated(8<<20, same("[")),
	}
	for name, header := range headers {
		t.Run("header of "+name, func(t *testing.T) {
			bounded(t, safetensorsOf("{"+strings.TrimSuffix(header, ",")+"}"))
		})
	}
}

// doubledTensor is a tensor that stands in 2^40 places by a long name.
func doubledTensor() string {
	long := "X" + string(binary.LittleEndian.AppendUint32(nil, 1500))
	p := pickler{out: []byte("\x80\x02}X\x01\x00\x00\x00a")}
	p.tensor("torch FloatStorage", "0", 1, 0, []int64{1}, []int64{1})
	p.op('s', 'q', 0)
	for i := range 40 {
		for _, end := range []string{"a", "b"} {
			if end == "a" {
				p.op('}')
			}
			p.out = append(p.out, long+strings.Repeat("n", 1499)+end...)
			p.op('h', byte(i), 's')
		}
		p.op('q', byte(i+1))
	}
	p.op('.')
	return string(p.out)
}

// bounded opens a file and compares the memory that is held with the limit.
func bounded(t *testing.T, content []byte) {
	path := writeTemp(t, content)
	runtime.GC()
	got := allocated(func() {
		f, err := Open(path)
		if err == nil {
			f.Close()
		} else if !isSentinel(err) {
			t.Error(err)
		}
		t.Logf("%.150v", err)
	})
	t.Logf("%.1f MB allocated for a file of %.1f MB", float64(got)/1e6, float64(len(content))/1e6)
	if got > memoryLimit(len(content)) {
		t.Errorf("%d bytes allocated for a file of %d, want at most %d", got, len(content), memoryLimit(len(content)))
	}
}
