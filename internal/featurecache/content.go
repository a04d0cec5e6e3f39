package featurecache

import (
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/gob"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"net/url"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"

	"samtune/checkpoints"
)

// What the metadata of a file of features says beside its tensor.
const (
	checksumKey  = "crc32c"
	benchmarkKey = "benchmark"
)

// castagnoli is the polynomial that processors compute in hardware: verifying costs less than reading.
var castagnoli = crc32.MakeTable(crc32.Castagnoli)

func checksum(data []byte) string { return fmt.Sprintf("%08x", crc32.Checksum(data, castagnoli)) }

// Write keeps one tensor, with its checksum and the name of the benchmark that it is made for, which may be empty and decides nothing.
func Write(path, benchmark string, t checkpoints.Tensor) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	meta := map[string]string{checksumKey: checksum(t.Data)}
	if benchmark != "" {
		meta[benchmarkKey] = benchmark
	}
	return checkpoints.CacheSafetensors(path, meta, []checkpoints.Tensor{t})
}

// Read verifies what Write kept and gives use its shape and bytes, which are memory-mapped. The error wraps checkpoints.ErrCorrupt or
// checkpoints.ErrFormat where the content has to be made again.
func Read(path, name string, dtype checkpoints.DType, use func(shape []int64, data []byte) error) error {
	f, err := checkpoints.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	info, ok := f.Info(name)
	if !ok || info.DType != dtype {
		return fmt.Errorf("read %q: %w: it does not hold %s as %s", path, checkpoints.ErrCorrupt, name, dtype)
	}
	return f.Mapped(name, func(data []byte) error {
		if checksum(data) != f.Metadata()[checksumKey] {
			return fmt.Errorf("read %q: %w: the content differs from its checksum", path, checkpoints.ErrCorrupt)
		}
		return use(info.Shape, data)
	})
}

// WriteAnswer keeps what a zero-shot prompt was answered with, with the name of the benchmark, which decides nothing.
func WriteAnswer(path, benchmark string, answer any) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	z.Comment = url.Values{benchmarkKey: {benchmark}}.Encode() // gzip knows no letters beyond Latin-1
	if err := gob.NewEncoder(z).Encode(answer); err != nil {
		return err
	}
	if err := z.Close(); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, b.Bytes(), 0o644)
}

// ReadAnswer reads what WriteAnswer kept and says whether all of it is there and undamaged.
func ReadAnswer(path string, answer any) bool {
	err := readAnswer(path, func(z *gzip.Reader) error {
		if err := gob.NewDecoder(z).Decode(answer); err != nil {
			return err
		}
		_, err := io.Copy(io.Discard, z) // to the end, where the checksum is
		return err
	})
	if err == nil {
		Touch(path)
	}
	return err == nil
}

func readAnswer(path string, use func(z *gzip.Reader) error) error {
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return err
	}
	return use(z)
}

// sliceCounts is the content of a file of slices.
type sliceCounts struct {
	Benchmark string           `json:"benchmark"`
	Counts    map[string][]int `json:"counts"`
}

// WriteSlices keeps how many pixels of each target are in each slice of a volume, with the name of the benchmark, which decides nothing.
func WriteSlices(path, benchmark string, counts map[string][]int) error {
	text, err := json.Marshal(sliceCounts{benchmark, counts})
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return err
	}
	return renameio.WriteFile(path, text, 0o644)
}

// ReadSlices reads what WriteSlices kept, or the bare counts as they were kept before files told their benchmark.
func ReadSlices(path string) (map[string][]int, error) {
	kept, err := readSlices(path)
	if err == nil {
		Touch(path)
	}
	return kept.Counts, err
}

func readSlices(path string) (kept sliceCounts, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return kept, err
	}
	if err = json.Unmarshal(text, &kept); err != nil || kept.Counts == nil {
		kept = sliceCounts{}
		err = json.Unmarshal(text, &kept.Counts)
	}
	if err != nil {
		err = fmt.Errorf("read %q: %w: %w", path, checkpoints.ErrCorrupt, err)
	}
	return kept, err
}

// benchmark reads what a file says of its origin. One that is damaged says nothing.
func (f *File) benchmark() string {
	name := ""
	switch f.Kind {
	case Features:
		if s, err := checkpoints.Open(f.Path); err == nil {
			name = s.Metadata()[benchmarkKey]
			s.Close()
		}
	case Answers:
		_ = readAnswer(f.Path, func(z *gzip.Reader) error { // as said above
			said, err := url.ParseQuery(z.Comment)
			name = said.Get(benchmarkKey)
			return err
		})
	case Slices:
		kept, _ := readSlices(f.Path) // as said above
		name = kept.Benchmark
	}
	return cmp.Or(name, Unknown)
}

// Verify reads all of a file. The error wraps checkpoints.ErrCorrupt where it is damaged, and os.ErrNotExist where another process has
// given it up.
func (f *File) Verify() error {
	var err error
	switch f.Kind {
	case Features:
		err = verifyFeatures(f.Path)
	case Answers:
		err = readAnswer(f.Path, func(z *gzip.Reader) error {
			_, err := io.Copy(io.Discard, z)
			return err
		})
	case Slices:
		_, err = readSlices(f.Path)
	}
	for _, other := range []error{checkpoints.ErrCorrupt, os.ErrNotExist, os.ErrPermission} {
		if err == nil || errors.Is(err, other) {
			return err
		}
	}
	return fmt.Errorf("read %q: %w: %w", f.Path, checkpoints.ErrCorrupt, err)
}

func verifyFeatures(path string) error {
	f, err := checkpoints.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	names := f.Names()
	if len(names) != 1 {
		return fmt.Errorf("read %q: %w: it holds %d tensors, want 1", path, checkpoints.ErrCorrupt, len(names))
	}
	info, _ := f.Info(names[0])
	return Read(path, info.Name, info.DType, func([]int64, []byte) error { return nil })
}
