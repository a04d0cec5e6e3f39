package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/internal/testkit"
)

// TestSegment asks LiteMedSAM through the command line.
func TestSegment(t *testing.T) {
	dir := t.TempDir()
	picture := "../../testdata/everything/picture.png"
	weights := testkit.LiteMedSAM(t)
	prompts := filepath.Join(dir, "prompts.csv")
	if err := os.WriteFile(prompts, []byte("id,type,x,y,x0,y0,x1,y1\nleft,point,20,30,,,,\nright,box,,,60,10,100,60\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	code, out, errOut := call("segment", picture, "--weights", weights, "--prompts", prompts, "--out", filepath.Join(dir, "out"))
	if code != 0 || !strings.Contains(out, "object left") || !strings.Contains(out, "object right") || !strings.Contains(errOut, "LiteMedSAM") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	for _, name := range []string{"picture_left_mask.png", "picture_right_mask.png", "picture_overlay.png", "picture.json"} {
		if len(read(t, dir, "out", name)) == 0 {
			t.Errorf("%s is empty", name)
		}
	}
	for name, c := range map[string]struct {
		args []string
		code int
		want string
	}{
		"two ways":         {[]string{"--everything", "--box", "1,2,3,4"}, exitUsage, "one of them"},
		"no number":        {[]string{"--point", "a,2"}, exitUsage, "a,2"},
		"policy":           {[]string{"--policy", "guess"}, exitUsage, "oracle_clicks"},
		"out of the image": {[]string{"--box", "1,2,3000,4"}, exitUsage, "3000"},
		"no image":         {[]string{"missing.png"}, exitData, "missing.png"},
		"prompt file":      {[]string{"--prompts", picture}, exitData, ".json or .csv"},
		"several boxes":    {[]string{"--box", "1,2,30,40", "--box", "5,6,70,80", "--point", "1,2"}, exitUsage, "several boxes"},
	} {
		code, _, errOut := call(append([]string{"segment", picture, "--weights", weights, "--out", filepath.Join(dir, name)}, c.args...)...)
		if code != c.code || !strings.Contains(errOut, c.want) {
			t.Errorf("%s: exit code %d, want %d, and %q: %s", name, code, c.code, c.want, errOut)
		}
		if _, err := os.Stat(filepath.Join(dir, name)); err == nil {
			t.Errorf("%s: something was written", name)
		}
	}
}
