package format

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"image/color"
	"io"
	"os"
	"path/filepath"
	"testing"
)

func packed(t testing.TB, b []byte) []byte {
	t.Helper()
	var out bytes.Buffer
	z := gzip.NewWriter(&out)
	if _, err := z.Write(b); err != nil {
		t.Fatal(err)
	}
	if err := z.Close(); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

func ungzip(b []byte) ([]byte, error) {
	z, err := gzip.NewReader(bytes.NewReader(b))
	if err != nil {
		return nil, err
	}
	return io.ReadAll(z)
}

func decodeBytes(t testing.TB, b []byte) (rgb [][3]uint8, width, height int, err error) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "picture")
	if err := os.WriteFile(path, b, 0o600); err != nil {
		t.Fatal(err)
	}
	img, err := Decode(path)
	if err != nil {
		return nil, 0, 0, err
	}
	r := img.Bounds()
	for y := r.Min.Y; y < r.Max.Y; y++ {
		for x := r.Min.X; x < r.Max.X; x++ {
			c := color.NRGBAModel.Convert(img.At(x, y)).(color.NRGBA)
			rgb = append(rgb, [3]uint8{c.R, c.G, c.B})
		}
	}
	return rgb, r.Dx(), r.Dy(), nil
}

// TestPNM reads the six kinds, by the formats' own descriptions: a picture of 3 x 2 pixels.
func TestPNM(t *testing.T) {
	black, white := [3]uint8{}, [3]uint8{255, 255, 255}
	for name, c := range map[string]struct {
		file string
		want [][3]uint8
	}{
		"plain bitmap":  {"P1\n# a comment\n3 2\n1 0 1\n0 1 0\n", [][3]uint8{black, white, black, white, black, white}},
		"raw bitmap":    {"P4 3 2\n\xa0\x40", [][3]uint8{black, white, black, white, black, white}},
		"plain greys":   {"P2 3 2 255\n0 10 20\n30 40 255\n", [][3]uint8{{}, {10, 10, 10}, {20, 20, 20}, {30, 30, 30}, {40, 40, 40}, white}},
		"raw greys":     {"P5\n3 2\n255\n\x00\x0a\x14\x1e\x28\xff", [][3]uint8{{}, {10, 10, 10}, {20, 20, 20}, {30, 30, 30}, {40, 40, 40}, white}},
		"plain colours": {"P3 3 2 255\n1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18\n", [][3]uint8{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}, {13, 14, 15}, {16, 17, 18}}},
		"raw colours":   {"P6 3 2 255\n\x01\x02\x03\x04\x05\x06\x07\x08\x09\x0a\x0b\x0c\x0d\x0e\x0f\x10\x11\x12", [][3]uint8{{1, 2, 3}, {4, 5, 6}, {7, 8, 9}, {10, 11, 12}, {13, 14, 15}, {16, 17, 18}}},
	} {
		for _, file := range [][]byte{[]byte(c.file), packed(t, []byte(c.file))} {
			got, w, h, err := decodeBytes(t, file)
			if err != nil || w != 3 || h != 2 || fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("%s, %d bytes: %d x %d, %v, %v, want %v", name, len(file), w, h, got, err, c.want)
			}
		}
		for n := range len(c.file) - 1 { // cut anywhere: an error of a kind, or a picture where only white space is missing
			if _, _, _, err := decodeBytes(t, []byte(c.file[:n])); err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Errorf("%s cut to %d bytes: %v", name, n, err)
			}
		}
	}
	for name, file := range map[string]string{
		"a giant of a few bytes": "P6 60000 2000 255\nabc", "no numbers": "P5 x y 255\n", "16 bits": "P5 1 1 65535\n\x00\x01", "zero wide": "P5 0 2 255\n",
	} {
		if _, _, _, err := decodeBytes(t, []byte(file)); !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: %v", name, err)
		}
	}
	twice := packed(t, packed(t, []byte("P5 1 1 255\n\x00")))
	if _, _, _, err := decodeBytes(t, twice); !errors.Is(err, ErrUnsupported) {
		t.Errorf("packed twice: %v", err)
	}
	if _, _, _, err := decodeBytes(t, packed(t, append([]byte("P5 10 10 255\n"), make([]byte, 100)...))[:30]); !errors.Is(err, ErrCorrupt) {
		t.Errorf("a cut gzip: %v", err)
	}
}
