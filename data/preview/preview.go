// Package preview draws contact sheets of a benchmark: its pictures with the outlines of their masks.
package preview

import (
	"context"
	"fmt"
	"image"
	"image/color"
	"math"

	"golang.org/x/image/draw"
	"golang.org/x/image/font"

	"samtune/data"
	"samtune/internal/canvas"
)

// Options say what is drawn.
type Options struct {
	Targets []string // whose masks are outlined
	Cases   int      // so many, spread over pool and test
}

// Sizes in pixels.
const (
	side     = 440 // of the square that a picture fits in
	gap      = 14
	strip    = 26 // of a line of text
	fontSize = 16
	mostWide = 4 // pictures in a row
)

// tile is a case with its side of the split.
type tile struct {
	data.Case
	side    string
	picture *image.RGBA
}

// Sheet draws a benchmark's contact sheet. Each picture is enlarged or shrunk to the same size, as wide and high as it is in mm where
// that is known; what lies outside the valid region is dimmed. Masks are outlined, one in each target's colour and stroke, those of
// later targets over those of earlier ones. step is told how many pictures are drawn.
func Sheet(ctx context.Context, b *data.Benchmark, opt Options, step func(done, of int)) (image.Image, error) {
	face, err := canvas.Face(fontSize)
	if err != nil {
		return nil, err
	}
	defer face.Close()
	tiles := choose(b, opt.Cases)
	if len(tiles) == 0 {
		return nil, fmt.Errorf("%w: %s has no case to draw", data.ErrInvalid, b.Title)
	}
	for i := range tiles {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		s, err := tiles[i].Load()
		if err != nil {
			return nil, err
		}
		if tiles[i].picture, err = outlined(s, opt.Targets); err != nil {
			return nil, fmt.Errorf("case %s: %w", tiles[i].ID, err)
		}
		if step != nil {
			step(i+1, len(tiles))
		}
	}
	title := fmt.Sprintf("%s, %s: %d of %d cases (%s)", b.Title, b.Task, len(tiles), len(b.Pool)+len(b.Test), b.Layout)
	return arrange(face, title, tiles, opt.Targets), nil
}

// arrange puts pictures in rows, each as high as its highest, with a title above and a legend of targets below.
func arrange(face font.Face, title string, tiles []tile, targets []string) image.Image {
	var rows [][]tile
	for len(tiles) > 0 {
		n := min(mostWide, len(tiles))
		rows, tiles = append(rows, tiles[:n]), tiles[n:]
	}
	width := gap + len(rows[0])*(side+gap)
	legend := legendRows(face, targets, width)
	height := gap + strip + len(legend)*strip + gap
	for _, row := range rows {
		height += strip + highest(row) + gap
	}
	out := image.NewRGBA(image.Rect(0, 0, width, height))
	draw.Draw(out, out.Bounds(), image.White, image.Point{}, draw.Src)
	canvas.Caption(out, face, gap, strip, canvas.Shorten(face, title, width-2*gap), canvas.Ink)
	y := gap + strip
	for _, row := range rows {
		for i, t := range row {
			x := gap + i*(side+gap)
			tag(out, face, image.Pt(x, y+4), t.side)
			canvas.Caption(out, face, x+48, y+20, canvas.Shorten(face, t.ID, side-48), canvas.Ink)
			draw.Draw(out, t.picture.Rect.Add(image.Pt(x, y+strip)), t.picture, image.Point{}, draw.Src)
		}
		y += strip + highest(row) + gap
	}
	for _, row := range legend {
		x := gap
		for _, k := range row {
			look(k).sample(out, image.Pt(x, y+13))
			x = canvas.Caption(out, face, x+38, y+18, targets[k], canvas.Ink) + 24
		}
		y += strip
	}
	return out
}

func highest(row []tile) int {
	most := 0
	for _, t := range row {
		most = max(most, t.picture.Rect.Dy())
	}
	return most
}

// choose takes n cases, as many of pool and test as their shares are, spread evenly over each by name.
func choose(b *data.Benchmark, n int) []tile {
	all := len(b.Pool) + len(b.Test)
	n = min(n, all)
	tested := 0
	if all > 0 {
		tested = int(math.Round(float64(n) * float64(len(b.Test)) / float64(all)))
	}
	if len(b.Test) > 0 && n > 1 {
		tested = max(tested, 1)
	}
	if len(b.Pool) > 0 && n > 1 {
		tested = min(tested, n-1)
	}
	var out []tile
	spread := func(cases []data.Case, n int, side string) {
		for i := range n { // the middles of as many equal parts
			out = append(out, tile{Case: cases[(2*i+1)*len(cases)/(2*n)], side: side})
		}
	}
	spread(b.Pool, min(n-tested, len(b.Pool)), "pool")
	spread(b.Test, n-len(out), "test")
	return out
}

// Colours of the tags that say which side of the split a case is on.
var tags = map[string]color.RGBA{"pool": canvas.Blue, "test": canvas.Vermillion}

func tag(dst draw.Image, face font.Face, at image.Point, side string) {
	draw.Draw(dst, image.Rect(at.X, at.Y, at.X+42, at.Y+20), image.NewUniform(tags[side]), image.Point{}, draw.Src)
	canvas.Caption(dst, face, at.X+5, at.Y+15, side, color.White)
}

// legendRows breaks the legend into rows of targets, by number, that fit in a width.
func legendRows(face font.Face, targets []string, width int) [][]int {
	var rows [][]int
	x := width
	for k, t := range targets {
		need := 38 + font.MeasureString(face, t).Ceil() + 24
		if x+need > width-gap {
			rows, x = append(rows, nil), gap
		}
		rows[len(rows)-1] = append(rows[len(rows)-1], k)
		x += need
	}
	return rows
}
