package format

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/gif"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/bmp"
	"golang.org/x/image/tiff"
)

// chart is a picture in which no two pixels near each other are the same.
func chart(width, height int) *image.RGBA {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for y := range height {
		for x := range width {
			m.SetRGBA(x, y, color.RGBA{uint8(7*x + y), uint8(11 * y), uint8(5*x + 3*y), 255})
		}
	}
	return m
}

func greyChart(width, height int) *image.Gray {
	m := image.NewGray(image.Rect(0, 0, width, height))
	for i := range m.Pix {
		m.Pix[i] = uint8(37 * i)
	}
	return m
}

// twoGreys is the palette of DRIVE's second observer: neither is 0 or 255, and index 1 is white.
var twoGreys = color.Palette{color.RGBA{4, 2, 4, 255}, color.RGBA{252, 254, 252, 255}}

func paletted(width, height int) *image.Paletted {
	m := image.NewPaletted(image.Rect(0, 0, width, height), twoGreys)
	for i := range m.Pix {
		m.Pix[i] = uint8(i % 3 % 2)
	}
	return m
}

func encode(t testing.TB, write func(b *bytes.Buffer) error) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// pictures are files of each kind with the picture that they were made of.
func pictures(t testing.TB) map[string]struct {
	want image.Image
	file []byte
} {
	rgb, grey, two := chart(19, 13), greyChart(19, 13), paletted(19, 13)
	out := map[string]struct {
		want image.Image
		file []byte
	}{}
	add := func(name string, want image.Image, write func(b *bytes.Buffer) error) {
		out[name] = struct {
			want image.Image
			file []byte
		}{want, encode(t, write)}
	}
	add("PNG RGB", rgb, func(b *bytes.Buffer) error { return png.Encode(b, rgb) })
	add("PNG grey", grey, func(b *bytes.Buffer) error { return png.Encode(b, grey) })
	add("PNG palette", two, func(b *bytes.Buffer) error { return png.Encode(b, two) })
	add("GIF palette", two, func(b *bytes.Buffer) error { return gif.Encode(b, two, nil) })
	add("BMP RGB", rgb, func(b *bytes.Buffer) error { return bmp.Encode(b, rgb) })
	add("BMP palette", two, func(b *bytes.Buffer) error { return bmp.Encode(b, two) })
	add("TIFF RGB plain", rgb, func(b *bytes.Buffer) error { return tiff.Encode(b, rgb, nil) })
	add("TIFF RGB deflate, predictor", rgb, func(b *bytes.Buffer) error {
		return tiff.Encode(b, rgb, &tiff.Options{Compression: tiff.Deflate, Predictor: true})
	})
	add("TIFF palette", two, func(b *bytes.Buffer) error { return tiff.Encode(b, two, nil) })
	return out
}

func write(t testing.TB, file []byte) string {
	t.Helper()
	// The name says nothing: files are recognised by their content.
	path := filepath.Join(t.TempDir(), "picture.dat")
	if err := os.WriteFile(path, file, 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}

func samePixels(t *testing.T, got, want image.Image) {
	t.Helper()
	if got.Bounds().Size() != want.Bounds().Size() {
		t.Fatalf("size is %v, want %v", got.Bounds().Size(), want.Bounds().Size())
	}
	g, w := got.Bounds().Min, want.Bounds().Min
	for y := range want.Bounds().Dy() {
		for x := range want.Bounds().Dx() {
			a := color.RGBAModel.Convert(got.At(g.X+x, g.Y+y))
			if b := color.RGBAModel.Convert(want.At(w.X+x, w.Y+y)); a != b {
				t.Fatalf("pixel (%d, %d) is %v, want %v", x, y, a, b)
			}
		}
	}
}

func TestDecodeGivesPixelsOfEachKind(t *testing.T) {
	for name, p := range pictures(t) {
		t.Run(name, func(t *testing.T) {
			got, err := Decode(write(t, p.file))
			if err != nil {
				t.Fatal(err)
			}
			samePixels(t, got, p.want)
		})
	}
}

func TestDecodeJPEG(t *testing.T) {
	flat := image.NewRGBA(image.Rect(0, 0, 16, 16))
	for i := range flat.Pix {
		flat.Pix[i] = 128
	}
	file := encode(t, func(b *bytes.Buffer) error { return jpeg.Encode(b, flat, &jpeg.Options{Quality: 100}) })
	got, err := Decode(write(t, file))
	if err != nil {
		t.Fatal(err)
	}
	if c := color.GrayModel.Convert(got.At(7, 7)).(color.Gray); got.Bounds().Dx() != 16 || c.Y < 126 || c.Y > 130 {
		t.Errorf("grey 128 came back as %v of %v", c, got.Bounds())
	}
}

// A file cut anywhere is refused, or was cut behind its last pixel: no picture comes out wrong.
func TestDecodeOfTruncatedFile(t *testing.T) {
	for name, p := range pictures(t) {
		t.Run(name, func(t *testing.T) {
			refused := 0
			for n := range len(p.file) {
				got, err := decode(bytes.NewReader(p.file[:n]))
				switch {
				case err == nil:
					samePixels(t, got, p.want)
				case !errors.Is(err, ErrCorrupt) && n >= 8:
					t.Fatalf("cut at byte %d of %d: %v, want ErrCorrupt", n, len(p.file), err)
				default:
					refused++
				}
			}
			if refused < len(p.file)/2 {
				t.Errorf("only %d of %d cuts were refused", refused, len(p.file))
			}
		})
	}
}

func TestDecodeRefuses(t *testing.T) {
	two := paletted(8, 6)
	frames := func(b *bytes.Buffer) error {
		return gif.EncodeAll(b, &gif.GIF{Image: []*image.Paletted{two, paletted(8, 6)}, Delay: []int{0, 0}})
	}
	part := image.NewPaletted(image.Rect(2, 1, 5, 4), twoGreys)
	partial := func(b *bytes.Buffer) error {
		return gif.EncodeAll(b, &gif.GIF{Image: []*image.Paletted{part}, Delay: []int{0},
			Config: image.Config{Width: 8, Height: 6, ColorModel: twoGreys}})
	}
	deep := image.NewGray16(image.Rect(0, 0, 4, 4))
	grey := page{width: 3, height: 1, samples: 1, strips: [][]byte{{1, 2, 3}}}
	tests := []struct {
		name string
		file []byte
		want error
		says string
	}{
		{"empty", nil, ErrCorrupt, "empty"},
		{"text", []byte("hello, this is no picture"), ErrUnsupported, "want PNG, JPEG, GIF, TIFF, BMP or PNM"},
		{"GIF of two frames", encode(t, frames), ErrUnsupported, "several frames"},
		{"GIF whose frame is a part", encode(t, partial), ErrUnsupported, "8 x 6 pixels whose frame covers 3 x 3"},
		{"PNG of 16 bits", encode(t, func(b *bytes.Buffer) error { return png.Encode(b, deep) }), ErrUnsupported, "16 bits"},
		{"TIFF of 16 bits", encode(t, func(b *bytes.Buffer) error { return tiff.Encode(b, deep, nil) }), ErrUnsupported, "16 bits"},
		{"TIFF of two pages", grey.with(func(p *page) { p.next = 8 }).file(), ErrUnsupported, "tiffsplit"},
		{"BigTIFF", []byte("II+\x00\x08\x00\x00\x00\x10\x00\x00\x00\x00\x00\x00\x00"), ErrUnsupported, "tiffcp"},
		{"TIFF of 4 bits", grey.with(func(p *page) { p.bits = 4 }).file(), ErrUnsupported, "convert in.tif out.png"},
		{"TIFF of an unknown compression", grey.with(func(p *page) { p.compression = 34712 }).file(), ErrUnsupported, "compression value 34712"},
		{"TIFF with planes apart", page{width: 1, height: 1, samples: 3, planar: 2, strips: [][]byte{{1}, {2}, {3}}}.file(), ErrUnsupported, "-p contig"},
		{"TIFF that claims too much", grey.with(func(p *page) { p.width, p.height = 1<<20, 1<<20 }).file(), ErrUnsupported, "1048576 x 1048576"},
		{"TIFF of the largest classic size", grey.with(func(p *page) { p.width, p.height = 65535, 65535 }).file(), ErrUnsupported, "65535 x 65535"},
		{"TIFF whose strip is short", grey.with(func(p *page) { p.height = 2 }).file(), ErrCorrupt, "not enough pixel data"},
		{"TIFF whose directory lies outside", []byte("II*\x00\xff\xff\x00\x00"), ErrCorrupt, "directory at byte 65535"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			path := write(t, tt.file)
			_, err := Decode(path)
			if !errors.Is(err, tt.want) {
				t.Fatalf("error is %v, want %v", err, tt.want)
			}
			if !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("%q names not both %q and %q", err, tt.says, path)
			}
		})
	}
}

// What follows the only frame, comments and even nothing at all, does no harm.
func TestDecodeGIFWithTail(t *testing.T) {
	two := paletted(8, 6)
	file := encode(t, func(b *bytes.Buffer) error { return gif.Encode(b, two, nil) })
	body := file[:len(file)-1]
	for name, tail := range map[string]string{
		"trailer": ";", "none": "", "comment": "\x21\xfe\x05hello\x00;", "cut comment": "\x21\xfe\x05he", "padding": ";\x00\x00",
	} {
		t.Run(name, func(t *testing.T) {
			got, err := decode(bytes.NewReader(append(bytes.Clone(body), tail...)))
			if err != nil {
				t.Fatal(err)
			}
			samePixels(t, got, two)
		})
	}
}

func TestDecodeOfMissingFile(t *testing.T) {
	if _, err := Decode(filepath.Join(t.TempDir(), "none.png")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v, want os.ErrNotExist", err)
	}
}
