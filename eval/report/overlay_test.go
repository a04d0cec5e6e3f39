package report

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"

	"samtune/data"
	"samtune/eval"
)

func mask(w int, rows ...string) *data.Mask {
	m := data.NewMask(w, len(rows))
	for y, row := range rows {
		for x, c := range row {
			if c == '#' {
				m.Pix[y*w+x] = 1
			}
		}
	}
	return m
}

func grey(w, h int, level uint8) *data.Image {
	return &data.Image{Width: w, Height: h, Pix: bytes.Repeat([]byte{level}, 3*w*h)}
}

func TestOverlayColours(t *testing.T) {
	img := grey(4, 2, 200)
	got, err := Overlay(img, mask(4, "##..", "####"), mask(4, "#.#.", "####"), mask(4, "####", "...."))
	if err != nil {
		t.Fatal(err)
	}
	if got.Bounds() != image.Rect(0, 0, 4, 2) {
		t.Fatalf("overlay is %v", got.Bounds())
	}
	for x, want := range []color.RGBA{colourTP, colourFP, colourFN} {
		if c := color.RGBAModel.Convert(got.At(x, 0)); c != want {
			t.Errorf("pixel %d is %v, want %v", x, c, want)
		}
	}
	inside := color.RGBAModel.Convert(got.At(3, 0)).(color.RGBA)
	if inside.R != inside.G || inside.G != inside.B || inside.R >= 200 || inside.R < 60 {
		t.Errorf("a true negative is %v, want the picture in a darker grey", inside)
	}
	for x := range 4 {
		c := color.RGBAModel.Convert(got.At(x, 1)).(color.RGBA)
		if c.R != c.G || c.G != c.B || c.R >= inside.R {
			t.Errorf("pixel %d outside the valid region is %v, want grey below %d", x, c, inside.R)
		}
	}

	t.Run("without truth", func(t *testing.T) {
		got, err := Overlay(img, mask(4, "#...", "...."), nil, nil)
		if err != nil {
			t.Fatal(err)
		}
		if c := color.RGBAModel.Convert(got.At(0, 0)); c != colourOnly {
			t.Errorf("a predicted pixel is %v, want %v", c, colourOnly)
		}
	})
}

func TestOverlayRefusesOtherSizes(t *testing.T) {
	good := data.NewMask(4, 2)
	for name, args := range map[string]struct {
		img                *data.Image
		pred, truth, valid *data.Mask
		want               string
	}{
		"no picture":    {nil, good, good, good, "missing"},
		"no prediction": {grey(4, 2, 0), nil, good, good, "missing"},
		"prediction":    {grey(4, 2, 0), data.NewMask(2, 4), good, good, "prediction is 2 x 4, want 4 x 2"},
		"truth":         {grey(4, 2, 0), good, data.NewMask(3, 2), good, "truth is 3 x 2, want 4 x 2"},
		"valid":         {grey(4, 2, 0), good, good, data.NewMask(4, 3), "valid region is 4 x 3"},
		"short picture": {&data.Image{Width: 4, Height: 2, Pix: make([]byte, 8)}, good, good, good, "8 bytes"},
		"empty picture": {&data.Image{}, &data.Mask{}, nil, nil, "0 x 0"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Overlay(args.img, args.pred, args.truth, args.valid); err == nil || !strings.Contains(err.Error(), args.want) {
				t.Errorf("error is %v, want %q in it", err, args.want)
			}
		})
	}
}

func TestThinLinesSurviveShrinking(t *testing.T) {
	const w, h = 1280, 900
	for _, width := range []int{1, 2, 3} {
		t.Run(fmt.Sprintf("%d px", width), func(t *testing.T) {
			pred, truth := data.NewMask(w, h), data.NewMask(w, h)
			for y := range h {
				for x := 300; x < 300+width; x++ {
					pred.Pix[y*w+x], truth.Pix[y*w+x] = 1, 1
				}
			}
			small := drawOverlay(grey(w, h, 90), pred, truth, nil, 640)
			if small.Bounds() != image.Rect(0, 0, 640, 450) {
				t.Fatalf("shrunk to %v", small.Bounds())
			}
			for y := range 450 {
				if c := small.At(150, y); c != color.Color(colourTP) {
					t.Fatalf("row %d of the line is %v", y, c)
				}
			}
		})
	}
	t.Run("a speck does not grow", func(t *testing.T) {
		pred := data.NewMask(w, h)
		pred.Pix[0] = 1
		if c := drawOverlay(grey(w, h, 90), pred, data.NewMask(w, h), nil, 256).At(0, 0); c == color.Color(colourFP) {
			t.Error("one pixel of 25 colours the whole")
		}
	})
}

// linear returns a colour's light, 0 to 1 for each channel (sRGB, IEC 61966-2-1).
func linear(c color.RGBA) [3]float64 {
	var out [3]float64
	for i, v := range []uint8{c.R, c.G, c.B} {
		f := float64(v) / 255
		if f <= 0.04045 {
			out[i] = f / 12.92
		} else {
			out[i] = math.Pow((f+0.055)/1.055, 2.4)
		}
	}
	return out
}

func luminance(c color.RGBA) float64 {
	l := linear(c)
	return 0.2126*l[0] + 0.7152*l[1] + 0.0722*l[2]
}

// contrast is the ratio of WCAG 2.
func contrast(a, b color.RGBA) float64 {
	x, y := luminance(a)+0.05, luminance(b)+0.05
	return math.Max(x, y) / math.Min(x, y)
}

func lab(l [3]float64) [3]float64 {
	x := (0.4124564*l[0] + 0.3575761*l[1] + 0.1804375*l[2]) / 0.95047
	y := 0.2126729*l[0] + 0.7151522*l[1] + 0.0721750*l[2]
	z := (0.0193339*l[0] + 0.1191920*l[1] + 0.9503041*l[2]) / 1.08883
	f := func(t float64) float64 {
		if t > 216.0/24389 {
			return math.Cbrt(t)
		}
		return (24389.0/27*t + 16) / 116
	}
	return [3]float64{116*f(y) - 16, 500 * (f(x) - f(y)), 200 * (f(y) - f(z))}
}

// Full dichromacy after Machado, Oliveira and Fernandes, IEEE TVCG 15, 2009.
var visions = map[string][3][3]float64{
	"normal":       {{1, 0, 0}, {0, 1, 0}, {0, 0, 1}},
	"protanopia":   {{0.152286, 1.052583, -0.204868}, {0.114503, 0.786281, 0.099216}, {-0.003882, -0.048116, 1.051998}},
	"deuteranopia": {{0.367322, 0.860646, -0.227968}, {0.280085, 0.672501, 0.047413}, {-0.011820, 0.042940, 0.968881}},
	"tritanopia":   {{1.255528, -0.076749, -0.178779}, {-0.078411, 0.930809, 0.147602}, {0.004733, 0.691367, 0.303900}},
}

func seen(c color.RGBA, m [3][3]float64) [3]float64 {
	l := linear(c)
	var out [3]float64
	for i := range 3 {
		out[i] = math.Min(math.Max(m[i][0]*l[0]+m[i][1]*l[1]+m[i][2]*l[2], 0), 1)
	}
	return lab(out)
}

func TestColoursDifferForEveryEye(t *testing.T) {
	distance := func(a, b [3]float64) float64 { return math.Hypot(math.Hypot(a[0]-b[0], a[1]-b[1]), a[2]-b[2]) }
	colours := map[string]color.RGBA{"true positive": colourTP, "false positive": colourFP, "false negative": colourFN}
	for vision, m := range visions {
		t.Run(vision, func(t *testing.T) {
			for a, ca := range colours {
				for b, cb := range colours {
					// CIE76: 2.3 is just noticeable; ten times as much is told apart at a glance.
					if d := distance(seen(ca, m), seen(cb, m)); a < b && d < 25 {
						t.Errorf("%s and %s are %.1f apart", a, b, d)
					}
				}
				for level := range insideLevels {
					if d := distance(seen(ca, m), seen(overlayPalette[level].(color.RGBA), m)); d < 20 {
						t.Errorf("%s and grey %d are %.1f apart", a, level, d)
						break
					}
				}
			}
		})
	}
	t.Run("luminance alone", func(t *testing.T) {
		for a, ca := range colours {
			for b, cb := range colours {
				if r := contrast(ca, cb); a < b && r < 1.5 {
					t.Errorf("%s and %s have a contrast of %.2f", a, b, r)
				}
			}
		}
	})
}

// schemes are the colours of the style sheet by name, light and dark.
func schemes(t *testing.T) map[string]map[string]color.RGBA {
	t.Helper()
	out := map[string]map[string]color.RGBA{"light": {}, "dark": {}}
	for _, m := range regexp.MustCompile(`--(\w+): light-dark\(#(\w{6}), #(\w{6})\)`).FindAllStringSubmatch(pageCSS, -1) {
		for i, name := range []string{"light", "dark"} {
			v, err := strconv.ParseUint(m[2+i], 16, 32)
			if err != nil {
				t.Fatal(err)
			}
			out[name][m[1]] = color.RGBA{uint8(v >> 16), uint8(v >> 8), uint8(v), 255}
		}
	}
	return out
}

// TestTextIsReadable holds the style sheet to WCAG 2's 4.5 to 1 for text on every ground that it stands on.
func TestTextIsReadable(t *testing.T) {
	for name, colours := range schemes(t) {
		t.Run(name, func(t *testing.T) {
			for _, text := range []string{"ink", "soft", "loss", "after"} {
				for _, ground := range []string{"paper", "tint", "mark"} {
					if r := contrast(colours[text], colours[ground]); r < 4.5 {
						t.Errorf("%s on %s has a contrast of %.2f", text, ground, r)
					}
				}
			}
		})
	}
}

// TestLinesDifferForEveryEye holds the lines of plots to WCAG 2's 3 to 1 for graphics; they differ in dashes too, so a distance that
// is seen side by side is enough.
func TestLinesDifferForEveryEye(t *testing.T) {
	for name, colours := range schemes(t) {
		lines := []string{"soft", "after", "green", "violet", "chosen"}
		for _, a := range lines {
			if r := contrast(colours[a], colours["paper"]); r < 3 {
				t.Errorf("%s: %s has a contrast of %.2f", name, a, r)
			}
			for vision, m := range visions {
				for _, b := range lines {
					x, y := seen(colours[a], m), seen(colours[b], m)
					if d := math.Hypot(math.Hypot(x[0]-y[0], x[1]-y[1]), x[2]-y[2]); a < b && d < 10 {
						t.Errorf("%s, %s: %s and %s are %.1f apart", name, vision, a, b, d)
					}
				}
			}
		}
	}
}

func TestPick(t *testing.T) {
	rows := func(dice ...float64) []eval.CaseResult {
		var out []eval.CaseResult
		for i, d := range dice {
			id := string(rune('a' + i))
			out = append(out, eval.CaseResult{Case: id, Method: "box", Scores: eval.Scores{Dice: 0.2}},
				eval.CaseResult{Case: id, Method: eval.MethodAfter, Scores: eval.Scores{Dice: eval.Float(d)}})
		}
		return out
	}
	r := &eval.Results{Shots: 5, Before: map[string]*eval.Method{"box": {Label: "full-image box"}},
		After: &eval.Method{}, Paired: &eval.Paired{Before: "box"}}
	nan := math.NaN()
	for _, test := range []struct {
		name string
		rows []eval.CaseResult
		want string
	}{
		{"odd", rows(0.5, 0.9, 0.1), "best b, median a, worst c"},
		{"even takes the lower middle", rows(0.4, 0.3, 0.2, 0.1), "best a,  b, median c, worst d"},
		{"ties by name", rows(0.5, 0.5, 0.5), "best a, median b, worst c"},
		{"undefined come last", rows(nan, 0.9, nan, 0.1, 0.5), "best b, median e, worst d,  a,  c"},
		{"two", rows(0.1, 0.2), "best b, worst a"},
		{"one", rows(0.1), "best a"},
		{"none has a Dice", rows(nan), " a"},
		{"none", nil, ""},
	} {
		t.Run(test.name, func(t *testing.T) {
			var got []string
			for _, c := range Pick(r, test.rows) {
				got = append(got, c.Role+" "+c.Case)
				if c.BeforeDice != 0.2 || c.AfterDice.Defined() == (c.Role == "" && test.name != "even takes the lower middle") || c.BeforeMethod != "box" || c.BeforeLabel != "zero-shot, full-image box" || c.AfterLabel != "fine-tuned on 5 images" {
					t.Errorf("case %q: %+v", c.Case, c)
				}
			}
			if s := strings.Join(got, ", "); s != test.want {
				t.Errorf("picked %q, want %q", s, test.want)
			}
		})
	}
}

func TestWriteOverlays(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run", OverlayDir)
	c := CaseOverlay{Role: "best", Case: "01_test", BeforeLabel: strings.Repeat("a long label ", 30), BeforeDice: eval.Undefined, AfterLabel: "fine-tuned", AfterDice: 0.5}
	addPictures(&c, 100, 80, 1)
	if err := WriteOverlay(dir, c); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(dir, "best-01_test.png"))
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(b))
	if err != nil {
		t.Fatal(err)
	}
	// A panel of 100 x 80 is enlarged four times, to 400 x 320.
	if want := image.Rect(0, 0, 3*400+4*gap, 320+2*strip); img.Bounds() != want {
		t.Errorf("picture is %v, want %v", img.Bounds(), want)
	}
	overlay, err := Overlay(c.Image, c.After, c.Truth, c.Valid)
	if err != nil {
		t.Fatal(err)
	}
	for y := range 80 {
		for x := range 100 {
			got := color.RGBAModel.Convert(img.At(3*gap+2*400+4*x+1, strip+4*y+1))
			if want := color.RGBAModel.Convert(overlay.At(x, y)); got != want {
				t.Fatalf("pixel %d, %d of the last panel is %v, want %v", x, y, got, want)
			}
		}
	}
	if got := (CaseOverlay{Role: "best", Case: "a/b"}).FileName(); got == (CaseOverlay{Role: "best", Case: "a_b"}).FileName() {
		t.Errorf("two cases share the file %q", got)
	}
}
