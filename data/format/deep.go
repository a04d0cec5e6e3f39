package format

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"image/color"
	"io"
	"os"
)

// isDeep tells pictures with 16 bits of grey. A TIFF's head does not say so, so its directory is read.
func isDeep(path string, head []byte) bool {
	switch sniff(head) {
	case "PNG":
		return len(head) > 25 && head[24] == 16 && head[25] == 0
	case "TIFF":
		f, err := os.Open(path)
		if err != nil {
			return false
		}
		defer f.Close()
		config, err := decodeConfig("TIFF", bufio.NewReader(f))
		return err == nil && config.ColorModel == color.Gray16Model
	case "PNM":
		p, err := pnmHeader(bufio.NewReader(bytes.NewReader(head)))
		return err == nil && p.most > 255 && p.channels() == 1
	}
	return false
}

// openDeep opens a picture with 16 bits of grey as a volume of one plane, whose values are those of the file.
func openDeep(path string, head []byte) (*Volume, error) {
	kind := sniff(head)
	config, err := readDeep(path, kind, func(r *bufio.Reader) (any, error) { return decodeConfig(kind, r) })
	if err != nil {
		return nil, err
	}
	size := config.(image.Config)
	v := &Volume{Kind: kind, Size: [3]int{size.Width, size.Height, 1}, Channels: 1}
	v.read = func(_ int, fn func(int, []float32) error) error {
		voxels := make([]float32, size.Width*size.Height)
		_, err := readDeep(path, kind, func(r *bufio.Reader) (any, error) {
			if kind == "PNM" {
				return nil, deepPNM(r, voxels)
			}
			img, err := decodePixels(kind, r, size)
			grey, ok := img.(*image.Gray16)
			if err == nil && !ok {
				err = fmt.Errorf("%w: its pixels are no grey values of 16 bits", ErrUnsupported)
			}
			if err != nil {
				return nil, explain(kind, err)
			}
			for i := range voxels {
				voxels[i] = float32(binary.BigEndian.Uint16(grey.Pix[2*i:]))
			}
			return nil, nil
		})
		if err != nil {
			return err
		}
		return fn(0, voxels)
	}
	return v, nil
}

// readDeep opens a picture, unpacked, of one page where it is a TIFF.
func readDeep(path, kind string, read func(r *bufio.Reader) (any, error)) (any, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	if kind == "TIFF" {
		if err := onePage(f); err != nil {
			return nil, err
		}
		if _, err := f.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
	}
	if kind == "PNM" {
		s, err := openAt(path, 0, 0) // it may be packed
		if err != nil {
			return nil, err
		}
		defer s.Close()
		return read(bufio.NewReader(s))
	}
	return read(bufio.NewReader(f))
}

// deepPNM reads the values of a PNM picture of grey.
func deepPNM(r *bufio.Reader, voxels []float32) error {
	p, err := pnmHeader(r)
	if err != nil {
		return err
	}
	if p.width*p.height != len(voxels) || p.channels() != 1 {
		return errors.New("the file has changed")
	}
	var pair [2]byte
	for i := range voxels {
		value := 0
		if p.kind == '2' {
			value, err = pnmNumber(r)
		} else if _, err = io.ReadFull(r, pair[:]); err == nil {
			value = int(binary.BigEndian.Uint16(pair[:]))
		}
		if err != nil {
			return noEOF(err)
		}
		voxels[i] = float32(value)
	}
	return nil
}
