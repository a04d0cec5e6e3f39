package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/internal/testkit"
)

// TestSweepSubmit looks at what is written and refused without a cluster; make test-slurm has one.
func TestSweepSubmit(t *testing.T) {
	root := t.TempDir()
	t.Setenv("SAMTUNE_DATA", root)
	dir := filepath.Join(root, "my sweep")
	weights := filepath.Join(root, "sam.pth")
	if err := os.Symlink(testkit.LiteMedSAM(t), weights); err != nil {
		t.Fatal(err)
	}
	cluster := filepath.Join(root, "cluster.toml")
	write(t, []byte("[engine.slurm]\npartition = 'gpu'\nretries = 1\n[engine.kubernetes]\nimage = 'samtune:1'\nclaim = 'lab'\nmount = '"+root+"'\n"), cluster)
	plan := []string{"sweep", "plan", "--shots", "1", "--seeds", "2", "--decoders", "plain", "--weights", weights, "--cache", root, "--out", dir, "--config", cluster, "--quiet"}
	if code, _, errOut := call(plan...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	t.Setenv("SAMTUNE_DATA", t.TempDir()) // the plan's folder counts
	submit := func(args ...string) (int, string, string) {
		return call(append([]string{"sweep", "submit", dir, "--cache", root}, args...)...)
	}

	code, out, errOut := submit("--engine", "slurm", "--dry-run", "--set", "engine.slurm.max_tasks=4")
	if want := "sbatch --parsable '" + dir + "/slurm/encode.sh'\nsbatch --parsable --dependency=afterany:JOBID '" + dir + "/slurm/train.sh'\n"; code != 0 || out != want {
		t.Errorf("exit code %d: %s%s, want\n%s", code, out, errOut, want)
	}
	script := string(read(t, dir, "slurm", "train.sh"))
	for _, want := range []string{"#SBATCH --array=0-1%4\n", "#SBATCH --partition=gpu\n", "-lt 1 ]", " sweep run '" + dir + "' --cache " + root + " --index \"$SLURM_ARRAY_TASK_ID\""} {
		if !strings.Contains(script, want) {
			t.Errorf("train.sh has no %q:\n%s", want, script)
		}
	}

	t.Setenv("SAMTUNE_LAUNCHER", "/lab/bundle/samtune")
	submit("--engine", "slurm", "--dry-run")
	if script := string(read(t, dir, "slurm", "train.sh")); !strings.Contains(script, "\n/lab/bundle/samtune sweep run ") {
		t.Errorf("train.sh does not start the bundle's script, which finds libtorch:\n%s", script)
	}

	code, out, errOut = submit("--engine", "kubernetes")
	manifests := "'" + dir + "/kubernetes"
	if code != 0 || !strings.Contains(out, "kubectl apply -f "+manifests+"/encode.yaml'\nkubectl wait ") || !strings.HasSuffix(out, "kubectl apply -f "+manifests+"/train.yaml'\n") {
		t.Errorf("exit code %d: %s%s, want kubectl's commands, the wait between them", code, out, errOut)
	}
	if text := string(read(t, dir, "kubernetes", "train.yaml")); !strings.Contains(text, "exec samtune sweep run '"+dir+"' --cache "+root+" --index") || !strings.Contains(text, "completions: 2\n") {
		t.Errorf("train.yaml does not start the two runs:\n%s", text)
	}

	for name, c := range map[string]struct {
		args []string
		want string
	}{
		"no engine":        {nil, "want slurm or kubernetes"},
		"another setting":  {[]string{"--engine", "slurm", "--set", "train.steps=3"}, "only engine.slurm and engine.kubernetes"},
		"a key misspelled": {[]string{"--engine", "slurm", "--set", "engine.slurm.partion=x"}, "did you mean"},
		"cache not shared": {[]string{"--engine", "kubernetes", "--set", "engine.kubernetes.mount=" + dir}, "is not below engine.kubernetes.mount"},
	} {
		if code, _, errOut := submit(c.args...); code != exitUsage || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit code %d: %s, want %d and %q", name, code, errOut, exitUsage, c.want)
		}
	}
}
