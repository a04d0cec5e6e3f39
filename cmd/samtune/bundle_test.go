package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// TestWeightsOfABundle starts a copy of this program from a bundle's bin folder, with a home that is empty.
func TestWeightsOfABundle(t *testing.T) {
	root := t.TempDir()
	program := filepath.Join(root, "bin", "samtune")
	write(t, read(t, os.Args[0]), program)
	if err := os.Chmod(program, 0o755); err != nil {
		t.Fatal(err)
	}
	weights := filepath.Join(root, "weights", "lite_medsam.pth")
	list := func(args ...string) string {
		c := exec.Command(program, append([]string{"weights", "list"}, args...)...)
		c.Env = append(os.Environ(), "SAMTUNE_TEST_AS_MAIN=1", "XDG_CACHE_HOME="+filepath.Join(root, "cache"))
		out, err := c.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, out)
		}
		return string(out)
	}
	if out := list(); !strings.Contains(out, "no: make setup") {
		t.Errorf("without a bundle's weights:\n%s", out)
	}
	write(t, []byte("weights"), weights)
	if out := list(); !strings.Contains(out, weights) {
		t.Errorf("weights list does not find %s:\n%s", weights, out)
	}
	own := filepath.Join(root, "own")
	write(t, []byte("weights"), filepath.Join(own, "weights", "lite_medsam.pth"))
	if out := list("--cache", own); !strings.Contains(out, own+"/weights/lite_medsam.pth") {
		t.Errorf("the cache's weights do not come first:\n%s", out)
	}
}

func TestVersion(t *testing.T) {
	code, out, errOut := call("version")
	want := regexp.MustCompile(`^samtune ` + regexp.QuoteMeta(versionText()) + `, libtorch 2\.\S+, gotch v\d\S+, go1\.\S+, commit \w+\n$`)
	if code != 0 || !want.MatchString(out) {
		t.Errorf("exit code %d, %q, %q", code, out, errOut)
	}
	before := commit
	t.Cleanup(func() { commit = before })
	commit = "0123abcd"
	if _, out, _ := call("version"); !strings.HasSuffix(out, ", commit 0123abcd\n") {
		t.Errorf("the commit that the build gave is not in %q", out)
	}
}
