package guess

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"testing"

	"samtune/data"
)

// TestRealFolders looks at folders of published data sets: the same images on the same sides, and the same pixels inside any
// target, as their declarations have, which were written by hand.
func TestRealFolders(t *testing.T) {
	root := os.Getenv("SAMTUNE_DATA")
	if root == "" {
		t.Skip("SAMTUNE_DATA is not set: no real data to read")
	}
	for _, name := range []string{"drive", "ph2", "duke_dme", "nr206", "curvas_png", "hc18", "kvasir_seg", "cholec80_instruments", "chaos_ct", "acdc", "msd_hippocampus"} {
		t.Run(name, func(t *testing.T) {
			declared, err := data.Open(name, data.Options{Root: root, Volumes: true})
			if errors.Is(err, data.ErrNotFound) {
				t.Skip(err)
			} else if err != nil {
				t.Fatal(err)
			}
			g, err := Look(declared.Root)
			if err != nil {
				t.Fatal(err)
			}
			text := g.TOML("own", declared.Root)
			d, err := data.ParseOwn(filepath.Join(t.TempDir(), "own.toml"), text)
			if err != nil {
				t.Fatal(err)
			}
			own, err := d.Open(data.Options{Volumes: true})
			if err != nil {
				t.Fatalf("%v in\n%s", err, text)
			}
			for side, pair := range map[string][2][]data.Case{"pool": {own.Pool, declared.Pool}, "test": {own.Test, declared.Test}} {
				if got, want := images(pair[0]), images(pair[1]); !slices.Equal(got, want) {
					t.Errorf("%s: %d images, want %d as declared:\n%v\n%v", side, len(got), len(want), got, want)
				}
			}
			if t.Failed() || g.Engine != "pairs" { // volumes were listed, not read
				return
			}
			for i := range 2 {
				got, err := own.Pool[i].Load()
				if err != nil {
					t.Fatal(err)
				}
				want, err := declared.Pool[i].Load()
				if err != nil {
					t.Fatal(err)
				}
				if !slices.Equal(union(got), union(want)) || !slices.Equal(got.Valid.Pix, want.Valid.Pix) {
					t.Errorf("case %s has other pixels inside than as declared", want.ID)
				}
			}
		})
	}
}

func images(cases []data.Case) []string {
	var out []string
	for _, c := range cases {
		out = append(out, c.Files[0])
	}
	slices.Sort(out)
	return out
}

// union is what is inside any target.
func union(s *data.Sample) []uint8 {
	out := make([]uint8, len(s.Valid.Pix))
	for _, m := range s.Masks {
		for i, v := range m.Pix {
			out[i] |= v
		}
	}
	return out
}
