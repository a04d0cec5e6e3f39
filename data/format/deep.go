package format

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
)

// openGrey opens a picture of 16 bits of grey; ok is false for all others. The caller closes the file.
func openGrey(path string) (f *os.File, s *source, size image.Config, ok bool, err error) {
	if f, err = os.Open(path); err != nil {
		return nil, nil, size, false, err
	}
	if s, err = open(f); err == nil {
		size, err = s.config()
	}
	if err != nil {
		f.Close()
		return nil, nil, size, false, err
	}
	return f, s, size, size.ColorModel == color.Gray16Model, nil
}

// isDeep tells pictures with 16 bits of grey. Of others, and of damaged ones, the reader of pictures says what is wrong.
func isDeep(path string, head []byte) bool {
	if sniff(head) == "" {
		return false
	}
	f, _, _, ok, err := openGrey(path)
	if err != nil {
		return false
	}
	f.Close()
	return ok
}

// notDeep is what is wrong with a picture that is none with 16 bits of grey.
func notDeep(path string) error {
	f, s, size, _, err := openGrey(path)
	if err != nil {
		return err
	}
	f.Close()
	if size.ColorModel == color.RGBA64Model || size.ColorModel == color.NRGBA64Model {
		return errDeep(s.kind)
	}
	return nil
}

// openDeep opens a picture with 16 bits of grey as a volume of one plane, whose values are those of the file.
func openDeep(path string, _ []byte) (*Volume, error) {
	f, s, size, _, err := openGrey(path)
	if err != nil {
		return nil, err
	}
	f.Close()
	v := &Volume{Kind: s.kind, Size: [3]int{size.Width, size.Height, 1}, Channels: 1}
	v.read = func(_ int, fn func(int, []float32) error) error {
		voxels, err := readDeep(path, size)
		if err != nil {
			return err
		}
		return fn(0, voxels)
	}
	return v, nil
}

// readDeep reads the values of a picture, of which only the size is known.
func readDeep(path string, was image.Config) ([]float32, error) {
	f, s, size, ok, err := openGrey(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if !ok || size.Width != was.Width || size.Height != was.Height {
		return nil, errors.New("the file has changed")
	}
	voxels := make([]float32, size.Width*size.Height)
	if s.kind == "PNM" {
		r, err := s.reader()
		if err == nil {
			err = deepPNM(r, voxels)
		}
		if err == nil {
			err = s.whole(r)
		}
		return voxels, err
	}
	img, err := s.pixels(size)
	if err != nil {
		return nil, err
	}
	grey, ok := img.(*image.Gray16)
	if !ok {
		return nil, fmt.Errorf("%w: its pixels are no grey values of 16 bits", ErrUnsupported)
	}
	for i := range voxels {
		voxels[i] = float32(binary.BigEndian.Uint16(grey.Pix[2*i:]))
	}
	return voxels, nil
}

// deepPNM reads the values of a PNM picture of grey.
func deepPNM(r *bufio.Reader, voxels []float32) error {
	p, err := pnmHeader(r)
	if err != nil {
		return err
	}
	var pair [2]byte
	for i := range voxels {
		value := 0
		if p.kind == '2' {
			value, err = pnmNumber(r)
		} else if _, err = io.ReadFull(r, pair[:]); err == nil {
			value = int(binary.BigEndian.Uint16(pair[:]))
		}
		if err == nil && value > p.most {
			err = fmt.Errorf("a value of %d, more than white, %d", value, p.most)
		}
		if err != nil {
			return noEOF(err)
		}
		voxels[i] = float32(value)
	}
	return nil
}
