package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// paintedImage is a picture of one row.
func paintedImage(pixels ...[3]uint8) *Image {
	img := &Image{Width: len(pixels), Height: 1}
	for _, p := range pixels {
		img.Pix = append(img.Pix, p[0], p[1], p[2])
	}
	return img
}

func TestRules(t *testing.T) {
	grey := func(values ...uint8) *Image {
		var pixels [][3]uint8
		for _, v := range values {
			pixels = append(pixels, [3]uint8{v, v, v})
		}
		return paintedImage(pixels...)
	}
	for name, c := range map[string]struct {
		rule rule
		img  *Image
		want []uint8
	}{
		"grey from 128 on": {rule{}, grey(0, 127, 128, 255), []uint8{0, 0, 1, 1}},
		"grey from 1 on":   {rule{AtLeast: 1}, grey(0, 1, 241, 255), []uint8{0, 1, 1, 1}},
		"values":           {rule{Values: []int{0, 128}}, grey(0, 127, 128, 255), []uint8{1, 0, 1, 0}},
		"colours":          {rule{Colours: [][3]int{{255, 0, 255}}}, paintedImage([3]uint8{255, 0, 255}, [3]uint8{255, 255, 0}, [3]uint8{255, 0, 254}), []uint8{1, 0, 0}},
	} {
		if got := c.rule.mask(c.img).Pix; !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %v, want %v", name, got, c.want)
		}
	}
	for name, r := range map[string]rule{
		"two ways": {AtLeast: 3, Values: []int{1}}, "value of 256": {Values: []int{256}}, "colour": {Colours: [][3]int{{0, 0, 300}}}, "agree": {Agree: -1},
	} {
		if r.check("x") == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestFillOutline(t *testing.T) {
	rows := []string{
		"........",
		".####.#.",
		".#..#.#.",
		".#..#...",
		".####..#",
		"......#.",
	}
	m := NewMask(8, 6)
	for y, row := range rows {
		for x, r := range row {
			if r == '#' {
				m.Pix[y*8+x] = 1
			}
		}
	}
	before := m.Count()
	fillOutline(m)
	if m.Count() != before+4 || m.Pix[2*8+2] != 1 || m.Pix[3*8+3] != 1 || m.Pix[3*8+6] != 0 {
		t.Errorf("%d pixels more, want the 4 that the outline encloses", m.Count()-before)
	}
}

// TestSeveralFiles: the union of left and right, and what two of three experts have.
func TestSeveralFiles(t *testing.T) {
	dir := t.TempDir()
	var paths []string
	for i, values := range [][]uint8{{255, 0, 255, 0}, {0, 255, 255, 0}, {0, 0, 255, 255}} {
		m := image.NewGray(image.Rect(0, 0, 4, 1))
		copy(m.Pix, values)
		paths = append(paths, filepath.Join(dir, fmt.Sprint(i, ".png")))
		put(t, paths[i], func(b *bytes.Buffer) error { return png.Encode(b, m) })
	}
	img := &Image{Width: 4, Height: 1, Pix: make([]uint8, 12)}
	for agree, want := range map[int][]uint8{0: {1, 1, 1, 1}, 2: {0, 0, 1, 0}, 3: {0, 0, 1, 0}} {
		m, err := rule{Agree: agree}.read(paths, "image.png", img)
		if err != nil || !reflect.DeepEqual(m.Pix, want) {
			t.Errorf("agree %d: %v, %v, want %v", agree, m, err, want)
		}
	}
	if _, err := (rule{}).read(paths, "image.png", &Image{Width: 5, Height: 1}); err == nil {
		t.Error("a mask of another size is taken")
	}
}

// TestEveryDeclaredLayout writes three cases of two patients in each declared layout and finds them.
func TestEveryDeclaredLayout(t *testing.T) {
	for _, name := range Names() {
		d, err := Declaration(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, l := range d.Layouts {
			t.Run(name+"/"+l.Name, func(t *testing.T) {
				root := t.TempDir()
				dir := filepath.Join(root, filepath.FromSlash(d.Folders[0]))
				ids := []string{"case1", "case2", "case3"}
				if d.Patient.ID != "" {
					ids = idsFor(t, d)
				}
				table := fmt.Sprintf("%s,%s\n", d.Patient.Case, d.Patient.Group)
				sides := []*patterns{&l.Pool}
				if l.Test != nil {
					sides = append(sides, l.Test)
				}
				for k, p := range sides {
					for _, id := range ids {
						if l.Test != nil && p.Prefix == "" && l.Pool.Prefix == "" {
							id = fmt.Sprint(id, k)
						}
						table += fmt.Sprintf("%s,patient%s\n", id, id)
						path := func(pattern string) string {
							return filepath.Join(dir, filepath.FromSlash(strings.NewReplacer("{id}", id, "{set}", "training", "{any}", "x").Replace(pattern)))
						}
						write := func(pattern string) {
							m := image.NewRGBA(image.Rect(0, 0, 6, 4))
							m.Set(1, 1, color.RGBA{uint8(len(id)), 200, 3, 255})
							put(t, path(pattern), func(b *bytes.Buffer) error { return png.Encode(b, m) })
						}
						write(p.Image)
						for _, target := range d.Targets {
							for _, mask := range p.Masks[target] {
								write(mask)
							}
						}
						if p.Valid != "" {
							write(p.Valid)
						}
					}
				}
				if d.Patient.Table != "" {
					if err := os.WriteFile(filepath.Join(dir, d.Patient.Table), []byte(table), 0o600); err != nil {
						t.Fatal(err)
					}
				}
				b, err := Open(name, Options{Root: root})
				if err != nil {
					t.Fatal(err)
				}
				if !strings.HasPrefix(b.Layout, l.Name) {
					t.Errorf("layout is %q, want %q", b.Layout, l.Name)
				}
				if want := len(sides) * len(ids); len(b.Pool)+len(b.Test) != want || len(b.Pool) == 0 || len(b.Test) == 0 {
					t.Errorf("%d + %d cases, want %d in all", len(b.Pool), len(b.Test), want)
				}
				on := map[string]bool{}
				for _, c := range b.Pool {
					on[c.Patient] = true
					if _, err := c.Load(); err != nil && !strings.Contains(err.Error(), "field of view is empty") {
						t.Errorf("%s: %v", c.ID, err)
					}
				}
				for _, c := range b.Test {
					if on[c.Patient] {
						t.Errorf("patient %s is on both sides", c.Patient)
					}
				}
			})
		}
	}
}

// idsFor are names that a declaration's rule for patients takes.
func idsFor(t *testing.T, d *Decl) []string {
	t.Helper()
	for _, form := range []string{"Image_%02dL", "%d_", "%d_5", "video%02d_1"} {
		var ids []string
		for i := range 3 {
			ids = append(ids, fmt.Sprintf(form, i+1))
		}
		cases := make([]Case, len(ids))
		for i := range cases {
			cases[i] = Case{ID: ids[i], Load: func() (*Sample, error) { return nil, nil }}
		}
		if d.Patient.assign("", cases) == nil {
			return ids
		}
	}
	t.Fatalf("no example fits %s", d.Patient.ID)
	return nil
}
