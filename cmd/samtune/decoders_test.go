package main

import (
	"bytes"
	"encoding/json"
	"image"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"samtune/eval"
	"samtune/internal/testkit"
)

// head are settings of a small convex head.
func head(args []string) []string {
	return append(args, "--set", "head.scales=[1]", "--set", "head.mirrors=none", "--set", "head.whole=[]", "--set", "head.features=[\"pixels\", \"stage1\"]",
		"--set", "head.pixels=4000", "--set", "head.ridges=[1e-3, 1e-2]", "--set", "head.context=true")
}

// afterRows are the lines of a run's table that belong to its own decoder.
func afterRows(t *testing.T, dir string) string {
	t.Helper()
	var lines []string
	for _, l := range strings.Split(string(read(t, dir, "per_case.csv")), "\n") {
		if strings.HasPrefix(l, "after,") {
			lines = append(lines, l)
		}
	}
	return strings.Join(lines, "\n")
}

// TestDecodersSideBySide fits all three on the same shots and takes up what they left.
func TestDecodersSideBySide(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "fine")
	args := head(short(t, dir, "--decoder", "fine", "--compare", "plain"))
	code, out, errOut := call(args...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if !strings.Contains(out, "The convex head, fitted in") || !strings.Contains(out, "against the plain decoder") {
		t.Errorf("the table does not compare the decoders: %s", out)
	}
	var results struct {
		Training struct{ Decoder string }
		Others   []struct {
			Key     string
			Paired  *struct{ N int }
			Against *struct{ N int }
		}
	}
	if err := json.Unmarshal(read(t, dir, "results.json"), &results); err != nil {
		t.Fatal(err)
	}
	if len(results.Others) != 2 || results.Others[0].Key != "linear" || results.Others[1].Key != "plain" || results.Training.Decoder != "fine" {
		t.Fatalf("%+v: want linear and plain beside fine", results)
	}
	for _, o := range results.Others {
		if o.Paired == nil || o.Paired.N != 4 || o.Against == nil || o.Against.N != 4 {
			t.Errorf("%s is not compared over 4 cases", o.Key)
		}
	}
	if page := string(read(t, dir, "report.html")); !strings.Contains(page, "convex head") || !strings.Contains(page, "fine-tuned plain decoder") {
		t.Error("the report does not show the other decoders")
	}

	linear := filepath.Join(t.TempDir(), "linear")
	if code, _, errOut := call(head(short(t, linear, "--decoder", "linear"))...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	picture := filepath.Join(t.TempDir(), "eye.png")
	img := image.NewRGBA(image.Rect(0, 0, 90, 70))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 37)
	}
	writePNG(t, picture, img)
	for name, run := range map[string]string{"fine": dir, "linear": linear} {
		t.Run(name+" is tested again", func(t *testing.T) {
			to := t.TempDir()
			code, _, errOut := call("evaluate", "--checkpoint", run, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, "--quiet")
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			if got, want := afterRows(t, to), afterRows(t, run); got != want || want == "" {
				t.Error("it scores otherwise than in its own run")
			}
		})
		t.Run(name+" predicts", func(t *testing.T) {
			to := filepath.Join(t.TempDir(), "masks")
			code, _, errOut := call("predict", "--checkpoint", run, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, picture)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			read(t, to, "eye_mask.png")
			read(t, to, "eye_probability.png")
		})
	}
	t.Run("the head is that of the fine run", func(t *testing.T) {
		weights := filepath.Join("checkpoints", "linear", "step-000001", "weights.safetensors")
		if string(read(t, dir, weights)) != string(read(t, linear, weights)) {
			t.Error("the same shots and settings gave two heads")
		}
	})
}

// TestLeaveOneOutStopping trains once without each shot and then on all of them.
func TestLeaveOneOutStopping(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	code, _, errOut := call(short(t, dir, "--set", "train.stopping=leave_one_out")...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var results struct {
		Training struct {
			Steps       int
			Validation  []string
			Train_cases []string
			LeftOut     *float64 `json:"left_out_dice"`
		}
	}
	if err := json.Unmarshal(read(t, dir, "results.json"), &results); err != nil {
		t.Fatal(err)
	}
	tr := results.Training
	if len(tr.Validation) != 0 || len(tr.Train_cases) != 3 || tr.LeftOut == nil || (tr.Steps != 6 && tr.Steps != 12) {
		t.Errorf("%+v: want all three shots trained on until a step at which the left-out ones were looked at", tr)
	}
	for _, fold := range []string{"without-1", "without-2", "without-3"} {
		if _, err := os.Stat(filepath.Join(dir, "train.plain."+fold+".jsonl")); err != nil {
			t.Error(err)
		}
	}
}

// TestDrawsOfTheSamePicturesAreOne fits the convex head on all 20 pictures twice: whatever the seed, these are the same.
func TestDrawsOfTheSamePicturesAreOne(t *testing.T) {
	t.Setenv("SAMTUNE_TEST_AS_MAIN", "1")
	dir := t.TempDir()
	args := head([]string{"sweep", "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", dir, "--decoders", "linear", "--shots", "1,20", "--seeds", "2", "--quiet"})
	if code, _, errOut := call(args...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	weights := func(pattern string) []byte {
		t.Helper()
		files, err := filepath.Glob(filepath.Join(dir, "runs", pattern, "checkpoints", "linear", "*", "weights.safetensors"))
		if err != nil || len(files) != 1 {
			t.Fatalf("%v: %v", files, err)
		}
		return read(t, files[0])
	}
	if !bytes.Equal(weights("*-20shot-seed1-*"), weights("*-20shot-seed2-*")) {
		t.Error("the same 20 pictures give two heads")
	}
	if bytes.Equal(weights("*-1shot-seed1-*"), weights("*-1shot-seed2-*")) {
		t.Error("two pictures give the same head")
	}
}

// TestCompare compares two benchmarks, of which one is absent, then again: the finished run is taken as it is. A file that is
// damaged fails its row alone.
func TestCompare(t *testing.T) {
	out, root := filepath.Join(t.TempDir(), "cmp"), t.TempDir()
	args := head([]string{"compare", "--benchmarks", "kvasir_seg,drive," + testkit.Eyes(t, shared, 6, 4), "--decoders", "linear,plain", "--weights", testkit.LiteMedSAM(t), "--cache", shared,
		"--out", out, "--shots", "30", "--data", root, "--set", "views.grid=1", "--set", "train.steps=6", "--prompts", "none,box"})
	for _, d := range []string{"images", "masks"} {
		if err := os.MkdirAll(filepath.Join(root, "Kvasir-SEG", d), 0o755); err != nil {
			t.Fatal(err)
		}
		for _, n := range []string{"a.jpg", "b.jpg"} {
			if err := os.WriteFile(filepath.Join(root, "Kvasir-SEG", d, n), []byte("no picture"), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	code, text, errOut := call(args...)
	if code != exitFailed || !strings.Contains(errOut, "1 of 2 runs failed") {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if !strings.Contains(text, "Generated eyes vessels") || !strings.Contains(text, "failed: ") || !strings.Contains(text, "1 row is absent") {
		t.Errorf("%s%s", errOut, text)
	}
	table, err := eval.ReadComparison(filepath.Join(out, "compare.json"))
	if err != nil {
		t.Fatal(err)
	}
	if len(table.Rows) != 3 {
		t.Fatalf("%d rows, want 3", len(table.Rows))
	}
	fits(t, "compare.schema.json", filepath.Join(out, "compare.json"))
	for i, want := range []string{"drive absent", "eyes ok", "kvasir_seg failed"} { // in the order of tasks
		if got := table.Rows[i].Benchmark + " " + table.Rows[i].Status; got != want {
			t.Errorf("row %d is %s, want %s", i, got, want)
		}
	}
	r := table.Rows[1]
	if r.PHolm != r.Paired.P || r.Shots != 6 || r.Training.Decoder != "linear" || len(r.Others) != 1 { // the only test of its table
		t.Errorf("p %v adjusted %v, %d shots, decoder %s beside %d", r.Paired.P, r.PHolm, r.Shots, r.Training.Decoder, len(r.Others))
	}
	results, err := eval.ReadResults(filepath.Join(out, r.Run, "results.json"))
	if err != nil || !reflect.DeepEqual(results.Paired, r.Paired) {
		t.Errorf("the row's run has another comparison: %v", err)
	}
	lines := strings.Split(strings.TrimSpace(string(read(t, out, "compare.csv"))), "\n")
	if len(lines) != 4 || !strings.HasPrefix(lines[1], "drive,vessels,retinal vessels,absent") {
		t.Errorf("compare.csv holds %q", lines)
	}
	page := string(read(t, out, "report.html"))
	if !strings.Contains(page, "register at") || strings.Count(page, `<image class="picture"`) != 1 {
		t.Error("the page does not say how to get DRIVE, or has no picture of the fundus")
	}
	read(t, out, "report.md")
	if _, _, again := call(args...); !strings.Contains(again, "finished run found") {
		t.Errorf("the second call says %s", again)
	}
	if code, _, errOut := call("compare", "--targets", "vesels"); code != exitUsage || !strings.Contains(errOut, "vesels") {
		t.Errorf("exit code %d: %s", code, errOut)
	}
}

func TestSettingsOfDecodersAreChecked(t *testing.T) {
	for set, says := range map[string]string{
		"decoder=fancy":             "fancy",
		`compare=["fancy"]`:         "fancy",
		"head.mirrors=z":            "head.mirrors",
		"head.scales=[2, 1]":        "scales",
		"head.scales=[]":            "scales",
		`head.features=["stage9"]`:  "stage9",
		"head.ridges=[]":            "ridges",
		"head.ridges=[0.0]":         "ridge",
		"head.pixels=5":             "pixels",
		"head.positive=0.0":         "positive",
		"head.threshold=1.5":        "threshold",
		"train.stopping=never":      "train.stopping",
		"train.loss.dice=-1.0":      "train.loss.dice",
		"eval.thickness=[3.0, 1.0]": "eval.thickness",
		"cache.budget_gb=-1.0":      "budget_gb",
	} {
		t.Run(set, func(t *testing.T) {
			args := short(t, filepath.Join(t.TempDir(), "run"))
			if strings.HasPrefix(set, "head.") {
				args = append(args, "--decoder", "linear")
			}
			code, _, errOut := call(append(args, "--set", set)...)
			if code != exitUsage || !strings.Contains(errOut, says) {
				t.Errorf("exit code %d: %s", code, errOut)
			}
		})
	}
	code, _, errOut := call("finetune", "--benchmark", "fundus", "--profile", "slow", "--weights", testkit.LiteMedSAM(t))
	if code != exitUsage || !strings.Contains(errOut, "slow") {
		t.Errorf("unknown profile: exit code %d: %s", code, errOut)
	}
}
