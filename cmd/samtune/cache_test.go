package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"samtune/checkpoints"
	"samtune/internal/featurecache"
	"samtune/internal/testkit"
)

// fillCache puts n files of 1000 bytes and a header into the cache of a folder, the first one used longest ago: a day for each.
func fillCache(t testing.TB, cache, benchmark string, n int) []string {
	t.Helper()
	var paths []string
	for i := range n {
		name := fmt.Sprintf("%064x", i) + ".safetensors"
		path := filepath.Join(cache, "features", name[:2], name)
		tensor := checkpoints.Tensor{Info: checkpoints.Info{Name: "x", DType: "F16", Shape: []int64{500}}, Data: make([]byte, 1000)}
		if err := featurecache.Write(path, benchmark, tensor); err != nil {
			t.Fatal(err)
		}
		when := time.Now().Add(-24 * time.Hour * time.Duration(n-i))
		if err := os.Chtimes(path, when, when); err != nil {
			t.Fatal(err)
		}
		paths = append(paths, path)
	}
	return paths
}

func TestCacheShow(t *testing.T) {
	cache := t.TempDir()
	if code, out, errOut := call("cache", "show", "--cache", cache); code != 0 || !strings.Contains(out, "nothing") {
		t.Errorf("an empty one: exit code %d: %s%s", code, out, errOut)
	}
	fillCache(t, cache, "acdc", 5)
	fillCache(t, cache, "drive", 2)
	code, out, errOut := call("cache", "show", "--cache", cache)
	if code != 0 || errOut != "" {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	lines := strings.Split(out, "\n")
	if len(lines) < 5 || !strings.HasPrefix(lines[2], "acdc ") || !strings.HasPrefix(lines[3], "drive ") || !strings.HasPrefix(lines[4], "total ") {
		t.Errorf("want acdc, used longest ago, before drive and the total:\n%s", out)
	}
	var got struct {
		Files      int   `json:"files"`
		Budget     int64 `json:"budget_bytes"`
		Benchmarks []struct {
			Benchmark string
			Files     int
			Oldest    time.Time `json:"oldest_use"`
		}
	}
	code, out, _ = call("cache", "show", "--json", filepath.Join(cache, "features"))
	if err := json.Unmarshal([]byte(out), &got); err != nil || code != 0 || got.Files != 5 || got.Budget != 24e9 || len(got.Benchmarks) != 2 ||
		got.Benchmarks[0].Benchmark != "acdc" || got.Benchmarks[0].Files != 3 || got.Benchmarks[1].Oldest.IsZero() {
		t.Errorf("exit code %d, %v: %s", code, err, out)
	}
}

func TestCacheVerify(t *testing.T) {
	cache := t.TempDir()
	paths := fillCache(t, cache, "drive", 3)
	if code, out, errOut := call("cache", "verify", "--cache", cache); code != 0 || !strings.Contains(out, "3 files") || !strings.Contains(errOut, "3/3") {
		t.Errorf("undamaged: exit code %d: %s%s", code, out, errOut)
	}
	content := read(t, paths[1])
	content[len(content)-7] ^= 1
	write(t, content, paths[1])
	code, out, errOut := call("cache", "verify", "--cache", cache)
	if code != exitCorrupt || !strings.Contains(out, paths[1]) || strings.Contains(out, paths[0]) || !strings.Contains(errOut, "--remove") {
		t.Errorf("a flipped bit: exit code %d: %s%s", code, out, errOut)
	}
	code, out, _ = call("cache", "verify", "--remove", "--json", "--cache", cache)
	if code != exitCorrupt || !strings.Contains(out, `"removed": true`) || exists(paths[1]) || !exists(paths[0]) {
		t.Errorf("removed: exit code %d: %s", code, out)
	}
	if code, out, errOut := call("cache", "verify", "--cache", cache); code != 0 {
		t.Errorf("afterwards: exit code %d: %s%s", code, out, errOut)
	}
}

func TestCachePrune(t *testing.T) {
	for name, c := range map[string]struct {
		args []string
		left int // of five files of about 1.1 kB, used 5, 4, 3, 2 and 1 days ago
		code int
		says string
	}{
		"size":                {[]string{"--max-size", "2.5kB"}, 2, 0, "removed: 3 files"},
		"age":                 {[]string{"--older-than", "84h"}, 3, 0, "removed: 2 files"},
		"weeks":               {[]string{"--older-than", "1w"}, 5, 0, "removed: 0 files"},
		"both":                {[]string{"--older-than", "4.5d", "--max-size", "3.5 kB"}, 3, 0, "removed: 2 files"},
		"benchmark":           {[]string{"--benchmark", "drive"}, 0, 0, "left: 0 files"},
		"another benchmark":   {[]string{"--benchmark", "acdc"}, 5, 0, "removed: 0 files"},
		"all":                 {[]string{"--all"}, 0, 0, "removed: 5 files"},
		"dry run":             {[]string{"--all", "--dry-run"}, 5, 0, "to be removed: 5 files"},
		"json":                {[]string{"--all", "--dry-run", "--json"}, 5, 0, `"dry_run": true`},
		"nothing is said":     {nil, 5, exitUsage, "--max-size"},
		"all and a limit":     {[]string{"--all", "--older-than", "1d"}, 5, exitUsage, "--all"},
		"a size without unit": {[]string{"--max-size", "1"}, 5, exitUsage, "unit"},
		"no size":             {[]string{"--max-size", "large"}, 5, exitUsage, "large"},
		"below 0":             {[]string{"--max-size", "-1GB"}, 5, exitUsage, "-1GB"},
		"no age":              {[]string{"--older-than", "30"}, 5, exitUsage, "30d"},
		"no age at all":       {[]string{"--older-than", "0d"}, 5, exitUsage, "more than 0"},
		"months":              {[]string{"--older-than", "3m"}, 5, exitUsage, "weeks"},
	} {
		t.Run(name, func(t *testing.T) {
			cache := t.TempDir()
			paths := fillCache(t, cache, "drive", 5)
			code, out, errOut := call(append([]string{"cache", "prune", "--cache", cache}, c.args...)...)
			if code != c.code || !strings.Contains(out+errOut, c.says) {
				t.Errorf("exit code %d, want %d with %q: %s%s", code, c.code, c.says, out, errOut)
			}
			for i, p := range paths {
				if want := i >= len(paths)-c.left; exists(p) != want {
					t.Errorf("file %d is there: %v, want %v", i, !want, want)
				}
			}
		})
	}
}

func TestTwoPrunesAtOnce(t *testing.T) {
	cache := t.TempDir()
	fillCache(t, cache, "drive", 300)
	one, oneErr := child(t, "cache", "prune", "--all", "--cache", cache)
	two, twoErr := child(t, "cache", "prune", "--max-size", "20kB", "--cache", cache)
	if err := one.Wait(); err != nil {
		t.Error(err, oneErr)
	}
	if err := two.Wait(); err != nil {
		t.Error(err, twoErr)
	}
	if files, err := featurecache.List(filepath.Join(cache, "features")); err != nil || len(files) != 0 {
		t.Errorf("%d files are left, %v", len(files), err)
	}
}

// TestPruneWhileARunEncodes removes everything again and again while another process encodes three pictures: it finds all that it
// made, and nothing of what was there before is left. A process that was killed holds nothing any more.
func TestPruneWhileARunEncodes(t *testing.T) {
	cache, root := t.TempDir(), fakeDRIVE(t)
	for _, unwanted := range []string{"training/*/22_*", "training/*/23_*", "test/*/03_*"} {
		paths, err := filepath.Glob(filepath.Join(root, "DRIVE", unwanted))
		if err != nil || len(paths) != 3 {
			t.Fatalf("%d files, %v", len(paths), err)
		}
		for _, p := range paths {
			if err := os.Remove(p); err != nil {
				t.Fatal(err)
			}
		}
	}
	fillCache(t, cache, "acdc", 4)
	features := filepath.Join(cache, "features")
	there := func() []featurecache.File {
		t.Helper()
		files, err := featurecache.List(features)
		if err != nil {
			t.Fatal(err)
		}
		return files
	}
	encode := []string{"encode", "--benchmark", "drive", "--data", root, "--weights", testkit.LiteMedSAM(t), "--cache", cache, "--set", "decoder=plain",
		"--set", "compare=[]", "--set", "views.grid=1"}
	c, childErr := child(t, encode...)
	waitFor(t, filepath.Join(features, ".running"))
	said := false
	waitUntil(t, "two pictures are encoded, so the third one is under way", func() bool {
		code, out, errOut := call("cache", "prune", "--all", "--cache", cache)
		if code != 0 {
			t.Fatalf("exit code %d: %s", code, errOut)
		}
		said = said || strings.Contains(out, "left for others")
		return len(there()) >= 2
	})
	if err := c.Wait(); err != nil {
		t.Fatalf("the run failed: %v: %s", err, childErr)
	}
	if !said {
		t.Error("prune never said that something is in use")
	}
	if files := there(); len(files) != 3 {
		t.Errorf("%d files: want those of the three pictures", len(files))
	}
	if code, out, _ := call("cache", "show", "--cache", cache); code != 0 || !strings.Contains(out, "\ndrive ") || strings.Contains(out, "in use") {
		t.Errorf("exit code %d: want the benchmark, and nobody at work: %s", code, out)
	}

	if code, _, errOut := call("cache", "prune", "--all", "--cache", cache); code != 0 {
		t.Fatalf("exit code %d: %s", code, errOut)
	}
	c, _ = child(t, encode...)
	waitUntil(t, "a process says that it uses the features", func() bool {
		uses, err := featurecache.Uses(features)
		if err != nil {
			t.Fatal(err)
		}
		return len(uses) > 0
	})
	if err := c.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = c.Wait() // it was killed
	if code, out, errOut := call("cache", "prune", "--all", "--cache", cache); code != 0 || len(there()) != 0 {
		t.Errorf("after a kill: exit code %d: %s%s", code, out, errOut)
	}
}
