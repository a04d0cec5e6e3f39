package guess

import (
	"bytes"
	"encoding/binary"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"testing"
)

// size is the width and height of the pictures that are written.
const size = 48

// blob says whether a pixel is in the target of a picture: a disc, elsewhere in each.
func blob(x, y, number int) bool {
	dx, dy := x-18-number%5, y-20-number%3
	return dx*dx+dy*dy < 81
}

// photo is a picture that no other number has, in colour.
func photo(number int) image.Image {
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			v := 60 + (x*5+y*3+number*11)%80
			if blob(x, y, number) {
				v += 70
			}
			img.Set(x, y, color.RGBA{uint8(v), uint8(v / 2), uint8(v/3 + x), 255})
		}
	}
	return img
}

// grey draws a grey picture.
func grey(at func(x, y int) uint8) image.Image {
	img := image.NewGray(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			img.SetGray(x, y, color.Gray{Y: at(x, y)})
		}
	}
	return img
}

// mask is white, or value, in the target.
func mask(number int, value uint8) image.Image {
	return grey(func(x, y int) uint8 {
		if blob(x, y, number) {
			return value
		}
		return 0
	})
}

// labels has two values, one of them a rim.
func labels(number int, a, b uint8) image.Image {
	return grey(func(x, y int) uint8 {
		switch {
		case blob(x, y, number):
			return a
		case blob(x, y-8, number):
			return b
		}
		return 0
	})
}

// folder writes files.
type folder struct {
	testing.TB
	dir string
}

func (f folder) write(name string, content []byte) {
	f.Helper()
	path := filepath.Join(f.dir, filepath.FromSlash(name))
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		f.Fatal(err)
	}
	if err := os.WriteFile(path, content, 0o644); err != nil {
		f.Fatal(err)
	}
}

// put writes a picture in the kind that the name ends in.
func (f folder) put(name string, img image.Image) {
	f.Helper()
	var b bytes.Buffer
	var err error
	switch filepath.Ext(name) {
	case ".jpg":
		err = jpeg.Encode(&b, img, &jpeg.Options{Quality: 85})
	case ".gif":
		p := image.NewPaletted(img.Bounds(), color.Palette{color.Black, color.White})
		for y := range size {
			for x := range size {
				p.Set(x, y, img.At(x, y))
			}
		}
		err = gif.Encode(&b, p, nil)
	default:
		err = png.Encode(&b, img)
	}
	if err != nil {
		f.Fatal(err)
	}
	f.write(name, b.Bytes())
}

// nifti writes a volume of 16-bit numbers, size x size x planes, with the affine of a scanner.
func (f folder) nifti(name string, planes int, at func(x, y, z int) int16) {
	f.Helper()
	h := make([]byte, 352)
	le := binary.LittleEndian
	le.PutUint32(h, 348)
	for i, v := range []uint16{3, size, size, uint16(planes), 1, 1, 1, 1} {
		le.PutUint16(h[40+2*i:], v)
	}
	le.PutUint16(h[70:], 4)
	le.PutUint16(h[72:], 16)
	for i, v := range []float32{1, 1, 1, 4} {
		le.PutUint32(h[76+4*i:], math.Float32bits(v))
	}
	le.PutUint32(h[108:], math.Float32bits(352))
	le.PutUint32(h[112:], math.Float32bits(1))
	h[123] = 2
	le.PutUint16(h[254:], 1)
	for i, v := range []float32{1, 0, 0, 0, 0, 1, 0, 0, 0, 0, 4, 0} {
		le.PutUint32(h[280+4*i:], math.Float32bits(v))
	}
	copy(h[344:], "n+1\x00")
	for z := range planes {
		for y := range size {
			for x := range size {
				h = le.AppendUint16(h, uint16(at(x, y, z)))
			}
		}
	}
	f.write(name, h)
}

// ct is a volume in Hounsfield units, segmentation its two organs.
func ct(number int) func(x, y, z int) int16 {
	return func(x, y, z int) int16 {
		v := int16(-1000 + (x*7+y*13+z*29+number)%60)
		if blob(x, y, number) {
			v += 1080
		}
		if x == 40 {
			v = 900
		}
		return v
	}
}

func segmentation(number int) func(x, y, z int) int16 {
	return func(x, y, z int) int16 {
		switch {
		case blob(x, y, number) && z > 0:
			return 1
		case blob(x, y-8, number) && z > 1:
			return 2
		}
		return 0
	}
}
