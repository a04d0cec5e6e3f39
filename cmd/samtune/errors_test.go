package main

import (
	"bytes"
	"fmt"
	"image"
	"image/color"
	"image/gif"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/image/tiff"

	"samtune/internal/testkit"
)

// fakeDRIVE lays out pictures of 40 x 30 pixels as a full copy of DRIVE.
func fakeDRIVE(t testing.TB) string {
	t.Helper()
	root := t.TempDir()
	for set, first := range map[string]int{"training": 21, "test": 1} {
		for i := range 3 {
			id := fmt.Sprintf("%02d", first+i)
			dir := filepath.Join(root, "DRIVE", set)
			img := image.NewRGBA(image.Rect(0, 0, 40, 30))
			for k := range img.Pix {
				img.Pix[k] = uint8(k*7 + i*31 + first)
			}
			var b bytes.Buffer
			if err := tiff.Encode(&b, img, nil); err != nil {
				t.Fatal(err)
			}
			write(t, b.Bytes(), dir, "images", id+"_"+set+".tif")
			mask := image.NewPaletted(image.Rect(0, 0, 40, 30), color.Palette{color.Black, color.White})
			for k := range mask.Pix {
				mask.Pix[k] = uint8(k / 5 % 2)
			}
			write(t, gifOf(t, mask), dir, "1st_manual", id+"_manual1.gif")
			field := image.NewPaletted(mask.Rect, mask.Palette)
			for k := range field.Pix {
				field.Pix[k] = 1
			}
			write(t, gifOf(t, field), dir, "mask", id+"_"+set+"_mask.gif")
		}
	}
	return root
}

func gifOf(t testing.TB, img image.Image) []byte {
	t.Helper()
	var b bytes.Buffer
	if err := gif.Encode(&b, img, nil); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func write(t testing.TB, content []byte, path ...string) {
	t.Helper()
	p := filepath.Join(path...)
	if err := os.MkdirAll(filepath.Dir(p), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(p, content, 0o644); err != nil {
		t.Fatal(err)
	}
}

func TestBadInputGetsAClearError(t *testing.T) {
	weights := testkit.LiteMedSAM(t)
	drive := func(t *testing.T, change func(root string)) []string {
		root := fakeDRIVE(t)
		change(filepath.Join(root, "DRIVE"))
		return []string{"finetune", "--benchmark", "drive", "--shots", "2", "--data", root, "--weights", weights, "--cache", t.TempDir(), "--out", t.TempDir()}
	}
	for name, c := range map[string]struct {
		args func(t *testing.T) []string
		code int
		says []string
	}{
		"unknown benchmark": {func(*testing.T) []string { return []string{"finetune", "--benchmark", "drvie"} }, exitUsage,
			[]string{`unknown benchmark "drvie"`, `did you mean "drive"`}},
		"no data folder": {func(t *testing.T) []string {
			return []string{"finetune", "--benchmark", "drive", "--data", "", "--weights", weights}
		}, exitData, []string{"SAMTUNE_DATA", "DRIVE/training/images/21_training.tif", "grand-challenge"}},
		"no data in the folder": {func(t *testing.T) []string {
			return []string{"finetune", "--benchmark", "drive", "--data", t.TempDir(), "--weights", weights}
		}, exitData, []string{"looked for", "no such folder", "expected", "get it"}},
		"truncated TIFF": {func(t *testing.T) []string {
			return drive(t, func(d string) {
				p := filepath.Join(d, "test", "images", "02_test.tif")
				write(t, read(t, p)[:2000], p)
			})
		}, exitData, []string{"02_test.tif", "copy it again"}},
		"mask of another size": {func(t *testing.T) []string {
			return drive(t, func(d string) {
				write(t, gifOf(t, image.NewPaletted(image.Rect(0, 0, 41, 30), color.Palette{color.Black, color.White})), d, "test", "1st_manual", "01_manual1.gif")
			})
		}, exitData, []string{"01_manual1.gif", "41 x 30", "40 x 30", "01_test.tif"}},
		"missing mask": {func(t *testing.T) []string {
			return drive(t, func(d string) { os.Remove(filepath.Join(d, "training", "1st_manual", "22_manual1.gif")) })
		}, exitData, []string{"22_training.tif", "22_manual1.gif"}},
		"a test picture among the shots": {func(t *testing.T) []string {
			return append(drive(t, func(d string) {
				write(t, read(t, d, "training", "images", "21_training.tif"), d, "test", "images", "03_test.tif")
			}), "--shots", "3")
		}, exitData, []string{"03", "21", "same pixels"}},
		"more shots than images": {func(t *testing.T) []string {
			return append(drive(t, func(string) {}), "--shots", "4")
		}, exitData, []string{"4 shots", "1 to 3"}},
		"flipped byte in the weights": {func(t *testing.T) []string {
			b := bytes.Clone(read(t, weights))
			b[len(b)/2] ^= 1
			p := filepath.Join(t.TempDir(), "flipped.pth")
			write(t, b, p)
			return []string{"finetune", "--weights", p, "--out", t.TempDir()}
		}, exitCorrupt, []string{"flipped.pth", "CRC32", "get it again"}},
		"truncated weights": {func(t *testing.T) []string {
			p := filepath.Join(t.TempDir(), "short.pth")
			write(t, read(t, weights)[:1<<20], p)
			return []string{"finetune", "--weights", p, "--out", t.TempDir()}
		}, exitCorrupt, []string{"short.pth"}},
		"weights of another model": {func(*testing.T) []string {
			return []string{"finetune", "--weights", "../../testdata/parity/tiny_sam.pth"}
		}, exitFailed, []string{"tiny_sam.pth", "missing", "unexpected", "of another shape", "mask_decoder.iou_token.weight"}},
		"unknown key in the config": {func(t *testing.T) []string {
			p := filepath.Join(t.TempDir(), "my.toml")
			write(t, []byte("shots = 5\n\n[train]\nlearning_rate = 1e-4\n"), p)
			return []string{"finetune", "--config", p}
		}, exitUsage, []string{"my.toml:4:1", `unknown key "train.learning_rate"`, `did you mean "train.lr"`, "4 | learning_rate = 1e-4", "^^^"}},
		"config that is no TOML": {func(t *testing.T) []string {
			p := filepath.Join(t.TempDir(), "my.toml")
			write(t, []byte("shots = = 5\n"), p)
			return []string{"finetune", "--config", p}
		}, exitUsage, []string{"my.toml:1:"}},
		"unknown key in --set":  {func(*testing.T) []string { return []string{"finetune", "--set", "train.stepz=3"} }, exitUsage, []string{"train.stepz", "train.steps"}},
		"--set without a value": {func(*testing.T) []string { return []string{"finetune", "--set", "train.steps"} }, exitUsage, []string{"key=value"}},
		"value of another type": {func(*testing.T) []string { return []string{"finetune", "--set", "train.steps=many"} }, exitUsage, []string{"train.steps"}},
		"impossible threshold": {func(t *testing.T) []string {
			return []string{"finetune", "--weights", weights, "--set", "eval.threshold=2"}
		}, exitUsage, []string{"eval.threshold", "between 0 and 1"}},
		"unknown decoder": {func(t *testing.T) []string {
			return []string{"finetune", "--weights", weights, "--out", t.TempDir(), "--set", "decoder=fancy"}
		}, exitUsage, []string{`decoder is "fancy"`, "plain"}},
		"unknown model":   {func(*testing.T) []string { return []string{"finetune", "--model", "sam_vit_x"} }, exitUsage, []string{"sam_vit_x", "lite_medsam"}},
		"unknown flag":    {func(*testing.T) []string { return []string{"finetune", "--shot", "3"} }, exitUsage, []string{"--shot"}},
		"flag of a group": {func(*testing.T) []string { return []string{"cache", "prune", "--nosuch"} }, exitUsage, []string{"--nosuch", "samtune cache prune --help"}},
		"no number":       {func(*testing.T) []string { return []string{"finetune", "--shots", "1e3"} }, exitUsage, []string{`--shots is "1e3", want a whole number`}},
		"too many tiles":  {func(*testing.T) []string { return []string{"finetune", "--set", "views.grid=100000"} }, exitUsage, []string{"views.grid is 100000, want 1 to 64"}},
		"endless threads": {func(*testing.T) []string { return []string{"segment", "a.png", "--threads", "1000000"} }, exitUsage, []string{"--threads is 1000000, want 0 to 1024"}},
		"union of NaN": {func(*testing.T) []string {
			return []string{"segment", "a.png", "--everything", "--union-max-area", "nan"}
		}, exitUsage, []string{"NaN of the picture: want 0 to 1"}},
		"IoU of 2": {func(*testing.T) []string { return []string{"segment", "a.png", "--everything", "--min-iou", "2"} }, exitUsage, []string{"predicted IoU 2"}},
		"named twice": {func(*testing.T) []string {
			return []string{"finetune", "--decoder", "linear", "--set", `head.features=["pixels","pixels"]`}
		}, exitUsage, []string{"pixels twice"}},
		"unknown command": {func(*testing.T) []string { return []string{"finetun"} }, exitUsage, []string{"finetun"}},
		"stray word":      {func(*testing.T) []string { return []string{"finetune", "drive"} }, exitUsage, []string{"drive"}},
		"unknown device":  {func(*testing.T) []string { return []string{"finetune", "--weights", weights, "--device", "gpu"} }, exitUsage, []string{"gpu", "cuda:N"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(c.args(t)...)
			if code != c.code || out != "" {
				t.Errorf("exit code %d, want %d: %s%s", code, c.code, out, errOut)
			}
			for _, want := range c.says {
				if !strings.Contains(errOut, want) {
					t.Errorf("it does not say %q: %s", want, errOut)
				}
			}
		})
	}
}
