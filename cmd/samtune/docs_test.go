package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"
)

// TestReferenceIsCurrent holds the reference pages in the tree against the program.
func TestReferenceIsCurrent(t *testing.T) {
	t.Setenv("SAMTUNE_DATA", "")
	pages, err := referencePages((&app{out: io.Discard, err: io.Discard}).root())
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join("..", "..", "docs", "reference", name))
		if err != nil || string(got) != want {
			t.Errorf("docs/reference/%s is not what the program says: run make docs (%v)", name, err)
		}
	}
}

func TestManualPages(t *testing.T) {
	dir := t.TempDir()
	if code, _, errOut := call("docs", "--man", dir); code != 0 {
		t.Fatal(errOut)
	}
	for _, name := range []string{"samtune.1", "samtune-finetune.1", "samtune-data-check.1"} {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Error(err)
		}
	}
	if code, _, _ := call("docs"); code != exitUsage {
		t.Errorf("no folder named: exit code %d", code)
	}
}
