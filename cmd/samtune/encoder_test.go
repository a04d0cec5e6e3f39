package main

import (
	"encoding/json"
	"image"
	"path/filepath"
	"strings"
	"testing"

	"samtune/internal/testkit"
)

// TestTunedEncoder fine-tunes a part of the encoder with the decoder, and tests and applies what came out.
func TestTunedEncoder(t *testing.T) {
	picture := filepath.Join(t.TempDir(), "eye.png")
	img := image.NewRGBA(image.Rect(0, 0, 90, 70))
	for i := range img.Pix {
		img.Pix[i] = uint8(i * 37)
	}
	writePNG(t, picture, img)
	for _, c := range []struct{ encoder, decoder, steps, says string }{
		{"neck", "plain", "6", "neck"}, {"lora", "plain", "4", "LoRA of rank 4"},
	} {
		t.Run(c.encoder+" "+c.decoder, func(t *testing.T) {
			run := filepath.Join(t.TempDir(), "run")
			args := append(head(short(t, run)), "--decoder", c.decoder, "--set", "train.encoder="+c.encoder, "--set", "train.steps="+c.steps)
			if code, _, errOut := call(args...); code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			var results struct {
				After struct{ Label string }
			}
			if err := json.Unmarshal(read(t, run, "results.json"), &results); err != nil || !strings.Contains(results.After.Label, c.says) {
				t.Errorf("%v: the result is called %q", err, results.After.Label)
			}
			to := t.TempDir()
			if code, _, errOut := call("evaluate", "--checkpoint", run, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, "--quiet"); code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			if got, want := afterRows(t, to), afterRows(t, run); got != want || want == "" {
				t.Error("it scores otherwise than in its own run")
			}
			to = filepath.Join(t.TempDir(), "masks")
			if code, _, errOut := call("predict", "--checkpoint", run, "--weights", testkit.LiteMedSAM(t), "--cache", shared, "--out", to, picture); code != 0 {
				t.Fatalf("exit code %d: %s", code, errOut)
			}
			read(t, to, "eye_mask.png")
		})
	}
}

func TestSettingsOfTheEncoderAreChecked(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		says string
	}{
		"unknown":        {[]string{"--set", "train.encoder=all"}, `train.encoder is "all"`},
		"rank of none":   {[]string{"--set", "train.encoder=lora", "--set", "train.rank=0"}, "rank is 0"},
		"rank too high":  {[]string{"--set", "train.encoder=lora", "--set", "train.rank=500"}, "1 to 128"},
		"LoRA of a head": {[]string{"--decoder", "linear", "--set", "train.encoder=lora"}, "decoder linear"},
		"a head's alone": {[]string{"--decoder", "linear", "--set", "train.encoder=neck"}, "decoder linear"},
	} {
		t.Run(name, func(t *testing.T) {
			code, _, errOut := call(append(short(t, filepath.Join(t.TempDir(), "run")), c.args...)...)
			if code != exitUsage || !strings.Contains(errOut, c.says) {
				t.Errorf("exit code %d: %s", code, errOut)
			}
		})
	}
}
