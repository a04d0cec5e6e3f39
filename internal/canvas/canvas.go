// Package canvas holds what every picture with masks and captions is drawn with.
package canvas

import (
	"fmt"
	"image"
	"image/color"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"
	"golang.org/x/image/font/gofont/goregular"
	"golang.org/x/image/font/opentype"
	"golang.org/x/image/math/fixed"

	"samtune/data"
)

// Colours from the palette of Okabe and Ito (Color Universal Design, 2008). They differ in hue for every kind of colour vision.
var (
	SkyBlue    = color.RGBA{0x56, 0xB4, 0xE9, 0xFF}
	Orange     = color.RGBA{0xE6, 0x9F, 0x00, 0xFF}
	Green      = color.RGBA{0x00, 0x9E, 0x73, 0xFF}
	Yellow     = color.RGBA{0xF0, 0xE4, 0x42, 0xFF}
	Purple     = color.RGBA{0xCC, 0x79, 0xA7, 0xFF}
	Vermillion = color.RGBA{0xD5, 0x5E, 0x00, 0xFF}
	Blue       = color.RGBA{0x00, 0x72, 0xB2, 0xFF}
)

// Palette lists the colours that masks of one picture take, one after the other.
var Palette = []color.RGBA{SkyBlue, Orange, Green, Yellow, Purple, Vermillion, Blue}

// Picture is a picture that can be drawn on.
func Picture(img *data.Image) *image.RGBA {
	out := image.NewRGBA(image.Rect(0, 0, img.Width, img.Height))
	for i := range img.Width * img.Height {
		copy(out.Pix[4*i:], img.Pix[3*i:3*i+3])
		out.Pix[4*i+3] = 0xFF
	}
	return out
}

// Inside says whether a mask has a pixel; none beyond its edges are.
func Inside(m *data.Mask, x, y int) bool {
	return x >= 0 && y >= 0 && x < m.Width && y < m.Height && m.Pix[y*m.Width+x] != 0
}

// Rim says whether a pixel is inside a mask and one beside, above or below it is not.
func Rim(m *data.Mask, x, y int) bool {
	return Inside(m, x, y) && !(Inside(m, x-1, y) && Inside(m, x+1, y) && Inside(m, x, y-1) && Inside(m, x, y+1))
}

// Face is the font of captions, size in pixels. The caller closes it.
func Face(size float64) (font.Face, error) {
	f, err := opentype.Parse(goregular.TTF)
	if err != nil {
		return nil, fmt.Errorf("read caption font: %w", err)
	}
	face, err := opentype.NewFace(f, &opentype.FaceOptions{Size: size, DPI: 72, Hinting: font.HintingFull})
	if err != nil {
		return nil, fmt.Errorf("read caption font: %w", err)
	}
	return face, nil
}

// Ink is the colour of captions.
var Ink = color.Gray{0x1A}

// Caption writes text with its base line at y and returns where it ends.
func Caption(dst draw.Image, face font.Face, x, y int, text string, ink color.Color) int {
	d := font.Drawer{Dst: dst, Src: image.NewUniform(ink), Face: face, Dot: fixed.P(x, y)}
	d.DrawString(text)
	return d.Dot.X.Ceil()
}

// Shorten cuts text in the middle so that it is at most width pixels wide; its end stays.
func Shorten(face font.Face, text string, width int) string {
	r := []rune(text)
	for keep := len(r); font.MeasureString(face, text).Ceil() > width && keep > 2; keep-- {
		text = string(r[:keep/2]) + "…" + string(r[len(r)-keep/2:])
	}
	return text
}
