package eval

import (
	"fmt"
	"math"
	"strconv"
	"strings"
)

// ParsePoint reads a point as it is written on a command line: "x,y", or "x,y,+" for one inside and "x,y,-" for one
// outside of what is meant. The label is 1 or 0.
func ParsePoint(text string) (point [2]float64, label int, err error) {
	fields := strings.Split(text, ",")
	label = 1
	if len(fields) == 3 {
		switch strings.TrimSpace(fields[2]) {
		case "+", "1":
		case "-", "0":
			label = 0
		default:
			return point, 0, fmt.Errorf("point %q: its third part is %q, want + (inside) or - (outside)", text, fields[2])
		}
		fields = fields[:2]
	}
	numbers, err := parseNumbers(fields, 2)
	if err != nil {
		return point, 0, fmt.Errorf("point %q: %w: want x,y or x,y,+ or x,y,-", text, err)
	}
	return [2]float64(numbers), label, nil
}

// ParseBox reads a box as it is written on a command line: "x0,y0,x1,y1", its left upper and right lower corner.
func ParseBox(text string) ([4]float64, error) {
	numbers, err := parseNumbers(strings.Split(text, ","), 4)
	if err != nil {
		return [4]float64{}, fmt.Errorf("box %q: %w: want x0,y0,x1,y1", text, err)
	}
	return [4]float64(numbers), nil
}

func parseNumbers(fields []string, want int) ([]float64, error) {
	if len(fields) != want {
		return nil, fmt.Errorf("it has %d parts", len(fields))
	}
	out := make([]float64, want)
	for i, f := range fields {
		v, err := strconv.ParseFloat(strings.TrimSpace(f), 64)
		if err != nil || math.IsNaN(v) || math.IsInf(v, 0) {
			return nil, fmt.Errorf("part %d, %q, is no number", i+1, f)
		}
		out[i] = v
	}
	return out, nil
}

// Check says what of a prompt does not fit an image of the given size; x comes before y everywhere.
func (p Prompt) Check(width, height int) error {
	in := func(x, y float64) bool {
		return x >= 0 && y >= 0 && x <= float64(width) && y <= float64(height) // not so for NaN
	}
	if len(p.Points) != len(p.Labels) {
		return fmt.Errorf("%d points and %d labels", len(p.Points), len(p.Labels))
	}
	for i, pt := range p.Points {
		if !in(pt[0], pt[1]) {
			return fmt.Errorf("point %d at x %g, y %g is not in the image, which is %d wide and %d high", i+1, pt[0], pt[1], width, height)
		}
		if p.Labels[i] != 0 && p.Labels[i] != 1 {
			return fmt.Errorf("point %d has label %d, want 1 (inside) or 0 (outside)", i+1, p.Labels[i])
		}
	}
	if b := p.Box; b != nil {
		if !in(b[0], b[1]) || !in(b[2], b[3]) {
			return fmt.Errorf("box x0 %g, y0 %g, x1 %g, y1 %g is not in the image, which is %d wide and %d high", b[0], b[1], b[2], b[3], width, height)
		}
		if !(b[0] < b[2] && b[1] < b[3]) {
			return fmt.Errorf("box x0 %g, y0 %g, x1 %g, y1 %g is empty: want x0 < x1 and y0 < y1", b[0], b[1], b[2], b[3])
		}
	}
	if m := p.Mask; m != nil && (m.Width != width || m.Height != height) {
		return fmt.Errorf("the mask is %d x %d, want %d x %d as the image", m.Width, m.Height, width, height)
	}
	return nil
}
