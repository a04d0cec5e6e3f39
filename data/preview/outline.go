package preview

import (
	"fmt"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"

	"samtune/data"
	"samtune/internal/canvas"
)

// stroke is how a target's outline looks: beyond as many targets as there are colours these come again, dashed and then dotted.
type stroke struct {
	colour  color.RGBA
	on, off int // pixels
}

func look(target int) stroke {
	dashes := [][2]int{{1, 0}, {8, 5}, {3, 4}}
	n := len(canvas.Palette)
	d := dashes[target/n%len(dashes)]
	return stroke{canvas.Palette[target%n], d[0], d[1]}
}

// shows says whether a pixel is on a dash: dashes run along both diagonals, so that they break lines of every direction but one.
func (s stroke) shows(x, y int) bool { return (x+2*y)%(s.on+s.off) < s.on }

// sample draws a piece of the stroke for the legend, beginning at a point.
func (s stroke) sample(dst *image.RGBA, at image.Point) {
	draw.Draw(dst, image.Rect(at.X, at.Y-7, at.X+30, at.Y+7), image.NewUniform(color.Gray{0x30}), image.Point{}, draw.Src)
	for x := at.X; x < at.X+30; x++ {
		for y := at.Y - 1; y <= at.Y+1; y++ {
			if s.shows(x, 0) {
				dst.SetRGBA(x, y, s.colour)
			}
		}
	}
}

// fit is the size that a sample has on the sheet.
func fit(s *data.Sample) image.Rectangle {
	w, h := float64(s.Image.Width), float64(s.Image.Height)
	if s.Spacing[0] > 0 && s.Spacing[1] > 0 {
		w, h = w*s.Spacing[1], h*s.Spacing[0]
	}
	scale := side / max(w, h)
	return image.Rect(0, 0, max(1, int(math.Round(w*scale))), max(1, int(math.Round(h*scale))))
}

// outlined draws a sample with the outlines of its masks.
func outlined(s *data.Sample, targets []string) (*image.RGBA, error) {
	full := canvas.Picture(s.Image)
	for i, v := range s.Valid.Pix {
		if v == 0 { // half its light, over grey, since what is outside is often black
			for k := range 3 {
				full.Pix[4*i+k] = full.Pix[4*i+k]/2 + 0x30
			}
		}
	}
	out := image.NewRGBA(fit(s))
	scaler := draw.Scaler(draw.CatmullRom)
	if out.Rect.Dx() > 2*s.Image.Width {
		scaler = draw.NearestNeighbor // so that single pixels are seen
	}
	scaler.Scale(out, out.Rect, full, full.Rect, draw.Src, nil)
	for k, t := range targets {
		m := s.Masks[t]
		if m == nil {
			return nil, fmt.Errorf("%w: it has no mask of %s", data.ErrInvalid, t)
		}
		rim := outline(resized(m, out.Rect.Dx(), out.Rect.Dy()))
		for i, v := range rim.Pix {
			if x, y := i%rim.Width, i/rim.Width; v != 0 && look(k).shows(x, y) {
				out.SetRGBA(x, y, look(k).colour)
			}
		}
	}
	return out, nil
}

// outline is the rim of a mask, two pixels wide inside it where that leaves most of it free, else one.
func outline(m *data.Mask) *data.Mask {
	rim := data.NewMask(m.Width, m.Height)
	for i := range rim.Pix {
		if canvas.Rim(m, i%m.Width, i/m.Width) {
			rim.Pix[i] = 1
		}
	}
	if 4*rim.Count() > m.Count() {
		return rim
	}
	wide := data.NewMask(m.Width, m.Height)
	for i, v := range m.Pix {
		x, y := i%m.Width, i/m.Width
		near := canvas.Inside(rim, x-1, y) || canvas.Inside(rim, x+1, y) || canvas.Inside(rim, x, y-1) || canvas.Inside(rim, x, y+1)
		if v != 0 && (rim.Pix[i] != 0 || near) {
			wide.Pix[i] = 1
		}
	}
	return wide
}

// resized is a mask at another size: a pixel is inside where at least a third of what it covers is, so that vessels, which are
// thinner than that after shrinking, do not vanish.
func resized(m *data.Mask, width, height int) *data.Mask {
	out := data.NewMask(width, height)
	for y := range height {
		top, bottom := y*m.Height/height, ((y+1)*m.Height+height-1)/height
		for x := range width {
			left, right := x*m.Width/width, ((x+1)*m.Width+width-1)/width
			inside := 0
			for sy := top; sy < bottom; sy++ {
				for _, v := range m.Pix[sy*m.Width+left : sy*m.Width+right] {
					inside += int(v)
				}
			}
			if 3*inside >= (bottom-top)*(right-left) {
				out.Pix[y*width+x] = 1
			}
		}
	}
	return out
}
