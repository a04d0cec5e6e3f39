package report

import (
	"fmt"
	"html"
	"html/template"
	"math"
	"strconv"
	"strings"
)

// svg collects the elements of an inline SVG picture. It names no namespace (HTML needs none) and takes its
// colours from the page's style sheet, so that it follows light, dark and print.
type svg struct {
	b             strings.Builder
	width, height float64
}

// newSVG starts a picture of the given size in CSS pixels. Its title and description are read out to those
// who can't see it; id tells it from the page's other pictures.
func newSVG(id, title, description string, width, height float64) *svg {
	s := &svg{width: width, height: height}
	fmt.Fprintf(&s.b, `<svg class="plot" viewBox="0 0 %s %s" role="img" aria-labelledby="%s-t %s-d"><title id="%s-t">%s</title><desc id="%s-d">%s</desc>`,
		px(width), px(height), id, id, id, html.EscapeString(title), id, html.EscapeString(description))
	s.b.WriteByte('\n')
	return s
}

func (s *svg) done() template.HTML {
	s.b.WriteString("</svg>")
	return template.HTML(s.b.String())
}

func (s *svg) line(class string, x1, y1, x2, y2 float64) {
	fmt.Fprintf(&s.b, `<line class="%s" x1="%s" y1="%s" x2="%s" y2="%s"/>`+"\n", class, px(x1), px(y1), px(x2), px(y2))
}

func (s *svg) circle(class string, x, y, r float64) {
	fmt.Fprintf(&s.b, `<circle class="%s" cx="%s" cy="%s" r="%s"/>`+"\n", class, px(x), px(y), px(r))
}

// text writes text with its base line at y; anchor is start, middle or end.
func (s *svg) text(class, anchor string, x, y float64, text string) {
	fmt.Fprintf(&s.b, `<text class="%s" text-anchor="%s" x="%s" y="%s">%s</text>`+"\n", class, anchor, px(x), px(y), html.EscapeString(text))
}

func (s *svg) polyline(class string, points [][2]float64) { s.path("polyline", class, points) }

func (s *svg) polygon(class string, points [][2]float64) { s.path("polygon", class, points) }

func (s *svg) path(element, class string, points [][2]float64) {
	fmt.Fprintf(&s.b, `<%s class="%s" points="`, element, class)
	for i, p := range points {
		if i > 0 {
			s.b.WriteByte(' ')
		}
		s.b.WriteString(px(p[0]) + "," + px(p[1]))
	}
	s.b.WriteString(`"/>` + "\n")
}

// mark draws one of the marks of plots; what is none of the named ones is a circle of that class. They differ in shape, not in colour alone.
func mark(s *svg, name string, x, y float64) {
	switch name {
	case "trivial":
		s.line("whisker", x, y-6, x, y+6)
	case "square":
		s.polyline("open", [][2]float64{{x - 4.5, y - 4.5}, {x + 4.5, y - 4.5}, {x + 4.5, y + 4.5}, {x - 4.5, y + 4.5}, {x - 4.5, y - 4.5}})
	case "cross":
		s.line("whisker", x-4, y-4, x+4, y+4)
		s.line("whisker", x-4, y+4, x+4, y-4)
	case "diamond":
		s.polyline("open other", [][2]float64{{x, y - 5.5}, {x + 5.5, y}, {x, y + 5.5}, {x - 5.5, y}, {x, y - 5.5}})
	default:
		s.circle(name, x, y, 4.5)
	}
}

// px prints a coordinate to a tenth of a pixel.
func px(v float64) string { return strings.TrimSuffix(decimal(v, 1), ".0") }

// scale maps values from..to to pixels start..end.
type scale struct{ from, to, start, end float64 }

func (s scale) at(v float64) float64 {
	return s.start + (v-s.from)/(s.to-s.from)*(s.end-s.start)
}

// axis returns the smallest range of round numbers that holds low..high, the distance of its ticks (1, 2 or
// 5 times a power of ten; at most n of them) and the decimals that they need.
func axis(low, high float64, n int) (from, to, step float64, digits int) {
	if high <= low {
		high = low + math.Max(math.Abs(low), 1)*0.1
	}
	raw := (high - low) / float64(n)
	exponent := math.Floor(math.Log10(raw))
	unit := math.Pow(10, exponent)
	step = 10 * unit
	for _, m := range []float64{1, 2, 5} {
		if m*unit >= raw*(1-1e-9) {
			step = m * unit
			break
		}
	}
	digits = max(0, -int(math.Floor(math.Log10(step)+1e-9)))
	return math.Floor(low/step+1e-9) * step, math.Ceil(high/step-1e-9) * step, step, digits
}

// tickLabel prints a tick; one of millions, as of a loss that grew without bound, in few letters.
func tickLabel(v float64, digits int) string {
	if math.Abs(v) >= 1e6 {
		return strconv.FormatFloat(v, 'g', 3, 64)
	}
	return decimal(v, digits)
}

// ticks lists the ticks of an axis.
func ticks(from, to, step float64) []float64 {
	var out []float64
	for i := 0; from+float64(i)*step <= to+step/1e6; i++ {
		out = append(out, from+float64(i)*step)
	}
	return out
}
