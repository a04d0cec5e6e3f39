package main

import (
	"context"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

func TestGPUNames(t *testing.T) {
	for _, c := range []struct {
		n       int
		visible string
		want    []string
	}{
		{2, "", []string{"0", "1"}},
		{2, "3,5", []string{"3", "5"}},
		{2, "GPU-5f,MIG-7a,-1", []string{"GPU-5f", "MIG-7a"}}, // what comes after a number that is none is not seen
		{3, "3", []string{"0", "1", "2"}},
	} {
		if got := gpuNames(c.n, c.visible); !slices.Equal(got, c.want) {
			t.Errorf("%d GPUs of %q: %q, want %q", c.n, c.visible, got, c.want)
		}
	}
}

func TestStartedProcessSeesItsGPU(t *testing.T) {
	log := filepath.Join(t.TempDir(), "logs", "env.log")
	t.Setenv(visibleGPUs, "0,1,2")
	for _, c := range []struct{ gpu, want string }{{"", visibleGPUs + "=0,1,2"}, {"2", visibleGPUs + "=2"}} {
		if err := startSelf(context.Background(), "/usr/bin/env", c.gpu, nil, log); err != nil {
			t.Fatal(err)
		}
		text, err := os.ReadFile(log)
		if err != nil {
			t.Fatal(err)
		}
		if lines := strings.Split(string(text), "\n"); !slices.Contains(lines, c.want) {
			t.Errorf("GPU %q: the process does not have %s", c.gpu, c.want)
		}
	}
	if err := startSelf(context.Background(), "/bin/false", "", nil, log); err == nil {
		t.Error("a process that fails: no error")
	}
}

func TestShares(t *testing.T) {
	for text, want := range map[string][2]int{"": {0, 1}, "1/1": {0, 1}, "2/4": {1, 4}, "4/4": {3, 4}} {
		if share, of, err := parseShare(text); err != nil || share != want[0] || of != want[1] {
			t.Errorf("%q: %d of %d, %v", text, share, of, err)
		}
	}
	for _, text := range []string{"0/4", "5/4", "2", "a/b", "2/4/8", "-1/2", "1.5/2"} {
		if _, _, err := parseShare(text); err == nil {
			t.Errorf("%q: no error", text)
		}
	}
}
