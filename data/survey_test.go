package data

import (
	"errors"
	"slices"
	"testing"

	"samtune/internal/testkit"
)

// TestSurvey looks for all benchmarks in an empty folder: what is generated is there, and the rest says what it wants.
func TestSurvey(t *testing.T) {
	found, err := Survey(t.TempDir())
	if err != nil || len(found) != len(Names()) {
		t.Fatalf("%d of %d benchmarks, %v", len(found), len(Names()), err)
	}
	last := 0
	for _, p := range found {
		at := slices.Index(Tasks(), p.Decl.Task)
		if at < last {
			t.Errorf("%s stands behind benchmarks of a later task, or of none", p.Decl.Name)
		}
		last = max(last, at)
		if p.Decl.Name == "fundus" {
			if p.Err != nil || len(p.Benchmark.Pool) == 0 {
				t.Errorf("generated pictures are not there: %v", p.Err)
			}
		} else if !errors.Is(p.Err, ErrNotFound) {
			t.Errorf("%s: %v, want ErrNotFound", p.Decl.Name, p.Err)
		}
	}
}

// TestDrawIsTheSplitOfTheSameSeed draws from four generated pictures and checks what was drawn against them.
func TestDrawIsTheSplitOfTheSameSeed(t *testing.T) {
	b, err := Open(testkit.Eyes(t, t.TempDir(), 3, 2), Options{})
	if err != nil {
		t.Fatal(err)
	}
	s, err := Draw(b, "vessels", 2, 7, b.Loader())
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Train)+len(s.Validation) != 2 || len(s.Test) != 2 || s.Train[0].ImageSHA256 == "" {
		t.Errorf("%+v", s)
	}
	if findings := s.Check(b, b.Loader()); len(findings) != 0 {
		t.Errorf("the split does not fit what it was drawn from: %v", findings)
	}
	again, err := Draw(b, "vessels", 2, 7, b.Loader())
	if err != nil || again.DataSHA256 != s.DataSHA256 {
		t.Errorf("the same seed draws others: %v", err)
	}
	if _, err := Draw(b, "vessels", 4, 7, b.Loader()); err == nil {
		t.Error("four of three are drawn")
	}
	if sample, err := b.Loader()("nobody"); sample != nil || err != nil {
		t.Errorf("a case that is not there: %v, %v", sample, err)
	}
}
