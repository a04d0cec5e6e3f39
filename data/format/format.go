// Package format reads picture files of the kinds that medical data sets come in. A file is recognised by
// its content; its declared size is checked before anything of that size is allocated.
package format

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	_ "image/jpeg" // registers its decoder
	_ "image/png"  // as above
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

func decode(f io.ReadSeeker) (image.Image, error) {
	head := make([]byte, 16)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) && !errors.Is(err, io.EOF) {
		return nil, err
	}
	if bytes.HasPrefix(head[:n], gzipMagic) {
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		if f, err = unpack(f); err != nil {
			return nil, err
		}
		return decode(f)
	}
	kind := sniff(head[:n])
	if kind == "" {
		if n == 0 {
			return nil, fmt.Errorf("%w: it is empty", ErrCorrupt)
		}
		return nil, fmt.Errorf("%w: it begins with % x: want PNG, JPEG, GIF, TIFF, BMP or PNM", ErrUnsupported, head[:min(n, 8)])
	}
	if kind == "TIFF" {
		if err := onePage(f); err != nil {
			return nil, err
		}
	}
	rewind := func() error { _, err := f.Seek(0, io.SeekStart); return err }
	if err := rewind(); err != nil {
		return nil, err
	}
	config, err := decodeConfig(kind, bufio.NewReader(f))
	if err != nil {
		return nil, explain(kind, err)
	}
	if config.Width <= 0 || config.Height <= 0 || config.Width > MaxPixels/config.Height {
		return nil, fmt.Errorf("%w: it claims %d x %d pixels, at most %d are read", ErrUnsupported, config.Width, config.Height, MaxPixels)
	}
	if kind == "PNM" || kind == "BMP" { // not compressed: a pixel takes a bit at least
		size, err := f.Seek(0, io.SeekEnd)
		if err != nil {
			return nil, err
		}
		if int64(config.Width)*int64(config.Height) > 8*size {
			return nil, fmt.Errorf("%w: it claims %d x %d pixels and has %d bytes: copy it again from where you have it", ErrCorrupt, config.Width, config.Height, size)
		}
	}
	if config.ColorModel == color.Gray16Model || config.ColorModel == color.RGBA64Model || config.ColorModel == color.NRGBA64Model {
		return nil, errDeep(kind)
	}
	if err := rewind(); err != nil {
		return nil, err
	}
	img, err := decodePixels(kind, bufio.NewReader(f), config)
	if err == nil {
		return img, nil
	}
	if kind == "TIFF" {
		return decodeLoose(f, err)
	}
	return nil, explain(kind, err)
}

// errDeep refuses a picture of 16 bits a channel, of which nobody knows the window.
func errDeep(kind string) error {
	return fmt.Errorf("%w: 16 bits a channel: declare a window ([intensity]) for grey values, or convert it to 8 bits with the window that you would look at it with, "+
		"as with ImageMagick: convert in.%s -level 0%%,100%% -depth 8 out.png", ErrUnsupported, strings.ToLower(kind))
}

// decodeLoose tries a TIFF that the strict decoder refused with strict once more, unpacked.
func decodeLoose(f io.ReadSeeker, strict error) (image.Image, error) {
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return nil, err
	}
	file, err := io.ReadAll(io.LimitReader(f, 8*MaxPixels))
	if err != nil {
		return nil, err
	}
	plain, err := unpackLZW(file)
	if errors.Is(err, errNotLZW) {
		return nil, explain("TIFF", strict)
	}
	if err != nil {
		return nil, err
	}
	img, err := tiff.Decode(bytes.NewReader(plain))
	if err != nil {
		return nil, explain("TIFF", err)
	}
	return img, nil
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

func decodeConfig(kind string, r io.Reader) (image.Config, error) {
	switch kind {
	case "GIF":
		return gif.DecodeConfig(r)
	case "TIFF":
		return tiff.DecodeConfig(r)
	case "BMP":
		return bmpConfig(r)
	case "PNM":
		return pnmConfig(bufio.NewReader(r))
	}
	c, _, err := image.DecodeConfig(r)
	return c, err
}

func decodePixels(kind string, r *bufio.Reader, config image.Config) (image.Image, error) {
	switch kind {
	case "GIF":
		return decodeGIF(r, config)
	case "TIFF":
		return tiff.Decode(r)
	case "BMP":
		return decodeBMP(r)
	case "PNM":
		return decodePNM(r)
	}
	img, _, err := image.Decode(r)
	return img, err
}

// explain says of a decoder's error what kind it is and what helps.
func explain(kind string, err error) error {
	if errors.Is(err, ErrUnsupported) {
		return err
	}
	var unsupported tiff.UnsupportedError
	if errors.As(err, &unsupported) {
		return fmt.Errorf("%w: TIFF with %s: convert it with: tiffcp -c lzw -p contig in.tif out.tif", ErrUnsupported, string(unsupported))
	}
	if errors.Is(err, bmp.ErrUnsupported) {
		return fmt.Errorf("%w: this variant of BMP: convert it to PNG", ErrUnsupported)
	}
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: the %s ends before its last pixel: copy it again from where you have it", ErrCorrupt, kind)
	}
	return fmt.Errorf("%w: %w: copy it again from where you have it", ErrCorrupt, err)
}
