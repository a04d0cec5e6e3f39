package main

import (
	"io"
	"os"
	"path/filepath"
	"regexp"
	"strings"
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

// A measured figure is a Dice of three digits, a time, or memory; code shows output and not figures.
var (
	figure = regexp.MustCompile(`\b0\.\d{3}\b|\b\d+(\.\d+)? ?(s|ms|MiB|GiB|seconds)\b|\b\d+:\d\d(:\d\d)?\b`)
	code   = regexp.MustCompile("(?ms)^```.*?^```|`[^`]*`|^    .*?$")
)

// unbacked are the figures of a page that stand neither in what is drawn from results nor repeat what is drawn on the page.
func unbacked(page string) []string {
	backed := map[string]bool{}
	for _, block := range drawn.FindAllString(page, -1) {
		for _, number := range regexp.MustCompile(`\d+([.:]\d+)*`).FindAllString(block, -1) {
			backed[number] = true
		}
	}
	var out []string
	for _, f := range figure.FindAllString(code.ReplaceAllString(drawn.ReplaceAllString(page, ""), ""), -1) {
		if number, _, _ := strings.Cut(f, " "); !backed[number] {
			out = append(out, f)
		}
	}
	return out
}

// TestEveryFigureHasAFile looks for measured figures in pages that no results file backs: they would go stale unseen.
func TestEveryFigureHasAFile(t *testing.T) {
	pages, err := writtenByHand(filepath.Join("..", ".."))
	if err != nil {
		t.Fatal(err)
	}
	for name, text := range pages {
		if found := unbacked(text); len(found) > 0 {
			t.Errorf("%s: %d figures stand in no table that is drawn from docs/results on this page: %s", name, len(found), strings.Join(found, ", "))
		}
	}
	table := "<!-- table x.csv -->\n| 0.797 | 6 |\n<!-- end -->\n"
	for page, want := range map[string]int{
		"Dice 0.797": 1, table + "Dice 0.797, not 0.798, in 6 s and 7 s.": 2, "`0.797`\n\n    took 7 s\n": 0, "took 1:02, 12 MiB": 2, "a rate of 0.01 over 20 steps": 0,
	} {
		if got := unbacked(page); len(got) != want {
			t.Errorf("%q: %q, want %d", page, got, want)
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
