package checkpoints

import (
	"archive/zip"
	"bytes"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"path"
	"slices"
	"sort"
	"strings"
)

// Bounds of what an archive's index may describe.
const (
	maxNesting = 64       // how deep dictionaries may lie in one another
	maxDims    = 8        // dimensions of a tensor
	maxNames   = 16 << 20 // bytes of all tensors' names
)

// storageTypes are the classes that a storage may have, with its elements' type.
var storageTypes = map[class]DType{
	"torch FloatStorage": "F32", "torch HalfStorage": "F16", "torch BFloat16Storage": "BF16", "torch DoubleStorage": "F64",
	"torch LongStorage": "I64", "torch IntStorage": "I32", "torch ShortStorage": "I16", "torch CharStorage": "I8",
	"torch ByteStorage": "U8", "torch BoolStorage": "BOOL",
}

const (
	rebuildTensor    class = "torch._utils _rebuild_tensor_v2"
	rebuildParameter class = "torch._utils _rebuild_parameter"
	orderedDict      class = "collections OrderedDict"
	torchSize        class = "torch Size"
)

// storage is a record of the archive; count is its elements.
type storage struct {
	dtype  DType
	count  int64
	record *zip.File
}

// view is a tensor over a storage.
type view struct {
	storage       *storage
	offset        int64
	shape, stride []int64
}

// parsePTH reads the index of a torch.save archive. Tensors in nested dictionaries get dotted names.
func (f *File) parsePTH(size int64) error {
	archive, err := zip.NewReader(f.f, size)
	if err != nil {
		return fmt.Errorf("%w: zip archive: %w: the file is damaged or incomplete, get it again", ErrCorrupt, err)
	}
	records := map[string]*zip.File{}
	var index *zip.File
	left := uint64(size)
	for _, r := range archive.File { // first, since its records are not like those of torch.save in other ways too
		if path.Base(r.Name) == "constants.pkl" {
			return fmt.Errorf("%w: a TorchScript archive: save the state dictionary instead: torch.save(model.state_dict(), path)", ErrFormat)
		}
	}
	for _, r := range archive.File {
		if err := checkRecord(r, records, left); err != nil {
			return err
		}
		left -= r.UncompressedSize64
		records[r.Name] = r
		if path.Base(r.Name) == "data.pkl" && strings.Count(r.Name, "/") == 1 {
			if index != nil {
				return fmt.Errorf("%w: two indices, %s and %s", ErrUnsafe, index.Name, r.Name)
			}
			index = r
		}
	}
	if index == nil {
		return fmt.Errorf("%w: a zip archive without data.pkl, so not one of torch.save", ErrFormat)
	}
	root := path.Dir(index.Name)
	if order := records[root+"/byteorder"]; order != nil {
		b, err := readRecord(order, 16)
		if err != nil {
			return err
		}
		if strings.TrimSpace(string(b)) != "little" {
			return fmt.Errorf("%w: byte order %q, want little", ErrFormat, b)
		}
	}
	pickled, err := readRecord(index, maxPickleBytes)
	if err != nil {
		return err
	}
	storages := map[string]*storage{}
	u := &unpickler{
		allowed: func(c class) bool {
			_, isStorage := storageTypes[c]
			return isStorage || c == rebuildTensor || c == rebuildParameter || c == orderedDict || c == torchSize
		},
		persistent: func(id tuple) (any, error) { return openStorage(id, root, records, storages) },
		call:       call,
	}
	object, err := u.load(bytes.NewReader(pickled))
	if err != nil {
		return fmt.Errorf("%s: %w", index.Name, err)
	}
	c := collector{entries: f.entries}
	if err := c.collect("", object, 0); err != nil {
		return fmt.Errorf("%s: %w", index.Name, err)
	}
	if len(f.entries) == 0 {
		return fmt.Errorf("%w: there is no tensor in it", ErrFormat)
	}
	f.beside = emptyParts(object, f.entries)
	return nil
}

// emptyParts lists the top names of a dictionary below which there is no tensor.
func emptyParts(object any, entries map[string]entry) []string {
	top, ok := object.(*dict)
	if !ok {
		return nil
	}
	filled := map[string]bool{}
	for name := range entries {
		filled[name] = true
		for i := range name {
			if name[i] == '.' {
				filled[name[:i]] = true
			}
		}
	}
	var out []string
	for _, k := range top.keys {
		if key, ok := k.(string); ok && !filled[key] {
			out = append(out, key)
		}
	}
	return out
}

// checkRecord refuses what torch.save does not write; left is how many of the file's bytes no earlier
// record claims, so that no size in the archive can ask for more memory than the file has bytes.
func checkRecord(r *zip.File, seen map[string]*zip.File, left uint64) error {
	switch {
	case strings.HasPrefix(r.Name, "/") || strings.Contains(r.Name, `\`) || strings.ContainsRune(r.Name, 0) || path.Clean(r.Name) != strings.TrimSuffix(r.Name, "/") || strings.HasPrefix(path.Clean(r.Name), ".."):
		return fmt.Errorf("%w: archive record %q has a path that leads outside", ErrUnsafe, r.Name)
	case seen[r.Name] != nil:
		return fmt.Errorf("%w: archive record %q is there twice", ErrUnsafe, r.Name)
	case r.Method != zip.Store:
		return fmt.Errorf("%w: archive record %q is compressed, which torch.save never does", ErrFormat, r.Name)
	case r.CompressedSize64 != r.UncompressedSize64:
		return fmt.Errorf("%w: archive record %q is stored with two sizes, %d and %d", ErrCorrupt, r.Name, r.CompressedSize64, r.UncompressedSize64)
	case r.UncompressedSize64 > left:
		return fmt.Errorf("%w: archive record %q claims %d bytes, the file has %d left for it", ErrCorrupt, r.Name, r.UncompressedSize64, left)
	}
	return nil
}

func readRecord(r *zip.File, limit uint64) ([]byte, error) {
	if r.UncompressedSize64 > limit {
		return nil, fmt.Errorf("%w: %s has %d bytes, more than %d", ErrUnsafe, r.Name, r.UncompressedSize64, limit)
	}
	b := make([]byte, r.UncompressedSize64)
	return b, fillRecord(r, 0, b)
}

// fillRecord reads len(dst) bytes of a record from offset on and verifies the whole record's checksum.
func fillRecord(r *zip.File, offset int64, dst []byte) error {
	raw, err := r.OpenRaw()
	if err != nil {
		return fmt.Errorf("%w: %s: %w", ErrCorrupt, r.Name, err)
	}
	sum := crc32.NewIEEE()
	in := io.TeeReader(raw, sum)
	if _, err = io.CopyN(io.Discard, in, offset); err == nil {
		if _, err = io.ReadFull(in, dst); err == nil {
			_, err = io.Copy(io.Discard, in)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %s: %w: the file is incomplete, get it again", ErrCorrupt, r.Name, err)
	}
	if got := sum.Sum32(); got != r.CRC32 {
		return fmt.Errorf("%w: %s: CRC32 is %08x, want %08x: the file is damaged, get it again", ErrCorrupt, r.Name, got, r.CRC32)
	}
	return nil
}

// openStorage resolves a persistent id ("storage", class, key, device, count).
func openStorage(id tuple, root string, records map[string]*zip.File, known map[string]*storage) (any, error) {
	if len(id) != 5 {
		return nil, fmt.Errorf("a storage described by %d values, want 5", len(id))
	}
	kind, ok0 := id[0].(string)
	c, ok1 := id[1].(class)
	key, ok2 := id[2].(string)
	count, ok3 := id[4].(int64)
	dtype, ok4 := storageTypes[c]
	if !ok0 || !ok1 || !ok2 || !ok3 || !ok4 || kind != "storage" || count < 0 {
		return nil, errors.New("a storage that is not described as torch.save does")
	}
	name := root + "/data/" + key
	record := records[name]
	if record == nil {
		return nil, fmt.Errorf("%w: record %q is missing from the archive", ErrCorrupt, name)
	}
	if count > int64(record.UncompressedSize64)/dtype.Size() || uint64(count*dtype.Size()) != record.UncompressedSize64 {
		return nil, fmt.Errorf("%w: record %q has %d bytes, want %d elements of %s", ErrCorrupt, name, record.UncompressedSize64, count, dtype)
	}
	if s := known[key]; s != nil {
		if s.dtype != dtype || s.count != count {
			return nil, fmt.Errorf("record %q is described in two ways", name)
		}
		return s, nil
	}
	known[key] = &storage{dtype: dtype, count: count, record: record}
	return known[key], nil
}

// call stands in for the functions of the allow-list.
func call(c class, args tuple) (any, error) {
	switch c {
	case orderedDict:
		return &dict{}, nil
	case torchSize:
		return object{}, nil
	case rebuildParameter:
		if len(args) > 0 {
			if v, ok := args[0].(*view); ok {
				return v, nil
			}
		}
		return nil, errors.New("a parameter without a tensor")
	case rebuildTensor:
		return newView(args)
	}
	return nil, fmt.Errorf("%w: a call of %s", ErrUnsafe, c)
}

func newView(args tuple) (*view, error) {
	if len(args) < 4 {
		return nil, errors.New("a tensor without storage, offset, shape and stride")
	}
	s, ok1 := args[0].(*storage)
	offset, ok2 := args[1].(int64)
	shape, ok3 := ints(args[2])
	stride, ok4 := ints(args[3])
	if !ok1 || !ok2 || !ok3 || !ok4 || offset < 0 || len(shape) != len(stride) {
		return nil, errors.New("a tensor that is not described as torch.save does")
	}
	// The last element that the view reaches, without overflow: every term stays below the storage's count.
	last, empty := offset, slices.Contains(shape, 0)
	for i, d := range shape {
		if !empty && d > 1 && stride[i] > 0 {
			if d-1 > (s.count-last)/stride[i] {
				return nil, fmt.Errorf("%w: a tensor of shape %v, stride %v from %d on exceeds its storage of %d elements", ErrCorrupt, shape, stride, offset, s.count)
			}
			last += (d - 1) * stride[i]
		}
	}
	if !empty && last >= s.count {
		return nil, fmt.Errorf("%w: a tensor of shape %v from %d on exceeds its storage of %d elements", ErrCorrupt, shape, offset, s.count)
	}
	if n, err := (Info{DType: s.dtype, Shape: shape}).bytes(); err != nil || (n > 0 && n/s.dtype.Size() > s.count) {
		return nil, fmt.Errorf("%w: a tensor of shape %v repeats elements of a storage of %d", ErrUnsafe, shape, s.count)
	}
	return &view{storage: s, offset: offset, shape: shape, stride: stride}, nil
}

func ints(v any) ([]int64, bool) {
	t, ok := v.(tuple)
	if !ok || len(t) > maxDims {
		return nil, false
	}
	out := make([]int64, len(t))
	for i, x := range t {
		n, ok := x.(int64)
		if !ok || n < 0 {
			return nil, false
		}
		out[i] = n
	}
	return out, true
}

// collector walks nested dictionaries and notes their tensors under dotted names. A dictionary can stand
// in several places, so what it visits is counted: a few short lines of pickle can describe 2^64 places.
type collector struct {
	entries        map[string]entry
	visited, names int
}

func (c *collector) collect(name string, v any, depth int) error {
	c.visited++
	switch {
	case depth > maxNesting:
		return fmt.Errorf("%w: dictionaries nested more than %d deep", ErrUnsafe, maxNesting)
	case c.visited > maxObjects || len(c.entries) > maxTensors || c.names > maxNames:
		return fmt.Errorf("%w: more than %d tensors, or dictionaries that repeat themselves", ErrUnsafe, maxTensors)
	}
	switch v := v.(type) {
	case *view:
		if _, twice := c.entries[name]; twice {
			return fmt.Errorf("%w: tensor %q is there twice", ErrCorrupt, name)
		}
		info := Info{Name: name, DType: v.storage.dtype, Shape: v.shape}
		c.entries[name] = entry{info: info, read: v.read}
		c.names += len(name)
	case *dict:
		for i, k := range v.keys {
			key, ok := k.(string)
			if !ok {
				continue // as an optimiser's state, which is numbered
			}
			switch v.values[i].(type) {
			case *view, *dict:
			default:
				continue
			}
			if name != "" {
				key = name + "." + key
			}
			if len(key) > maxString {
				return fmt.Errorf("%w: a tensor's name of %d bytes, more than %d", ErrUnsafe, len(key), maxString)
			}
			if err := c.collect(key, v.values[i], depth+1); err != nil {
				return err
			}
		}
	}
	return nil
}

// read copies the view's elements to dst in row-major order.
func (v *view) read(dst []byte) error {
	if len(dst) == 0 {
		return nil
	}
	size := v.storage.dtype.Size()
	if v.contiguous() {
		return fillRecord(v.storage.record, v.offset*size, dst)
	}
	all, err := readRecord(v.storage.record, uint64(v.storage.count*size))
	if err != nil {
		return err
	}
	index := make([]int64, len(v.shape))
	for out := int64(0); out < int64(len(dst)); out += size {
		at := v.offset
		for d, i := range index {
			at += i * v.stride[d]
		}
		copy(dst[out:out+size], all[at*size:])
		for d := len(index) - 1; d >= 0; d-- {
			if index[d]++; index[d] < v.shape[d] {
				break
			}
			index[d] = 0
		}
	}
	return nil
}

func (v *view) contiguous() bool {
	want := int64(1)
	for d := len(v.shape) - 1; d >= 0; d-- {
		if v.shape[d] != 1 && v.stride[d] != want {
			return false
		}
		want *= v.shape[d]
	}
	return true
}

// Rename gives every tensor the name that rename returns; an empty one leaves the tensor out. Two of one
// name are an error.
func (f *File) Rename(rename func(string) string) error {
	out := map[string]entry{}
	for _, old := range f.Names() {
		e := f.entries[old]
		name := rename(old)
		if name == "" {
			continue
		}
		if _, twice := out[name]; twice {
			return fmt.Errorf("read %q: two tensors are called %q once %q is renamed", f.path, name, old)
		}
		e.info.Name = name
		out[name] = e
	}
	f.entries = out
	return nil
}

// sortInfos orders tensors by name.
func sortInfos(infos []Info) {
	sort.Slice(infos, func(i, j int) bool { return infos[i].Name < infos[j].Name })
}
