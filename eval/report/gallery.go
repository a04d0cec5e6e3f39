package report

import (
	"bytes"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"

	"github.com/google/renameio/v2"
	"golang.org/x/image/draw"

	"samtune/data"
	"samtune/eval"
)

// A gallery shows a case as its picture with a layer of colours over it for each side of the comparison. Picture and layers
// are files of the run, so that a page can be made again without the data.
const (
	pictureSuffix = ".jpg"
	beforeSuffix  = ".before.png"
	afterSuffix   = ".after.png"

	caseBytes = 110_000 // that picture and layers of a case may take together
	smallSide = 320     // a picture of less is enlarged without blurring
)

// pictureSizes are tried until picture and layers of a case fit into caseBytes; the last one is taken in any case.
var pictureSizes = []struct{ side, quality int }{{640, 86}, {640, 72}, {512, 72}, {400, 70}, {320, 60}}

// layerPalette is by class. What is outside the valid region is dimmed, background shows the picture.
var layerPalette = color.Palette{color.NRGBA{A: 128}, color.NRGBA{}, colourTP, colourFP, colourFN, colourOnly}

// pictures are the files of a case. A side without a prediction has none.
type pictures struct{ picture, before, after []byte }

// draw makes the files of a case.
func (c CaseOverlay) draw() (p pictures, err error) {
	for _, size := range pictureSizes {
		if p, err = c.drawAt(size.side, size.quality); err != nil || len(p.picture)+len(p.before)+len(p.after) <= caseBytes {
			break
		}
	}
	if err != nil {
		return p, fmt.Errorf("draw case %q: %w", c.Case, err)
	}
	return p, nil
}

func (c CaseOverlay) drawAt(side, quality int) (p pictures, err error) {
	var bounds image.Rectangle
	for _, l := range []struct {
		file *[]byte
		mask *data.Mask
	}{{&p.before, c.Before}, {&p.after, c.After}} {
		if l.mask == nil {
			continue
		}
		if err := checkSizes(c.Image, l.mask, c.Truth, c.Valid); err != nil {
			return p, err
		}
		bounds = fit(c.Image.Width, c.Image.Height, side)
		shown := shrinkClasses(classify(c.Image, l.mask, c.Truth, c.Valid), c.Image.Width, c.Image.Height, bounds.Dx(), bounds.Dy())
		if *l.file, err = layerFile(shown, bounds); err != nil {
			return p, err
		}
	}
	if bounds.Empty() {
		return p, errors.New("it has neither a prediction before nor one after")
	}
	p.picture, err = photo(shrinkImage(c.Image, bounds), quality)
	return p, err
}

func photo(img image.Image, quality int) ([]byte, error) {
	var b bytes.Buffer
	err := jpeg.Encode(&b, img, &jpeg.Options{Quality: quality})
	return b.Bytes(), err
}

func layerFile(shown []class, bounds image.Rectangle) ([]byte, error) {
	img := image.NewPaletted(bounds, layerPalette)
	for i, c := range shown {
		img.Pix[i] = uint8(c)
	}
	return pngFile(img)
}

func pngFile(img image.Image) ([]byte, error) {
	var b bytes.Buffer
	err := png.Encode(&b, img)
	return b.Bytes(), err
}

// WriteOverlay writes a case's pictures into dir, which it makes: the files of the gallery and, of the best, the median and the
// worst case, picture, before and after beside each other as FileName. Each is written to a temporary name first and renamed.
func WriteOverlay(dir string, c CaseOverlay) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write overlays: %w", err)
	}
	p, err := c.draw()
	if err != nil {
		return fmt.Errorf("write overlays: %w", err)
	}
	files := map[string][]byte{c.stem() + pictureSuffix: p.picture, c.stem() + beforeSuffix: p.before, c.stem() + afterSuffix: p.after}
	if c.Role != "" {
		img, err := SideBySide(c)
		if err != nil {
			return fmt.Errorf("write overlays: %w", err)
		}
		if files[c.FileName()], err = pngFile(img); err != nil {
			return fmt.Errorf("write overlay of case %q: %w", c.Case, err)
		}
	}
	for name, content := range files {
		if content == nil {
			continue
		}
		path := filepath.Join(dir, name)
		if err := renameio.WriteFile(path, content, 0o644); err != nil {
			return fmt.Errorf("write %q: %w", path, err)
		}
	}
	return nil
}

// slide is a case of a gallery: two views of one picture, or one where there is nothing to compare.
type slide struct {
	ID            string // unique in its page
	Name          string // what the filter looks at
	Heading, Note string
	Role, Class   string
	Width, Height int
	Small         bool
	Picture       template.URL
	Outline       template.URL
	Views         []view
	thin          bool // the outline covers most of the structure itself
}

// view is a layer of colours over the picture.
type view struct {
	Side, Label, Dice, Alt string
	Layer                  template.URL
}

// readSlide reads a case's files from the overlays of a run, in pictures no longer than side pixels (0: as they are); an
// error is os.ErrNotExist where they are not there.
func readSlide(dir string, c CaseOverlay, side int) (*slide, error) {
	file, err := os.ReadFile(filepath.Join(dir, c.stem()+pictureSuffix))
	if err != nil {
		return nil, err
	}
	decoded, err := jpeg.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", filepath.Join(dir, c.stem()+pictureSuffix), err)
	}
	full := decoded.Bounds()
	bounds := fit(full.Dx(), full.Dy(), side)
	if bounds != full {
		small := image.NewRGBA(bounds)
		draw.CatmullRom.Scale(small, bounds, decoded, full, draw.Src, nil)
		if file, err = photo(small, 80); err != nil {
			return nil, err
		}
	}
	s := &slide{Name: c.Case, Role: c.Role, Width: bounds.Dx(), Height: bounds.Dy(), Small: max(bounds.Dx(), bounds.Dy()) < smallSide, Picture: embedded("jpeg", file)}
	for _, v := range []struct {
		side, label, suffix string
		dice                eval.Float
	}{{"zero-shot", c.BeforeLabel, beforeSuffix, c.BeforeDice}, {"fine-tuned", c.AfterLabel, afterSuffix, c.AfterDice}} {
		layer, err := os.ReadFile(filepath.Join(dir, c.stem()+v.suffix))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		shown, err := readLayer(layer, full)
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", filepath.Join(dir, c.stem()+v.suffix), err)
		}
		if bounds != full {
			shown = shrinkClasses(shown, full.Dx(), full.Dy(), bounds.Dx(), bounds.Dy())
			if layer, err = layerFile(shown, bounds); err != nil {
				return nil, err
			}
		}
		if s.Outline == "" {
			if err := s.outline(shown, bounds); err != nil {
				return nil, err
			}
		}
		s.Views = append(s.Views, view{Side: v.side, Label: v.label, Dice: number(v.dice, 3), Layer: embedded("png", layer),
			Alt: fmt.Sprintf("Case %s, %s: prediction over the picture, Dice %s", c.Case, v.label, number(v.dice, 3))})
	}
	if len(s.Views) == 0 {
		return nil, os.ErrNotExist
	}
	return s, nil
}

// readLayer reads the classes of a layer's pixels.
func readLayer(file []byte, bounds image.Rectangle) ([]class, error) {
	img, err := png.Decode(bytes.NewReader(file))
	if err != nil {
		return nil, err
	}
	layer, ok := img.(*image.Paletted)
	if !ok || layer.Bounds() != bounds || len(layer.Palette) != len(layerPalette) {
		return nil, fmt.Errorf("it is not the layer of a picture of %d x %d pixels that a run writes", bounds.Dx(), bounds.Dy())
	}
	shown := make([]class, len(layer.Pix))
	for i, v := range layer.Pix {
		shown[i] = class(v)
	}
	return shown, nil
}

// outline draws the pixels around the truth, which is what was found and what was missed.
func (s *slide) outline(shown []class, bounds image.Rectangle) error {
	w, h := bounds.Dx(), bounds.Dy()
	inside := func(x, y int) bool {
		return x >= 0 && y >= 0 && x < w && y < h && (shown[y*w+x] == truePositive || shown[y*w+x] == falseNegative)
	}
	img := image.NewPaletted(bounds, color.Palette{color.NRGBA{}, color.White})
	around, area := 0, 0
	for y := range h {
		for x := range w {
			switch {
			case inside(x, y):
				area++
			case inside(x-1, y) || inside(x+1, y) || inside(x, y-1) || inside(x, y+1):
				around++
				img.Pix[y*w+x] = 1
			}
		}
	}
	if area == 0 {
		return nil
	}
	file, err := pngFile(img)
	s.Outline, s.thin = embedded("png", file), 2*around > area
	return err
}

func embedded(kind string, file []byte) template.URL {
	return template.URL("data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(file))
}

// gallery is a group of slides under controls of their own.
type gallery struct {
	Note     string
	Slides   []slide
	Compared bool // there are two views to slide between
	Outlined bool // outlines are shown from the start: they would hide thin structures
	Legend   []legendEntry
}

func newGallery(note string, slides []slide) *gallery {
	if len(slides) == 0 {
		return nil
	}
	g := &gallery{Note: note, Slides: slides, Legend: legend}
	thin := 0
	for i := range slides {
		slides[i].ID = fmt.Sprintf("case-%d", i+1)
		g.Compared = g.Compared || len(slides[i].Views) == 2
		if slides[i].thin {
			thin++
		}
	}
	g.Outlined = 2*thin < len(slides)
	return g
}
