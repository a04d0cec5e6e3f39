package main

import (
	"io"
	"os"
	"path/filepath"
	"testing"

	"github.com/santhosh-tekuri/jsonschema/v6"
)

// TestPagesAreCurrent holds the pages in the tree against the program and the results files.
func TestPagesAreCurrent(t *testing.T) {
	t.Setenv("SAMTUNE_DATA", "")
	tree := filepath.Join("..", "..")
	pages, err := writtenPages((&app{out: io.Discard, err: io.Discard}).root(), tree)
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range pages {
		got, err := os.ReadFile(filepath.Join(tree, name))
		if err != nil || string(got) != want {
			t.Errorf("%s is not what the program and docs/results say: run make docs (%v)", name, err)
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

// fits holds a file that samtune wrote against its published schema.
func fits(t testing.TB, schema, file string) {
	t.Helper()
	compiled, err := jsonschema.NewCompiler().Compile(filepath.Join("..", "..", "docs", "reference", "schemas", schema))
	if err != nil {
		t.Fatal(err)
	}
	f, err := os.Open(file)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	value, err := jsonschema.UnmarshalJSON(f)
	if err == nil {
		err = compiled.Validate(value)
	}
	if err != nil {
		t.Errorf("%s: %v", file, err)
	}
}
