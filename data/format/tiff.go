package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"image"
	"io"
	"strings"

	"golang.org/x/image/tiff"
)

// Fields of a TIFF's page and their values (TIFF 6.0, 8).
const (
	tagPhotometric = 262
	tagPlanar      = 284

	blackIsZero    = 1
	separatePlanes = 2

	compressionFax3     = 3
	compressionFax4     = 4
	compressionJPEG     = 7
	compressionDeflate  = 8
	compressionPackBits = 32773
	compressionOld      = 32946 // deflate
)

// tiffPage is what is looked at of a TIFF before it is read.
type tiffPage struct {
	width, height, samples, bitsEach, planar, compression, photometric uint32
}

// readPage refuses a TIFF of several pages, of which the decoder would silently give the first, and what it
// can't read and would call damaged: BigTIFF, and colours that lie in planes of their own. It reads
// directories only.
func readPage(f io.ReadSeeker) (*tiffPage, error) {
	head, err := readAt(f, 0, 8)
	if err != nil {
		return nil, fmt.Errorf("%w: TIFF header: %w", ErrCorrupt, err)
	}
	var order binary.ByteOrder = binary.LittleEndian
	if head[0] == 'M' {
		order = binary.BigEndian
	}
	if order.Uint16(head[2:]) == 43 {
		return nil, fmt.Errorf("%w: BigTIFF: convert it with: tiffcp -c lzw in.tif out.tif", ErrUnsupported)
	}
	first := int64(order.Uint32(head[4:]))
	count, err := readAt(f, first, 2)
	if err != nil {
		return nil, fmt.Errorf("%w: TIFF directory at byte %d: %w: copy it again from where you have it", ErrCorrupt, first, err)
	}
	length := 12 * int(order.Uint16(count))
	fields, err := readAt(f, first+2, length+4)
	if err != nil {
		return nil, fmt.Errorf("%w: TIFF directory at byte %d: %w: copy it again from where you have it", ErrCorrupt, first, err)
	}
	if order.Uint32(fields[length:]) != 0 {
		return nil, fmt.Errorf("%w: a TIFF of several pages: split it with: tiffsplit in.tif", ErrUnsupported)
	}
	p := &tiffPage{samples: 1, bitsEach: 1, compression: compressionNone}
	places := map[uint16]*uint32{tagWidth: &p.width, tagHeight: &p.height, tagBits: &p.bitsEach, tagSamples: &p.samples,
		tagPlanar: &p.planar, tagCompression: &p.compression, tagPhotometric: &p.photometric}
	for at := 0; at < length; at += 12 {
		field := fields[at : at+12]
		place := places[order.Uint16(field)]
		if place == nil {
			continue
		}
		size := map[uint16]int{typeByte: 1, typeShort: 2, typeLong: 4}[order.Uint16(field[2:])]
		if size == 0 {
			continue // the decoder refuses it
		}
		value := field[8:]
		if int64(order.Uint32(field[4:]))*int64(size) > 4 { // the values lie elsewhere, as those of bits, one for each sample
			if value, err = readAt(f, int64(order.Uint32(field[8:])), size); err != nil {
				return nil, fmt.Errorf("%w: TIFF field %d: %w: copy it again from where you have it", ErrCorrupt, order.Uint16(field), err)
			}
		}
		*place = fieldValue(order, value, size)
	}
	if p.planar == separatePlanes && p.samples > 1 {
		return nil, fmt.Errorf("%w: TIFF with colours in planes of their own: convert it with: tiffcp -c lzw -p contig in.tif out.tif", ErrUnsupported)
	}
	if p.most(1) == 0 { // the decoder would take memory for the picture before it says so
		return nil, p.unsupported(fmt.Sprintf("compression value %d", p.compression))
	}
	return p, nil
}

// bits are those of a pixel.
func (p *tiffPage) bits() int64 {
	return int64(min(max(1, p.samples), 4)) * int64(min(max(1, p.bitsEach), 16))
}

// widestFax is the longest row of a fax that is read: the decoder gives up at longer ones, after it has taken memory for the picture.
const widestFax = 1 << 16

func (p *tiffPage) fax() bool {
	return p.compression == compressionFax3 || p.compression == compressionFax4
}

// most is how many bytes of pixels a byte of the file can hold, where a row has so many pixels.
func (p *tiffPage) most(width int) int64 {
	switch p.compression {
	case compressionLZW:
		return mostLZW
	case compressionDeflate, compressionOld:
		return mostDeflated
	case compressionPackBits:
		return mostPackBits
	case compressionFax3, compressionFax4:
		return int64(width) // a row takes a bit
	case compressionNone, 0:
		return 1
	}
	return 0 // of what the decoder can't read
}

// unsupported says what helps where the decoder can't read a variant.
func (p *tiffPage) unsupported(what string) error {
	how := "convert in.tif out.png" // ImageMagick's
	switch {
	case what == "sample format" || p.samples == 1 && p.bitsEach > 16:
		how = `python -c "import numpy, tifffile; numpy.save('out.npy', tifffile.imread('in.tif'))"`
	case strings.HasPrefix(what, "compression") && p.compression != compressionJPEG:
		how = "tiffcp -c lzw -p contig in.tif out.tif"
	}
	return fmt.Errorf("%w: TIFF with %s: convert it with: %s", ErrUnsupported, what, how)
}

// config reads the page's size.
func (p *tiffPage) config(f io.Reader) (image.Config, error) {
	c, err := tiff.DecodeConfig(f)
	if err == nil && p.fax() && c.Width > widestFax {
		err = fmt.Errorf("%w: TIFF of fax rows of %d pixels, at most %d are read", ErrUnsupported, c.Width, widestFax)
	}
	return c, err
}

// decode reads the page.
func (p *tiffPage) decode(s *source) (image.Image, error) {
	img, err := tiff.Decode(s.file)
	if err != nil {
		return s.decodeLoose(err)
	}
	if grey, ok := img.(*image.Gray); ok && p.fax() && p.photometric == blackIsZero {
		// The decoder takes a fax's white for 1, which is what the standard calls 0 (libtiff reads it so).
		for i, v := range grey.Pix {
			grey.Pix[i] = 255 - v
		}
	}
	return img, nil
}

// decodeLoose tries a TIFF that the decoder refused with strict once more, unpacked.
func (s *source) decodeLoose(strict error) (image.Image, error) {
	if s.page.compression != compressionLZW {
		return nil, s.explain(strict)
	}
	file, err := readAt(s.file, 0, int(s.size))
	if err != nil {
		return nil, err
	}
	plain, err := unpackLZW(file)
	if errors.Is(err, errNotLZW) {
		return nil, s.explain(strict)
	}
	if err != nil {
		return nil, err
	}
	img, err := tiff.Decode(bytes.NewReader(plain))
	if err != nil {
		return nil, s.explain(err)
	}
	return img, nil
}

func readAt(f io.ReadSeeker, offset int64, n int) ([]byte, error) {
	if _, err := f.Seek(offset, io.SeekStart); err != nil {
		return nil, err
	}
	b := make([]byte, n)
	_, err := io.ReadFull(f, b)
	return b, err
}
