package main

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"samtune/internal/testkit"
	"samtune/sweep"
)

// shortSweep are the arguments of a sweep of runs that take seconds: two of SAM's decoder, and two of the convex head together.
func shortSweep(t testing.TB, dir string) []string {
	short(t, dir) // makes the cache that is shared
	return []string{
		"sweep", "--weights", testkit.LiteMedSAM(t), "--benchmark", testkit.Eyes(t, shared, 6, 4), "--cache", shared, "--out", dir, "--decoders", "plain,linear", "--shots", "1,3", "--seeds", "1",
		"--set", "views.grid=1", "--set", "head.scales=[1]", "--set", "head.mirrors=none", "--set", "head.pixels=2000", "--set", "train.steps=6", "--set", "train.checkpoint_every=2", "--set", `eval.prompts=["box"]`,
	}
}

// resultFiles are the files of a sweep's runs that hold results and no times, by their place in the sweep's folder.
func resultFiles(t testing.TB, dir string) map[string][]byte {
	t.Helper()
	out := map[string][]byte{}
	err := filepath.WalkDir(filepath.Join(dir, sweep.RunsDir), func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if slices.Contains([]string{"per_case.csv", "split.toml", "weights.safetensors"}, d.Name()) {
			rel, err := filepath.Rel(dir, path)
			if err != nil {
				return err
			}
			out[rel] = read(t, path)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func sameFiles(t testing.TB, got, want map[string][]byte) {
	t.Helper()
	if len(got) != len(want) || len(want) == 0 {
		t.Errorf("%d files of results, want %d", len(got), len(want))
	}
	for name := range got {
		if _, ok := want[name]; !ok {
			t.Errorf("there should be no %s", name)
		}
	}
	for name, b := range want {
		if !bytes.Equal(got[name], b) {
			t.Errorf("%s differs", name)
		}
	}
}

// TestSweep works through a sweep in one go, and another that is killed again and again, and by tasks as on a cluster.
func TestSweep(t *testing.T) {
	t.Setenv("SAMTUNE_TEST_AS_MAIN", "1")
	whole := filepath.Join(t.TempDir(), "a sweep")
	if code, _, errOut := call(shortSweep(t, whole)...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	var status struct {
		Done int
		Rows []struct{ Hash, Dir, Status string }
	}
	code, out, errOut := call("sweep", "status", whole, "--json")
	if err := json.Unmarshal([]byte(out), &status); err != nil || code != 0 || status.Done != 4 || len(status.Rows) != 4 {
		t.Fatalf("exit code %d, %v: %s%s", code, err, out, errOut)
	}
	for _, r := range status.Rows {
		if own := string(read(t, whole, r.Dir, "run.toml")); !strings.Contains(own, r.Hash) || !strings.HasSuffix(r.Dir, r.Hash[:12]) {
			t.Errorf("the plan says %s of %s, its run %s", r.Hash, r.Dir, own)
		}
	}
	want := resultFiles(t, whole)
	fits(t, "sweep.schema.json", filepath.Join(whole, "sweep.json"))

	t.Run("again nothing is done", func(t *testing.T) {
		before := read(t, whole, status.Rows[0].Dir, "results.json")
		code, _, errOut := call(shortSweep(t, whole)...)
		if code != 0 || !strings.Contains(errOut, "all 4 runs are done") || !bytes.Equal(before, read(t, whole, status.Rows[0].Dir, "results.json")) {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("one of those fitted together is done again", func(t *testing.T) {
		dir := filepath.Join(whole, status.Rows[3].Dir)
		for _, name := range []string{"results.json", "per_case.csv"} {
			if err := os.Remove(filepath.Join(dir, name)); err != nil {
				t.Fatal(err)
			}
		}
		if code, _, errOut := call("sweep", "run", whole, "--index", "3"); code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		sameFiles(t, resultFiles(t, whole), want)
	})
	t.Run("killed and started again", func(t *testing.T) {
		dir := t.TempDir()
		for after := 400 * time.Millisecond; ; after += 600 * time.Millisecond {
			c := exec.Command(os.Args[0], shortSweep(t, dir)...)
			c.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
			if err := c.Start(); err != nil {
				t.Fatal(err)
			}
			timer := time.AfterFunc(after, func() { _ = syscall.Kill(-c.Process.Pid, syscall.SIGKILL) })
			err := c.Wait()
			timer.Stop()
			if err == nil {
				break
			}
			if after > 2*time.Minute {
				t.Fatal("it never ends")
			}
			if after > 3*time.Second {
				after *= 2
			}
		}
		sameFiles(t, resultFiles(t, dir), want)
	})
	t.Run("by tasks", func(t *testing.T) {
		dir := t.TempDir()
		args := shortSweep(t, dir)
		code, _, errOut := call(append([]string{"sweep", "plan"}, args[1:]...)...)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		for _, index := range []string{"3", "1", "0"} { // 2 is fitted together with 3
			if code, _, errOut := call("sweep", "run", dir, "--index", index); code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
		}
		sameFiles(t, resultFiles(t, dir), want)
		t.Setenv("SLURM_ARRAY_TASK_ID", "2")
		if code, _, errOut := call("sweep", "run", dir); code != 0 {
			t.Errorf("what is done already: exit code %d: %s", code, errOut)
		}
		t.Setenv("SLURM_ARRAY_TASK_ID", "9")
		if code, _, errOut := call("sweep", "run", dir); code != exitUsage || !strings.Contains(errOut, "there is no run 9") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("a run that fails", func(t *testing.T) {
		dir := t.TempDir()
		args := shortSweep(t, dir)
		if code, _, errOut := call(append([]string{"sweep", "plan"}, args[1:]...)...); code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		inTheWay := filepath.Join(dir, status.Rows[0].Dir)
		if err := os.MkdirAll(filepath.Dir(inTheWay), 0o755); err != nil {
			t.Fatal(err)
		}
		write(t, []byte("a file where a folder should be"), inTheWay)
		code, _, errOut := call("sweep", "run", dir)
		if code != exitFailed || !strings.Contains(errOut, "1 of 3 tasks failed") || !strings.Contains(errOut, inTheWay) {
			t.Errorf("exit code %d: %s", code, errOut)
		}
		if _, out, _ := call("sweep", "status", dir); !strings.Contains(out, "3 done, 0 running, 1 failed, 0 left") || !strings.Contains(out, inTheWay) {
			t.Errorf("status: %s", out)
		}
		if err := os.Remove(inTheWay); err != nil {
			t.Fatal(err)
		}
		if code, _, errOut := call("sweep", "run", dir); code != 0 {
			t.Errorf("exit code %d: %s", code, errOut)
		}
		sameFiles(t, resultFiles(t, dir), want)
	})
}

func TestSweepRefuses(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"no plan":            {[]string{"run", "nowhere"}, exitFailed, "nowhere"},
		"jobs below 0":       {[]string{"--jobs", "-1"}, exitUsage, "--jobs is -1"},
		"jobs of run":        {[]string{"run", "x", "--jobs", "-1"}, exitUsage, "--jobs is -1"},
		"no seeds":           {[]string{"--seeds", "0"}, exitUsage, "--seeds"},
		"a million seeds":    {[]string{"--seeds", "1000000"}, exitUsage, "--seeds is 1000000, want 1 to 1000"},
		"shots of 0":         {[]string{"--shots", "0"}, exitUsage, "shots is 0"},
		"too many shots":     {[]string{"--shots", "500"}, exitUsage, "nothing to run"},
		"the same twice":     {[]string{"--shots", "3,3"}, exitUsage, "same run"},
		"unknown benchmark":  {[]string{"--benchmark", "drvie"}, exitUsage, "drive"},
		"unknown decoder":    {[]string{"--decoders", "big"}, exitUsage, "big"},
		"no jobs":            {[]string{"run", "x", "--jobs", "0"}, exitFailed, "x"},
		"an unknown setting": {[]string{"--set", "foo=1"}, exitUsage, "foo"},
	} {
		t.Run(name, func(t *testing.T) {
			args := append(append([]string{"sweep"}, c.args...), "--cache", t.TempDir())
			if c.args[0] != "run" {
				args = append(args, "--weights", testkit.LiteMedSAM(t), "--out", t.TempDir())
			}
			if code, _, errOut := call(args...); code != c.code || !strings.Contains(errOut, c.want) {
				t.Errorf("exit code %d, want %d: %s", code, c.code, errOut)
			}
		})
	}
}
