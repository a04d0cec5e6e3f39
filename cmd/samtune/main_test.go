package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"samtune/internal/testkit"
)

// TestMain lets the test's own binary stand in for samtune, so that it can be killed.
func TestMain(m *testing.M) {
	if os.Getenv("SAMTUNE_TEST_AS_MAIN") != "" {
		main()
	}
	code := m.Run()
	if shared != "" {
		os.RemoveAll(shared)
	}
	os.Exit(code)
}

// call runs a command line in this process.
func call(args ...string) (code int, out, errOut string) {
	var o, e bytes.Buffer
	code = run(args, &o, &e)
	return code, o.String(), e.String()
}

// shared is the cache of features that all tests of this package use.
var shared string

// short are the arguments of a run on ten generated pictures, four of them tested, that takes seconds once its features are cached.
func short(t testing.TB, dir string, more ...string) []string {
	t.Helper()
	if shared == "" {
		var err error
		if shared, err = os.MkdirTemp("", "samtune-test-cache-"); err != nil {
			t.Fatal(err)
		}
	}
	return append([]string{
		"finetune", "--weights", testkit.LiteMedSAM(t), "--benchmark", testkit.Eyes(t, shared, 6, 4), "--cache", shared, "--out", dir, "--shots", "3", "--decoder", "plain", "--compare", "none",
		"--set", "views.grid=1", "--set", "train.steps=12", "--set", "train.checkpoint_every=2", "--set", "train.validate_every=6", "--set", `eval.prompts=["box"]`,
	}, more...)
}

func read(t testing.TB, path ...string) []byte {
	t.Helper()
	b, err := os.ReadFile(filepath.Join(path...))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestFinetuneEndToEnd(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "my run")
	code, out, errOut := call(short(t, dir)...)
	if code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, name := range []string{"report.html", "report.md", "results.json", "per_case.csv", "split.toml", "config.toml", "train.jsonl", "checkpoints", "overlays"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	fits(t, "results.schema.json", filepath.Join(dir, "results.json"))
	manifests, err := filepath.Glob(filepath.Join(dir, "checkpoints", "plain", "*", "MANIFEST.json"))
	if err != nil || len(manifests) == 0 {
		t.Fatalf("no checkpoints: %v", err)
	}
	for _, m := range manifests {
		fits(t, "manifest.schema.json", m)
	}
	var results map[string]any
	if err := json.Unmarshal(read(t, dir, "results.json"), &results); err != nil {
		t.Fatal(err)
	}
	for _, key := range []string{"benchmark", "target", "model", "weights_sha256", "shots", "seed", "cases", "before.box.dice.mean", "before.box.dice.ci95",
		"after.dice.mean", "after.dice.ci95", "paired.difference", "paired.ci95", "paired.p", "trivial.dice", "seconds.setup", "seconds.encode",
		"seconds.train", "seconds.evaluate", "peak_rss_mb", "encoded_images"} {
		var at any = results
		for _, part := range strings.Split(key, ".") {
			m, ok := at.(map[string]any)
			if !ok || m[part] == nil {
				t.Errorf("results.json has no %s", key)
				break
			}
			at = m[part]
		}
	}
	if results["cases"] != 4.0 || results["shots"] != 3.0 {
		t.Errorf("%v cases and %v shots, want 4 and 3", results["cases"], results["shots"])
	}

	t.Run("again it is found", func(t *testing.T) {
		before := read(t, dir, "results.json")
		code, again, errOut := call(short(t, dir)...)
		if code != 0 || !strings.Contains(errOut, "finished run found") || again != out {
			t.Errorf("exit code %d, %q: want the same table and a word that it was found", code, errOut)
		}
		if !bytes.Equal(before, read(t, dir, "results.json")) {
			t.Error("the results were written again")
		}
	})
	t.Run("repeated it is the same", func(t *testing.T) {
		before := read(t, dir, "per_case.csv")
		if code, _, errOut := call(short(t, dir, "--again", "--quiet")...); code != 0 || errOut != "" {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		if !bytes.Equal(before, read(t, dir, "per_case.csv")) {
			t.Error("the scores differ")
		}
	})
	t.Run("other settings do not mix in", func(t *testing.T) {
		code, _, errOut := call(short(t, dir, "--seed", "2")...)
		if code != exitFailed || !strings.Contains(errOut, "another run") || !strings.Contains(errOut, "--out") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("report", func(t *testing.T) {
		_, table, _ := call(short(t, dir)...) // the run is found
		code, again, errOut := call("report", dir)
		if code != 0 || again != table {
			t.Errorf("exit code %d, %s: want the run's table", code, errOut)
		}
	})
	t.Run("evaluate", func(t *testing.T) {
		to := t.TempDir()
		code, _, errOut := call("evaluate", "--checkpoint", dir, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, "--quiet")
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		after := func(dir string) string {
			var lines []string
			for _, l := range strings.Split(string(read(t, dir, "per_case.csv")), "\n") {
				if strings.Contains(l, "after") {
					lines = append(lines, l)
				}
			}
			return strings.Join(lines, "\n")
		}
		if got, want := after(to), after(dir); got != want || want == "" {
			t.Error("the fine-tuned weights score otherwise than in their own run")
		}
	})
	t.Run("predict", func(t *testing.T) {
		to := filepath.Join(t.TempDir(), "masks")
		picture := filepath.Join(t.TempDir(), "eye.png")
		img := image.NewRGBA(image.Rect(0, 0, 90, 70))
		for i := range img.Pix {
			img.Pix[i] = uint8(i * 37)
		}
		writePNG(t, picture, img)
		code, _, errOut := call("predict", "--checkpoint", dir, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, picture)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		mask, err := png.Decode(bytes.NewReader(read(t, to, "eye_mask.png")))
		if err != nil {
			t.Fatal(err)
		}
		probability, err := png.Decode(bytes.NewReader(read(t, to, "eye_probability.png")))
		if err != nil {
			t.Fatal(err)
		}
		if mask.Bounds() != img.Bounds() {
			t.Fatalf("the mask is %v, want %v", mask.Bounds(), img.Bounds())
		}
		for y := range 70 {
			for x := range 90 {
				m, p := mask.(*image.Gray).GrayAt(x, y).Y, probability.(*image.Gray).GrayAt(x, y).Y
				if (m != 0 && m != 255) || (m == 255) != (p > 127) && p != 127 && p != 128 {
					t.Fatalf("pixel %d, %d: mask %d, probability %d", x, y, m, p)
				}
			}
		}
	})
	t.Run("a changed split is refused", func(t *testing.T) {
		path := filepath.Join(dir, "split.toml")
		old := read(t, path)
		defer write(t, old, path)
		write(t, bytes.Replace(old, []byte("seed = 1"), []byte("seed = 1\nsead = 2"), 1), path)
		code, _, errOut := call(short(t, dir)...)
		if code != exitData || !strings.Contains(errOut, "split.toml") || !strings.Contains(errOut, "not as it was written") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("no checkpoint", func(t *testing.T) {
		code, _, errOut := call("predict", "--checkpoint", t.TempDir(), "x.png")
		if code == 0 || !strings.Contains(errOut, "not a run's folder") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
}

func writePNG(t testing.TB, path string, img image.Image) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, b.Bytes(), 0o644); err != nil {
		t.Fatal(err)
	}
}

// child starts samtune as a process of its own.
func child(t testing.TB, args ...string) (*exec.Cmd, *bytes.Buffer) {
	t.Helper()
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	c := exec.Command(self, args...)
	for _, v := range os.Environ() {
		if !strings.HasPrefix(v, "OMP_WAIT_POLICY=") {
			c.Env = append(c.Env, v)
		}
	}
	c.Env = append(c.Env, "SAMTUNE_TEST_AS_MAIN=1")
	var errOut bytes.Buffer
	c.Stderr = &errOut
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	return c, &errOut
}

// waitFor waits until a file is there; the process may end before.
func waitFor(t testing.TB, path string) {
	t.Helper()
	waitUntil(t, path+" is there", func() bool {
		_, err := os.Stat(path)
		return err == nil
	})
}

// waitUntil looks every few milliseconds whether something holds, and fails the test where it does not within two minutes.
func waitUntil(t testing.TB, what string, holds func() bool) {
	t.Helper()
	for end := time.Now().Add(2 * time.Minute); time.Now().Before(end); time.Sleep(5 * time.Millisecond) {
		if holds() {
			return
		}
	}
	t.Fatalf("two minutes have passed, and still not: %s", what)
}

func TestKilledRunGoesOnToTheSameBytes(t *testing.T) {
	whole, killed := t.TempDir(), t.TempDir()
	if code, _, errOut := call(short(t, whole)...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, step := range []string{"step-000002", "step-000008"} {
		c, _ := child(t, short(t, killed)...)
		waitFor(t, filepath.Join(killed, "checkpoints", "plain", step))
		if err := c.Process.Signal(syscall.SIGSTOP); err != nil {
			t.Fatal(err)
		}
		code, _, errOut := call(short(t, killed)...)
		if owner := fmt.Sprintf("process %d on ", c.Process.Pid); code != exitFailed || !strings.Contains(errOut, owner) || !strings.Contains(errOut, killed) {
			t.Errorf("a second process on the folder: exit code %d, %q: want it refused with %q", code, errOut, owner)
		}
		if err := c.Process.Kill(); err != nil {
			t.Fatal(err)
		}
		_ = c.Wait() // it was killed
		if _, err := os.Stat(filepath.Join(killed, "results.json")); err == nil {
			t.Fatal("it was finished before it was killed")
		}
	}
	code, _, errOut := call(short(t, killed)...)
	if code != 0 || !strings.Contains(errOut, "resumed at step") {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	for _, name := range []string{"per_case.csv", "train.jsonl", "split.toml", "config.toml",
		"checkpoints/plain/step-000012/weights.safetensors", "checkpoints/plain/step-000012/optim.safetensors", "checkpoints/plain/step-000012/MANIFEST.json",
		"events/events.out.tfevents.0000000001.samtune", "events/plain/events.out.tfevents.0000000000.samtune", "events/plain/events.out.tfevents.0000000001.samtune"} {
		if !bytes.Equal(read(t, killed, name), read(t, whole, name)) {
			t.Errorf("%s differs from that of a run that was not killed", name)
		}
	}
}

func TestInterruptLeavesACheckpoint(t *testing.T) {
	dir := t.TempDir()
	args := append(short(t, dir), "--set", "train.steps=400", "--set", "train.checkpoint_every=400")
	c, errOut := child(t, args...)
	waitFor(t, filepath.Join(dir, "train.jsonl"))
	for len(read(t, dir, "train.jsonl")) == 0 {
		time.Sleep(10 * time.Millisecond)
	}
	if environ := read(t, "/proc", fmt.Sprint(c.Process.Pid), "environ"); !bytes.Contains(environ, []byte("OMP_WAIT_POLICY=passive\x00")) {
		t.Error("OMP_WAIT_POLICY=passive is not in force in a process that was started without it")
	}
	if err := c.Process.Signal(syscall.SIGINT); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // its code is looked at
	if code := c.ProcessState.ExitCode(); code != exitInterrupted {
		t.Errorf("exit code %d: %s", code, errOut)
	}
	if !strings.Contains(errOut.String(), "with a checkpoint") {
		t.Errorf("it says %q, want that there is a checkpoint", errOut)
	}
	if found, _ := filepath.Glob(filepath.Join(dir, "checkpoints", "plain", "step-*", "MANIFEST.json")); len(found) != 1 {
		t.Errorf("%d checkpoints, want 1", len(found))
	}
}

func TestFullDiskOfTheCacheIsSaid(t *testing.T) {
	disk := t.TempDir()
	if err := syscall.Mount("tmpfs", disk, "tmpfs", 0, "size=5m"); err != nil {
		t.Skip("a small disk can be made by root alone: ", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(disk, 0); err != nil {
			t.Error(err)
		}
	})
	dir := t.TempDir()
	args := short(t, dir)
	for i, a := range args {
		if a == "--cache" {
			args[i+1] = disk
		}
	}
	code, _, errOut := call(args...)
	if code != exitFailed || !strings.Contains(errOut, "no space left") || !strings.Contains(errOut, disk) || !strings.Contains(errOut, "--cache") {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	kept, err := filepath.Glob(filepath.Join(disk, "features", "*", "*.safetensors"))
	if err != nil || len(kept) != 2 {
		t.Errorf("%d cached features are left whole, want 2 (%v)", len(kept), err)
	}
	if half, _ := filepath.Glob(filepath.Join(disk, "features", "*", ".*")); len(half) != 0 {
		t.Errorf("half-written files are left: %v", half)
	}
	if code, _, errOut := call(short(t, dir)...); code != 0 {
		t.Errorf("with another cache: exit code %d: %s", code, errOut)
	}
}

func TestCommandLineCanBeTypedAgain(t *testing.T) {
	for want, args := range map[string][]string{
		"samtune finetune --shots 5":           {"finetune", "--shots", "5"},
		`samtune --out '/my runs/a' --set a=1`: {"--out", "/my runs/a", "--set", "a=1"},
		`samtune --set 'eval.prompts=["box"]'`: {"--set", `eval.prompts=["box"]`},
		`samtune 'it'\''s' ''`:                 {"it's", ""},
	} {
		if got := commandLine(args); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

func TestZeroShotAlone(t *testing.T) {
	dir := t.TempDir()
	code, out, errOut := call("zeroshot", "--weights", testkit.LiteMedSAM(t), "--cache", cacheOf(t), "--out", dir, "--set", `eval.prompts=["box","none"]`)
	if code != 0 || !strings.Contains(out, "full-image box") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	if _, err := os.Stat(filepath.Join(dir, "report.html")); err != nil {
		t.Error(err)
	}
}

func cacheOf(t testing.TB) string {
	short(t, "")
	return shared
}

func TestListings(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says []string
	}{
		"data list":      {[]string{"data", "list", "--data", ""}, []string{"drive", "fundus", "not here", "20 + 12 cases"}},
		"data show":      {[]string{"data", "show", "drive"}, []string{"Staal", "21_training.tif"}},
		"data check":     {[]string{"data", "check", "fundus"}, []string{"generated pictures read in", "0 problems"}},
		"weights list":   {[]string{"weights", "list"}, []string{"lite_medsam", "79d8c9dca6db"}},
		"weights show":   {[]string{"weights", "show", "../../testdata/parity/tiny_sam.pth"}, []string{"iou_token.weight", "[1 32] F32"}},
		"weights verify": {[]string{"weights", "verify", testkit.LiteMedSAM(t)}, []string{"435 tensors", "LiteMedSAM", "the released weights"}},
		"help":           {[]string{"finetune", "--help"}, []string{"--shots", "Examples:"}},
	} {
		t.Run(name, func(t *testing.T) {
			code, out, errOut := call(c.args...)
			if code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			for _, want := range c.says {
				if !strings.Contains(out, want) {
					t.Errorf("it does not say %q: %s", want, out)
				}
			}
		})
	}
}
