package data

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"golang.org/x/image/tiff"
)

// The look-alikes have DRIVE's names, formats and palettes, and pictures of 24 x 20 pixels.
const (
	lookWidth  = 24
	lookHeight = 20
)

func put(t testing.TB, path string, write func(b *bytes.Buffer) error) {
	t.Helper()
	var b bytes.Buffer
	if err := write(&b); err != nil {
		t.Fatal(err)
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// putImage writes a picture that no other number has.
func putImage(t testing.TB, path string, number int) {
	m := image.NewRGBA(image.Rect(0, 0, lookWidth, lookHeight))
	noise := rand.New(rand.NewPCG(uint64(number), 0)) // so that none looks like another
	for i := range m.Pix {
		m.Pix[i] = uint8(noise.Uint32())
	}
	for i := 3; i < len(m.Pix); i += 4 {
		m.Pix[i] = 255
	}
	put(t, path, func(b *bytes.Buffer) error { return tiff.Encode(b, m, &tiff.Options{Compression: tiff.Deflate}) })
}

// palettes of DRIVE's masks: of the first observer and the field of view, and of the second observer.
var (
	blackWhite = color.Palette{color.RGBA{0, 0, 0, 255}, color.RGBA{255, 255, 255, 255}}
	twoGreys   = color.Palette{color.RGBA{4, 2, 4, 255}, color.RGBA{252, 254, 252, 255}}
)

// putMask writes a mask whose columns below inside are in it.
func putMask(t testing.TB, path string, palette color.Palette, width, height, inside int) {
	m := image.NewPaletted(image.Rect(0, 0, width, height), palette)
	for i := range m.Pix {
		if i%width < inside {
			m.Pix[i] = 1
		}
	}
	put(t, path, func(b *bytes.Buffer) error { return gif.Encode(b, m, nil) })
}

// copyOf says which files a copy of DRIVE has, as patterns of a number; an empty pattern leaves them out.
type copyOf struct {
	image, mask, field, second string
	from, to                   int
}

func (c copyOf) put(t testing.TB, dir string) {
	for n := c.from; n <= c.to; n++ {
		name := func(pattern string) string { return filepath.Join(dir, fmt.Sprintf(pattern, n)) }
		putImage(t, name(c.image), n)
		if c.mask != "" {
			putMask(t, name(c.mask), blackWhite, lookWidth, lookHeight, 2+n%5)
		}
		if c.field != "" {
			putMask(t, name(c.field), blackWhite, lookWidth, lookHeight, lookWidth-1)
		}
		if c.second != "" {
			putMask(t, name(c.second), twoGreys, lookWidth, lookHeight, 3+n%5)
		}
	}
}

var (
	training = copyOf{"training/images/%02d_training.tif", "training/1st_manual/%02d_manual1.gif", "training/mask/%02d_training_mask.gif", "", 21, 40}
	test     = copyOf{"test/images/%02d_test.tif", "test/1st_manual/%02d_manual1.gif", "test/mask/%02d_test_mask.gif", "test/2nd_manual/%02d_manual2.gif", 1, 20}
)

func fullCopy(t testing.TB) (root, dir string) {
	root = t.TempDir()
	dir = filepath.Join(root, "DRIVE")
	training.put(t, dir)
	test.put(t, dir)
	return root, dir
}

func ids(cases []Case) []string {
	var out []string
	for _, c := range cases {
		out = append(out, c.ID)
	}
	return out
}

func numbers(from, to, step int) []string {
	var out []string
	for n := from; n <= to; n += step {
		out = append(out, fmt.Sprintf("%02d", n))
	}
	return out
}

func TestOpenLayouts(t *testing.T) {
	unlabelled := copyOf{image: test.image, field: test.field, from: 1, to: 20}
	folders := copyOf{"images/%02d_training.tif", "1st_manual/%02d_manual1.gif", "mask/%02d_training_mask.gif", "", 21, 40}
	flat := copyOf{"%02d_training.tif", "%02d_manual1.gif", "%02d_training_mask.gif", "", 21, 40}
	noFields := func(c copyOf) copyOf { c.field = ""; return c }
	shouting := copyOf{"training/images/%02d_training.TIF", "training/1st_manual/%02d_MANUAL1.GIF", "training/mask/%02d_training_mask.Gif", "", 21, 40}
	tests := []struct {
		name       string
		folder     string
		files      []copyOf
		pool, test []string
		layout     string
		second     bool
	}{
		{"full copy", "DRIVE", []copyOf{training, test}, numbers(21, 40, 1), numbers(1, 20, 1), "full copy", true},
		{"full copy as the data folder", ".", []copyOf{training, test}, numbers(21, 40, 1), numbers(1, 20, 1), "full copy", true},
		{"full copy without fields of view", "drive", []copyOf{noFields(training), noFields(test)}, numbers(21, 40, 1), numbers(1, 20, 1), "full copy, no masks of the field of view", true},
		{"test cases without labels", "DRIVE", []copyOf{training, unlabelled}, numbers(21, 40, 2), numbers(22, 40, 2), "official copy without test labels, its training images split", false},
		{"training alone", "DRIVE", []copyOf{training}, numbers(21, 40, 2), numbers(22, 40, 2), "official copy without test labels, its training images split", false},
		{"one folder with sub-folders", "DRIVE", []copyOf{folders}, numbers(21, 40, 2), numbers(22, 40, 2), "single folder with sub-folders, split", false},
		{"one folder", "DRIVE", []copyOf{flat}, numbers(21, 40, 2), numbers(22, 40, 2), "single folder, split", false},
		{"one folder without fields of view", ".", []copyOf{noFields(flat)}, numbers(21, 40, 2), numbers(22, 40, 2), "single folder, split, no masks of the field of view", false},
		{"other case", "DRIVE", []copyOf{shouting}, numbers(21, 40, 2), numbers(22, 40, 2), "official copy without test labels, its training images split", false},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			for _, c := range tt.files {
				c.put(t, filepath.Join(root, tt.folder))
			}
			b, err := Open("drive", Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if b.Root != filepath.Join(root, tt.folder) || b.Layout != tt.layout {
				t.Errorf("found %q in %q, want %q in %q", b.Layout, b.Root, tt.layout, filepath.Join(root, tt.folder))
			}
			if got := ids(b.Pool); !reflect.DeepEqual(got, tt.pool) {
				t.Errorf("pool is %v, want %v", got, tt.pool)
			}
			if got := ids(b.Test); !reflect.DeepEqual(got, tt.test) {
				t.Errorf("test is %v, want %v", got, tt.test)
			}
			field := (lookWidth - 1) * lookHeight
			if strings.Contains(tt.layout, "no masks") {
				field = lookWidth * lookHeight
			}
			for _, c := range append(b.Pool, b.Test...) {
				s, err := c.Load()
				if err != nil {
					t.Fatal(err)
				}
				var n int
				fmt.Sscan(strings.TrimLeft(c.ID, "0"), &n)
				if got, want := s.Masks["vessels"].Count(), (2+n%5)*lookHeight; got != want {
					t.Errorf("case %s has %d vessel pixels, want %d", c.ID, got, want)
				}
				if got := s.Valid.Count(); got != field {
					t.Errorf("case %s has %d valid pixels, want %d", c.ID, got, field)
				}
			}
			for _, c := range b.Test {
				if (c.Second != nil) != tt.second {
					t.Fatalf("case %s has a second observer: %v", c.ID, c.Second != nil)
				}
			}
		})
	}
}

// The second observer's palette is not black and white: its darker entry is outside all the same.
func TestSecondObserver(t *testing.T) {
	root, dir := fullCopy(t)
	b, err := Open("drive", Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	m, err := b.Test[0].Second()
	if err != nil {
		t.Fatal(err)
	}
	if got, want := m.Count(), (3+1%5)*lookHeight; got != want {
		t.Errorf("mask has %d pixels, want %d", got, want)
	}
	path := filepath.Join(dir, "test/2nd_manual/01_manual2.gif")
	putMask(t, path, twoGreys, 9, 8, 3)
	if _, err := b.Test[0].Second(); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), path) {
		t.Errorf("error of a mask of another size is %v, want ErrInvalid with %q", err, path)
	}
}

func TestOpenNotFound(t *testing.T) {
	empty := t.TempDir()
	other := t.TempDir()
	if err := os.MkdirAll(filepath.Join(other, "DRIVE", "training", "images"), 0o755); err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, root string
		says       []string
	}{
		{"no data folder", "", []string{"SAMTUNE_DATA", "--data"}},
		{"empty data folder", empty, []string{filepath.Join(empty, "DRIVE") + ": no such folder", "not the full copy: nothing is called"}},
		{"missing data folder", filepath.Join(empty, "100%s"), []string{filepath.Join(empty, "100%s", "DRIVE") + ": no such folder"}},
		{"folder without pictures", other, []string{filepath.Join(other, "DRIVE") + ": not the full copy: nothing is called training/images/{id}_{set}.tif"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			_, err := Open("drive", Options{Root: tt.root})
			if !errors.Is(err, ErrNotFound) {
				t.Fatalf("error is %v, want ErrNotFound", err)
			}
			for _, want := range append(tt.says, "DRIVE/training/images/21_training.tif", "https://drive.grand-challenge.org") {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("%q is not in\n%v", want, err)
				}
			}
		})
	}
}

// What would quietly change which cases are tested is an error.
func TestOpenIncompleteCopy(t *testing.T) {
	for name, c := range map[string]struct{ missing, says string }{
		"label of a test case":           {"test/1st_manual/07_manual1.gif", "07_test.tif"},
		"label of a training case":       {"training/1st_manual/33_manual1.gif", "33_training.tif"},
		"field of view of a test case":   {"test/mask/07_test_mask.gif", "07_test.tif"},
		"field of view of a pool's case": {"training/mask/33_training_mask.gif", "33_training.tif"},
		"picture of a test case":         {"test/images/07_test.tif", "07_manual1.gif"},
		"picture of a training case":     {"training/images/33_training.tif", "33_manual1.gif"},
		"all test pictures":              {"test/images", "07_manual1.gif"},
		"fields of view of all tests":    {"test/mask", "field of view"},
	} {
		t.Run(name, func(t *testing.T) {
			root, dir := fullCopy(t)
			if err := os.RemoveAll(filepath.Join(dir, c.missing)); err != nil {
				t.Fatal(err)
			}
			_, err := Open("drive", Options{Root: root})
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "incomplete") || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want ErrInvalid about an incomplete copy that names %s", err, c.says)
			}
		})
	}
}

func TestOpenTwiceTheSameID(t *testing.T) {
	root, dir := fullCopy(t)
	putImage(t, filepath.Join(dir, "training/images/21_again.tif"), 50)
	putMask(t, filepath.Join(dir, "training/mask/21_again_mask.gif"), blackWhite, lookWidth, lookHeight, 5)
	if _, err := Open("drive", Options{Root: root}); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "21") {
		t.Errorf("error is %v, want ErrInvalid", err)
	}
}

func TestLoadErrorsNameTheFile(t *testing.T) {
	cut := func(path string) error {
		info, err := os.Stat(path)
		if err != nil {
			return err
		}
		return os.Truncate(path, info.Size()/2)
	}
	tests := []struct {
		name, file string
		spoil      func(t *testing.T, path string)
		says       string
	}{
		{"cut picture", "training/images/21_training.tif", func(t *testing.T, path string) {
			if err := cut(path); err != nil {
				t.Fatal(err)
			}
		}, "copy it again"},
		{"cut mask", "training/1st_manual/21_manual1.gif", func(t *testing.T, path string) {
			if err := cut(path); err != nil {
				t.Fatal(err)
			}
		}, "copy it again"},
		{"mask of another size", "training/1st_manual/21_manual1.gif", func(t *testing.T, path string) {
			putMask(t, path, blackWhite, 12, 10, 4)
		}, `the mask is 12 x 10, want 24 x 20 as its image "`},
		{"field of view of another size", "training/mask/21_training_mask.gif", func(t *testing.T, path string) {
			putMask(t, path, blackWhite, lookHeight, lookWidth, 4)
		}, `the mask is 20 x 24, want 24 x 20 as its image "`},
		{"empty field of view", "training/mask/21_training_mask.gif", func(t *testing.T, path string) {
			putMask(t, path, blackWhite, lookWidth, lookHeight, 0)
		}, "the field of view is empty"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			root := t.TempDir()
			dir := filepath.Join(root, "DRIVE")
			for _, c := range []copyOf{training, test} {
				c.to = c.from + 1
				c.put(t, dir)
			}
			path := filepath.Join(dir, tt.file)
			tt.spoil(t, path)
			b, err := Open("drive", Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			_, err = b.Pool[0].Load()
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), fmt.Sprintf("%q", path)) {
				t.Fatalf("error is %v, want ErrInvalid with %q and %q", err, tt.says, path)
			}
			if r, found := checked(t, "drive", Options{Root: root}); len(found) != 1 || r.Findings[0].Case != "21" || !strings.Contains(found[0], tt.says) {
				t.Errorf("check finds %q", found)
			}
		})
	}
}
