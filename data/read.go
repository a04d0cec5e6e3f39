package data

import (
	"fmt"
	"image"
	"image/color"

	"samtune/data/format"
)

// ReadImage reads a picture file as 8-bit RGB; grey is repeated over the channels, transparency is laid over
// black. The error wraps ErrInvalid.
func ReadImage(path string) (*Image, error) {
	img, err := format.Decode(path)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	b := img.Bounds()
	out := &Image{Width: b.Dx(), Height: b.Dy(), Pix: make([]uint8, 0, 3*b.Dx()*b.Dy())}
	for y := b.Min.Y; y < b.Max.Y; y++ {
		for x := b.Min.X; x < b.Max.X; x++ {
			r, g, bl := rgb(img, x, y)
			out.Pix = append(out.Pix, r, g, bl)
		}
	}
	return out, nil
}

// rgb returns a pixel's 8-bit values, without a round trip over 16 bits for the common kinds.
func rgb(img image.Image, x, y int) (r, g, b uint8) {
	switch m := img.(type) {
	case *image.RGBA:
		p := m.Pix[m.PixOffset(x, y):]
		return p[0], p[1], p[2]
	case *image.Gray:
		v := m.Pix[m.PixOffset(x, y)]
		return v, v, v
	}
	c := color.RGBAModel.Convert(img.At(x, y)).(color.RGBA)
	return c.R, c.G, c.B
}

// ReadMask reads a picture file as a binary mask: inside where the grey value is above 127. Palettes are
// resolved first, so an index has no meaning of its own. The error wraps ErrInvalid.
func ReadMask(path string) (*Mask, error) {
	img, err := ReadImage(path)
	if err != nil {
		return nil, err
	}
	return rule{}.mask(img), nil
}

// threshold is the grey value from which on a pixel is inside where nothing else is declared.
const threshold = 128

// grey is color.GrayModel without an allocation for each pixel.
func grey(r, g, b uint8) uint8 {
	const wide = 0x101 // 8 bits to 16
	return uint8((19595*wide*uint32(r) + 38470*wide*uint32(g) + 7471*wide*uint32(b) + 1<<15) >> 24)
}

// ReadMaskFor reads the mask that belongs to a picture, img from imagePath, whose size it must have.
func ReadMaskFor(path, imagePath string, img *Image) (*Mask, error) {
	m, err := ReadMask(path)
	if err != nil {
		return nil, err
	}
	return sized(m, path, imagePath, img)
}

// sized is an error where a mask has not the size of its picture.
func sized(m *Mask, path, imagePath string, img *Image) (*Mask, error) {
	if m.Width != img.Width || m.Height != img.Height {
		return nil, fmt.Errorf("%w: read %q: the mask is %d x %d, want %d x %d as its image %q: put the mask that belongs to it there",
			ErrInvalid, path, m.Width, m.Height, img.Width, img.Height, imagePath)
	}
	return m, nil
}
