package main

import (
	"bytes"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samtune/checkpoints"
	"samtune/experiment"
	"samtune/internal/testkit"
)

// TestWeightsGet fetches LiteMedSAM's weights from a local server, a mirror of what is known by its checksum.
func TestWeightsGet(t *testing.T) {
	content, err := os.ReadFile(testkit.LiteMedSAM(t))
	if err != nil {
		t.Fatal(err)
	}
	served := content
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		http.ServeContent(w, r, "lite_medsam.pth", time.Unix(1, 0), bytes.NewReader(served))
	}))
	defer server.Close()
	cache := t.TempDir()
	get := func() (int, string, string) {
		return call("weights", "get", "lite_medsam", "--url", server.URL+"/lite_medsam.pth", "--cache", cache)
	}
	served = bytes.Clone(content)
	served[len(served)/2] ^= 1
	if code, _, errOut := get(); code == 0 || !strings.Contains(errOut, "SHA-256") {
		t.Errorf("a flipped bit: exit code %d: %s", code, errOut)
	}
	if _, err := os.Stat(filepath.Join(cache, "weights", "lite_medsam.pth")); err == nil {
		t.Error("the wrong file took the place")
	}
	served = content
	if code, out, errOut := get(); code != 0 || !strings.Contains(out, "verified") {
		t.Fatalf("exit code %d: %s%s", code, out, errOut)
	}
	if code, out, _ := get(); code != 0 || !strings.Contains(out, "already there") {
		t.Errorf("once more: exit code %d: %s", code, out)
	}
	if code, out, _ := call("weights", "list", "--cache", cache); code != 0 || !strings.Contains(out, filepath.Join(cache, "weights", "lite_medsam.pth")) ||
		!strings.Contains(out, "https://") || !strings.Contains(out, "samtune weights get sam_vit_b") {
		t.Errorf("exit code %d: %s", code, out)
	}
	if code, _, errOut := call("weights", "get", "lite_medsam", "--cache", t.TempDir()); code == 0 || !strings.Contains(errOut, "make setup") {
		t.Errorf("without an address: exit code %d: %s", code, errOut)
	}
}

// TestWeightsExport exports what a short training left and compares every tensor with the released and the tuned ones.
func TestWeightsExport(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "run")
	if code, _, errOut := call(head(short(t, dir, "--compare", "linear"))...); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	released, err := checkpoints.Open(testkit.LiteMedSAM(t))
	if err != nil {
		t.Fatal(err)
	}
	defer released.Close()
	best, err := experiment.OpenTuned(dir)
	if err != nil {
		t.Fatal(err)
	}
	tuned, err := checkpoints.Open(best.Path)
	if err != nil {
		t.Fatal(err)
	}
	defer tuned.Close()
	for _, name := range []string{"tuned.pth", "tuned.safetensors"} {
		out := filepath.Join(t.TempDir(), name)
		if code, text, errOut := call("weights", "export", dir, "--out", out); code != 0 || !strings.Contains(text, "fine-tuned") {
			t.Fatalf("exit code %d: %s%s", code, text, errOut)
		}
		if code, text, errOut := call("weights", "verify", out, "--model", "lite_medsam"); code != 0 || !strings.Contains(text, "other weights than the released ones") {
			t.Errorf("%s: exit code %d: %s%s", name, code, text, errOut)
		}
		f, err := checkpoints.Open(out)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		if len(f.Names()) != len(released.Names()) {
			t.Errorf("%s has %d tensors, the released file %d", name, len(f.Names()), len(released.Names()))
		}
		changed := 0
		for _, n := range f.Names() {
			want := released
			if _, ok := tuned.Info(n); ok {
				want = tuned
				changed++
			}
			a, errA := f.Bytes(n)
			b, errB := want.Bytes(n)
			if errA != nil || errB != nil || !bytes.Equal(a, b) {
				t.Errorf("%s: %s differs: %v %v", name, n, errA, errB)
			}
		}
		if changed != len(tuned.Names()) || changed == 0 {
			t.Errorf("%s: %d tuned tensors, want %d", name, changed, len(tuned.Names()))
		}
	}
	for want, args := range map[string][]string{
		"convex head":          {"--out", "x.pth", "--decoder", "linear"},
		".pth or .safetensors": {"--out", "x.onnx"},
		"plain, linear, fine":  {"--out", "x.pth", "--decoder", "best"},
	} {
		if code, _, errOut := call(append([]string{"weights", "export", dir}, args...)...); code == 0 || !strings.Contains(errOut, want) {
			t.Errorf("%v: exit code %d: %s, want %q", args, code, errOut, want)
		}
	}
	out := filepath.Join(t.TempDir(), "head.safetensors")
	if code, _, errOut := call("weights", "export", dir, "--decoder", "linear", "--out", out); code != 0 {
		t.Fatalf("a head: exit code %d: %s", code, errOut)
	}
	f, err := checkpoints.Open(out)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if _, ok := f.Info("head.weight"); !ok || !strings.Contains(f.Metadata()["head"], "stage1") {
		t.Errorf("the head's file has %v and %q", f.Names(), f.Metadata())
	}
	if code, out, errOut := call("weights", "show", dir, "--depth", "1"); code != 0 || !strings.Contains(out, "mask_decoder") {
		t.Errorf("show of a run: exit code %d: %s%s", code, out, errOut)
	}
}
