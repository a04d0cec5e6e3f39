package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"io"

	"golang.org/x/image/bmp"
)

// reader is a file or its bytes.
type reader interface {
	io.ReadSeeker
	io.ReaderAt
}

// source is a picture whose kind is known.
type source struct {
	file   reader
	size   int64 // of the file
	packed bool  // by gzip
	kind   string
	head   []byte
	page   *tiffPage // of a TIFF
}

// headPicture is how many first bytes tell a picture's kind and, of a PNG, how deep it is.
const headPicture = 32

// open tells a picture's kind by its first bytes.
func open(f reader) (*source, error) {
	s := &source{file: f}
	var err error
	if s.size, err = f.Seek(0, io.SeekEnd); err != nil {
		return nil, err
	}
	if s.head, err = s.first(); err != nil {
		return nil, err
	}
	if bytes.HasPrefix(s.head, gzipMagic) {
		s.packed = true
		if s.head, err = s.first(); err != nil {
			return nil, err
		}
	}
	s.kind = sniff(s.head)
	switch {
	case s.packed && s.kind != "PNM":
		return nil, fmt.Errorf("%w: packed by gzip, which is read of PNM pictures alone: unpack it with gunzip", ErrUnsupported)
	case len(s.head) == 0:
		return nil, fmt.Errorf("%w: it is empty", ErrCorrupt)
	case s.kind == "":
		return nil, fmt.Errorf("%w: it begins with % x: want PNG, JPEG, GIF, TIFF, BMP or PNM", ErrUnsupported, s.head[:min(len(s.head), 8)])
	}
	if s.kind == "TIFF" {
		s.page, err = readPage(f)
	}
	return s, err
}

func (s *source) first() ([]byte, error) {
	r, err := s.reader()
	if err != nil {
		return nil, err
	}
	head, err := io.ReadAll(io.LimitReader(r, headPicture))
	if err != nil {
		return nil, s.explain(err)
	}
	return head, nil
}

// reader reads from the first byte on, unpacked.
func (s *source) reader() (*bufio.Reader, error) {
	if _, err := s.file.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	r := bufio.NewReader(s.file)
	if !s.packed {
		return r, nil
	}
	z, err := gzip.NewReader(r)
	if err != nil {
		return nil, s.explain(err)
	}
	return bufio.NewReader(z), nil
}

// config reads the picture's size and refuses one that is too large, or larger than the file can hold.
func (s *source) config() (image.Config, error) {
	r, err := s.reader()
	if err != nil {
		return image.Config{}, err
	}
	var c image.Config
	switch s.kind {
	case "PNG":
		c, err = png.DecodeConfig(r)
	case "JPEG":
		c, err = jpeg.DecodeConfig(r)
	case "GIF":
		c, err = gif.DecodeConfig(r)
	case "TIFF":
		c, err = s.page.config(s.file)
	case "BMP":
		c, err = bmp.DecodeConfig(r)
	case "PNM":
		c, err = pnmConfig(r)
	}
	if err != nil {
		return c, s.explain(err)
	}
	if c.Width <= 0 || c.Height <= 0 || c.Width > MaxPixels/c.Height {
		return c, fmt.Errorf("%w: it claims %d x %d pixels, at most %d are read", ErrUnsupported, c.Width, c.Height, MaxPixels)
	}
	bits, times := s.density(c)
	if int64(c.Height)*((int64(c.Width)*bits+7)/8) > times*s.size {
		return c, fmt.Errorf("%w: it claims %d x %d pixels and has %d bytes: copy it again from where you have it", ErrCorrupt, c.Width, c.Height, s.size)
	}
	return c, nil
}

// Bytes that one byte of a file can stand for.
const (
	mostDeflated = mostPacked // 258 bytes take two bits
	mostLZW      = 2731       // 4,096 bytes take twelve bits
	mostPackBits = 64         // 128 bytes take two bytes
	mostJPEG     = 512        // of grey: 64 pixels take a bit where it is progressive
)

// density is the least bits of a pixel, and how many bytes of pixels a byte of the file can hold.
func (s *source) density(c image.Config) (bits, times int64) {
	switch s.kind {
	case "PNG":
		channels := map[byte]int64{2: 3, 4: 2, 6: 4}[s.head[25]]
		return int64(s.head[24]) * max(1, channels), mostDeflated
	case "JPEG":
		if c.ColorModel == color.GrayModel {
			return 8, mostJPEG
		}
		return 12, mostJPEG // the other two channels are a quarter each at least
	case "GIF":
		return 8, mostLZW
	case "TIFF":
		return s.page.bits(), s.page.most(c.Width)
	case "PNM":
		if s.packed {
			return 1, mostDeflated
		}
	}
	return 1, 1
}

// pixels reads the picture, up to the checksum where it is packed.
func (s *source) pixels(c image.Config) (image.Image, error) {
	r, err := s.reader()
	if err != nil {
		return nil, err
	}
	var img image.Image
	switch s.kind {
	case "PNG":
		img, err = png.Decode(r)
	case "JPEG":
		img, err = jpeg.Decode(r)
	case "GIF":
		img, err = decodeGIF(r, c)
	case "TIFF":
		return s.page.decode(s)
	case "BMP":
		img, err = bmp.Decode(r)
	case "PNM":
		if img, err = decodePNM(r); err == nil {
			err = s.whole(r)
		}
	}
	if err != nil {
		return nil, s.explain(err)
	}
	return img, nil
}

// whole reads what follows the pixels of a packed picture, whose checksum is at its end.
func (s *source) whole(r io.Reader) error {
	if !s.packed {
		return nil
	}
	_, err := io.Copy(io.Discard, r)
	return err
}
