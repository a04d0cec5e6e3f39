package data

import (
	"bytes"
	"context"
	"errors"
	"image"
	"image/color"
	"image/jpeg"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	xdraw "golang.org/x/image/draw"

	"samtune/data/fundus"
)

// checked is what Check finds, in words.
func checked(t *testing.T, name string, opt Options) (*Report, []string) {
	t.Helper()
	r, err := Check(context.Background(), name, opt, nil)
	if err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, f := range r.Findings {
		got = append(got, string(f.Severity)+" "+f.String())
	}
	return r, got
}

func TestCheckFindsWhatIsWrong(t *testing.T) {
	root, dir := fullCopy(t)
	at := func(name string) string { return filepath.Join(dir, name) }
	putMask(t, at("training/1st_manual/22_manual1.gif"), blackWhite, lookWidth, lookHeight, 0)
	putMask(t, at("training/1st_manual/23_manual1.gif"), blackWhite, lookWidth, lookHeight, lookWidth)
	putMask(t, at("training/1st_manual/24_manual1.gif"), blackWhite, lookWidth-1, lookHeight, 3)
	putMask(t, at("test/mask/03_test_mask.gif"), color.Palette{blackWhite[1], blackWhite[0]}, lookWidth, lookHeight, lookWidth-1) // the last column alone
	putImage(t, at("test/images/09_test.tif"), 25)                                                                                // as of training case 25
	if err := os.WriteFile(at("test/images/10_test.tif"), []byte("no picture"), 0o644); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(at("test/2nd_manual/11_manual2.gif"), []byte("GIF89a"), 0o644); err != nil {
		t.Fatal(err)
	}
	r, got := checked(t, "drive", Options{Root: root})
	want := []string{
		`problem 24, training/1st_manual/24_manual1.gif: the mask is 23 x 20, want 24 x 20 as its image "training/images/24_training.tif": put the mask that belongs to it there`,
		`problem 03, test/1st_manual/03_manual1.gif: the mask of vessels lies outside the valid region`,
		`problem 10, test/images/10_test.tif: invalid data: read "` + at("test/images/10_test.tif") + `": unsupported kind of picture`,
		`problem 11, test/2nd_manual/11_manual2.gif: invalid data: read "` + at("test/2nd_manual/11_manual2.gif") + `": damaged file`,
		`problem 09: its picture, of the test, has the same pixels as that of 25, of the pool`,
		`warning 22, training/1st_manual/22_manual1.gif: the mask of vessels is empty`,
		`warning 23, training/1st_manual/23_manual1.gif: the mask of vessels fills the valid region`,
	}
	for i := range max(len(got), len(want)) {
		if i >= len(got) || i >= len(want) || !strings.HasPrefix(got[i], want[i]) {
			t.Fatalf("found\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
		}
	}
	if r.Files != 140-5 { // of 24 the image and its mask are read, of 10 the mask, of 11 all but the second mask
		t.Errorf("%d files are read, want 135", r.Files)
	}
	if r.Count(Problem) != 5 || r.Count(Warning) != 2 {
		t.Errorf("%d problems and %d warnings", r.Count(Problem), r.Count(Warning))
	}
}

func TestCheckCounts(t *testing.T) {
	root, _ := fullCopy(t)
	r, found := checked(t, "drive", Options{Root: root})
	if len(found) > 0 {
		t.Errorf("of a sound copy it finds %q", found)
	}
	if r.Files != 140 || len(r.Sides) != 2 || len(r.Targets) != 2 || len(r.Labels) != 1 {
		t.Fatalf("it reports %+v", r)
	}
	pool := r.Sides[0]
	if pool.Side != "pool" || pool.Cases != 20 || pool.Patients != 20 || pool.Width != (Range{lookWidth, lookWidth}) || pool.Height != (Range{lookHeight, lookHeight}) ||
		*pool.Values != (Range{0, 255}) || !slices.Equal(pool.Channels, []int{3}) {
		t.Errorf("the pool is %+v", pool)
	}
	// Masks fill the first 2 + n % 5 of 23 valid columns of 24.
	if tr := r.Targets[0]; tr.Masks != 20 || tr.Empty != 0 || tr.Foreground != (Range{2.0 / 23, 6.0 / 23}) || tr.Median != 4.0/23 {
		t.Errorf("the target is %+v", tr)
	}
	if v := r.Labels[0].Values; len(v) != 2 || v[0].Value != "0" || v[1].Value != "255" || v[1].Files != 40 || v[1].Pixels != 40*4*lookHeight || !v[0].Named || !v[1].Named {
		t.Errorf("labels are %+v", v)
	}
}

func TestCheckOfABenchmarkThatIsNotThere(t *testing.T) {
	if _, err := Check(context.Background(), "drive", Options{Root: t.TempDir()}, nil); !errors.Is(err, ErrNotFound) {
		t.Errorf("error is %v, want ErrNotFound", err)
	}
	if _, err := Check(context.Background(), "drvie", Options{Root: t.TempDir()}, nil); !errors.Is(err, ErrUnknown) {
		t.Errorf("error is %v, want ErrUnknown", err)
	}
	root, dir := fullCopy(t)
	if err := os.Remove(filepath.Join(dir, "training/1st_manual/22_manual1.gif")); err != nil {
		t.Fatal(err)
	}
	r, found := checked(t, "drive", Options{Root: root})
	if len(found) != 1 || r.Count(Problem) != 1 || !strings.Contains(found[0], "22_training.tif has no training/1st_manual/22_manual1.gif") {
		t.Errorf("of an incomplete copy it finds %q", found)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Check(ctx, "fundus", Options{}, nil); err != context.Canceled {
		t.Errorf("error is %v, want that of the context", err)
	}
}

func TestCheckOfGeneratedPictures(t *testing.T) {
	r, found := checked(t, "fundus", Options{})
	if len(found) > 0 || r.Files != 0 || r.Sides[0].Cases != 20 || r.Sides[1].Cases != 12 || len(r.Targets) != 2 {
		t.Errorf("it finds %q and reports %+v", found, r)
	}
}

// TestCheckFindsNearDuplicates lays altered copies of a picture on the other side of the split, and beside it a picture of another
// eye.
func TestCheckFindsNearDuplicates(t *testing.T) {
	eye := func(n uint64) *image.RGBA {
		p := fundus.Draw(n)
		img := image.NewRGBA(image.Rect(0, 0, p.Side, p.Side))
		for i := range p.Side * p.Side {
			copy(img.Pix[4*i:], p.RGB[3*i:3*i+3])
			img.Pix[4*i+3] = 255
		}
		return img
	}
	brighter := func(img *image.RGBA) image.Image {
		for i, v := range img.Pix {
			img.Pix[i] = uint8(min(255, int(v)*11/10))
		}
		return img
	}
	half := func(img *image.RGBA) image.Image {
		small := image.NewRGBA(image.Rect(0, 0, img.Rect.Dx()/2, img.Rect.Dy()/2))
		xdraw.CatmullRom.Scale(small, small.Rect, img, img.Rect, xdraw.Src, nil)
		return small
	}
	asPNG := func(img image.Image) func(b *bytes.Buffer) error {
		return func(b *bytes.Buffer) error { return png.Encode(b, img) }
	}
	asJPEG := func(img image.Image) func(b *bytes.Buffer) error {
		return func(b *bytes.Buffer) error { return jpeg.Encode(b, img, &jpeg.Options{Quality: 60}) }
	}
	root := t.TempDir()
	dir := filepath.Join(root, "Kvasir-SEG")
	// By name every second one is tested.
	for id, write := range map[string]func(b *bytes.Buffer) error{
		"a": asPNG(eye(1)), "b": asJPEG(eye(1)), "c": asPNG(eye(2)), "d": asPNG(half(eye(2))), "e": asPNG(eye(3)), "f": asPNG(brighter(eye(3))), "g": asPNG(eye(4)), "h": asPNG(eye(5)),
	} {
		path := filepath.Join(dir, "images", id+".jpg")
		put(t, path, write)
		img, err := ReadImage(path)
		if err != nil {
			t.Fatal(err)
		}
		mask := image.NewGray(image.Rect(0, 0, img.Width, img.Height))
		mask.Pix[img.Width*5+5] = 255
		put(t, filepath.Join(dir, "masks", id+".jpg"), asPNG(mask))
	}
	_, found := checked(t, "kvasir_seg", Options{Root: root})
	var pairs []string
	for _, f := range found {
		at, of, near := strings.Cut(f, ": its picture, of the test, looks nearly like that of ")
		if !near || !strings.HasPrefix(at, "warning ") {
			t.Errorf("it finds %q", f)
			continue
		}
		pairs = append(pairs, at[len("warning "):]+of[:1])
	}
	if !slices.Equal(pairs, []string{"ba", "dc", "fe"}) {
		t.Errorf("pairs are %q, want ba, dc and fe", pairs)
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
