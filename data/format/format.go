// Package format reads picture files of the kinds that medical data sets come in. A file is recognised by
// its content; its declared size is checked before anything of that size is allocated.
package format

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"io"
	"os"
	"strings"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// Errors that a caller branches on; match them with errors.Is.
var (
	// ErrCorrupt says that a file is damaged or incomplete.
	ErrCorrupt = errors.New("damaged file")
	// ErrUnsupported says that a file is sound and of a kind that is not read here.
	ErrUnsupported = errors.New("unsupported kind of picture")
)

// MaxPixels is the largest picture that is read.
const MaxPixels = 1 << 27

// Decode reads a PNG, JPEG, GIF, TIFF, BMP or PNM file with 8 bits a channel or fewer; the last also packed by gzip.
func Decode(path string) (image.Image, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read picture: %w", err)
	}
	defer f.Close()
	img, err := decode(f)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return img, nil
}

func decode(f reader) (image.Image, error) {
	s, err := open(f)
	if err != nil {
		return nil, err
	}
	config, err := s.config()
	if err != nil {
		return nil, err
	}
	if config.ColorModel == color.Gray16Model || config.ColorModel == color.RGBA64Model || config.ColorModel == color.NRGBA64Model {
		return nil, errDeep(s.kind)
	}
	return s.pixels(config)
}

// errDeep refuses a picture of 16 bits a channel, of which nobody knows the window.
func errDeep(kind string) error {
	return fmt.Errorf("%w: 16 bits a channel: declare a window ([intensity]) for grey values, or convert it to 8 bits with the window that you would look at it with, "+
		"as with ImageMagick: convert in.%s -level 0%%,100%% -depth 8 out.png", ErrUnsupported, strings.ToLower(kind))
}

func sniff(head []byte) string {
	for _, m := range []struct{ kind, magic string }{
		{"PNG", "\x89PNG\r\n\x1a\n"}, {"JPEG", "\xff\xd8\xff"}, {"GIF", "GIF87a"}, {"GIF", "GIF89a"},
		{"TIFF", "II*\x00"}, {"TIFF", "MM\x00*"}, {"TIFF", "II+\x00"}, {"TIFF", "MM\x00+"}, {"BMP", "BM"},
	} {
		if bytes.HasPrefix(head, []byte(m.magic)) {
			return m.kind
		}
	}
	if isPNM(head) {
		return "PNM"
	}
	return ""
}

// explain says of a decoder's error what kind it is and what helps.
func (s *source) explain(err error) error {
	var ofTIFF tiff.UnsupportedError
	var ofJPEG jpeg.UnsupportedError
	var ofPNG png.UnsupportedError
	switch {
	case errors.Is(err, ErrUnsupported), errors.Is(err, ErrCorrupt):
		return err
	case s.packed:
		return fmt.Errorf("%w: packed by gzip: %w: copy it again from where you have it", ErrCorrupt, noEOF(err))
	case errors.As(err, &ofTIFF):
		return s.page.unsupported(string(ofTIFF))
	case errors.Is(err, bmp.ErrUnsupported), errors.As(err, &ofJPEG), errors.As(err, &ofPNG):
		return fmt.Errorf("%w: this variant of %s (%w): convert it to PNG with ImageMagick: convert in.%s out.png", ErrUnsupported, s.kind, err, strings.ToLower(s.kind))
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the %s ends before its last pixel: copy it again from where you have it", ErrCorrupt, s.kind)
	}
	return fmt.Errorf("%w: %w: copy it again from where you have it", ErrCorrupt, err)
}
