// Package checkpoints reads and writes weights: PyTorch's .pth without ever executing anything,
// safetensors, and the checkpoints of a run, which survive a kill at any moment.
package checkpoints

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
)

// maxTensors bounds what the index of a file may hold; the largest models have a few thousand tensors.
const maxTensors = 1 << 16

// Errors that a caller branches on; match them with errors.Is.
var (
	// ErrCorrupt says that a file is damaged: truncated, or its content differs from its checksum.
	ErrCorrupt = errors.New("damaged file")
	// ErrFormat says that a file is not of a kind that is read here.
	ErrFormat = errors.New("unsupported format")
	// ErrUnsafe says that a file asks for something that a file of weights has no reason to ask for.
	ErrUnsafe = errors.New("unsafe file")
)

// DType is the type of a tensor's elements, by safetensors' name.
type DType string

// Size returns the bytes of an element, 0 for an unknown type.
func (d DType) Size() int64 {
	switch d {
	case "BOOL", "U8", "I8":
		return 1
	case "F16", "BF16", "I16":
		return 2
	case "F32", "I32":
		return 4
	case "F64", "I64":
		return 8
	}
	return 0
}

// Info names a tensor and says its type and shape; the shape of a scalar is empty.
type Info struct {
	Name  string
	DType DType
	Shape []int64
}

// bytes returns the size of the tensor's elements in row-major order, or an error where it overflows.
func (i Info) bytes() (int64, error) {
	n := i.DType.Size()
	if n == 0 {
		return 0, fmt.Errorf("tensor %q: unknown element type %q", i.Name, i.DType)
	}
	for _, d := range i.Shape {
		if d < 0 || (d > 0 && n > math.MaxInt64/d) {
			return 0, fmt.Errorf("tensor %q: impossible shape %v", i.Name, i.Shape)
		}
		n *= d
	}
	return n, nil
}

// Tensor is a tensor with its elements, row-major and little-endian.
type Tensor struct {
	Info
	Data []byte
}

// File is an open file of weights. Names and shapes are known, elements are read when they are asked for.
type File struct {
	path    string
	f       *os.File
	entries map[string]entry
	meta    map[string]string
	beside  []string
}

// entry is a tensor that can be read into memory of its size.
type entry struct {
	info Info
	at   int64 // where the elements lie in a safetensors file; 0 in others
	read func(dst []byte) error
}

// Open opens a .pth (torch.save's zip archive) or a safetensors file, told apart by content. Errors wrap
// ErrCorrupt, ErrFormat or ErrUnsafe where the content is to blame.
func Open(path string) (*File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("open weights: %w", err)
	}
	file := &File{path: path, f: f, entries: map[string]entry{}}
	if err := file.parse(); err != nil {
		f.Close()
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return file, nil
}

func (f *File) parse() error {
	stat, err := f.f.Stat()
	if err != nil {
		return err
	}
	if stat.IsDir() {
		return fmt.Errorf("%w: it is a folder, want a .pth or .safetensors file", ErrFormat)
	}
	head := make([]byte, 9)
	n, err := f.f.ReadAt(head, 0)
	if err != nil && err != io.EOF {
		return err
	}
	head = head[:n]
	switch {
	case isSafetensors(head): // first: the length of a header may begin like the other two
		return f.parseSafetensors(stat.Size())
	case bytes.HasPrefix(head, []byte("PK\x03\x04")):
		return f.parsePTH(stat.Size())
	case isLegacyPickle(head):
		return fmt.Errorf("%w: the old torch.save format, from before PyTorch 1.6: convert it with "+
			"python -c \"import torch; torch.save(torch.load('in.pth', map_location='cpu', weights_only=True), 'out.pth')\"", ErrFormat)
	case n < 9:
		return fmt.Errorf("%w: %d bytes long, too short for weights", ErrCorrupt, n)
	}
	return fmt.Errorf("%w: neither a torch.save archive nor safetensors (it begins with % x)", ErrFormat, head)
}

// isSafetensors recognises a header's length, 8 bytes, and the brace that the header begins with.
func isSafetensors(head []byte) bool {
	return len(head) == 9 && head[8] == '{' && binary.LittleEndian.Uint64(head) <= math.MaxUint32
}

// isLegacyPickle recognises a bare pickle, which older torch.save began with.
func isLegacyPickle(head []byte) bool {
	return len(head) > 1 && head[0] == 0x80 && head[1] >= 2 && head[1] <= 5
}

// Close closes the file.
func (f *File) Close() error { return f.f.Close() }

// Path is the file's path as it was given to Open.
func (f *File) Path() string { return f.path }

// Names returns the tensors' names in order.
func (f *File) Names() []string {
	names := make([]string, 0, len(f.entries))
	for n := range f.entries {
		names = append(names, n)
	}
	sort.Strings(names)
	return names
}

// Info returns the type and shape of a tensor.
func (f *File) Info(name string) (Info, bool) {
	e, ok := f.entries[name]
	return e.info, ok
}

// Beside returns the names of what a .pth holds at its top that has no tensors in it, as the epoch of a training.
func (f *File) Beside() []string { return f.beside }

// Metadata returns the texts that a safetensors file carries beside its tensors.
func (f *File) Metadata() map[string]string { return f.meta }

// ReadInto reads a tensor's elements, row-major and little-endian, into dst, which has just their size.
// Where the file has a checksum it is verified.
func (f *File) ReadInto(name string, dst []byte) error {
	e, ok := f.entries[name]
	if !ok {
		return fmt.Errorf("read %q: there is no tensor %q", f.path, name)
	}
	size, err := e.info.bytes()
	if err != nil {
		return fmt.Errorf("read %q: %w", f.path, err)
	}
	if int64(len(dst)) != size {
		return fmt.Errorf("read %q: tensor %q has %d bytes, the destination %d", f.path, name, size, len(dst))
	}
	if err := e.read(dst); err != nil {
		return fmt.Errorf("read %q: tensor %q: %w", f.path, name, err)
	}
	return nil
}

// Bytes returns a tensor's elements, row-major and little-endian.
func (f *File) Bytes(name string) ([]byte, error) {
	info, ok := f.Info(name)
	if !ok {
		return nil, fmt.Errorf("read %q: there is no tensor %q", f.path, name)
	}
	size, err := info.bytes()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", f.path, err)
	}
	out := make([]byte, size)
	return out, f.ReadInto(name, out)
}

// Float32 returns a tensor's elements as float32, from F32, F16, BF16 or F64.
func (f *File) Float32(name string) ([]float32, error) {
	raw, err := f.Bytes(name)
	if err != nil {
		return nil, err
	}
	info, _ := f.Info(name)
	out := make([]float32, int64(len(raw))/max(1, info.DType.Size()))
	for i := range out {
		switch info.DType {
		case "F32":
			out[i] = math.Float32frombits(binary.LittleEndian.Uint32(raw[4*i:]))
		case "F64":
			out[i] = float32(math.Float64frombits(binary.LittleEndian.Uint64(raw[8*i:])))
		case "BF16":
			out[i] = math.Float32frombits(uint32(binary.LittleEndian.Uint16(raw[2*i:])) << 16)
		case "F16":
			out[i] = halfToFloat(binary.LittleEndian.Uint16(raw[2*i:]))
		default:
			return nil, fmt.Errorf("read %q: tensor %q has element type %s, want a floating one", f.path, name, info.DType)
		}
	}
	return out, nil
}

func halfToFloat(h uint16) float32 {
	sign, exponent, fraction := uint32(h>>15), uint32(h>>10)&0x1f, uint32(h)&0x3ff
	switch exponent {
	case 0:
		v := float32(fraction) / (1 << 24)
		if sign == 1 {
			v = -v
		}
		return v
	case 0x1f:
		return math.Float32frombits(sign<<31 | 0xff<<23 | fraction<<13)
	}
	return math.Float32frombits(sign<<31 | (exponent+112)<<23 | fraction<<13)
}

// SHA256 returns the hash of the whole file in hex.
func (f *File) SHA256() (string, error) {
	h := sha256.New()
	if _, err := io.Copy(h, io.NewSectionReader(f.f, 0, math.MaxInt64)); err != nil {
		return "", fmt.Errorf("hash %q: %w", f.path, err)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// Verify reads every tensor, so that every checksum of the file is compared.
func (f *File) Verify() error {
	for _, name := range f.Names() {
		size, err := f.entries[name].info.bytes()
		if err != nil {
			return fmt.Errorf("read %q: %w", f.path, err)
		}
		if err := f.ReadInto(name, make([]byte, size)); err != nil {
			return err
		}
	}
	return nil
}
