package format

import (
	"bufio"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"io"

	"golang.org/x/image/bmp"
)

// bitmap is a BMP picture of one bit a pixel, which golang.org/x/image does not read.
type bitmap struct {
	width, height int
	upward        bool // rows go from the bottom to the top
	palette       color.Palette
	offset        int
}

// oneBit reads the header of a BMP of one bit a pixel; ok is false for all others.
func oneBit(head []byte) (b bitmap, ok bool, err error) {
	if len(head) < 54 || string(head[:2]) != "BM" {
		return b, false, nil
	}
	le := binary.LittleEndian
	info := int(le.Uint32(head[14:]))
	if info < 40 || info > 124 || le.Uint16(head[28:]) != 1 || le.Uint32(head[30:]) != 0 {
		return b, false, nil
	}
	b.width, b.height = int(int32(le.Uint32(head[18:]))), int(int32(le.Uint32(head[22:])))
	if b.upward = b.height > 0; !b.upward {
		b.height = -b.height
	}
	b.offset = int(le.Uint32(head[10:]))
	colours := 14 + info
	if b.width < 1 || b.height < 1 || b.offset < colours+8 || b.offset > 1<<16 || len(head) < colours+8 {
		return b, true, fmt.Errorf("%w: BMP of %d x %d pixels from byte %d on", ErrCorrupt, b.width, b.height, b.offset)
	}
	for i := range 2 {
		c := head[colours+4*i:]
		b.palette = append(b.palette, color.RGBA{c[2], c[1], c[0], 255})
	}
	return b, true, nil
}

func bmpConfig(r io.Reader) (image.Config, error) {
	in := bufio.NewReader(r)
	b, ok, err := peekBitmap(in)
	if !ok || err != nil {
		if err == nil {
			return bmp.DecodeConfig(in)
		}
		return image.Config{}, err
	}
	return image.Config{ColorModel: b.palette, Width: b.width, Height: b.height}, nil
}

func decodeBMP(r *bufio.Reader) (image.Image, error) {
	b, ok, err := peekBitmap(r)
	switch {
	case err != nil:
		return nil, err
	case !ok:
		return bmp.Decode(r)
	}
	return b.decode(r)
}

// peekBitmap looks at the header without reading on.
func peekBitmap(r *bufio.Reader) (bitmap, bool, error) {
	head, _ := r.Peek(14 + 124 + 8) // a short file is shorter than that
	return oneBit(head)
}

// decode reads the pixels.
func (b bitmap) decode(r *bufio.Reader) (image.Image, error) {
	if _, err := r.Discard(b.offset); err != nil {
		return nil, noEOF(err)
	}
	out := image.NewPaletted(image.Rect(0, 0, b.width, b.height), b.palette)
	row := make([]byte, (b.width+31)/32*4)
	for i := range b.height {
		if _, err := io.ReadFull(r, row); err != nil {
			return nil, noEOF(err)
		}
		y := i
		if b.upward {
			y = b.height - 1 - i
		}
		for x := range b.width {
			out.Pix[y*out.Stride+x] = row[x/8] >> (7 - x%8) & 1
		}
	}
	return out, nil
}
