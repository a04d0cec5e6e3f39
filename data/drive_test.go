package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"testing"
)

// dataRoot is the folder with the real data sets, which not every machine has.
func dataRoot(t *testing.T) string {
	root := os.Getenv("SAMTUNE_DATA")
	if root == "" {
		t.Skip("SAMTUNE_DATA is not set: no real data to read")
	}
	if _, err := os.Stat(filepath.Join(root, "DRIVE")); err != nil {
		t.Skipf("no DRIVE: %v", err)
	}
	return root
}

func TestRealDRIVE(t *testing.T) {
	b, err := Open("drive", Options{Root: dataRoot(t)})
	if err != nil {
		t.Fatal(err)
	}
	if b.Layout != "full copy" || len(b.Pool) != 20 || len(b.Test) != 20 {
		t.Fatalf("found %q with %d + %d cases, want the full copy with 20 + 20", b.Layout, len(b.Pool), len(b.Test))
	}
	if r, found := checked(t, "drive", Options{Root: dataRoot(t)}); len(found) > 0 || r.Files != 140 {
		t.Errorf("check reads %d files and finds %q", r.Files, found)
	}
	vessel, valid := 0, 0
	for _, c := range append(b.Pool, b.Test...) {
		s, err := c.Load()
		if err != nil {
			t.Fatal(err)
		}
		if s.Image.Width != 565 || s.Image.Height != 584 {
			t.Errorf("case %s is %d x %d, want 565 x 584", c.ID, s.Image.Width, s.Image.Height)
		}
		valid += s.Valid.Count()
		for i, v := range s.Masks["vessels"].Pix {
			vessel += int(v & s.Valid.Pix[i])
		}
	}
	// Staal et al. give the share of vessel pixels in the training images as about 12.7 %.
	if share := float64(vessel) / float64(valid); share < 0.12 || share > 0.135 {
		t.Errorf("vessels are %.4f of the field of view, want about 0.127", share)
	}
}

// All pixels of all files are those that Pillow 13.0.0 decodes: its Image.open(f).convert("RGB"), hashed as
// Image.Hash does, listed by path and hashed again. Its TIFF decoder is libtiff.
func TestRealDRIVEPixelsAsPillow(t *testing.T) {
	const want = "b43690d1db704bfd05ee44e85e7cbbdb9dddaea6ada2d34791ed8b19e660ddb2"
	dir := filepath.Join(dataRoot(t), "DRIVE")
	files, err := filepath.Glob(filepath.Join(dir, "*", "*", "*"))
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != 140 {
		t.Skipf("%d files, the hash is of 140", len(files))
	}
	sort.Strings(files)
	h := sha256.New()
	for _, f := range files {
		m, err := ReadImage(f)
		if err != nil {
			t.Error(err)
			continue
		}
		fmt.Fprintf(h, "%s %s\n", filepath.ToSlash(relative(dir, f)), m.Hash())
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != want {
		t.Errorf("pixels have the hash %s, want %s", got, want)
	}
}

// The layouts that a user may have instead, made of the real files by links.
func TestRealDRIVEInOtherLayouts(t *testing.T) {
	source := filepath.Join(dataRoot(t), "DRIVE")
	link := func(from, to string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Symlink(from, to); err != nil {
			t.Skipf("no links here: %v", err)
		}
	}
	for name, make := range map[string]func(root string){
		"test cases without labels": func(root string) {
			link(filepath.Join(source, "training"), filepath.Join(root, "DRIVE/training"))
			link(filepath.Join(source, "test/images"), filepath.Join(root, "DRIVE/test/images"))
			link(filepath.Join(source, "test/mask"), filepath.Join(root, "DRIVE/test/mask"))
		},
		"one folder with sub-folders": func(root string) {
			link(filepath.Join(source, "training"), filepath.Join(root, "DRIVE"))
		},
		"one folder": func(root string) {
			files, err := filepath.Glob(filepath.Join(source, "training", "*", "*"))
			if err != nil {
				t.Fatal(err)
			}
			for _, f := range files {
				link(f, filepath.Join(root, "DRIVE", filepath.Base(f)))
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			root := t.TempDir()
			make(root)
			b, err := Open("drive", Options{Root: root})
			if err != nil {
				t.Fatal(err)
			}
			if len(b.Pool) != 10 || len(b.Test) != 10 || b.Pool[0].ID != "21" || b.Test[0].ID != "22" {
				t.Fatalf("pool is %v, test %v, want every second of 21 to 40", ids(b.Pool), ids(b.Test))
			}
			if _, err := b.Test[9].Load(); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestFundusBenchmark(t *testing.T) {
	b, err := Open("fundus", Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Pool) != 20 || len(b.Test) != 12 {
		t.Fatalf("it has %d + %d cases, want 20 + 12", len(b.Pool), len(b.Test))
	}
	split := draw(t, b, 5, 1)
	split.Target = b.Targets[0]
	samples := map[string]*Sample{}
	for _, c := range append(b.Pool, b.Test...) {
		if samples[c.ID], err = c.Load(); err != nil {
			t.Fatal(err)
		}
	}
	if err := split.Fill(inMemory(samples)); err != nil {
		t.Error(err)
	}
}
