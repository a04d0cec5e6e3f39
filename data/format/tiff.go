package format

import (
	"encoding/binary"
	"fmt"
	"io"
)

// onePage refuses a TIFF of several pages, of which the decoder would silently give the first, and
// BigTIFF, which it can't read. It walks the chain of directories only.
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
	next, err := readAt(f, first+2+12*int64(order.Uint16(count)), 4)
	if err != nil {
		return fmt.Errorf("%w: TIFF directory at byte %d: %w: copy it again from where you have it", ErrCorrupt, first, err)
	}
	if order.Uint32(next) != 0 {
		return fmt.Errorf("%w: a TIFF of several pages: split it with: tiffsplit in.tif", ErrUnsupported)
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
