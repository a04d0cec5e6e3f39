package format

import (
	"encoding/binary"
	"fmt"
	"io"
)

const (
	tagPlanar      = 284
	separatePlanes = 2
)

// onePage refuses a TIFF of several pages, of which the decoder would silently give the first, and what it
// can't read and would call damaged: BigTIFF, and colours that lie in planes of their own. It reads
// directories only.
func onePage(f io.ReadSeeker) error {
	head, err := readAt(f, 0, 8)
	if err != nil {
		return fmt.Errorf("%w: TIFF header: %w", ErrCorrupt, err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'M' {
		order = binary.BigEndian
	}
	if order.Uint16(head[2:]) == 43 {
		return fmt.Errorf("%w: BigTIFF: convert it with: tiffcp -c lzw in.tif out.tif", ErrUnsupported)
	}
	first := int64(order.Uint32(head[4:]))
	count, err := readAt(f, first, 2)
	if err != nil {
		return fmt.Errorf("%w: TIFF directory at byte %d: %w: copy it again from where you have it", ErrCorrupt, first, err)
	}
	length := 12 * int(order.Uint16(count))
	fields, err := readAt(f, first+2, length+4)
	if err != nil {
		return fmt.Errorf("%w: TIFF directory at byte %d: %w: copy it again from where you have it", ErrCorrupt, first, err)
	}
	if order.Uint32(fields[length:]) != 0 {
		return fmt.Errorf("%w: a TIFF of several pages: split it with: tiffsplit in.tif", ErrUnsupported)
	}
	samples, planar := uint16(1), uint16(0)
	for p := 0; p < length; p += 12 {
		switch order.Uint16(fields[p:]) {
		case tagSamples:
			samples = order.Uint16(fields[p+8:])
		case tagPlanar:
			planar = order.Uint16(fields[p+8:])
		}
	}
	if planar == separatePlanes && samples > 1 {
		return fmt.Errorf("%w: TIFF with colours in planes of their own: convert it with: tiffcp -c lzw -p contig in.tif out.tif", ErrUnsupported)
	}
	return nil
}

func readAt(f io.ReadSeeker, offset int64, n int) ([]byte, error) {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(f, b)
	return b, err
}
