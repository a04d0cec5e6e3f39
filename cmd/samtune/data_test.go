package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"samtune/data"
	"samtune/internal/testkit"
)

func TestDataListFitsInALine(t *testing.T) {
	code, out, errOut := call("data", "list", "--data", fakeDRIVE(t))
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	at := -1
	for _, line := range strings.Split(out, "\n") {
		if n := utf8.RuneCountInString(line); n > 120 {
			t.Errorf("a line has %d columns: %s", n, line)
		}
		if i := slices.IndexFunc(data.Tasks(), func(task string) bool { return strings.EqualFold(task, line) }); i >= 0 {
			if i != at+1 {
				t.Errorf("%s comes after task %d", line, at)
			}
			at = i
		}
	}
	if at != len(data.Tasks())-1 {
		t.Errorf("%d tasks are listed, want %d", at+1, len(data.Tasks()))
	}
	for _, want := range []string{"3 + 3 cases", "not here", "+ 12 more"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q: %s", want, out)
		}
	}
	code, out, errOut = call("data", "list", "--json", "--data", "")
	var rows []listed
	if err := json.Unmarshal([]byte(out), &rows); code != 0 || err != nil || len(rows) != len(data.Names()) {
		t.Errorf("exit code %d, %d rows of JSON, %v: %s", code, len(rows), err, errOut)
	}
	for _, r := range rows {
		if want := map[bool]string{true: "ok", false: "absent"}[r.Name == "fundus"]; r.Status != want || r.Get == "" || len(r.Targets) == 0 {
			t.Errorf("%+v, want status %s", r, want)
		}
	}
}

func TestSomeOf(t *testing.T) {
	for want, c := range map[string]struct {
		words []string
		width int
	}{
		"a, b, c":              {[]string{"a", "b", "c"}, 7},
		"aaaa + 2 more":        {[]string{"aaaa", "bbbb", "cccc"}, 15},
		"aaaa, bbbb, cccc":     {[]string{"aaaa", "bbbb", "cccc"}, 16},
		"longer than the line": {[]string{"longer than the line"}, 5},
	} {
		if got := someOf(c.words, c.width); got != want {
			t.Errorf("%q in %d columns: %q, want %q", c.words, c.width, got, want)
		}
	}
}

func TestDataCheckCommand(t *testing.T) {
	root := fakeDRIVE(t)
	cache := t.TempDir()
	code, out, errOut := call("data", "check", "--data", root, "--cache", cache)
	if code != 0 {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	for _, want := range []string{"DRIVE (drive), retinal vessels: full copy", "pool  3      3         40 x 30", "18 files read", "Synthetic fundus", "not here: ", "acdc"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q: %s", want, out)
		}
	}
	write(t, read(t, root, "DRIVE", "training", "images", "21_training.tif"), root, "DRIVE", "test", "images", "02_test.tif")
	code, out, errOut = call("data", "check", "drive", "--data", root, "--cache", cache)
	if code != exitData || !strings.Contains(out, "problem  02: its picture, of the test, has the same pixels as that of 21, of the pool") || !strings.Contains(errOut, "DRIVE has 1 problem") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	code, out, _ = call("data", "check", "drive", "--json", "--data", root, "--cache", cache)
	var got checked
	if err := json.Unmarshal([]byte(out), &got); code != exitData || err != nil || len(got.Benchmarks) != 1 || got.Benchmarks[0].Files != 18 || got.Benchmarks[0].Findings[0].Kind != data.FindingDuplicate {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
	if code, _, errOut := call("data", "check", "ph2", "--data", root); code != exitData || !strings.Contains(errOut, "get it") {
		t.Errorf("of an absent benchmark exit code %d: %s", code, errOut)
	}
}

func TestFewWarningsOfAKindArePrinted(t *testing.T) {
	var findings []data.Finding
	for i := range 9 {
		findings = append(findings, data.Finding{Severity: data.Warning, Kind: data.FindingEmpty, Case: fmt.Sprint("c", i), Text: "empty"})
	}
	var b bytes.Buffer
	printFindings(&b, findings)
	if n := strings.Count(b.String(), "\n"); n != mostWarnings+1 || !strings.Contains(b.String(), "4 more of this kind (empty)") {
		t.Errorf("%d lines: %s", n, &b)
	}
}

func TestDataPreviewCommand(t *testing.T) {
	out := filepath.Join(t.TempDir(), "sheet.png")
	code, text, errOut := call("data", "preview", "drive", "--data", fakeDRIVE(t), "--cases", "4", "--out", out)
	if code != 0 || !strings.Contains(text, out) {
		t.Fatalf("exit code %d: %s%s", code, text, errOut)
	}
	img, err := png.Decode(bytes.NewReader(read(t, out)))
	if err != nil || img.Bounds().Dx() < 4*440 || img.Bounds().Min != (image.Point{}) {
		t.Errorf("the sheet is %v, %v", img.Bounds(), err)
	}
	for _, args := range [][]string{{"drive", "--cases", "0"}, {"drvie"}, {}} {
		if code, _, errOut := call(append([]string{"data", "preview"}, args...)...); code != exitUsage {
			t.Errorf("%q: exit code %d: %s", args, code, errOut)
		}
	}
	if code, _, errOut := call("data", "preview", "drive", "--target", "disc", "--data", fakeDRIVE(t)); code != exitData || !strings.Contains(errOut, `no target "disc"`) {
		t.Errorf("of an unknown target exit code %d: %s", code, errOut)
	}
}

func TestDataSplitCommand(t *testing.T) {
	root, dir := fakeDRIVE(t), t.TempDir()
	file := filepath.Join(dir, "split.toml")
	split := func(args ...string) (int, string, string) {
		return call(append([]string{"data", "split", "--data", root}, args...)...)
	}
	code, out, errOut := split("drive", "--shots", "3", "--seed", "7", "--out", file)
	if code != 0 || !strings.Contains(out, "2 training, 1 validation and 3 test cases") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	if code, _, errOut := split("drive", "--shots", "3", "--seed", "7", "--out", file); code != 0 {
		t.Errorf("written again: exit code %d: %s", code, errOut)
	}
	if code, _, errOut := split("drive", "--shots", "2", "--seed", "7", "--out", file); code != exitUsage || !strings.Contains(errOut, "something else") {
		t.Errorf("written over another split: exit code %d: %s", code, errOut)
	}
	if code, out, errOut := split("--verify", file); code != 0 || !strings.Contains(out, "all 6 cases are as they were") {
		t.Errorf("verified: exit code %d: %s%s", code, out, errOut)
	}
	for name, c := range map[string]struct {
		args []string
		code int
		says string
	}{
		"no benchmark":      {nil, exitUsage, "name a benchmark"},
		"too many shots":    {[]string{"drive", "--shots", "4", "--out", filepath.Join(dir, "other.toml")}, exitData, "1 to 3"},
		"shots of a file":   {[]string{"--verify", file, "--shots", "3"}, exitUsage, "--shots does not go with --verify"},
		"another benchmark": {[]string{"--verify", file, "fundus"}, exitData, "a split of benchmark drive"},
		"no file":           {[]string{"--verify", filepath.Join(dir, "none.toml")}, exitData, "none.toml"},
	} {
		if code, out, errOut := split(c.args...); code != c.code || !strings.Contains(out+errOut, c.says) {
			t.Errorf("%s: exit code %d, want %d with %q: %s%s", name, code, c.code, c.says, out, errOut)
		}
	}
	write(t, read(t, root, "DRIVE", "test", "images", "01_test.tif"), root, "DRIVE", "test", "images", "02_test.tif")
	if err := os.Remove(filepath.Join(root, "DRIVE", "test", "1st_manual", "03_manual1.gif")); err != nil {
		t.Fatal(err)
	}
	write(t, read(t, root, "DRIVE", "test", "1st_manual", "02_manual1.gif"), root, "DRIVE", "test", "1st_manual", "03_manual1.gif")
	code, out, _ = split("--verify", file)
	if code != exitData || !strings.Contains(out, "problem  02: of the test case the pixels of the picture have changed") || strings.Contains(out, " 03: ") {
		t.Errorf("exit code %d: %s", code, out)
	}
}

// TestFinetuneTakesASplitFile: data split writes what a run would draw, and a run on the file has the same results.
func TestFinetuneTakesASplitFile(t *testing.T) {
	drawn, given := t.TempDir(), t.TempDir()
	if code, _, errOut := call(short(t, drawn, "--seed", "4")...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	file := filepath.Join(t.TempDir(), "mine.toml")
	if code, _, errOut := call("data", "split", testkit.Eyes(t, shared, 6, 4), "--shots", "3", "--seed", "4", "--out", file); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if !bytes.Equal(read(t, file), read(t, drawn, "split.toml")) {
		t.Error("the split file differs from the run's")
	}
	args := slices.DeleteFunc(short(t, given, "--split", file), func(a string) bool { return a == "--shots" || a == "3" })
	if code, _, errOut := call(args...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, name := range []string{"split.toml", "per_case.csv", "train.jsonl"} {
		if !bytes.Equal(read(t, given, name), read(t, drawn, name)) {
			t.Errorf("%s differs from that of the run that drew its shots", name)
		}
	}
	t.Run("the same content elsewhere is the same run", func(t *testing.T) {
		moved := filepath.Join(t.TempDir(), "moved.toml")
		write(t, read(t, file), moved)
		for i, a := range args {
			if a == file {
				args[i] = moved
			}
		}
		if code, _, errOut := call(args...); code != 0 || !strings.Contains(errOut, "finished run found") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("another way of drawing is another run", func(t *testing.T) {
		if code, _, errOut := call(short(t, given, "--seed", "4")...); code != exitFailed || !strings.Contains(errOut, "another run") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("evaluate without the file", func(t *testing.T) {
		if code, _, errOut := call("evaluate", "--checkpoint", given, "--weights", args[2], "--cache", shared, "--out", t.TempDir(), "--quiet"); code != 0 {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	for name, c := range map[string]struct{ more, says string }{
		"shots":     {"--shots=2", "shots is 2, and split"},
		"seed":      {"--seed=9", "seed is 9, and split"},
		"benchmark": {"--benchmark=drive", "benchmark is drive, and split"},
		"target":    {"--target=disc", "target is disc, and split"},
	} {
		t.Run("contradiction of "+name, func(t *testing.T) {
			code, _, errOut := call("finetune", "--benchmark", testkit.Eyes(t, shared, 6, 4), "--split", file, c.more, "--weights", args[2], "--out", t.TempDir())
			if code != exitUsage || !strings.Contains(errOut, c.says) || !strings.Contains(errOut, "leave one of the two out") {
				t.Errorf("exit code %d, want %q: %s", code, c.says, errOut)
			}
		})
	}
	t.Run("in a sweep", func(t *testing.T) {
		code, _, errOut := call("sweep", "--set", "split="+file, "--weights", args[2], "--out", t.TempDir())
		if code != exitUsage || !strings.Contains(errOut, "draws its own shots") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
}
