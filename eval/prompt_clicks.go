package eval

import (
	"fmt"

	"samtune/data"
)

// NextClick is where a user would click who sees a mask beside the truth: the deepest point of the largest connected
// region that is wrong inside the valid region (nil: all), with label 1 where the mask lacks it and 0 where it has too
// much, as SAM was trained and evaluated (Kirillov et al., ICCV 2023, appendix). x is the column, y the row. Of regions of
// one size the first by rows is taken; ok is false where nothing is wrong.
func NextClick(prediction, truth, valid *data.Mask) (x, y float64, label int, ok bool) {
	var largest *data.Mask
	size := 0
	for _, missed := range []bool{true, false} {
		wrong := data.NewMask(truth.Width, truth.Height)
		for i, v := range truth.Pix {
			if (valid == nil || valid.Pix[i] == 1) && v != prediction.Pix[i] && (v == 1) == missed {
				wrong.Pix[i] = 1
			}
		}
		for _, pixels := range wrong.Regions(1) {
			if len(pixels) <= size {
				continue
			}
			size, label = len(pixels), 0
			if missed {
				label = 1
			}
			largest = data.NewMask(truth.Width, truth.Height)
			for _, i := range pixels {
				largest.Pix[i] = 1
			}
		}
	}
	if largest == nil {
		return 0, 0, 0, false
	}
	x, y = deepest(largest)
	return x, y, label, true
}

// deepest is the pixel of a mask that is farthest from its edge and from the image's, the first by rows of equals.
func deepest(m *data.Mask) (x, y float64) {
	// A rim of one pixel, so that the image's edge counts as the mask's.
	wide := data.NewMask(m.Width+2, m.Height+2)
	for i := range wide.Pix {
		wide.Pix[i] = 1
	}
	for row := range m.Height {
		for column := range m.Width {
			wide.Pix[(row+1)*wide.Width+column+1] = 1 - m.Pix[row*m.Width+column]
		}
	}
	depth, _ := distanceTransform(wide, [2]float64{1, 1}) // there always is a rim
	best := -1.0
	for row := range m.Height {
		for column := range m.Width {
			if d := depth[(row+1)*wide.Width+column+1]; m.Pix[row*m.Width+column] == 1 && d > best+1e-9 {
				best, x, y = d, float64(column), float64(row)
			}
		}
	}
	return x, y
}

// Click asks for a mask again and again, each time with one click more, until the oracle has no click left or nothing is
// wrong. It returns the last mask's prompt.
func (c *Clicks) Click(ask func(prompt Prompt) (*data.Mask, error)) (Prompt, error) {
	var prompt Prompt
	mask := data.NewMask(c.Truth.Width, c.Truth.Height)
	for range c.N {
		x, y, label, ok := NextClick(mask, c.Truth, c.Valid)
		if !ok {
			break
		}
		prompt.Points = append(prompt.Points, [2]float64{x, y})
		prompt.Labels = append(prompt.Labels, label)
		var err error
		if mask, err = ask(prompt); err != nil {
			return prompt, fmt.Errorf("click %d: %w", len(prompt.Points), err)
		}
	}
	return prompt, nil
}
