package report

import (
	"fmt"
	"image"
	"image/color"

	"golang.org/x/image/draw"

	"samtune/data"
	"samtune/internal/canvas"
)

// Colours of an overlay. They differ in luminance too where hue is lost (0.41, 0.22, 0.75).
var (
	colourTP   = canvas.SkyBlue
	colourFP   = canvas.Vermillion
	colourFN   = canvas.Yellow
	colourOnly = canvas.Orange // a prediction that no truth is known for
)

// legendEntry is a colour of an overlay and what it means.
type legendEntry struct {
	Colour color.RGBA
	Name   string
}

// CSS returns the colour as #rrggbb.
func (e legendEntry) CSS() string {
	return fmt.Sprintf("#%02X%02X%02X", e.Colour.R, e.Colour.G, e.Colour.B)
}

var legend = []legendEntry{
	{colourTP, "true positive: found"},
	{colourFP, "false positive: not there"},
	{colourFN, "false negative: missed"},
}

// class says what a pixel of an overlay shows.
type class uint8

const (
	outside class = iota // not scored
	background
	truePositive
	falsePositive
	falseNegative
	predicted // inside a prediction without truth
	classes
)

// Levels of the picture under an overlay: its greys 0..255 are mapped to 0..insideLevels-1, outside the
// valid region to the lower half of that, so that the opaque colours stand out of it.
const insideLevels = 150

var overlayPalette = func() color.Palette {
	p := make(color.Palette, insideLevels, insideLevels+4)
	for i := range p {
		p[i] = color.RGBA{uint8(i), uint8(i), uint8(i), 0xFF}
	}
	return append(p, colourTP, colourFP, colourFN, colourOnly)
}()

// Overlay draws a prediction over the darkened grey picture, of the picture's size: true positives sky
// blue, false positives vermillion, false negatives yellow, all opaque so that structures one pixel wide
// stay visible. What lies outside valid is not scored: it is dimmed and carries no colour. Without truth
// (nil) the prediction is orange; a nil valid is the whole picture. The masks must be of the picture's size.
func Overlay(img *data.Image, pred, truth, valid *data.Mask) (image.Image, error) {
	if err := checkSizes(img, pred, truth, valid); err != nil {
		return nil, fmt.Errorf("draw overlay: %w", err)
	}
	return drawOverlay(img, pred, truth, valid, 0), nil
}

// drawOverlay is Overlay, shrunk so that no side is longer than side pixels (0: not shrunk).
func drawOverlay(img *data.Image, pred, truth, valid *data.Mask, side int) *image.Paletted {
	bounds := fit(img.Width, img.Height, side)
	shown := shrinkClasses(classify(img, pred, truth, valid), img.Width, img.Height, bounds.Dx(), bounds.Dy())
	return paint(shrinkImage(img, bounds), shown)
}

func checkSizes(img *data.Image, pred, truth, valid *data.Mask) error {
	if img == nil || pred == nil {
		return fmt.Errorf("picture or prediction is missing")
	}
	if img.Width < 1 || img.Height < 1 || len(img.Pix) != 3*img.Width*img.Height {
		return fmt.Errorf("picture of %d x %d has %d bytes, want 3 a pixel", img.Width, img.Height, len(img.Pix))
	}
	for _, m := range []struct {
		name string
		mask *data.Mask
	}{{"prediction", pred}, {"truth", truth}, {"valid region", valid}} {
		if m.mask == nil {
			continue
		}
		if m.mask.Width != img.Width || m.mask.Height != img.Height || len(m.mask.Pix) != img.Width*img.Height {
			return fmt.Errorf("%s is %d x %d, want %d x %d as the picture", m.name, m.mask.Width, m.mask.Height, img.Width, img.Height)
		}
	}
	return nil
}

func classify(img *data.Image, pred, truth, valid *data.Mask) []class {
	out := make([]class, img.Width*img.Height)
	for i := range out {
		switch p := pred.Pix[i] != 0; {
		case valid != nil && valid.Pix[i] == 0:
			out[i] = outside
		case truth == nil && p:
			out[i] = predicted
		case truth == nil:
			out[i] = background
		case p && truth.Pix[i] != 0:
			out[i] = truePositive
		case p:
			out[i] = falsePositive
		case truth.Pix[i] != 0:
			out[i] = falseNegative
		default:
			out[i] = background
		}
	}
	return out
}

// shrinkClasses makes a smaller map. A pixel takes a colour where at least a quarter of what it covers
// has one: more than a faithful area would give, so that vessels do not vanish in a small picture.
func shrinkClasses(in []class, w, h, dw, dh int) []class {
	if w == dw && h == dh {
		return in
	}
	out := make([]class, dw*dh)
	for y := range dh {
		top, bottom := y*h/dh, ((y+1)*h+dh-1)/dh
		for x := range dw {
			left, right := x*w/dw, ((x+1)*w+dw-1)/dw
			var n [classes]int
			for sy := top; sy < bottom; sy++ {
				for _, c := range in[sy*w+left : sy*w+right] {
					n[c]++
				}
			}
			out[y*dw+x] = prevailing(n)
		}
	}
	return out
}

func prevailing(n [classes]int) class {
	plain := n[outside] + n[background]
	best, coloured := truePositive, 0
	for c := truePositive; c < classes; c++ {
		coloured += n[c]
		if n[c] > n[best] {
			best = c
		}
	}
	switch {
	case coloured > 0 && 4*coloured >= plain+coloured:
		return best
	case n[outside] > n[background]:
		return outside
	}
	return background
}

func paint(picture *image.RGBA, shown []class) *image.Paletted {
	out := image.NewPaletted(picture.Bounds(), overlayPalette)
	for i, c := range shown {
		r, g, b := int(picture.Pix[4*i]), int(picture.Pix[4*i+1]), int(picture.Pix[4*i+2])
		level := (299*r + 587*g + 114*b) * (insideLevels - 1) / 255000
		switch c {
		case outside:
			out.Pix[i] = uint8(level / 2)
		case background:
			out.Pix[i] = uint8(level)
		default:
			out.Pix[i] = uint8(insideLevels + int(c-truePositive))
		}
	}
	return out
}

// fit returns the size of a picture of w x h whose longer side is at most side.
func fit(w, h, side int) image.Rectangle {
	if longer := max(w, h); side > 0 && longer > side {
		w, h = max(1, w*side/longer), max(1, h*side/longer)
	}
	return image.Rect(0, 0, w, h)
}

// shrinkImage returns the picture at the size of bounds.
func shrinkImage(img *data.Image, bounds image.Rectangle) *image.RGBA {
	full := canvas.Picture(img)
	if bounds == full.Bounds() {
		return full
	}
	small := image.NewRGBA(bounds)
	draw.CatmullRom.Scale(small, bounds, full, full.Bounds(), draw.Src, nil)
	return small
}
