package format

import (
	"bufio"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
)

var gzipMagic = []byte("\x1f\x8b")

// pnm is a Netpbm picture: P1 and P4 are bitmaps, P2 and P5 greys, P3 and P6 colours, the first three in plain text.
// (github.com/spakin/netpbm takes all memory for some files that are cut short.)
type pnm struct {
	kind          byte // '1' to '6'
	width, height int
	most          int // the value that stands for white
}

func isPNM(head []byte) bool {
	return len(head) > 2 && head[0] == 'P' && head[1] >= '1' && head[1] <= '6' && (isSpace(head[2]) || head[2] == '#')
}

func isSpace(b byte) bool { return b == ' ' || b >= '\t' && b <= '\r' }

// pnmHeader reads up to the first pixel.
func pnmHeader(r *bufio.Reader) (p pnm, err error) {
	magic := make([]byte, 2)
	if _, err := io.ReadFull(r, magic); err != nil {
		return p, err
	}
	p.kind = magic[1]
	numbers := []*int{&p.width, &p.height, &p.most}
	if p.kind == '1' || p.kind == '4' {
		numbers, p.most = numbers[:2], 1
	}
	for _, n := range numbers {
		if *n, err = pnmNumber(r); err != nil {
			return p, err
		}
	}
	if p.most < 1 || p.most > 65535 {
		return p, fmt.Errorf("its white is %d, want 1 to 65535", p.most)
	}
	return p, nil
}

// pnmNumber reads a number and the one white space behind it; comments go from # to the end of a line.
func pnmNumber(r *bufio.Reader) (int, error) {
	n, digits := 0, 0
	for {
		b, err := r.ReadByte()
		switch {
		case err == io.EOF && digits > 0:
			return n, nil
		case err != nil:
			return 0, noEOF(err)
		case b == '#' && digits == 0:
			if _, err := r.ReadSlice('\n'); err != nil && !errors.Is(err, bufio.ErrBufferFull) {
				return 0, noEOF(err)
			}
		case b >= '0' && b <= '9':
			if n, digits = 10*n+int(b-'0'), digits+1; digits > 9 {
				return 0, fmt.Errorf("a number of more than 9 digits")
			}
		case isSpace(b) && digits > 0:
			return n, nil
		case !isSpace(b):
			return 0, fmt.Errorf("%q where a number should be", b)
		}
	}
}

func noEOF(err error) error {
	if err == io.EOF {
		return io.ErrUnexpectedEOF
	}
	return err
}

func (p pnm) channels() int {
	if p.kind == '3' || p.kind == '6' {
		return 3
	}
	return 1
}

func decodePNM(r *bufio.Reader) (image.Image, error) {
	p, err := pnmHeader(r)
	if err != nil {
		return nil, err
	}
	if p.most > 255 {
		return nil, errDeep("PNM")
	}
	rect, channels := image.Rect(0, 0, p.width, p.height), p.channels()
	grey, colours := &image.Gray{}, &image.RGBA{}
	if channels == 1 {
		grey = image.NewGray(rect)
	} else {
		colours = image.NewRGBA(rect)
	}
	row := make([]uint8, p.width*channels)
	for y := range p.height {
		if err := p.row(r, row); err != nil {
			return nil, noEOF(err)
		}
		for i, v := range row {
			if channels == 1 {
				grey.Pix[y*grey.Stride+i] = v
				continue
			}
			at := y*colours.Stride + i/3*4
			colours.Pix[at+i%3], colours.Pix[at+3] = v, 255
		}
	}
	if channels == 1 {
		return grey, nil
	}
	return colours, nil
}

// row reads the values of a row and makes 255 of white.
func (p pnm) row(r *bufio.Reader, values []uint8) (err error) {
	switch p.kind {
	case '5', '6':
		_, err = io.ReadFull(r, values)
	case '4':
		packed := make([]byte, (p.width+7)/8)
		if _, err = io.ReadFull(r, packed); err == nil {
			for x := range values {
				values[x] = packed[x/8] >> (7 - x%8) & 1
			}
		}
	case '1':
		for i := 0; i < len(values) && err == nil; i++ {
			values[i], err = pnmBit(r)
		}
	default:
		for i := 0; i < len(values) && err == nil; i++ {
			var v int
			if v, err = pnmNumber(r); err == nil && v > p.most {
				err = fmt.Errorf("a value of %d, more than white, %d", v, p.most)
			}
			values[i] = uint8(v)
		}
	}
	for i, v := range values {
		if values[i] = uint8(min(255, (int(v)*255+p.most/2)/p.most)); p.kind == '1' || p.kind == '4' { // 1 is black
			values[i] = 255 * (1 - v&1)
		}
	}
	return err
}

// pnmBit reads a pixel of a plain bitmap: the digits need no space between them.
func pnmBit(r *bufio.Reader) (uint8, error) {
	for {
		b, err := r.ReadByte()
		switch {
		case err != nil:
			return 0, noEOF(err)
		case b == '0' || b == '1':
			return b - '0', nil
		case !isSpace(b):
			return 0, fmt.Errorf("%q where 0 or 1 should be", b)
		}
	}
}

func pnmConfig(r *bufio.Reader) (image.Config, error) {
	p, err := pnmHeader(r)
	config := image.Config{ColorModel: color.RGBAModel, Width: p.width, Height: p.height}
	if p.most > 255 {
		config.ColorModel = color.Gray16Model
		if p.channels() == 3 {
			config.ColorModel = color.RGBA64Model
		}
	}
	return config, err
}
