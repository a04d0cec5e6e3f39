package data

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestCheckOfVolumes lays out hippocampi of 7 x 9 x 8 voxels, most of which have something wrong.
func TestCheckOfVolumes(t *testing.T) {
	root := t.TempDir()
	dir := filepath.Join(root, "Task04_Hippocampus")
	size := [3]int{7, 9, 8}
	at := func(kind, n string) string { return filepath.Join(dir, kind, "hippocampus_"+n+".nii.gz") }
	grey := func(shift int) func(x, y, z int) float32 {
		return func(x, y, z int) float32 { return float32((x*x*7+y*13*shift+z*z*29+shift*x*y)%997) - 100 }
	}
	labels := func(third float32) func(x, y, z int) float32 { // two sagittal slices each
		return func(x, y, z int) float32 {
			switch {
			case x < 2 || x > 5 || y > 5 || z > 4:
				return 0
			case x < 4:
				return 1
			}
			return third
		}
	}
	for i, n := range []string{"001", "002", "003", "004"} {
		putNIfTI(t, at("imagesTr", n), size, grey(i+1))
		putNIfTI(t, at("labelsTr", n), size, labels(2))
	}
	putNIfTI(t, at("labelsTr", "002"), size, labels(3))                                // a value of no target, and no posterior
	putNIfTI(t, at("labelsTr", "003"), size, func(int, int, int) float32 { return 0 }) // nothing at all
	if err := os.Truncate(at("labelsTr", "004"), 90); err != nil {                     // cut
		t.Fatal(err)
	}
	r, found := checked(t, "msd_hippocampus", Options{Root: root})
	want := []string{
		`problem hippocampus_004: `,
		`warning hippocampus_003, labelsTr/hippocampus_003.nii.gz: no voxel is anterior`,
		`warning hippocampus_003, labelsTr/hippocampus_003.nii.gz: no voxel is posterior`,
		`warning hippocampus_002, labelsTr/hippocampus_002.nii.gz: no voxel is posterior`,
		`warning masks of anterior, posterior hold what no rule names: 3, in 60 pixels, as in case hippocampus_002, labelsTr/hippocampus_002.nii.gz`,
	}
	for i := range max(len(found), len(want)) {
		if i >= len(found) || i >= len(want) || !strings.HasPrefix(found[i], want[i]) {
			t.Fatalf("found\n%s\nwant\n%s", strings.Join(found, "\n"), strings.Join(want, "\n"))
		}
	}
	if !strings.Contains(found[0], "labelsTr/hippocampus_004.nii.gz") || !strings.Contains(found[0], "copy it again") {
		t.Errorf("of the cut file it says %q", found[0])
	}
	if r.Slices != 3*7 || r.Files != 6 {
		t.Errorf("%d slices of %d files are read, want 21 of 6", r.Slices, r.Files)
	}
	pool := r.Sides[0]
	low, high := Range{}, Range{}
	for z := range size[2] {
		for y := range size[1] {
			for x := range size[0] {
				v := float64(grey(1)(x, y, z))
				widen(&low, x+y+z == 0, v)
			}
		}
	}
	high = low
	if pool.Volumes != 1 || pool.Cases != 3 || *pool.Slices != (Range{7, 7}) || *pool.Values != high {
		t.Errorf("the pool is %+v with values %+v, want one volume of 7 slices, 3 of them cases, with values %+v", pool, *pool.Values, high)
	}
	share := 60.0 / float64(7*9*8)
	if tr := r.Targets[0]; tr.Target != "anterior" || tr.Masks != 1 || tr.Empty != 0 || tr.Median != share {
		t.Errorf("the target is %+v, want a share of %g", tr, share)
	}
	if i := slices.IndexFunc(r.Targets, func(tr TargetReport) bool { return tr.Target == "posterior" && tr.Side == "test" }); i < 0 || r.Targets[i].Empty != 1 {
		t.Errorf("targets are %+v, want one volume without posterior on the test side", r.Targets)
	}
}

// TestCheckOfColours has a colour of no layer in one mask; the black around the layers is none to warn of.
func TestCheckOfColours(t *testing.T) {
	root := t.TempDir()
	layers := []color.RGBA{{255, 0, 0, 255}, {128, 128, 0, 255}, {255, 255, 0, 255}, {0, 128, 0, 255}, {0, 255, 0, 255}, {0, 255, 255, 255}, {0, 0, 255, 255}, {255, 0, 255, 255}}
	for n, set := range []string{"train", "train", "val", "val"} {
		mask, picture := image.NewRGBA(image.Rect(0, 0, 20, 20)), image.NewGray(image.Rect(0, 0, 20, 20))
		for i := range 400 {
			picture.Pix[i] = uint8((i*i*(n+3) + i*7) % 251)
			mask.SetRGBA(i%20, i/20, color.RGBA{0, 0, 0, 255})
			if i/20 < len(layers) {
				mask.SetRGBA(i%20, i/20, layers[i/20])
			}
		}
		if n == 1 {
			mask.SetRGBA(3, 19, color.RGBA{254, 0, 0, 255})
		}
		name := fmt.Sprintf("NORMAL%d.png", n+1)
		put(t, filepath.Join(root, "NR206", set, name), func(b *bytes.Buffer) error { return png.Encode(b, picture) })
		put(t, filepath.Join(root, "NR206", set+"_labels", name), func(b *bytes.Buffer) error { return png.Encode(b, mask) })
	}
	r, found := checked(t, "nr206", Options{Root: root})
	want := "warning masks of elm_is, gcl, inl, nfl, onl, opl, os, rpe hold what no rule names: (254,0,0), in 1 pixels, as in case NORMAL2, train_labels/NORMAL2.png"
	if len(found) != 1 || found[0] != want {
		t.Errorf("found %q, want %q", found, want)
	}
	if n := len(r.Labels[0].Values); n != 10 { // eight layers, black, and the other red
		t.Errorf("%d colours are listed, want 10", n)
	}
}

// TestOutsideIsTheMostFrequentValue: where a rule names 0, as REFUGE's, another value lies outside of all targets.
func TestOutsideIsTheMostFrequentValue(t *testing.T) {
	in := newInspector(&Decl{Rules: map[string]rule{"disc": {Values: []int{0, 128}}, "cup": {Values: []int{0}}}})
	in.bench = &Benchmark{Root: "/data"}
	v := func(n float32) label {
		return label{number: n, colour: [3]uint8{uint8(n), uint8(n), uint8(n)}, picture: true}
	}
	in.finishGroup(&labelCount{targets: []string{"cup", "disc"}, values: map[label]*labelFacts{
		v(0): {pixels: 10}, v(128): {pixels: 20}, v(255): {pixels: 900}, v(77): {pixels: 3, first: "case a, /data/a.bmp"},
	}})
	if f := in.report.Findings; len(f) != 1 || f[0].Text != "masks of cup, disc hold what no rule names: 77, in 3 pixels, as in case a, a.bmp" {
		t.Errorf("found %v", f)
	}
}
