package main

import (
	"encoding/json"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gofrs/flock"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/experiment"
)

// written says what a run's folder is to hold.
type written struct {
	benchmark string
	shots     int
	decoder   string
	pixels    map[string]string // hashes of cases' pixels where these are not the usual ones
	dice      []float64         // after, of cases a, b, c and so on; empty: it is not finished
	finished  time.Time
}

// writeRun writes the folder that a run leaves, without pictures and weights.
func writeRun(t testing.TB, dir string, w written) string {
	t.Helper()
	must := func(err error) {
		t.Helper()
		if err != nil {
			t.Fatal(err)
		}
	}
	cfg := configs.Default()
	cfg.Benchmark, cfg.Target, cfg.Model, cfg.Shots, cfg.Decoder, cfg.Cache.Dir = w.benchmark, "lesion", "lite_medsam", w.shots, w.decoder, dir
	text, err := cfg.TOML()
	must(err)
	write(t, text, dir, "config.toml")
	write(t, nil, dir, ".lock")
	write(t, fmt.Appendf(nil, "hash = %q\nsamtune = \"1\"\nkind = \"finetune\"\ndata = \"\"\n", w.decoder), dir, "run.toml")
	split, err := data.DrawShots(&data.Benchmark{Name: w.benchmark, Pool: []data.Case{{ID: "t", Patient: "t"}}}, 1, 1)
	must(err)
	split.Target, split.Shots = "lesion", w.shots
	known := map[string]data.Entry{"t": {ID: "t", Patient: "t", ImageSHA256: "t"}}
	var before, after []eval.CaseResult
	for i, dice := range w.dice {
		id := string(rune('a' + i))
		split.Test = append(split.Test, data.Entry{ID: id, Patient: id})
		known[id] = data.Entry{ID: id, Patient: id, ImageSHA256: "i" + id + w.pixels[id], MaskSHA256: "m" + id, ValidSHA256: "v" + id}
		before = append(before, eval.CaseResult{Case: id, Method: "box", Scores: eval.Scores{TP: 1, Dice: 0.25}})
		after = append(after, eval.CaseResult{Case: id, Method: eval.MethodAfter, Scores: eval.Scores{TP: 1, Dice: eval.Float(dice), HD95: eval.Undefined}})
	}
	must(split.FillFrom(known))
	must(data.WriteSplit(filepath.Join(dir, "split.toml"), split))
	if len(w.dice) == 0 {
		write(t, []byte("{\"step\": 41, \"loss\": 1, \"lr\": 1}\n"), dir, "train.jsonl")
		return dir
	}
	paired, err := eval.Compare("box", before, after, 1)
	must(err)
	must(eval.WriteCasesFile(filepath.Join(dir, "per_case.csv"), append(before, after...)))
	must(eval.WriteResults(filepath.Join(dir, "results.json"), &eval.Results{
		Benchmark: w.benchmark, Title: w.benchmark, Target: "lesion", Model: "lite_medsam", Shots: w.shots, Seed: 1, Cases: len(w.dice), Device: "cpu", Threads: 2, Unit: "px",
		Before: map[string]*eval.Method{"box": eval.MethodOf("full-image box", false, before, 1)}, After: eval.MethodOf("fine-tuned "+w.decoder+" decoder", false, after, 1),
		Paired: paired, Training: eval.Training{Decoder: w.decoder}, Versions: map[string]string{"samtune": "1"}, Finished: w.finished,
	}))
	return dir
}

// someRuns writes a folder of runs: two finished ones, one of them of a sweep, an unfinished one, a damaged one, and what is no run.
func someRuns(t testing.TB) string {
	t.Helper()
	runs := t.TempDir()
	writeRun(t, filepath.Join(runs, "ph2-5shot"), written{benchmark: "ph2", shots: 5, decoder: "plain", dice: []float64{0.5, 0.7}, finished: time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)})
	writeRun(t, filepath.Join(runs, "sweep-ph2", "runs", "ph2-10shot"), written{benchmark: "ph2", shots: 10, decoder: "linear", dice: []float64{0.6, 0.9},
		finished: time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)})
	writeRun(t, filepath.Join(runs, "drive-1shot"), written{benchmark: "drive", shots: 1, decoder: "fine"})
	bad := writeRun(t, filepath.Join(runs, "bad"), written{benchmark: "acdc", shots: 3, decoder: "plain", dice: []float64{0.1}})
	write(t, []byte("{"), bad, "results.json")
	write(t, []byte("mine"), runs, "notes", "run.txt")
	return runs
}

// hold locks a run's folder as a process that works there does.
func hold(t testing.TB, dir string) *flock.Flock {
	t.Helper()
	l := flock.New(filepath.Join(dir, ".lock"))
	if ok, err := l.TryLock(); !ok || err != nil {
		t.Fatal(ok, err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

func TestRunsList(t *testing.T) {
	runs := someRuns(t)
	order := func(args ...string) string {
		t.Helper()
		code, out, errOut := call(append([]string{"runs", "list", "--json"}, args...)...)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		var found []experiment.Folder
		if err := json.Unmarshal([]byte(out), &found); err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, f := range found {
			names = append(names, filepath.Base(f.Dir)+":"+f.Status)
		}
		return strings.Join(names, " ")
	}
	for _, c := range []struct{ sort, want string }{
		{"shots", "drive-1shot:unfinished bad:damaged ph2-5shot:finished ph2-10shot:finished"},
		{"-after", "ph2-10shot:finished ph2-5shot:finished bad:damaged drive-1shot:unfinished"},
		{"benchmark,-shots", "bad:damaged drive-1shot:unfinished ph2-10shot:finished ph2-5shot:finished"},
	} {
		if got := order("--sort", c.sort, "--runs", runs); got != c.want {
			t.Errorf("by %s: %s, want %s", c.sort, got, c.want)
		}
	}
	if got := order(filepath.Join(runs, "sweep-ph2"), filepath.Join(runs, "drive-1shot"), "--sort", "run"); got != "drive-1shot:unfinished ph2-10shot:finished" {
		t.Errorf("of two folders: %s", got)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(runs, link); err != nil {
		t.Fatal(err)
	}
	if got := order("--runs", link, "--sort", "shots"); strings.Count(got, ":") != 4 {
		t.Errorf("behind a link: %s", got)
	}
	hold(t, filepath.Join(runs, "drive-1shot"))
	code, out, errOut := call("runs", "list", "--runs", runs, "--sort", "when")
	if code != 0 || errOut != "" {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, want := range []string{"RUN ", "drive-1shot ", " running ", "0.250   0.600  2026-03-01", "0.250   0.750  2026-03-02", "bad: read", "results.json"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if strings.Index(out, "ph2-5shot") > strings.Index(out, "ph2-10shot") {
		t.Errorf("the run that ended first does not come first:\n%s", out)
	}
	write(t, []byte("rule = 1\n"), runs, "ph2-5shot", "split.toml")
	if code, out, _ := call("runs", "list", filepath.Join(runs, "ph2-5shot")); code != 0 || !strings.Contains(out, " finished ") || !strings.Contains(out, "split.toml") {
		t.Errorf("a finished run of another version is finished: exit code %d: %s", code, out)
	}
	if code, _, errOut := call("runs", "list", "--runs", runs, "--sort", "-dice"); code != exitUsage || !strings.Contains(errOut, "after") {
		t.Errorf("a column that there is not: exit code %d: %s", code, errOut)
	}
	if code, out, _ := call("runs", "list", "--runs", t.TempDir()); code != 0 || !strings.Contains(out, "no runs in") {
		t.Errorf("none: exit code %d: %s", code, out)
	}
	if code, _, errOut := call("runs", "list", filepath.Join(runs, "nowhere")); code != exitFailed || !strings.Contains(errOut, "nowhere") {
		t.Errorf("no folder: exit code %d: %s", code, errOut)
	}
}

func TestRunsShow(t *testing.T) {
	runs := someRuns(t)
	for name, c := range map[string]struct {
		run  string
		code int
		says []string
	}{
		"finished by its name": {"ph2-5shot", 0, []string{"finished", "decoder    plain, 5 shots, seed 1", "0.250", "0.600", "results.json"}},
		"of a sweep":           {filepath.Join(runs, "sweep-ph2", "runs", "ph2-10shot"), 0, []string{"linear, 10 shots", "0.750"}},
		"unfinished":           {"drive-1shot", 0, []string{"unfinished", "training of the fine decoder is at step 41 of 150"}},
		"damaged":              {"bad", exitCorrupt, []string{"damaged", "results.json"}},
		"no run":               {"notes", exitFailed, []string{"not a run's folder", "samtune runs list"}},
		"nothing":              {"nowhere", exitFailed, []string{"nowhere", "samtune runs list"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call("runs", "show", c.run, "--runs", runs)
			if code != c.code {
				t.Errorf("exit code %d, want %d", code, c.code)
			}
			for _, says := range c.says {
				if !strings.Contains(out+errOut, says) {
					t.Errorf("it does not say %q:\n%s%s", says, out, errOut)
				}
			}
			if c.code == 0 && strings.Contains(out, "  weights ") {
				t.Errorf("settings that decide nothing are shown:\n%s", out)
			}
		})
	}
	var got struct {
		Status   string
		Settings []configs.Setting
		Results  *eval.Results
		Files    []experiment.Part
	}
	_, out, _ := call("runs", "show", "ph2-5shot", "--runs", runs, "--json")
	if err := json.Unmarshal([]byte(out), &got); err != nil || got.Status != "finished" || got.Results.Shots != 5 || len(got.Settings) < 30 || len(got.Files) != 5 {
		t.Errorf("%v: %s", err, out)
	}
}

// TestRunsDiff compares runs over four cases, of which the pixels of one are others in B.
func TestRunsDiff(t *testing.T) {
	runs := t.TempDir()
	a, b, c := filepath.Join(runs, "a"), filepath.Join(runs, "b"), filepath.Join(runs, "c")
	writeRun(t, a, written{benchmark: "ph2", shots: 5, decoder: "plain", dice: []float64{0.5, 0.6, 0.7, 0.1}})
	writeRun(t, b, written{benchmark: "ph2", shots: 10, decoder: "linear", dice: []float64{0.6, 0.5, 0.9, 0.8}, pixels: map[string]string{"d": "other"}})
	writeRun(t, c, written{benchmark: "ph2", shots: 10, decoder: "linear"})
	code, out, errOut := call("runs", "diff", a, b)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, want := range []string{"3 test cases are the same in both; 1 of A's are not in B, 1 of B's not in A", "shots             5             10", `"plain"       "linear"`,
		"fine-tuned plain decoder | fine-tuned linear decoder  0.600  0.667  +0.067", "2, 0, 1", "b     0.600  0.500  -0.100", "c     0.700  0.900  +0.200"} {
		if !strings.Contains(out, want) {
			t.Errorf("it does not say %q:\n%s", want, out)
		}
	}
	if strings.Contains(out, "cache.dir") || strings.Contains(out, "0.800") {
		t.Errorf("it compares folders, or cases with other pixels:\n%s", out)
	}
	var d experiment.Diff
	_, out, _ = call("runs", "diff", "a", "b", "--runs", runs, "--json")
	if err := json.Unmarshal([]byte(out), &d); err != nil {
		t.Fatal(err)
	}
	last := d.Results.Methods[len(d.Results.Methods)-1]
	if last.Method != eval.MethodAfter || last.Paired.N != 3 || math.Abs(float64(last.Paired.Difference)-0.2/3) > 1e-12 || last.Paired.P != 0.75 || d.Results.Pairs[0].Case != "b" {
		t.Errorf("%+v", last)
	}
	if code, out, _ := call("runs", "diff", a, a); code != 0 || !strings.Contains(out, "no setting differs") || !strings.Contains(out, "4 test cases") {
		t.Errorf("with itself: exit code %d: %s", code, out)
	}
	if code, out, _ := call("runs", "diff", a, c); code != 0 || !strings.Contains(out, "both runs are finished") || !strings.Contains(out, "shots") {
		t.Errorf("with an unfinished one: exit code %d: %s", code, out)
	}
	write(t, []byte("x"), c, "split.toml")
	if code, _, errOut := call("runs", "diff", a, c); code != exitCorrupt || !strings.Contains(errOut, "split.toml") {
		t.Errorf("with a damaged one: exit code %d: %s", code, errOut)
	}
}

func TestRunsRemove(t *testing.T) {
	for name, c := range map[string]struct {
		args []string // of which @ is the folder of runs
		held string
		code int
		says string
		left string // names of runs
	}{
		"one":                       {[]string{"ph2-5shot"}, "", 0, "1 run removed", "bad drive-1shot ph2-10shot"},
		"several":                   {[]string{"@/ph2-5shot", "bad", "drive-1shot"}, "", 0, "3 runs removed", "ph2-10shot"},
		"twice the same":            {[]string{"bad", "@/bad"}, "", 0, "1 run removed", "drive-1shot ph2-10shot ph2-5shot"},
		"of a sweep":                {[]string{"@/sweep-ph2/runs/ph2-10shot"}, "", 0, "1 run removed", "bad drive-1shot ph2-5shot"},
		"unfinished":                {[]string{"--unfinished"}, "", 0, "1 run removed", "bad ph2-10shot ph2-5shot"},
		"damaged":                   {[]string{"bad", "--unfinished"}, "", 0, "2 runs removed", "ph2-10shot ph2-5shot"},
		"dry":                       {[]string{"ph2-5shot", "--unfinished", "--dry-run"}, "", 0, "2 runs to be removed", "bad drive-1shot ph2-10shot ph2-5shot"},
		"held":                      {[]string{"bad", "ph2-5shot"}, "ph2-5shot", exitFailed, "in use", "bad drive-1shot ph2-10shot ph2-5shot"},
		"running is not unfinished": {[]string{"--unfinished"}, "drive-1shot", 0, "0 runs removed", "bad drive-1shot ph2-10shot ph2-5shot"},
		"no run":                    {[]string{"bad", "notes"}, "", exitFailed, "not a run's folder", "bad drive-1shot ph2-10shot ph2-5shot"},
		"a sweep":                   {[]string{"sweep-ph2"}, "", exitFailed, "not a run's folder", "bad drive-1shot ph2-10shot ph2-5shot"},
		"the folder of runs":        {[]string{"@"}, "", exitFailed, "not a run's folder", "bad drive-1shot ph2-10shot ph2-5shot"},
		"a link":                    {[]string{"link"}, "", exitFailed, "link", "bad drive-1shot ph2-10shot ph2-5shot"},
		"nothing":                   {nil, "", exitUsage, "--unfinished", "bad drive-1shot ph2-10shot ph2-5shot"},
	} {
		t.Run(name, func(t *testing.T) {
			runs := someRuns(t)
			if err := os.Symlink("ph2-5shot", filepath.Join(runs, "link")); err != nil {
				t.Fatal(err)
			}
			if c.held != "" {
				hold(t, filepath.Join(runs, c.held))
			}
			args := []string{"runs", "rm", "--runs", runs}
			for _, a := range c.args {
				args = append(args, strings.ReplaceAll(a, "@", runs))
			}
			code, out, errOut := call(args...)
			if code != c.code || !strings.Contains(out+errOut, c.says) {
				t.Errorf("exit code %d, want %d and %q: %s%s", code, c.code, c.says, out, errOut)
			}
			var left []string
			for _, name := range []string{"bad", "drive-1shot", "sweep-ph2/runs/ph2-10shot", "ph2-5shot"} {
				if exists(filepath.Join(runs, name)) {
					left = append(left, filepath.Base(name))
				}
			}
			if got := strings.Join(left, " "); got != c.left {
				t.Errorf("left: %s, want %s", got, c.left)
			}
			if !exists(filepath.Join(runs, "notes", "run.txt")) {
				t.Error("what is no run's is gone")
			}
		})
	}
}

// TestRemoveLeavesWhatIsNotTheRuns has a file of the user's own and another run's folder in a run's.
func TestRemoveLeavesWhatIsNotTheRuns(t *testing.T) {
	runs := someRuns(t)
	dir := filepath.Join(runs, "ph2-5shot")
	write(t, []byte("mine"), dir, "train-notes.txt")
	write(t, []byte("cut"), dir, ".report.html12345")
	inner := writeRun(t, filepath.Join(dir, "inner"), written{benchmark: "ph2", shots: 1, decoder: "plain"})
	code, out, errOut := call("runs", "rm", dir)
	if code != 0 || !strings.Contains(out, "train-notes.txt") || !strings.Contains(out, "inner") {
		t.Errorf("exit code %d: %s%s", code, out, errOut)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 || !exists(filepath.Join(inner, "run.toml")) {
		t.Errorf("left: %v, %v", entries, err)
	}
}
