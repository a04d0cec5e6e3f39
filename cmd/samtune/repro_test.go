package main

import (
	"bytes"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/checkpoints"
	"samtune/eval"
	"samtune/internal/testkit"
)

// TestRepeatedRun repeats a run of two decoders, is killed on the way and goes on; then what differs is found, whatever it is.
func TestRepeatedRun(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if code, _, errOut := call(head(short(t, dir, "--decoder", "linear", "--compare", "plain"))...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	checkEvents(t, dir)
	repeat := dir + "-repro"
	c, _ := child(t, "repro", dir)
	waitFor(t, filepath.Join(repeat, "checkpoints", "plain", "step-000004"))
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	code, _, errOut := call("repro", repeat)
	if code != exitFailed || !strings.Contains(errOut, "is not finished") {
		t.Errorf("a run that was killed: exit code %d: %s", code, errOut)
	}
	code, out, errOut := call("repro", dir)
	if code != 0 || !strings.Contains(errOut, "resumed at step") || !strings.Contains(out, "The bytes agree: all 11 files") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	if code, again, errOut := call("repro", dir); code != 0 || !strings.Contains(errOut, "finished repeat found") || again != out {
		t.Errorf("again: exit code %d: %s%s", code, again, errOut)
	}
	t.Run("what differs is named", func(t *testing.T) {
		changes := map[string]struct {
			change func(b []byte) []byte // nil: the file is removed
			says   string
		}{
			"per_case.csv": {func(b []byte) []byte {
				rows, err := eval.ReadCases(bytes.NewReader(b))
				if err != nil {
					t.Fatal(err)
				}
				rows[len(rows)-1].Dice += 0.25
				var out bytes.Buffer
				if err := eval.WriteCases(&out, rows); err != nil {
					t.Fatal(err)
				}
				return out.Bytes()
			}, "largest difference in Dice 0.25 (plain, case eye10)"},
			"checkpoints/plain/step-000012/weights.safetensors":  {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "tensors differ)"},
			"checkpoints/linear/step-000001/weights.safetensors": {func(b []byte) []byte { b[len(b)-1] ^= 1; return b }, "head."},
			"train.plain.jsonl": {replace(`"step":2`, `"step":3`), `line 2 is "{\"step\":3`},
			"results.json":      {replace(`"wins": 4`, `"wins": 3`), `wins is "3" and "4"`},
			"events/plain/events.out.tfevents.0000000000.samtune":  {func(b []byte) []byte { b[200] ^= 1; return b }, "fails its checksum"},
			"events/linear/events.out.tfevents.0000000001.samtune": {nil, "it is in the repeat alone"},
		}
		for file, c := range changes {
			path := filepath.Join(dir, filepath.FromSlash(file))
			old := read(t, path)
			defer write(t, old, path)
			if c.change == nil {
				if err := os.Remove(path); err != nil {
					t.Fatal(err)
				}
				continue
			}
			changed := c.change(bytes.Clone(old))
			if bytes.Equal(changed, old) {
				t.Fatalf("nothing was changed in %s", file)
			}
			write(t, changed, path)
		}
		code, out, errOut := call("repro", dir)
		if code != exitFailed || !strings.Contains(errOut, "of 11 files 7 do not have the bytes") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
		for line := range strings.Lines(out) {
			file, verdict, _ := strings.Cut(line, " ")
			verdict = strings.TrimSpace(verdict)
			if c, changed := changes[file]; changed && !(strings.HasPrefix(verdict, "differs: ") && strings.Contains(verdict, c.says)) || !changed && verdict != "equal" {
				t.Errorf("%s %s, want %q", file, verdict, c.says)
			}
		}
	})
	t.Run("other settings", func(t *testing.T) {
		path := filepath.Join(dir, "config.toml")
		old := read(t, path)
		defer write(t, old, path)
		write(t, replace("weight_decay = 0.01", "weight_decay = 0.02")(old), path)
		if code, _, errOut := call("repro", dir); code != exitData || !strings.Contains(errOut, "the settings in config.toml") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("no record", func(t *testing.T) {
		path := filepath.Join(dir, "run.toml")
		old := read(t, path)
		defer write(t, old, path)
		write(t, replace(`kind = "finetune"`, "")(old), path)
		if code, _, errOut := call("repro", dir); code != exitFailed || !strings.Contains(errOut, "does not say what kind of run it is") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("its own folder", func(t *testing.T) {
		if code, _, errOut := call("repro", dir, "--out", dir+"/."); code != exitFailed || !strings.Contains(errOut, "its own folder") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("no run", func(t *testing.T) {
		if code, _, errOut := call("repro", t.TempDir()); code != exitFailed || !strings.Contains(errOut, "not a run's folder") {
			t.Errorf("exit code %d: %s", code, errOut)
		}
	})
	t.Run("an evaluation", func(t *testing.T) {
		tested := filepath.Join(t.TempDir(), "tested")
		if code, _, errOut := call("evaluate", "--checkpoint", dir, "--cache", shared, "--out", tested, "--quiet"); code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		if code, out, errOut := call("repro", tested, "--quiet"); code != 0 || !strings.Contains(out, "The bytes agree: all 6 files") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
	})
}

func replace(old, now string) func(b []byte) []byte {
	return func(b []byte) []byte { return bytes.Replace(b, []byte(old), []byte(now), 1) }
}

// TestRepeatIsOfTheSameDataAndWeights changes a picture and the model's weights between a run and its repeat.
func TestRepeatIsOfTheSameDataAndWeights(t *testing.T) {
	root, weights, dir := fakeDRIVE(t), filepath.Join(t.TempDir(), "my.pth"), filepath.Join(t.TempDir(), "run")
	write(t, read(t, testkit.LiteMedSAM(t)), weights)
	args := []string{"zeroshot", "--benchmark", "drive", "--set", "shots=3", "--data", root, "--weights", weights, "--cache", cacheOf(t), "--out", dir, "--set", `eval.prompts=["box"]`}
	if code, _, errOut := call(args...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	if code, out, errOut := call("repro", dir, "--data", root); code != 0 || !strings.Contains(out, "The bytes agree") { // the data's folder is in the record as well
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	t.Run("a picture", func(t *testing.T) {
		path := filepath.Join(root, "DRIVE", "test", "images", "02_test.tif")
		old := read(t, path)
		defer write(t, old, path)
		write(t, read(t, root, "DRIVE", "test", "images", "01_test.tif"), path)
		if code, out, errOut := call("repro", dir); code != exitData || out != "" || !strings.Contains(errOut, "02") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
		changed := bytes.Clone(old)
		changed[len(changed)/2] ^= 1
		write(t, changed, path)
		if code, out, errOut := call("repro", dir); code != exitData || out != "" || !strings.Contains(errOut, "02: of the test case the pixels of the picture have changed") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
	})
	t.Run("a weight", func(t *testing.T) {
		file, err := checkpoints.Open(weights)
		if err != nil {
			t.Fatal(err)
		}
		defer file.Close()
		var tensors []checkpoints.Tensor
		for _, name := range file.Names() {
			info, _ := file.Info(name)
			b, err := file.Bytes(name)
			if err != nil {
				t.Fatal(err)
			}
			tensors = append(tensors, checkpoints.Tensor{Info: info, Data: b})
		}
		tensors[0].Data[0] ^= 1
		if err := checkpoints.WritePTH(weights, tensors); err != nil {
			t.Fatal(err)
		}
		if code, out, errOut := call("repro", dir); code != exitData || out != "" || !strings.Contains(errOut, "my.pth") || !strings.Contains(errOut, "SHA-256") {
			t.Errorf("exit code %d: %s%s", code, out, errOut)
		}
	})
}
