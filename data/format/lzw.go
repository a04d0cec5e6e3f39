package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"

	"golang.org/x/image/tiff/lzw"
)

// TIFF tags that say where a picture's strips are.
const (
	tagWidth        = 256
	tagHeight       = 257
	tagBits         = 258
	tagCompression  = 259
	tagOffsets      = 273
	tagSamples      = 277
	tagRowsPerStrip = 278
	tagByteCounts   = 279
)

const (
	compressionNone = 1
	compressionLZW  = 5
	typeByte        = 1
	typeShort       = 3
	typeLong        = 4
)

// errNotLZW says that a file is not one that unpackLZW is for.
var errNotLZW = errors.New("no LZW strips")

// directory is the only page of a TIFF held in memory.
type directory struct {
	file  []byte
	order binary.ByteOrder
	field map[uint16]int // where a tag's 12 bytes begin
}

// unpackLZW returns a TIFF with its LZW strips replaced by plain ones. Some old writers, DRIVE's among
// them, end a strip with a code that is not the end mark or has the wrong width, which strict decoders
// refuse although every pixel is there. A strip that has too few pixels is an error.
func unpackLZW(file []byte) ([]byte, error) {
	d, err := openDirectory(file)
	if err != nil {
		return nil, err
	}
	one := func(tag uint16, missing uint32) uint32 {
		if v := d.values(tag); len(v) > 0 {
			return v[0]
		}
		return missing
	}
	offsets, counts := d.values(tagOffsets), d.values(tagByteCounts)
	width, height, bits, samples := one(tagWidth, 0), one(tagHeight, 0), one(tagBits, 1), one(tagSamples, 1)
	rows := one(tagRowsPerStrip, height)
	if one(tagCompression, compressionNone) != compressionLZW || len(offsets) == 0 || len(offsets) != len(counts) || rows == 0 ||
		d.kind(tagOffsets) != typeLong || d.kind(tagByteCounts) != typeLong {
		return nil, errNotLZW
	}
	rowBytes := (uint64(width)*uint64(samples)*uint64(bits) + 7) / 8
	if rowBytes*uint64(height) > 8*MaxPixels {
		return nil, fmt.Errorf("%w: its strips claim %d bytes", ErrUnsupported, rowBytes*uint64(height))
	}
	out := bytes.Clone(file)
	for i := range offsets {
		first := uint64(i) * uint64(rows)
		if first >= uint64(height) {
			break
		}
		want := min(uint64(rows), uint64(height)-first) * rowBytes
		from, to := uint64(offsets[i]), uint64(offsets[i])+uint64(counts[i])
		if to > uint64(len(file)) {
			return nil, fmt.Errorf("%w: strip %d lies at bytes %d to %d of a file of %d: copy it again from where you have it", ErrCorrupt, i, from, to, len(file))
		}
		r := lzw.NewReader(bytes.NewReader(file[from:to]), lzw.MSB, 8)
		strip, err := io.ReadAll(io.LimitReader(r, int64(want))) // grows with what is there, not with what is claimed
		r.Close()
		if uint64(len(strip)) < want {
			if err == nil {
				err = io.ErrUnexpectedEOF
			}
			return nil, fmt.Errorf("%w: strip %d holds %d of its %d bytes (%w): copy it again from where you have it", ErrCorrupt, i, len(strip), want, err)
		}
		d.set(out, tagOffsets, i, uint32(len(out)))
		d.set(out, tagByteCounts, i, uint32(len(strip)))
		out = append(out, strip...)
	}
	d.order.PutUint16(out[d.field[tagCompression]+8:], compressionNone)
	return out, nil
}

func openDirectory(file []byte) (*directory, error) {
	if len(file) < 8 {
		return nil, errNotLZW
	}
	d := &directory{file: file, order: binary.LittleEndian, field: map[uint16]int{}}
	if file[0] == 'M' {
		d.order = binary.BigEndian
	}
	at := uint64(d.order.Uint32(file[4:]))
	if at+2 > uint64(len(file)) {
		return nil, errNotLZW
	}
	n := uint64(d.order.Uint16(file[at:]))
	if at+2+12*n > uint64(len(file)) {
		return nil, errNotLZW
	}
	for i := range n {
		p := int(at + 2 + 12*i)
		d.field[d.order.Uint16(file[p:])] = p
	}
	return d, nil
}

func (d *directory) kind(tag uint16) uint16 {
	p, ok := d.field[tag]
	if !ok {
		return 0
	}
	return d.order.Uint16(d.file[p+2:])
}

// place returns where a tag's values begin, how many there are and the bytes of each; 0 where they do
// not lie within the file.
func (d *directory) place(tag uint16) (at, count, size int) {
	p, ok := d.field[tag]
	if !ok {
		return 0, 0, 0
	}
	switch d.kind(tag) {
	case typeShort:
		size = 2
	case typeLong:
		size = 4
	default:
		return 0, 0, 0
	}
	n := uint64(d.order.Uint32(d.file[p+4:]))
	begin := uint64(p + 8)
	if n*uint64(size) > 4 {
		begin = uint64(d.order.Uint32(d.file[p+8:]))
	}
	if begin+n*uint64(size) > uint64(len(d.file)) {
		return 0, 0, 0
	}
	return int(begin), int(n), size
}

// fieldValue reads a field's value of 1, 2 or 4 bytes.
func fieldValue(order binary.ByteOrder, b []byte, size int) uint32 {
	switch size {
	case 1:
		return uint32(b[0])
	case 2:
		return uint32(order.Uint16(b))
	}
	return order.Uint32(b)
}

func (d *directory) values(tag uint16) []uint32 {
	at, n, size := d.place(tag)
	out := make([]uint32, n)
	for i := range out {
		out[i] = fieldValue(d.order, d.file[at+size*i:], size)
	}
	return out
}

// set writes a value of a tag whose values are long.
func (d *directory) set(out []byte, tag uint16, i int, v uint32) {
	at, _, _ := d.place(tag)
	d.order.PutUint32(out[at+4*i:], v)
}
