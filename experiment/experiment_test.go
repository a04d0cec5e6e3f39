package experiment

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/configs"
	"samtune/data"
)

func TestWeightsAreNotTestedOnWhatTheyWereTrainedOn(t *testing.T) {
	tuned := &Tuned{Dir: "runs/a", Split: &data.Split{
		Train: []data.Entry{{ID: "21", ImageSHA256: "aa"}}, Validation: []data.Entry{{ID: "22", ImageSHA256: "bb"}},
	}}
	for name, c := range map[string]struct {
		hash string
		leak string
	}{
		"another picture": {"cc", ""}, "a training picture under another name": {"aa", "21"}, "a validation picture": {"bb", "22"},
	} {
		t.Run(name, func(t *testing.T) {
			err := tuned.checkLeaks(&data.Split{Test: []data.Entry{{ID: "x", ImageSHA256: c.hash}}})
			if errors.Is(err, data.ErrLeak) != (c.leak != "") || (err != nil && !strings.Contains(err.Error(), c.leak)) {
				t.Errorf("error %v", err)
			}
		})
	}
}

func TestIdentityHoldsAllThatDecides(t *testing.T) {
	seen := map[string]bool{}
	for _, parts := range [][5]string{
		{"c", "d", "w", "cpu", "finetune"}, {"C", "d", "w", "cpu", "finetune"}, {"c", "D", "w", "cpu", "finetune"}, {"c", "d", "W", "cpu", "finetune"},
		{"c", "d", "w", "cuda:0", "finetune"}, {"c", "d", "w", "cpu", "zeroshot"},
	} {
		id := identity(parts[0], parts[1], parts[2], parts[3], parts[4])
		if seen[id] {
			t.Errorf("%v has the identity of another run", parts)
		}
		seen[id] = true
	}
}

func TestPicturesOfOneNameAreRefused(t *testing.T) {
	if names, err := outputNames([]string{"a/x.png", "b/y.tif"}); err != nil || names[0] != "x" || names[1] != "y" {
		t.Errorf("%v, %v", names, err)
	}
	if _, err := outputNames([]string{"a/x.png", "b/x.tif"}); err == nil || !strings.Contains(err.Error(), "b/x.tif") {
		t.Errorf("error %v, want one that names both", err)
	}
}

func TestSettingsAreCheckedBeforeTheWork(t *testing.T) {
	for name, change := range map[string]func(c *configs.Run){
		"no shots":           func(c *configs.Run) { c.Shots = 0 },
		"tiles too small":    func(c *configs.Run) { c.Views.Grid, c.Views.Tile = 3, 4 },
		"no grid":            func(c *configs.Run) { c.Views.Grid = 0 },
		"share above 1":      func(c *configs.Run) { c.Views.MinValid = 1.5 },
		"threshold of 0":     func(c *configs.Run) { c.Eval.Threshold = 0 },
		"unknown type":       func(c *configs.Run) { c.Cache.DType = "int8" },
		"unknown decoder":    func(c *configs.Run) { c.Decoder = "fancy" },
		"unknown prompt":     func(c *configs.Run) { c.Eval.Prompts = append(c.Eval.Prompts, "guess") },
		"compared with none": func(c *configs.Run) { c.Eval.Prompts = []string{"none"} },
	} {
		t.Run(name, func(t *testing.T) {
			r := &Run{cfg: configs.Default()}
			if err := r.check(); err != nil {
				t.Fatal(err)
			}
			change(r.cfg)
			if err := r.check(); !errors.Is(err, configs.ErrConfig) {
				t.Errorf("error %v, want ErrConfig", err)
			}
		})
	}
}

func TestPickTarget(t *testing.T) {
	b := &data.Decl{Name: "eyes", Targets: []string{"disc", "cup"}}
	for name, want := range map[string]string{"": "disc", "cup": "cup", "lens": ""} {
		got, err := pickTarget(b, name)
		if got != want || (err != nil) != (want == "") {
			t.Errorf("%q: %q, %v", name, got, err)
		}
	}
}

func TestOpenTunedRefusesOtherFolders(t *testing.T) {
	dir := t.TempDir()
	if _, err := OpenTuned(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("empty folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, identityFile), []byte("hash = \"x\"\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := OpenTuned(dir); err == nil {
		t.Error("a folder without a config: no error")
	}
}
