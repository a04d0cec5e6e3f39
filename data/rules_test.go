package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
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
		"two ways": {AtLeast: 3, Values: []int{1}}, "value of 256": {Values: []int{256}}, "colour": {Colours: [][3]int{{0, 0, 300}}},
	} {
		if r.check("x", false) == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// TestLabels: some files scale their labels, which then are whole numbers but for rounding.
func TestLabels(t *testing.T) {
	for value, want := range map[float32]bool{2: true, 2.0004: true, 1.9996: true, 0: false, 1: false, 3: false} {
		if got, err := (rule{Values: []int{2}}).label(value); err != nil || got != want {
			t.Errorf("%g: %v, %v, want %v", value, got, err, want)
		}
	}
	for _, value := range []float32{1.5, 2.01, float32(math.NaN()), float32(math.Inf(1))} {
		if _, err := (rule{Values: []int{2}}).label(value); err == nil {
			t.Errorf("%g is taken for a label", value)
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
	m.Fill()
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
	read := func(agree string) (*Mask, error) {
		rule := ""
		if agree != "" {
			rule = "[rule.x]\nagree = " + agree + "\n"
		}
		d, err := parseDeclaration("test.toml", "targets = [\"x\"]\nengine = \"pairs\"\n"+rule)
		if err != nil {
			return nil, err
		}
		return d.read("x", paths, "image.png", img)
	}
	for agree, want := range map[string][]uint8{
		"": {1, 1, 1, 1}, "1": {1, 1, 1, 1}, "2": {0, 0, 1, 0}, "3": {0, 0, 1, 0},
		"0.3": {1, 1, 1, 1}, "0.34": {0, 0, 1, 0}, "0.6": {0, 0, 1, 0}, "0.99": {0, 0, 1, 0},
	} {
		m, err := read(agree)
		if err != nil || !reflect.DeepEqual(m.Pix, want) {
			t.Errorf("agree %q: %v, %v, want %v", agree, m, err, want)
		}
	}
	for agree, want := range map[string]string{
		"4": "agree is 4 and there are 3 files", "0": "agree is 0", "-1": "agree is -1", "1.5": "agree is 1.5", "0.0": "agree is 0", "1.0": "agree is 1", `"all"`: "agree is all",
	} {
		if _, err := read(agree); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("agree %s: %v, want an error with %q", agree, err, want)
		}
	}
	for _, c := range []struct {
		share       float64
		files, want int
	}{{0.75, 4, 3}, {0.75, 3, 3}, {0.75, 1, 1}, {0.5, 2, 1}, {0.5, 3, 2}, {0.1, 30, 3}, {0.01, 5, 1}, {0.99, 4, 4}} {
		if got, err := (agreement{share: c.share}).of(c.files); err != nil || got != c.want {
			t.Errorf("%g of %d files are %d, %v, want %d", c.share, c.files, got, err, c.want)
		}
	}
	if _, err := (&Decl{}).read("x", paths, "image.png", &Image{Width: 5, Height: 1}); err == nil {
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
				ids := idsFor(t, d, l)
				table := fmt.Sprintf("%s,%s\n", d.Patient.Case, d.Patient.Group)
				lists := map[string]string{}
				sides := []*patterns{&l.Pool}
				if l.Test != nil {
					sides = append(sides, l.Test)
				}
				for k, p := range sides {
					for i := range 3 {
						id := ids[i]
						if l.Test != nil && p.Prefix == "" && l.Pool.Prefix == "" {
							id = ids[3*k+i]
						}
						lists[p.List] += id + "\n"
						table += fmt.Sprintf("%s,patient%s\n", id, id)
						set := "training"
						if p.Name != "" { // the name holds {set} and {id}
							set, id = id, "frame000"
						}
						path := func(pattern string) string {
							return filepath.Join(dir, filepath.FromSlash(strings.NewReplacer("{id}", id, "{set}", set, "{any}", "x").Replace(pattern)))
						}
						write := func(pattern string) {
							switch {
							case strings.HasSuffix(pattern, "/"):
								putSeries(t, path(pattern), 12, 8, 3)
								return
							case d.Engine == engineDICOM:
								white := image.NewGray(image.Rect(0, 0, 12, 8))
								for i := range white.Pix {
									white.Pix[i] = 255
								}
								for _, n := range []string{"01", "02", "03"} {
									put(t, strings.Replace(path(pattern), "x.png", "m"+n+".png", 1), func(b *bytes.Buffer) error { return png.Encode(b, white) })
								}
								return
							case strings.HasSuffix(pattern, ".nii.gz"), strings.HasSuffix(pattern, ".nii"):
								putNIfTI(t, path(pattern), [3]int{12, 10, 11}, func(x, _, _ int) float32 {
									if values := d.Rules[d.Targets[0]].Values; len(values) > 0 && pattern != p.Image {
										return float32(values[0])
									}
									return float32(10 * x)
								})
								return
							}
							if len(p.Crop) > 0 {
								m := image.NewGray(image.Rect(0, 0, p.Crop[0]+p.Crop[2], p.Crop[1]+p.Crop[3]))
								put(t, path(pattern), func(b *bytes.Buffer) error { return png.Encode(b, m) })
								return
							}
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
				for file, text := range lists {
					if file != "" {
						put(t, filepath.Join(dir, file), func(b *bytes.Buffer) error { b.WriteString(text); return nil })
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
				if d.sliced() {
					if len(b.Pool) == 0 || len(b.Test) == 0 {
						t.Errorf("%d + %d slices", len(b.Pool), len(b.Test))
					}
				} else if want := 3 * len(sides); len(b.Pool)+len(b.Test) != want || len(b.Pool) == 0 || len(b.Test) == 0 {
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

// idsFor are names of six cases, three for each side, that a declaration takes.
func idsFor(t *testing.T, d *Decl, l layout) []string {
	t.Helper()
	p, only := l.Pool, []*regexp.Regexp{regexp.MustCompile(l.Pool.Only)}
	if l.Test != nil {
		only = append(only, regexp.MustCompile(l.Test.Only))
	}
	for _, form := range []string{
		"case%d", "Image_%02dL", "%d_", "%d_5", "video%02d_1", "patient%03d_frame01", "patient%d_raw0001", "amos_%04d", "amos_05%02d",
		"2018111417562593%d080.80", "%d", "BraTS-GLI-%05d-000", "UKCHLL%03d",
	} {
		if p.Name != "" && strings.Contains(form, "_") { // {set} takes none
			continue
		}
		ids, cases := make([]string, 6), make([]fileCase, 6)
		for i := range ids {
			ids[i] = fmt.Sprintf(form, i+1)
			cases[i] = fileCase{id: ids[i]}
			if p.Name != "" {
				cases[i].id = fill(p.Name, map[string]string{"set": ids[i], "id": "frame000"})
			}
		}
		fits := d.Patient.Table != "" || d.Patient.assign("", cases) == nil
		for _, id := range ids {
			for _, re := range only {
				fits = fits && re.MatchString(id)
			}
		}
		if fits {
			return ids
		}
	}
	t.Fatalf("no example fits %s and %s", d.Patient.ID, p.Only)
	return nil
}
