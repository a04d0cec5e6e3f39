package data

import (
	"bytes"
	"errors"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"reflect"
	"testing"
)

// The counts are those of the copies that samtune is developed with; the shares are what such organs fill.
func TestRealPairs(t *testing.T) {
	root := os.Getenv("SAMTUNE_DATA")
	if root == "" {
		t.Skip("SAMTUNE_DATA is not set: no real data to read")
	}
	for _, tt := range []struct {
		name       string
		pool, test int
		low, high  map[string]float64
	}{
		{"drishti", 8, 4, map[string]float64{"disc": 0.01, "cup": 0.003}, map[string]float64{"disc": 0.08, "cup": 0.05}},
		{"kvasir_seg", 30, 30, map[string]float64{"polyp": 0.05}, map[string]float64{"polyp": 0.3}},
		{"ph2", 12, 12, map[string]float64{"lesion": 0.1}, map[string]float64{"lesion": 0.6}},
		{"montgomery", 12, 12, map[string]float64{"lungs": 0.15}, map[string]float64{"lungs": 0.4}},
		{"shenzhen", 6, 6, map[string]float64{"lungs": 0.15}, map[string]float64{"lungs": 0.45}},
		{"duke_dme", 19, 9, map[string]float64{"fluid": 0.002}, map[string]float64{"fluid": 0.1}},
		{"nr206", 2, 2, map[string]float64{"nfl": 0.005, "rpe": 0.01}, map[string]float64{"nfl": 0.1, "gcl": 0.1, "inl": 0.1, "opl": 0.1, "onl": 0.1, "elm_is": 0.1, "os": 0.1, "rpe": 0.1}},
		{"curvas_png", 13, 10, map[string]float64{"liver": 0.02, "pancreas": 0.0005}, map[string]float64{"liver": 0.3, "kidney": 0.05, "pancreas": 0.05}},
		{"hc18", 20, 20, map[string]float64{"head": 0.1}, map[string]float64{"head": 0.7}},
		{"cholec80_instruments", 7, 6, map[string]float64{"instrument": 0.01}, map[string]float64{"instrument": 0.4}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b, err := Open(tt.name, Options{Root: root})
			if errors.Is(err, ErrNotFound) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			if len(b.Pool) != tt.pool || len(b.Test) != tt.test {
				t.Errorf("found %d + %d cases, want %d + %d", len(b.Pool), len(b.Test), tt.pool, tt.test)
			}
			inside, all := map[string]int{}, 0
			for _, c := range append(append([]Case(nil), b.Pool...), b.Test...) {
				s, err := c.Load()
				if err != nil {
					t.Fatal(err)
				}
				all += len(s.Valid.Pix)
				for target, m := range s.Masks {
					inside[target] += m.Count()
				}
			}
			for _, target := range b.Targets {
				share := float64(inside[target]) / float64(all)
				t.Logf("%d + %d cases, %s is %.4f", len(b.Pool), len(b.Test), target, share)
				if share < tt.low[target] || share > tt.high[target] {
					t.Errorf("%s is %.4f of the pictures, want %g to %g", target, share, tt.low[target], tt.high[target])
				}
			}
		})
	}
}

// Soft maps lie in a folder for each case: of the grey values of four experts those of three and four are inside.
func TestSoftMapsInFoldersOfCases(t *testing.T) {
	root := t.TempDir()
	for side, id := range map[string]string{"Training": "drishtiGS_002", "Test": "drishtiGS_007"} {
		for _, name := range []string{"Images/" + id, "GT/" + id + "/SoftMap/" + id + "_ODsegSoftmap", "GT/" + id + "/SoftMap/" + id + "_cupsegSoftmap"} {
			m := image.NewGray(image.Rect(0, 0, 5, 1))
			for x, v := range []uint8{0, 64, 128, 191, 255} {
				m.SetGray(x, 0, color.Gray{v})
			}
			put(t, filepath.Join(root, "Drishti-GS1", side, name+".png"), func(b *bytes.Buffer) error { return png.Encode(b, m) })
		}
	}
	b, err := Open("drishti", Options{Root: root})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Pool) != 1 || len(b.Test) != 1 || b.Pool[0].ID != "drishtiGS_002" || b.Test[0].ID != "drishtiGS_007" {
		t.Fatalf("pool is %v, test %v", ids(b.Pool), ids(b.Test))
	}
	s, err := b.Pool[0].Load()
	if err != nil {
		t.Fatal(err)
	}
	for _, target := range b.Targets {
		if got, want := s.Masks[target].Pix, []uint8{0, 0, 0, 1, 1}; !reflect.DeepEqual(got, want) {
			t.Errorf("%s is %v, want %v", target, got, want)
		}
	}
	if err := os.Remove(filepath.Join(root, "Drishti-GS1/Training/Images/drishtiGS_002.png")); err != nil {
		t.Fatal(err)
	}
	if _, err := Open("drishti", Options{Root: root}); err == nil {
		t.Error("masks without their picture are taken")
	}
}
