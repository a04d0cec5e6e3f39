package data

import (
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"sort"
	"strings"
	"testing"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/frame"
	"github.com/suyashkumar/dicom/pkg/tag"
	"github.com/suyashkumar/dicom/pkg/uid"
)

// toRAS is the affine of the volumes that tests write where they name none: x to the right, y to the front, z up.
var toRAS = [3][4]float32{{0.5, 0, 0, -3}, {0, 0.7, 0, 4}, {0, 0, 2, 5}}

// putNIfTI writes a packed volume of float32 whose header says what affine says.
func putNIfTI(t testing.TB, path string, size [3]int, at func(x, y, z int) float32, affine ...[3][4]float32) {
	t.Helper()
	head := make([]byte, 352)
	le := binary.LittleEndian
	le.PutUint32(head, 348)
	le.PutUint16(head[40:], 3)
	to := toRAS
	if len(affine) > 0 {
		to = affine[0]
	}
	for i, n := range size {
		le.PutUint16(head[42+2*i:], uint16(n))
		length := math.Hypot(math.Hypot(float64(to[0][i]), float64(to[1][i])), float64(to[2][i]))
		le.PutUint32(head[80+4*i:], math.Float32bits(float32(length)))
		for k := range 4 {
			le.PutUint32(head[280+16*i+4*k:], math.Float32bits(to[i][k]))
		}
	}
	le.PutUint16(head[70:], 16)
	le.PutUint32(head[108:], math.Float32bits(352))
	head[123] = 2
	le.PutUint16(head[254:], 1)
	copy(head[344:], "n+1\x00")
	put(t, path, func(b *bytes.Buffer) error {
		z := gzip.NewWriter(b)
		z.Write(head)
		for k := range size[2] {
			for j := range size[1] {
				for i := range size[0] {
					binary.Write(z, le, at(i, j, k))
				}
			}
		}
		return z.Close()
	})
}

// putSeries writes a DICOM series whose last file by name is the lowest; the slope is 2, the intercept -100, and a pixel
// holds its slice's number from below.
func putSeries(t testing.TB, dir string, width, height, slices int) {
	t.Helper()
	element := func(t2 tag.Tag, v any) *dicom.Element {
		e, err := dicom.NewElement(t2, v)
		if err != nil {
			t.Fatal(err)
		}
		return e
	}
	for k := range slices {
		pixels := make([][]int, width*height)
		for i := range pixels {
			pixels[i] = []int{k}
		}
		set := dicom.Dataset{Elements: []*dicom.Element{
			element(tag.MediaStorageSOPClassUID, []string{"1.2.840.10008.5.1.4.1.1.2"}), element(tag.MediaStorageSOPInstanceUID, []string{fmt.Sprint("1.2.3.", k)}),
			element(tag.TransferSyntaxUID, []string{uid.ExplicitVRLittleEndian}),
			element(tag.SeriesInstanceUID, []string{"1.2.3"}), element(tag.InstanceNumber, []string{fmt.Sprint(slices - k)}),
			element(tag.ImagePositionPatient, []string{"-10", "-20", fmt.Sprint(30 + 2*k)}), element(tag.ImageOrientationPatient, []string{"1", "0", "0", "0", "1", "0"}),
			element(tag.SamplesPerPixel, []int{1}), element(tag.PhotometricInterpretation, []string{"MONOCHROME2"}),
			element(tag.Rows, []int{height}), element(tag.Columns, []int{width}), element(tag.PixelSpacing, []string{"0.5", "0.7"}),
			element(tag.BitsAllocated, []int{16}), element(tag.BitsStored, []int{16}), element(tag.HighBit, []int{15}), element(tag.PixelRepresentation, []int{0}),
			element(tag.RescaleIntercept, []string{"-100"}), element(tag.RescaleSlope, []string{"2"}),
			element(tag.PixelData, dicom.PixelDataInfo{Frames: []*frame.Frame{{NativeData: frame.NativeFrame{Data: pixels, Rows: height, Cols: width, BitsPerSample: 16}}}}),
		}}
		put(t, filepath.Join(dir, fmt.Sprintf("i%04d,0000b.dcm", slices-k)), func(b *bytes.Buffer) error { return dicom.Write(b, set) })
	}
}

// whiteDot is a mask with one pixel inside, as a bitmap of one bit.
func whiteDot(width, height int) image.Image {
	m := image.NewPaletted(image.Rect(0, 0, width, height), color.Palette{color.Black, color.White})
	m.SetColorIndex(1, 1, 1)
	return m
}

// openTOML opens a declaration that is not of the house, in a folder.
func openTOML(t *testing.T, dir, text string, opt Options) (*Benchmark, error) {
	t.Helper()
	d, err := parseDeclaration("test.toml", "name = \"x\"\ntitle = \"X\"\nfolders = [\".\"]\n"+text)
	if err != nil {
		return nil, err
	}
	b := &Benchmark{Name: d.Name, Title: d.Title, Targets: d.Targets}
	opt.Root = dir
	return b, openFiles(b, d, opt)
}

const volumeTOML = `
targets = ["a", "b"]
engine = "volumes"
[rule.a]
values = [1]
[rule.b]
values = [2, 3]
[intensity]
window = [0, 100]
[[layout]]
name = "all"
[layout.pool]
image = "images/{id}.nii.gz"
mask = "labels/{id}.nii.gz"
`

// TestSlicesLieAsRadiologistsLook puts one bright voxel at a known place of the patient, in files whose axes lie in all 48 ways, and
// finds it at the same place of the picture.
func TestSlicesLieAsRadiologistsLook(t *testing.T) {
	// The patient's box is 5 x 6 x 7 voxels of 1 x 2 x 3 mm to the right, front and top; the voxel is at (1, 4, 5) of it.
	patient, voxel, step := [3]int{5, 6, 7}, [3]int{1, 4, 5}, [3]float32{1, 2, 3}
	for _, p := range [][3]int{{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}} {
		for flips := range 8 {
			var size, where [3]int
			var affine [3][4]float32
			for axis, world := range p {
				size[axis], where[axis] = patient[world], voxel[world]
				affine[world][axis] = step[world]
				if flips>>axis&1 == 1 {
					where[axis] = patient[world] - 1 - voxel[world]
					affine[world][axis] = -step[world]
				}
			}
			dir := t.TempDir()
			mark := func(inside, outside float32) func(x, y, z int) float32 {
				return func(x, y, z int) float32 {
					if [3]int{x, y, z} == where {
						return inside
					}
					return outside
				}
			}
			putNIfTI(t, filepath.Join(dir, "images/v.nii.gz"), size, mark(100, 10), affine)
			putNIfTI(t, filepath.Join(dir, "labels/v.nii.gz"), size, mark(1, 0), affine)
			for axis, want := range map[string]struct {
				width, height, x, y int
				spacing             [2]float64 // rows, columns
				between             float64    // slices
			}{
				"axial":    {5, 6, 5 - 1 - 1, 6 - 1 - 4, [2]float64{2, 1}, 3}, // the right on the left, the front on top
				"coronal":  {5, 7, 5 - 1 - 1, 7 - 1 - 5, [2]float64{3, 1}, 2}, // the right on the left, the top on top
				"sagittal": {6, 7, 6 - 1 - 4, 7 - 1 - 5, [2]float64{3, 2}, 1}, // the front on the left, the top on top
			} {
				b, err := openTOML(t, dir, volumeTOML+"[slices]\naxis = \""+axis+"\"\n", Options{Target: "a"})
				if err != nil {
					t.Fatal(err)
				}
				cases := append(b.Pool, b.Test...)
				if len(cases) != 1 {
					t.Fatalf("%s: %d slices hold the voxel", axis, len(cases))
				}
				s, err := cases[0].Load()
				if err != nil {
					t.Fatal(err)
				}
				at := want.y*want.width + want.x
				if s.Image.Width != want.width || s.Image.Height != want.height || s.Image.Pix[3*at] != 255 || s.Image.Pix[0] != 26 ||
					s.Masks["a"].Pix[at] != 1 || s.Masks["a"].Count() != 1 || s.Masks["b"].Count() != 0 {
					t.Fatalf("axes %v, flips %b, %s: %d x %d, image %v, mask %v", p, flips, axis, s.Image.Width, s.Image.Height, s.Image.Pix, s.Masks["a"].Pix)
				}
				if s.Spacing != want.spacing || s.Between != want.between || s.Unit != "mm" {
					t.Errorf("axes %v, %s: spacing %v, slices %v %s apart, want %v and %v mm", p, axis, s.Spacing, s.Between, s.Unit, want.spacing, want.between)
				}
				if here := [2]int{s.Slice, s.Slice}; s.Extent["a"] != here || s.Extent["b"][1] != -1 {
					t.Errorf("axes %v, %s: slice %d, targets in slices %v", p, axis, s.Slice, s.Extent)
				}
			}
		}
	}
}

func TestSlicesAreChosenByTarget(t *testing.T) {
	dir, index := t.TempDir(), t.TempDir()
	label := func(_, y, z int) float32 { // a in the slices 2 to 9, b in 8 and 9 alone
		switch {
		case z >= 8 && z <= 9 && y == 0:
			return 3
		case z >= 2 && z <= 9:
			return 1
		}
		return 0
	}
	for _, id := range []string{"p1", "p2", "p3"} {
		putNIfTI(t, filepath.Join(dir, "images", id+".nii.gz"), [3]int{3, 4, 12}, func(_, _, z int) float32 { return float32(10 * z) })
		putNIfTI(t, filepath.Join(dir, "labels", id+".nii.gz"), [3]int{3, 4, 12}, label)
	}
	ids := func(target, slices string) string {
		t.Helper()
		b, err := openTOML(t, dir, volumeTOML+"[slices]\n"+slices, Options{Target: target, Index: index})
		if err != nil {
			t.Fatal(err)
		}
		var out []string
		for _, c := range b.Test {
			if c.Volume != "p2" || c.Patient != "p2" {
				t.Errorf("%s is of volume %s, patient %s", c.ID, c.Volume, c.Patient)
			}
			out = append(out, c.ID)
		}
		for _, c := range b.Pool {
			if c.Volume == "p2" {
				t.Errorf("%s is on both sides", c.ID)
			}
		}
		return strings.Join(out, " ")
	}
	for _, c := range []struct{ target, slices, want string }{
		{"a", "", "p2_002 p2_003 p2_004 p2_005 p2_006 p2_007 p2_008 p2_009"},
		{"a", "each = 2\n", "p2_004 p2_008"},
		{"b", "", "p2_008 p2_009"},
		{"", "each = 4\n", "p2_003 p2_005 p2_007 p2_009"},
		{"a", "min_pixels = 12\n", "p2_002 p2_003 p2_004 p2_005 p2_006 p2_007"},
		{"b", "empty = true\neach = 3\n", "p2_002 p2_006 p2_010"},
	} {
		if got := ids(c.target, c.slices); got != c.want {
			t.Errorf("target %q, %q: %s, want %s", c.target, c.slices, got, c.want)
		}
	}
	kept, err := os.ReadDir(index)
	if err != nil || len(kept) != 3 {
		t.Errorf("%d volumes are kept in the index, want 3: %v", len(kept), err)
	}
	// Labels that change are read again.
	putNIfTI(t, filepath.Join(dir, "labels/p2.nii.gz"), [3]int{3, 4, 12}, func(_, _, z int) float32 {
		if z == 5 {
			return 2
		}
		return 0
	})
	if got := ids("b", ""); got != "p2_005" {
		t.Errorf("after the labels changed: %s", got)
	}
	b, err := openTOML(t, dir, volumeTOML, Options{Volumes: true})
	if err != nil || len(b.Pool) != 2 || len(b.Test) != 1 || b.Test[0].ID != "p2" {
		t.Errorf("volumes alone: %+v, %v", b, err)
	}
}

// TestRatersAgree takes as inside what two of three label volumes say.
func TestRatersAgree(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"p1", "p2"} {
		putNIfTI(t, filepath.Join(dir, id, "image.nii.gz"), [3]int{4, 1, 2}, func(x, _, _ int) float32 { return float32(x) })
		for rater := range 3 { // rater 0 outlines x = 0, rater 1 x up to 1, rater 2 x up to 2; all in slice 1
			putNIfTI(t, filepath.Join(dir, id, fmt.Sprintf("r%d.nii.gz", rater)), [3]int{4, 1, 2}, func(x, _, z int) float32 {
				if z == 1 && x <= rater {
					return 1
				}
				return 0
			})
		}
	}
	for agree, want := range map[string][]uint8{"1": {0, 1, 1, 1}, "2": {0, 0, 1, 1}, "0.5": {0, 0, 1, 1}, "0.75": {0, 0, 0, 1}} { // the right is on the left
		text := strings.NewReplacer(`["a", "b"]`, `["a"]`, "[rule.b]\nvalues = [2, 3]", "agree = "+agree, "images/{id}.nii.gz", "{id}/image.nii.gz",
			`"labels/{id}.nii.gz"`, `["{id}/r0.nii.gz", "{id}/r1.nii.gz", "{id}/r2.nii.gz"]`).Replace(volumeTOML)
		b, err := openTOML(t, dir, text, Options{Target: "a"})
		if err != nil {
			t.Fatal(err)
		}
		s, err := b.Pool[0].Load()
		if err != nil {
			t.Fatal(err)
		}
		if len(b.Pool) != 1 || !reflect.DeepEqual(s.Masks["a"].Pix, want) {
			t.Errorf("agree %s: %d slices, mask %v, want %v", agree, len(b.Pool), s.Masks["a"].Pix, want)
		}
		_, err = openTOML(t, dir, strings.Replace(text, "agree = "+agree, "agree = 4", 1), Options{Target: "a"})
		if err == nil || !strings.Contains(err.Error(), "agree is 4 and there are 3 files") {
			t.Errorf("four of three files: %v", err)
		}
	}
}

func TestVolumesThatDoNotFitEachOther(t *testing.T) {
	plain := func(int, int, int) float32 { return 1 }
	turned := toRAS
	turned[0][0] *= -1
	wide := toRAS
	wide[2][2] = 3
	for name, c := range map[string]struct {
		labels func(dir string)
		want   string
	}{
		"size":        {func(path string) { putNIfTI(t, path, [3]int{3, 4, 6}, plain) }, "want [3 4 5]"},
		"orientation": {func(path string) { putNIfTI(t, path, [3]int{3, 4, 5}, plain, turned) }, "axes lie otherwise"},
		"spacing":     {func(path string) { putNIfTI(t, path, [3]int{3, 4, 5}, plain, wide) }, "mm apart"},
		"no label": {func(path string) {
			putNIfTI(t, path, [3]int{3, 4, 5}, func(int, int, int) float32 { return 1.5 })
		}, "whole numbers"},
		"cut short": {func(path string) {
			putNIfTI(t, path, [3]int{3, 4, 5}, plain)
			text, _ := os.ReadFile(path)
			os.WriteFile(path, text[:len(text)-20], 0o600)
		}, "damaged"},
		"a picture": {func(path string) {
			put(t, path, func(b *bytes.Buffer) error { return png.Encode(b, whiteDot(3, 4)) })
		}, "want NIfTI"},
	} {
		dir := t.TempDir()
		for _, id := range []string{"p1", "p2"} {
			putNIfTI(t, filepath.Join(dir, "images", id+".nii.gz"), [3]int{3, 4, 5}, func(x, _, _ int) float32 { return float32(x) })
			putNIfTI(t, filepath.Join(dir, "labels", id+".nii.gz"), [3]int{3, 4, 5}, plain)
		}
		path := filepath.Join(dir, "labels/p2.nii.gz")
		c.labels(path)
		_, err := openTOML(t, dir, volumeTOML, Options{})
		if err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want an error with %q and the file", name, err, c.want)
		}
	}
}

// TestSeriesAndItsPictures pairs masks with the files of a series by their names' order, though the files lie in the
// patient the other way round.
func TestSeriesAndItsPictures(t *testing.T) {
	dir := t.TempDir()
	text := strings.NewReplacer(`["a", "b"]`, `["a"]`, "[rule.b]\nvalues = [2, 3]", "", "values = [1]", "at_least = 1", `"volumes"`, `"dicom"`, "[0, 100]", "[-100, -90]",
		"images/{id}.nii.gz", "{id}/scan/", "labels/{id}.nii.gz", "{id}/truth/{any}.png").Replace(volumeTOML)
	write := func(patient string, masks ...int) {
		putSeries(t, filepath.Join(dir, patient, "scan"), 6, 4, 4)
		for _, n := range masks {
			m := image.NewGray(image.Rect(0, 0, 6, 4))
			if n == 4 { // belongs to file 4, which lies lowest
				m.SetGray(2, 1, color.Gray{255})
			}
			put(t, filepath.Join(dir, patient, "truth", fmt.Sprintf("m_%03d.png", n)), func(b *bytes.Buffer) error { return png.Encode(b, m) })
		}
	}
	write("1", 1, 2, 3, 4)
	write("2", 1, 2, 3, 4)
	b, err := openTOML(t, dir, text, Options{Target: "a"})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Pool[0].Load()
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Pool) != 1 || b.Pool[0].ID != "1_000" || s.Masks["a"].Pix[1*6+2] != 1 || s.Image.Pix[0] != 0 || s.Spacing != [2]float64{0.5, 0.7} || s.Unit != "mm" {
		t.Errorf("%v, mask %v, image %v, spacing %v", b.Pool[0].ID, s.Masks["a"].Pix, s.Image.Pix[:3], s.Spacing)
	}
	for name, change := range map[string]func(){
		"a mask is missing":       func() { os.Remove(filepath.Join(dir, "1/truth/m_002.png")) },
		"numbers do not go along": func() { os.Rename(filepath.Join(dir, "1/truth/m_004.png"), filepath.Join(dir, "1/truth/m_005.png")) },
	} {
		write("1", 1, 2, 3, 4)
		change()
		if _, err := openTOML(t, dir, text, Options{}); err == nil || !strings.Contains(err.Error(), "truth") {
			t.Errorf("%s: %v", name, err)
		}
		os.RemoveAll(filepath.Join(dir, "1"))
	}
}

// TestPercentiles holds percentiles against those of the sorted values.
func TestPercentiles(t *testing.T) {
	var values []float32
	for i := range 5000 {
		values = append(values, float32(math.Sin(float64(i))*float64(i)), 0, float32(math.NaN()))
	}
	var sorted []float64
	for _, v := range values {
		if v == v && v != 0 {
			sorted = append(sorted, float64(v))
		}
	}
	sort.Float64s(sorted)
	low, high, err := percentiles(0.5, 99.5, func(see func([]float32)) error { see(values[:700]); see(values[700:]); return nil })
	at := func(p float64) float64 { return sorted[int(math.Round(p/100*float64(len(sorted)-1)))] }
	step := (sorted[len(sorted)-1] - sorted[0]) / percentileSteps
	if err != nil || math.Abs(low-at(0.5)) > step || math.Abs(high-at(99.5)) > step {
		t.Errorf("%g to %g, want %g to %g: %v", low, high, at(0.5), at(99.5), err)
	}
	in := &intensity{Percentiles: []float64{0.5, 99.5}}
	if _, err := in.window(func(see func([]float32)) error { see([]float32{7, 7, 0}); return nil }); err == nil {
		t.Error("a volume of one value: no error")
	}
	w, err := (&intensity{Window: []float64{-160, 240}}).window(nil)
	if err != nil {
		t.Fatal(err)
	}
	for v, want := range map[float32]uint8{-1000: 0, -160: 0, 40: 128, 239: 254, 240: 255, 3000: 255, float32(math.NaN()): 0} {
		if got := w.grey(v); got != want {
			t.Errorf("%g is %d, want %d", v, got, want)
		}
	}
}

func TestDatasetJSON(t *testing.T) {
	dir := t.TempDir()
	for _, id := range []string{"v1", "v2"} {
		putNIfTI(t, filepath.Join(dir, "images", id+".nii.gz"), [3]int{3, 4, 5}, func(x, _, _ int) float32 { return float32(x) })
		putNIfTI(t, filepath.Join(dir, "labels", id+".nii.gz"), [3]int{3, 4, 5}, func(x, _, _ int) float32 { return float32(x) })
	}
	for text, want := range map[string]string{
		`{"labels": {"0": "background", "1": "a", "2": "b", "3": "c"}, "training": [{"image": "./images/v1.nii.gz", "label": "./labels/v1.nii.gz"}]}`: "",
		`{"labels": {"background": 0, "a": 1, "b": [2, 3]}, "numTraining": 2}`:                                                                        "",
		`{"labels": {"0": "background", "1": "a"}}`:                                                                                                   "b is declared as 2",
		`{"training": [{"image": "./images/v9.nii.gz", "label": "./labels/v9.nii.gz"}]}`:                                                              "v9.nii.gz",
		`{"labels": [`: "dataset.json",
	} {
		if err := os.WriteFile(filepath.Join(dir, "dataset.json"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		_, err := openTOML(t, dir, volumeTOML, Options{})
		if (err == nil) != (want == "") || err != nil && !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %q", text, err, want)
		}
	}
}

func TestPlanesOfAFile(t *testing.T) {
	dir := t.TempDir()
	text := `
targets = ["a"]
engine = "pairs"
[planes]
image = 2
mask = 0
[intensity]
window = [0, 255]
[[layout]]
name = "all"
[layout.pool]
image = "{id}.nii.gz"
mask = "{id}.nii.gz"
`
	for _, id := range []string{"p1", "p2"} {
		putNIfTI(t, filepath.Join(dir, id+".nii.gz"), [3]int{3, 2, 3}, func(x, y, z int) float32 { return float32(z*100 + y*10 + x) })
	}
	b, err := openTOML(t, dir, text, Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := b.Pool[0].Load()
	if err != nil {
		t.Fatal(err)
	}
	if s.Image.Pix[3*5] != 212 || !reflect.DeepEqual(s.Masks["a"].Pix, []uint8{0, 1, 1, 1, 1, 1}) {
		t.Errorf("image %v, mask %v", s.Image.Pix, s.Masks["a"].Pix)
	}
	for name, broken := range map[string]string{
		"no plane":     strings.Replace(text, "[planes]\nimage = 2\nmask = 0\n", "", 1),
		"no such":      strings.Replace(text, "image = 2", "image = 3", 1),
		"no intensity": strings.Replace(text, "[intensity]\nwindow = [0, 255]\n", "", 1),
	} {
		b, err := openTOML(t, dir, broken, Options{})
		if err == nil {
			_, err = b.Pool[0].Load()
		}
		if err == nil || !strings.Contains(err.Error(), "p1.nii.gz") {
			t.Errorf("%s: %v", name, err)
		}
	}
}
