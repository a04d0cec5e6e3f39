package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
)

// realValues are what other programs read in real files (bench/make_real_values.py).
type realValues struct {
	Files []struct {
		File    string
		Series  bool
		Size    [3]int
		Spacing []float64
		Affine  [][4]float64
		Names   []string
		SHA256  string
		Mean    float64
	}
	Labels map[string]map[string]json.RawMessage
}

func readRealValues(t *testing.T) (root string, r realValues) {
	t.Helper()
	if root = os.Getenv("SAMTUNE_DATA"); root == "" {
		t.Skip("SAMTUNE_DATA is not set: no real data to read")
	}
	text, err := os.ReadFile("testdata/real.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &r); err != nil {
		t.Fatal(err)
	}
	return root, r
}

// TestRealFiles holds every voxel and pixel of real files against nibabel, pydicom and Pillow.
func TestRealFiles(t *testing.T) {
	root, r := readRealValues(t)
	volumes, pictures, absent := 0, 0, 0
	for _, f := range r.Files {
		path := filepath.Join(root, filepath.FromSlash(f.File))
		if _, err := os.Stat(path); errors.Is(err, os.ErrNotExist) {
			absent++
			continue
		}
		if f.Spacing == nil {
			pictures++
			img, err := ReadImage(path)
			if err != nil {
				t.Error(err)
				continue
			}
			sum, total := sha256.Sum256(img.Pix), 0.0
			for _, v := range img.Pix {
				total += float64(v)
			}
			mean := total / float64(len(img.Pix))
			if img.Width != f.Size[0] || img.Height != f.Size[1] || f.SHA256 != "" && hex.EncodeToString(sum[:16]) != f.SHA256 ||
				f.SHA256 == "" && math.Abs(mean-f.Mean) > 0.5 {
				t.Errorf("%s: %d x %d, mean %.3f, %x, want %v", f.File, img.Width, img.Height, mean, sum[:16], f)
			}
			continue
		}
		volumes++
		vol, err := openVolume(path)
		if err != nil {
			t.Error(err)
			continue
		}
		h := sha256.New()
		if err := vol.Planes(0, func(_ int, voxels []float32) error { return binary.Write(h, binary.LittleEndian, voxels) }); err != nil {
			t.Error(err)
			continue
		}
		if got := hex.EncodeToString(h.Sum(nil)[:16]); got != f.SHA256 || vol.Size != f.Size || !reflect.DeepEqual(vol.Names, f.Names) {
			t.Errorf("%s: %v, %v, %s, want %v", f.File, vol.Size, vol.Names, got, f)
		}
		for k, want := range f.Spacing {
			if math.Abs(vol.Spacing[k]-want) > 1e-4 {
				t.Errorf("%s: spacing %v, want %v", f.File, vol.Spacing, f.Spacing)
			}
		}
		for i, row := range f.Affine {
			for k, want := range row {
				if math.Abs(vol.Affine[i][k]-want) > 1e-3 {
					t.Fatalf("%s: affine %v, want %v", f.File, vol.Affine, f.Affine)
				}
			}
		}
	}
	t.Logf("%d volumes and %d pictures as other programs read them; %d are not there", volumes, pictures, absent)
}

// TestRealVolumes counts each target's voxels over all volumes and looks at the image there, as nibabel and pydicom do: masks are
// on their images, slice by slice.
func TestRealVolumes(t *testing.T) {
	root, r := readRealValues(t)
	type target struct {
		Voxels int
		Mean   float64
	}
	for name, of := range r.Labels {
		t.Run(name, func(t *testing.T) {
			d, err := Declaration(name)
			if err != nil {
				t.Fatal(err)
			}
			cases := realCases(t, root, d)
			want := map[string]target{}
			for key, text := range of {
				var v target
				if json.Unmarshal(text, &v) == nil {
					want[key] = v
				}
			}
			if name == "chaos_ct" { // one patient, one target
				want = map[string]target{"liver": {number[int](t, of["voxels"]), number[float64](t, of["mean"])}}
			} else if n := number[int](t, of["volumes"]); len(cases) != n {
				t.Errorf("%d volumes, want %d", len(cases), n)
			}
			count, sum, square := map[string]int{}, map[string]float64{}, map[string]float64{}
			for _, c := range cases {
				see := func(target string, value float64) {
					count[target]++
					sum[target] += value
					square[target] += value * value
				}
				if d.sliced() {
					seeVoxels(t, c, see)
				} else {
					seePixels(t, c, see)
				}
			}
			for _, target := range d.Targets {
				n := float64(count[target])
				mean := sum[target] / n
				t.Logf("%s: %d voxels, %.4f on average", target, count[target], mean)
				if w := want[target]; count[target] != w.Voxels || math.Abs(mean-w.Mean) > 1e-5*math.Abs(w.Mean) {
					t.Errorf("%s: %d voxels of %.6f on average, want %d, %.6f", target, count[target], mean, w.Voxels, w.Mean)
				}
			}
			if name == "chaos_ct" {
				deviation := math.Sqrt(square["liver"]/float64(count["liver"]) - math.Pow(sum["liver"]/float64(count["liver"]), 2))
				if want := number[float64](t, of["deviation"]); math.Abs(deviation-want) > 1e-3 {
					t.Errorf("the liver's Hounsfield units deviate by %.4f, want %.4f", deviation, want)
				}
			}
		})
	}
}

func number[T any](t *testing.T, text json.RawMessage) (out T) {
	t.Helper()
	if err := json.Unmarshal(text, &out); err != nil {
		t.Fatalf("%s: %v", text, err)
	}
	return out
}

// realCases finds the files of all cases of a data set.
func realCases(t *testing.T, root string, d *Decl) []fileCase {
	t.Helper()
	for _, folder := range d.Folders {
		dir := filepath.Join(root, folder)
		for _, l := range d.Layouts {
			if l.Test != nil {
				continue
			}
			if cases, _, reason, err := l.Pool.find(dir, d); err == nil && reason == "" {
				return cases
			}
		}
	}
	t.Skipf("%s is not there", d.Title)
	return nil
}

// seeVoxels calls see with the image's value in each voxel of each target.
func seeVoxels(t *testing.T, c fileCase, see func(target string, value float64)) {
	t.Helper()
	v := &volume{fileCase: c, shelf: &shelf{}}
	vol, _, err := v.image()
	if err != nil {
		t.Fatal(err)
	}
	var values []float32
	err = vol.Planes(c.decl.Slices.Channel, func(_ int, voxels []float32) error { values = append(values, voxels...); return nil })
	if err != nil {
		t.Fatal(err)
	}
	err = v.labelled(vol, func(target string, voxel [3]int) {
		see(target, float64(values[(voxel[2]*vol.Size[1]+voxel[1])*vol.Size[0]+voxel[0]]))
	})
	if err != nil {
		t.Fatal(err)
	}
}

// seePixels is seeVoxels of a picture.
func seePixels(t *testing.T, c fileCase, see func(target string, value float64)) {
	t.Helper()
	s, err := c.load()
	if err != nil {
		t.Fatal(err)
	}
	for target, m := range s.Masks {
		for i, inside := range m.Pix {
			if inside == 1 {
				see(target, float64(s.Image.Pix[3*i]))
			}
		}
	}
}

// TestRealSplits counts cases and patients of the real volumes and holds that no patient, series or volume is on two sides.
func TestRealSplits(t *testing.T) {
	root := os.Getenv("SAMTUNE_DATA")
	if root == "" {
		t.Skip("SAMTUNE_DATA is not set: no real data to read")
	}
	for name, want := range map[string]struct{ poolPatients, testPatients, pool, test int }{
		"acdc":            {4, 3, 32, 24},   // 4 slices of both frames
		"brats":           {2, 1, 16, 8},    // 8 slices each
		"msd_hippocampus": {30, 30, 90, 90}, // 3 slices each
		"lvsd":            {2, 1, 11, 9},    // 3 series
	} {
		t.Run(name, func(t *testing.T) {
			b, err := Open(name, Options{Root: root})
			if errors.Is(err, ErrNotFound) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			patients := func(cases []Case) (out []string) {
				for _, c := range cases {
					out = append(out, c.Patient)
				}
				slices.Sort(out)
				return slices.Compact(out)
			}
			pool, test := patients(b.Pool), patients(b.Test)
			if len(pool) != want.poolPatients || len(test) != want.testPatients || len(b.Pool) != want.pool || len(b.Test) != want.test {
				t.Errorf("%d + %d patients, %d + %d cases, want %v", len(pool), len(test), len(b.Pool), len(b.Test), want)
			}
			for _, p := range pool {
				if slices.Contains(test, p) {
					t.Errorf("patient %s is on both sides", p)
				}
			}
		})
	}
}

// TestInvertedVolumesAreShownBright: of MONOCHROME1 small values are bright.
func TestInvertedVolumesAreShownBright(t *testing.T) {
	w := window{low: 0, scale: 1, inverted: true}
	if got := []uint8{w.grey(0), w.grey(100), w.grey(255), w.grey(4000)}; !bytes.Equal(got, []uint8{255, 155, 0, 0}) {
		t.Errorf("grey values are %v", got)
	}
}
