package segment

import (
	"image"
	"image/color"
	"image/draw"
	"math"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/canvas"
)

// Colours of prompts.
var (
	insideColour  = color.RGBA{0x00, 0xc0, 0x40, 0xff}
	outsideColour = color.RGBA{0xe0, 0x20, 0x20, 0xff}
	boxColour     = color.RGBA{0xff, 0xff, 0xff, 0xff}
)

// Draw lays masks over a picture, each tinted and outlined in a colour of its own, and over them what they were asked for
// with: points inside green, points outside red, boxes white. Later masks lie over earlier ones.
func Draw(img *data.Image, masks []*data.Mask, prompts []eval.Prompt) *image.RGBA {
	out := canvas.Picture(img)
	for i, m := range masks {
		tint(out, m, canvas.Palette[i%len(canvas.Palette)])
	}
	stroke := max(1, (img.Width+img.Height)/600)
	for _, p := range prompts {
		if b := p.Box; b != nil {
			frame(out, *b, stroke)
		}
		for i, pt := range p.Points {
			c := outsideColour
			if p.Labels[i] == 1 {
				c = insideColour
			}
			disc(out, pt[0], pt[1], float64(3*stroke+1), boxColour)
			disc(out, pt[0], pt[1], float64(3*stroke), c)
		}
	}
	return out
}

// tint blends a colour over a mask's pixels, fully on its rim.
func tint(dst *image.RGBA, m *data.Mask, c color.RGBA) {
	for y := range m.Height {
		for x := range m.Width {
			if !canvas.Inside(m, x, y) {
				continue
			}
			share := 0.45
			if canvas.Rim(m, x, y) {
				share = 1
			}
			at := dst.PixOffset(x, y)
			for k, v := range []uint8{c.R, c.G, c.B} {
				dst.Pix[at+k] = uint8(math.Round(float64(dst.Pix[at+k])*(1-share) + float64(v)*share))
			}
		}
	}
}

// frame draws the outline of a box x0, y0, x1, y1.
func frame(dst *image.RGBA, b [4]float64, stroke int) {
	r := image.Rect(int(b[0]), int(b[1]), int(b[2])+1, int(b[3])+1)
	for _, side := range []image.Rectangle{
		{r.Min, image.Pt(r.Max.X, r.Min.Y+stroke)}, {image.Pt(r.Min.X, r.Max.Y-stroke), r.Max},
		{r.Min, image.Pt(r.Min.X+stroke, r.Max.Y)}, {image.Pt(r.Max.X-stroke, r.Min.Y), r.Max},
	} {
		draw.Draw(dst, side, image.NewUniform(boxColour), image.Point{}, draw.Src)
	}
}

func disc(dst *image.RGBA, cx, cy, radius float64, c color.RGBA) {
	for y := int(cy - radius); y <= int(cy+radius)+1; y++ {
		for x := int(cx - radius); x <= int(cx+radius)+1; x++ {
			if math.Hypot(float64(x)-cx, float64(y)-cy) <= radius && image.Pt(x, y).In(dst.Rect) {
				dst.SetRGBA(x, y, c)
			}
		}
	}
}
