package data

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestCheckFindsWhatIsWrong(t *testing.T) {
	root, dir := fullCopy(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	putMask(t, at("training/1st_manual/22_manual1.gif"), blackWhite, lookWidth, lookHeight, 0)
	putMask(t, at("training/1st_manual/23_manual1.gif"), blackWhite, lookWidth, lookHeight, lookWidth)
	putMask(t, at("test/mask/03_test_mask.gif"), color.Palette{blackWhite[1], blackWhite[0]}, lookWidth, lookHeight, lookWidth-1) // the last column alone
	putImage(t, at("test/images/09_test.tif"), 25)                                                                                // as of training case 25
	b, err := Open("drive", Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	findings, err := Check(b)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range findings {
		got = append(got, f.String())
	}
	want := []string{
		"03: the mask of vessels lies outside the valid region",
		"09: its picture has the same pixels as that of 25",
		"22: the mask of vessels is empty",
		"23: the mask of vessels fills the valid region",
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("found %q, want %q", got, want)
	}
}

func TestReadMaskThreshold(t *testing.T) {
	m := image.NewGray(image.Rect(0, 0, 6, 1))
	copy(m.Pix, []uint8{0, 1, 127, 128, 254, 255})
	path := filepath.Join(t.TempDir(), "mask.png")
	put(t, path, func(b *bytes.Buffer) error { return png.Encode(b, m) })
	got, err := ReadMask(path)
	if err != nil {
		t.Fatal(err)
	}
	if want := []uint8{0, 0, 0, 1, 1, 1}; !bytes.Equal(got.Pix, want) {
		t.Errorf("mask is %v, want %v", got.Pix, want)
	}
}

func TestGreyIsThatOfTheLibrary(t *testing.T) {
	for i := range 1 << 15 {
		r, g, b := uint8(i>>10)*8, uint8(i>>5)*8+uint8(i&7), uint8(i)*8+uint8(i>>12)
		want := color.GrayModel.Convert(color.RGBA{R: r, G: g, B: b, A: 255}).(color.Gray).Y
		if got := grey(r, g, b); got != want {
			t.Fatalf("grey of (%d, %d, %d) is %d, want %d", r, g, b, got, want)
		}
	}
}

func TestReadImageOrder(t *testing.T) {
	m := image.NewNRGBA(image.Rect(0, 0, 2, 3))
	for i := range m.Pix {
		m.Pix[i] = uint8(i)
		if i%4 == 3 {
			m.Pix[i] = 255
		}
	}
	m.SetNRGBA(1, 2, color.NRGBA{200, 100, 50, 0}) // transparent: black
	path := filepath.Join(t.TempDir(), "image.png")
	put(t, path, func(b *bytes.Buffer) error { return png.Encode(b, m) })
	got, err := ReadImage(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []uint8{0, 1, 2, 4, 5, 6, 8, 9, 10, 12, 13, 14, 16, 17, 18, 0, 0, 0}
	if got.Width != 2 || got.Height != 3 || !bytes.Equal(got.Pix, want) {
		t.Errorf("image is %d x %d with %v, want 2 x 3 with %v", got.Width, got.Height, got.Pix, want)
	}
}

// The hash is of what is seen: the same pixels in another format have it, the same bytes in another shape
// have not.
func TestHashIsOfPixels(t *testing.T) {
	dir := t.TempDir()
	putImage(t, filepath.Join(dir, "a.tif"), 7)
	a, err := ReadImage(filepath.Join(dir, "a.tif"))
	if err != nil {
		t.Fatal(err)
	}
	m := image.NewRGBA(image.Rect(0, 0, a.Width, a.Height))
	for i := range a.Width * a.Height {
		copy(m.Pix[4*i:], a.Pix[3*i:3*i+3])
		m.Pix[4*i+3] = 255
	}
	put(t, filepath.Join(dir, "b.png"), func(b *bytes.Buffer) error { return png.Encode(b, m) })
	b, err := ReadImage(filepath.Join(dir, "b.png"))
	if err != nil {
		t.Fatal(err)
	}
	if a.Hash() != b.Hash() {
		t.Error("TIFF and PNG of the same pixels have different hashes")
	}
	turned := &Image{Width: a.Height, Height: a.Width, Pix: a.Pix}
	if a.Hash() == turned.Hash() {
		t.Error("width and height are not in the hash")
	}
	b.Pix[17]++
	if a.Hash() == b.Hash() {
		t.Error("a changed pixel is not in the hash")
	}
}

func TestDeclarations(t *testing.T) {
	names := Names()
	if !slices.IsSorted(names) || !slices.Contains(names, "drive") || !slices.Contains(names, "fundus") {
		t.Errorf("names are %q, want drive, fundus and others in order", names)
	}
	for _, name := range names {
		t.Run(name, func(t *testing.T) {
			d, err := Declaration(name)
			if err != nil {
				t.Fatal(err)
			}
			if d.Name != name {
				t.Errorf("it calls itself %q", d.Name)
			}
			for what, v := range map[string]string{"title": d.Title, "task": d.Task, "citation": d.Citation, "licence": d.Licence, "get": d.Get} {
				if v == "" {
					t.Errorf("no %s", what)
				}
			}
			if d.NSDTolerance <= 0 || len(d.Recipe) == 0 {
				t.Errorf("tolerance is %v, recipe %v", d.NSDTolerance, d.Recipe)
			}
			for _, l := range d.Layouts {
				for _, p := range []*patterns{&l.Pool, l.Test} {
					if p == nil {
						continue
					}
					for _, target := range d.Targets {
						if !strings.Contains(p.Image, "{id}") || len(p.Masks[target]) == 0 {
							t.Errorf("layout %q: no {id} in image %q, or no mask of %s", l.Name, p.Image, target)
						}
						for _, mask := range p.Masks[target] {
							if !strings.Contains(mask, "{id}") {
								t.Errorf("layout %q: no {id} in mask %q of %s", l.Name, mask, target)
							}
						}
					}
				}
			}
		})
	}
}

func TestUnknownBenchmark(t *testing.T) {
	for name, says := range map[string]string{
		"drvie": `did you mean "drive"?`, "Fundus": `did you mean "fundus"?`, "drives": `did you mean "drive"?`,
		"../models/lite_medsam": `unknown benchmark "../models/lite_medsam"`, "": `unknown benchmark ""`,
	} {
		_, err := Open(name, Options{Root: os.TempDir()})
		if err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: error is %v, want %q", name, err, says)
		}
	}
	if _, err := Declaration("telescope"); err == nil || strings.Contains(err.Error(), "did you mean") {
		t.Errorf("error is %v, want one without a guess", err)
	}
}

func TestDeclarationRefusesUnknownKeys(t *testing.T) {
	for name, text := range map[string]string{
		"top":    "name = \"x\"\nengine = \"pairs\"\ntargets = [\"t\"]\nnds_tolerance = 1.0\n",
		"layout": "name = \"x\"\nengine = \"pairs\"\ntargets = [\"t\"]\n[[layout]]\nname = \"l\"\n[layout.pool]\nimages = \"{id}.png\"\n",
		"target": "name = \"x\"\n",
	} {
		if _, err := parseDeclaration("x.toml", text); err == nil || !strings.Contains(err.Error(), "x.toml") {
			t.Errorf("%s: error is %v, want one that names x.toml", name, err)
		}
	}
	d, err := parseDeclaration("x.toml", "name = \"x\"\nengine = \"pairs\"\ntargets = [\"t\"]\n[recipe.train]\nanything = 3\n")
	if err != nil || d.Recipe["train"].(map[string]any)["anything"] != int64(3) {
		t.Errorf("recipe is %v, %v: its keys are for the settings to judge", d, err)
	}
}
