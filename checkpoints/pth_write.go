package checkpoints

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"hash/crc32"
	"io"
	"math"
	"sort"
	"strconv"
	"strings"
	"unicode/utf8"
)

// recordAlignment is where torch.save begins each record's bytes, so that they can be mapped into memory.
const recordAlignment = 64

// WritePTH writes tensors as a state dictionary, an OrderedDict in order of names, in the layout of
// torch.save: torch.load reads it, with weights_only=True too. The same tensors give the same bytes. The
// file appears whole or not at all.
func WritePTH(path string, tensors []Tensor) error {
	return writeAtomic(path, true, func(w io.Writer) error { return encodePTH(w, tensors) })
}

func encodePTH(w io.Writer, tensors []Tensor) error {
	sorted := append([]Tensor(nil), tensors...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	index, err := pickleStateDict(sorted)
	if err != nil {
		return err
	}
	archive := archiveWriter{zip: zip.NewWriter(w)}
	archive.record("data.pkl", index)
	archive.record("byteorder", []byte("little"))
	for i, t := range sorted {
		archive.record("data/"+strconv.Itoa(i), t.Data)
	}
	archive.record("version", []byte("3\n"))
	if archive.err != nil {
		return archive.err
	}
	return archive.zip.Close()
}

// archiveWriter writes stored records with their sizes in front, padded as PyTorch does by an extra field
// "FB". It keeps the first error.
type archiveWriter struct {
	zip *zip.Writer
	at  int64
	err error
}

func (a *archiveWriter) record(name string, data []byte) {
	if a.err != nil {
		return
	}
	if uint64(len(data)) >= math.MaxUint32 {
		a.err = fmt.Errorf("record %s has %d bytes, more than 4 GB", name, len(data))
		return
	}
	const localHeader, extraHeader = 30, 4
	name = "archive/" + name // as torch.save calls it where it writes to no named file
	start := a.at + localHeader + int64(len(name)) + extraHeader
	padding := int((recordAlignment - start%recordAlignment) % recordAlignment)
	extra := binary.LittleEndian.AppendUint16([]byte("FB"), uint16(padding))
	extra = append(extra, bytes.Repeat([]byte("Z"), padding)...)
	w, err := a.zip.CreateRaw(&zip.FileHeader{
		Name: name, Method: zip.Store, Extra: extra, CRC32: crc32.ChecksumIEEE(data),
		CompressedSize64: uint64(len(data)), UncompressedSize64: uint64(len(data)),
	})
	if err == nil {
		_, err = w.Write(data)
	}
	a.err = err
	a.at = start + int64(padding) + int64(len(data))
}

// storageNames are the storage classes by element type.
var storageNames = func() map[DType]class {
	out := map[DType]class{}
	for c, d := range storageTypes {
		out[d] = c
	}
	return out
}()

// pickleStateDict writes the dictionary of tensors in pickle's protocol 2 with the instructions that
// torch.load allows; tensor i lies in storage i.
func pickleStateDict(tensors []Tensor) ([]byte, error) {
	p := pickler{out: []byte{0x80, 2}}
	p.global(orderedDict)
	p.op(')', 'R', '(')
	for i, t := range tensors {
		size, err := t.bytes()
		switch {
		case err != nil:
			return nil, err
		case size != int64(len(t.Data)):
			return nil, fmt.Errorf("tensor %q has %d bytes, its shape %v of %s needs %d", t.Name, len(t.Data), t.Shape, t.DType, size)
		case len(t.Shape) > maxDims:
			return nil, fmt.Errorf("tensor %q has %d dimensions, more than %d", t.Name, len(t.Shape), maxDims)
		case !utf8.ValidString(t.Name) || len(t.Name) > maxString:
			return nil, fmt.Errorf("%.40q is no name for a tensor", t.Name)
		case i > 0 && t.Name == tensors[i-1].Name:
			return nil, fmt.Errorf("two tensors are called %q", t.Name)
		}
		p.text(t.Name)
		p.global(rebuildTensor)
		p.op('(')
		p.op('(')
		p.text("storage")
		p.global(storageNames[t.DType])
		p.text(strconv.Itoa(i))
		p.text("cpu")
		p.int(size / t.DType.Size())
		p.op('t', 'Q')
		p.int(0) // offset
		p.ints(t.Shape)
		p.ints(rowMajor(t.Shape))
		p.op(0x89) // requires_grad
		p.global(orderedDict)
		p.op(')', 'R') // backward hooks
		p.op('t', 'R')
	}
	p.op('u', '.')
	return p.out, nil
}

// rowMajor returns the strides of a contiguous tensor.
func rowMajor(shape []int64) []int64 {
	out := make([]int64, len(shape))
	next := int64(1)
	for i := len(shape) - 1; i >= 0; i-- {
		out[i] = next
		next *= max(shape[i], 1)
	}
	return out
}

type pickler struct{ out []byte }

func (p *pickler) op(codes ...byte) { p.out = append(p.out, codes...) }

func (p *pickler) global(c class) {
	module, name, _ := strings.Cut(string(c), " ")
	p.out = fmt.Appendf(p.out, "c%s\n%s\n", module, name)
}

func (p *pickler) text(s string) {
	p.out = binary.LittleEndian.AppendUint32(append(p.out, 'X'), uint32(len(s)))
	p.out = append(p.out, s...)
}

func (p *pickler) int(v int64) {
	switch {
	case v < 1<<8:
		p.op('K', byte(v))
	case v < 1<<16:
		p.out = binary.LittleEndian.AppendUint16(append(p.out, 'M'), uint16(v))
	case v <= math.MaxInt32:
		p.out = binary.LittleEndian.AppendUint32(append(p.out, 'J'), uint32(v))
	default:
		p.out = binary.LittleEndian.AppendUint64(append(p.out, 0x8a, 8), uint64(v))
	}
}

func (p *pickler) ints(values []int64) {
	p.op('(')
	for _, v := range values {
		p.int(v)
	}
	p.op('t')
}
