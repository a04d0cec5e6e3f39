package main

import (
	"bytes"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"samtune/eval"
	"samtune/internal/tfevents"
	"samtune/train"
)

// events reads a run's event file.
func events(t testing.TB, dir string, path ...string) []tfevents.Event {
	t.Helper()
	out, err := tfevents.Read(filepath.Join(append([]string{dir, "events"}, path...)...))
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// checkEvents compares the event files of a run of the decoders linear, its own, and plain with what it wrote elsewhere. With
// SAMTUNE_TEST_TENSORBOARD, a Python that has the tensorboard package, that package reads them too.
func checkEvents(t *testing.T, dir string) {
	t.Helper()
	results, err := eval.ReadResults(filepath.Join(dir, "results.json"))
	if err != nil {
		t.Fatal(err)
	}
	t.Run("events of the training", func(t *testing.T) {
		got := events(t, dir, "plain", "events.out.tfevents.0000000000.samtune")[1:]
		lines := bytes.Split(bytes.TrimSpace(read(t, dir, "train.plain.jsonl")), []byte("\n"))
		if len(got) != len(lines) || len(lines) != 12 {
			t.Fatalf("%d events for %d lines of the log, want 12", len(got), len(lines))
		}
		for i, line := range lines {
			var p train.Point
			if err := json.Unmarshal(line, &p); err != nil {
				t.Fatal(err)
			}
			want := []tfevents.Shown{{Tag: "train/loss", Scalar: float32(p.Loss)}, {Tag: "train/learning_rate", Scalar: float32(p.LR)},
				{Tag: "train/gradient_norm", Scalar: float32(p.GradNorm)}}
			if p.ValDice != nil {
				want = append(want, tfevents.Shown{Tag: "validation/dice", Scalar: float32(*p.ValDice)})
			}
			if got[i].Step != p.Step || !equalValues(got[i].Values, want) {
				t.Errorf("step %d: %v, want %v", got[i].Step, got[i].Values, want)
			}
		}
	})
	t.Run("events of the test", func(t *testing.T) {
		plain := results.Others[0]
		for name, c := range map[string]struct {
			step   int
			method *eval.Method
			paired *eval.Paired
		}{"linear": {0, results.After, results.Paired}, "plain": {plain.Training.BestStep, &plain.Method, plain.Paired}, "zeroshot-box": {0, results.Before["box"], nil}} {
			got := events(t, dir, name, "events.out.tfevents.0000000001.samtune")
			if len(got) != 2 || got[1].Step != c.step {
				t.Fatalf("%s: %v, want one event, of step %d", name, got, c.step)
			}
			want := map[string]float32{"test/dice": float32(c.method.Dice.Mean), "test/cldice": float32(c.method.ClDice.Mean), "test/hd95": float32(c.method.HD95.Mean)}
			if c.paired != nil {
				want["test/dice_gain"] = float32(c.paired.Difference)
			}
			for _, v := range got[1].Values {
				if x, ok := want[v.Tag]; ok && x != v.Scalar {
					t.Errorf("%s: %s is %g, want %g", name, v.Tag, v.Scalar, x)
				}
				delete(want, v.Tag)
			}
			if len(want) > 0 {
				t.Errorf("%s lacks %v", name, want)
			}
		}
	})
	t.Run("events of the run", func(t *testing.T) {
		values := events(t, dir, "events.out.tfevents.0000000001.samtune")[1].Values
		if values[0].Tag != "config" || !strings.Contains(values[0].Text, "\n    [train]\n") || strings.Contains(values[0].Text, shared) {
			t.Errorf("the settings are %s", values[0].Text)
		}
		found, err := filepath.Glob(filepath.Join(dir, "overlays", "*-*.png"))
		if err != nil || len(found) < 3 || len(values) != 4 { // best, median and worst of them
			t.Fatalf("%d values for %d overlays: %v", len(values), len(found), err)
		}
		for _, v := range values[1:] {
			path, err := filepath.Glob(filepath.Join(dir, "overlays", strings.TrimPrefix(v.Tag, "cases/")+"-*.png"))
			if err != nil || len(path) != 1 || !bytes.Equal(v.Picture, read(t, path[0])) {
				t.Errorf("%s is not the overlay %v", v.Tag, path)
			}
		}
	})
	t.Run("events in TensorBoard", func(t *testing.T) {
		python := os.Getenv("SAMTUNE_TEST_TENSORBOARD")
		if python == "" {
			t.Skip("SAMTUNE_TEST_TENSORBOARD names no Python with the tensorboard package")
		}
		out, err := exec.Command(python, "../../bench/check_events.py", dir).CombinedOutput()
		if err != nil {
			t.Errorf("%v: %s", err, out)
		}
		t.Logf("%s", out)
	})
}

func equalValues(a, b []tfevents.Shown) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].Tag != b[i].Tag || a[i].Scalar != b[i].Scalar {
			return false
		}
	}
	return true
}
