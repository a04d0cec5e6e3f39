package format

import (
	"archive/tar"
	"bytes"
	"compress/gzip"
	"encoding/binary"
	"encoding/json"
	"errors"
	"image/color"
	"io"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
)

// vector is a file with what another program reads in it (bench/make_format_vectors.py).
type vector struct {
	File      string
	As        string // "volume", "series" or "picture"
	Kind      string
	Size      [3]int
	Channels  int
	Spacing   []float64    // nil where the file does not say
	Affine    [][4]float64 // as above
	Inverted  bool
	Names     []string
	Tolerance int
	Refused   string // what the error says
	Error     string // "unsupported" or "corrupt"

	want []byte // values as float32, or R, G, B, A
}

// vectors unpacks all files into a folder.
func vectors(t testing.TB) (dir string, list []vector) {
	t.Helper()
	dir = t.TempDir()
	text, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, &list); err != nil {
		t.Fatal(err)
	}
	f, err := os.Open("testdata/vectors.tar.gz")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	want := map[string][]byte{}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if err == io.EOF {
			break
		}
		if err != nil {
			t.Fatal(err)
		}
		b, err := io.ReadAll(r)
		if err != nil {
			t.Fatal(err)
		}
		if name, ok := strings.CutSuffix(h.Name, ".want"); ok {
			want[name] = b
			continue
		}
		path := filepath.Join(dir, h.Name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	for i := range list {
		list[i].want = want[list[i].File]
	}
	return dir, list
}

// TestVectors holds every voxel, spacing and affine against what nibabel, ITK, pydicom, numpy, Pillow and tifffile read.
func TestVectors(t *testing.T) {
	dir, list := vectors(t)
	read, refused := map[string]int{}, map[string]int{}
	for _, v := range list {
		t.Run(v.File, func(t *testing.T) {
			kind := filepath.Dir(v.File)
			if v.Refused == "" {
				read[kind]++
			} else {
				refused[kind]++
			}
			path := filepath.Join(dir, v.File)
			if v.As == "picture" {
				v.comparePicture(t, path)
				return
			}
			v.compareVolume(t, path)
		})
	}
	t.Logf("values held against another program's, by folder: %v; refused: %v", read, refused)
}

// refusal checks the error of a file that is not read.
func (v vector) refusal(t *testing.T, path string, err error) {
	t.Helper()
	want := map[string]error{"unsupported": ErrUnsupported, "corrupt": ErrCorrupt}[v.Error]
	if !errors.Is(err, want) || !strings.Contains(err.Error(), v.Refused) || !strings.Contains(err.Error(), path) {
		t.Errorf("error is %v, want %v with %q and the file's name", err, want, v.Refused)
	}
}

func (v vector) comparePicture(t *testing.T, path string) {
	t.Helper()
	img, err := Decode(path)
	if v.Refused != "" {
		v.refusal(t, path, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	if b.Dx() != v.Size[0] || b.Dy() != v.Size[1] {
		t.Fatalf("size is %v, want %v", b.Size(), v.Size)
	}
	for i := range v.Size[0] * v.Size[1] {
		c := color.NRGBAModel.Convert(img.At(b.Min.X+i%v.Size[0], b.Min.Y+i/v.Size[0])).(color.NRGBA)
		for k, got := range []uint8{c.R, c.G, c.B, c.A} {
			if want := v.want[4*i+k]; int(got)-int(want) > v.Tolerance || int(want)-int(got) > v.Tolerance {
				t.Fatalf("pixel (%d, %d) is %v, want %v", i%v.Size[0], i/v.Size[0], c, v.want[4*i:4*i+4])
			}
		}
	}
}

func (v vector) compareVolume(t *testing.T, path string) {
	t.Helper()
	open := OpenVolume
	if v.As == "series" {
		open = OpenSeries
	}
	vol, err := open(path)
	if err == nil && v.Refused != "" {
		err = vol.Planes(0, func(int, []float32) error { return nil })
	}
	if v.Refused != "" {
		v.refusal(t, path, err)
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	if vol.Kind != v.Kind || vol.Size != v.Size || vol.Channels != v.Channels || vol.Inverted != v.Inverted {
		t.Fatalf("%s of %v, %d channels, inverted %v, want %s of %v, %d, %v", vol.Kind, vol.Size, vol.Channels, vol.Inverted, v.Kind, v.Size, v.Channels, v.Inverted)
	}
	if v.Names != nil && !reflect.DeepEqual(vol.Names, v.Names) {
		t.Errorf("files are in the order %v, want %v", vol.Names, v.Names)
	}
	v.compareSpace(t, vol)
	var got bytes.Buffer
	for c := range vol.Channels {
		planes := 0
		err := vol.Planes(c, func(z int, voxels []float32) error {
			if z != planes || len(voxels) != v.Size[0]*v.Size[1] {
				t.Errorf("plane %d comes as number %d with %d voxels", z, planes, len(voxels))
			}
			planes++
			return binary.Write(&got, binary.LittleEndian, voxels)
		})
		if err != nil || planes != v.Size[2] {
			t.Fatalf("%d planes of %d: %v", planes, v.Size[2], err)
		}
	}
	if got.Len() != len(v.want) {
		t.Fatalf("%d bytes of values, want %d", got.Len(), len(v.want))
	}
	le := binary.LittleEndian
	for i := 0; i < len(v.want); i += 4 {
		g, w := math.Float32frombits(le.Uint32(got.Bytes()[i:])), math.Float32frombits(le.Uint32(v.want[i:]))
		if g != w && !(g != g && w != w) {
			t.Fatalf("voxel %d is %g, want %g", i/4, g, w)
		}
	}
}

// compareSpace allows for headers that hold numbers of 32 bits, or text.
func (v vector) compareSpace(t *testing.T, vol *Volume) {
	t.Helper()
	near := func(a, b float64) bool { return math.Abs(a-b) <= 1e-4+1e-5*math.Abs(b) }
	if vol.Physical != (v.Spacing != nil) || vol.Oriented != (v.Affine != nil) {
		t.Fatalf("physical %v, oriented %v, want spacing %v, affine %v", vol.Physical, vol.Oriented, v.Spacing, v.Affine)
	}
	for i, want := range v.Spacing {
		if !near(vol.Spacing[i], want) {
			t.Fatalf("spacing is %v, want %v", vol.Spacing, v.Spacing)
		}
	}
	for i, row := range v.Affine {
		for k, want := range row {
			if !near(vol.Affine[i][k], want) {
				t.Fatalf("affine is %v, want %v", vol.Affine, v.Affine)
			}
		}
	}
}
