package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/eval"
	"samtune/internal/testkit"
)

// ownPictures is a folder of 8 pictures with a bright disc each, its mask, and a mask of half of it.
func ownPictures(t testing.TB) string {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "Our Eyes")
	for i := range 8 {
		inside := func(x, y int) bool { dx, dy := x-20-i%4, y-18; return dx*dx+dy*dy < 90 }
		img, mask := image.NewRGBA(image.Rect(0, 0, 60, 44)), image.NewGray(image.Rect(0, 0, 60, 44))
		for y := range 44 {
			for x := range 60 {
				v := uint8(40 + (x*3+y*5+i*17)%60)
				switch {
				case inside(x, y) && y < 18:
					v += 120
					mask.SetGray(x, y, color.Gray{Y: 2})
				case inside(x, y):
					v += 60
					mask.SetGray(x, y, color.Gray{Y: 1})
				}
				img.SetRGBA(x, y, color.RGBA{v, v / 2, uint8(x), 255})
			}
		}
		for name, picture := range map[string]image.Image{"images": img, "labels": mask} {
			var b bytes.Buffer
			if err := png.Encode(&b, picture); err != nil {
				t.Fatal(err)
			}
			write(t, b.Bytes(), dir, name, fmt.Sprintf("eye_%d.png", i))
		}
	}
	return dir
}

// TestOwnData goes from a folder of pictures to a run, a second look at what it left, and a comparison.
func TestOwnData(t *testing.T) {
	dir := ownPictures(t)
	file := filepath.Join(filepath.Dir(dir), "eyes.toml")
	code, out, errOut := call("data", "init", dir, "--out", file)
	if code != 0 || !strings.Contains(out, "4 + 4 cases") || !strings.Contains(out, "samtune finetune --benchmark "+file) {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	text := string(read(t, file))
	for _, want := range []string{`name = "our_eyes"`, `folders = ["Our Eyes"]`, "values = [2]", "8 images/*.png", "EDIT"} {
		if !strings.Contains(text, want) {
			t.Errorf("the file does not hold %q:\n%s", want, text)
		}
	}
	t.Run("it is not overwritten", func(t *testing.T) {
		if code, _, errOut := call("data", "init", dir, "--out", file); code != exitUsage || !strings.Contains(errOut, "--again") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
		if code, _, errOut := call("data", "init", dir, "--out", file, "--again", "--name", "my eyes"); code != exitUsage || !strings.Contains(errOut, "run folders") {
			t.Errorf("a name that no folder has: exit code %d: %s", code, errOut)
		}
		if code, _, errOut := call("data", "init", dir, "--out", file, "--again"); code != 0 {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("nothing to see", func(t *testing.T) {
		code, out, errOut := call("data", "init", filepath.Join(dir, "images"), "--out", file+"2.toml")
		if code != exitData || !strings.Contains(out, "8 *.png, as eye_0.png") || !strings.Contains(out, "[layout.pool]") || exists(file+"2.toml") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
	})
	text = strings.ReplaceAll(strings.ReplaceAll(text, "label_1", "rim"), "label_2", "cup")
	write(t, []byte(text), file)
	if code, out, errOut := call("data", "check", file); code != 0 {
		t.Errorf("data check: exit code %d: %s%s", code, out, errOut)
	}
	if code, out, _ := call("data", "show", file); code != 0 || !strings.Contains(out, "rim, cup") {
		t.Errorf("data show: exit code %d: %s", code, out)
	}

	runs := t.TempDir()
	args := func(out string) []string {
		return head(short(t, out, "--benchmark", file, "--target", "cup", "--decoder", "linear", "--runs", runs))
	}
	if code, _, errOut = call(args("")...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	found, err := filepath.Glob(filepath.Join(runs, "our_eyes-3shot-seed1-*"))
	if err != nil || len(found) != 1 {
		t.Fatalf("run folders: %v", found)
	}
	run := found[0]
	results, err := eval.ReadResults(filepath.Join(run, "results.json"))
	if err != nil || results.Benchmark != "our_eyes" || results.Target != "cup" || results.Cases != 4 {
		t.Errorf("%+v, %v", results, err)
	}
	t.Run("an edited file is another run", func(t *testing.T) {
		for change, same := range map[string]bool{"# a remark\n": true, "[patient]\nid = '^eye_(.)'\n": false} {
			write(t, []byte(text+change), file)
			code, _, errOut := call(args(run)...)
			if finished := code == 0 && strings.Contains(errOut, "finished run found"); finished != same {
				t.Errorf("with %q: exit code %d: %s", change, code, errOut)
			}
		}
	})
	if err := os.Remove(file); err != nil {
		t.Fatal(err)
	}
	t.Run("the run needs the file no more", func(t *testing.T) {
		to := t.TempDir()
		code, _, errOut := call("evaluate", "--checkpoint", run, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, "--quiet")
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		if got, want := afterRows(t, to), afterRows(t, run); got != want || want == "" {
			t.Error("it scores otherwise than in its own run")
		}
		masks := t.TempDir()
		if code, _, errOut := call("predict", "--checkpoint", run, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", masks, filepath.Join(dir, "images", "eye_1.png")); code != 0 {
			t.Errorf("predict: exit code %d: %s", code, errOut)
		}
		if code, out, _ := call("report", run); code != 0 || !strings.Contains(out, "cup") {
			t.Errorf("report: exit code %d: %s", code, out)
		}
	})
	t.Run("compared with others", func(t *testing.T) {
		write(t, []byte(text), file)
		to := filepath.Join(t.TempDir(), "cmp")
		code, out, errOut := call(head([]string{"compare", "--benchmarks", "drive," + file, "--targets", "vessels,cup", "--decoders", "linear", "--weights", testkit.LiteMedSAM(t),
			"--cache", shared, "--out", to, "--shots", "3", "--data", t.TempDir(), "--prompts", "box"})...)
		if code != 0 {
			t.Fatalf("exit code %d: %s%s", code, out, errOut)
		}
		table, err := eval.ReadComparison(filepath.Join(to, "compare.json"))
		if err != nil || len(table.Rows) != 2 || table.Rows[0].Status != eval.StatusAbsent || table.Rows[1].Benchmark != "our_eyes" || table.Rows[1].Status != eval.StatusOK {
			t.Errorf("%+v, %v", table, err)
		}
		if code, _, errOut := call("compare", "--benchmarks", file+","+file, "--out", to); code != exitUsage || !strings.Contains(errOut, "both called our_eyes") {
			t.Errorf("twice: exit code %d: %s", code, errOut)
		}
	})
	t.Run("a mistake is shown at its place", func(t *testing.T) {
		write(t, []byte(strings.Replace(text, "image = ", "imag = ", 1)), file)
		code, _, errOut := call("finetune", "--benchmark", file)
		if code != exitUsage || !strings.Contains(errOut, "eyes.toml:") || !strings.Contains(errOut, `did you mean "layout.pool.image"`) || !strings.Contains(errOut, "^^^^") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
}

// TestDataExport writes pictures that init and check find as they were.
func TestDataExport(t *testing.T) {
	root, to := fakeDRIVE(t), filepath.Join(t.TempDir(), "out")
	if code, _, errOut := call("data", "export", "drive", "--data", root, "--out", to); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, name := range []string{"images/01.png", "masks/23.png"} {
		read(t, to, name)
	}
	if exists(filepath.Join(to, "fov")) {
		t.Error("a field of view that leaves nothing out is written")
	}
}
