package report

import (
	"errors"
	"fmt"
	"image"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"samtune/eval"
)

func TestPickSpreadsOverTheRanks(t *testing.T) {
	r := &eval.Results{After: &eval.Method{}, Before: map[string]*eval.Method{}}
	for _, n := range []int{24, 25, 26, 27, 48, 100, 301} {
		var rows []eval.CaseResult
		for i := range n {
			rows = append(rows, eval.CaseResult{Case: fmt.Sprintf("%03d", i), Method: eval.MethodAfter, Scores: eval.Scores{Dice: eval.Float(1 - float64(i)/1000)}})
		}
		picked := Pick(r, rows)
		roles, last := "", -1
		for _, c := range picked {
			roles += c.Role
			at, err := strconv.Atoi(c.Case)
			if err != nil || at <= last || last >= 0 && at-last > 2*n/galleryCases+1 {
				t.Errorf("of %d cases %d comes after %d", n, at, last)
			}
			last = at
		}
		if len(picked) != 24 || roles != "bestmedianworst" || picked[0].Role != "best" || last != n-1 {
			t.Errorf("of %d cases %d are shown, with the roles %s", n, len(picked), roles)
		}
	}
}

// TestSlides reads back what WriteOverlay left.
func TestSlides(t *testing.T) {
	dir := t.TempDir()
	c := CaseOverlay{Case: "01_test", BeforeLabel: "zero-shot", AfterLabel: "fine-tuned", BeforeDice: 0.2, AfterDice: 0.5}
	c.Image, c.Truth, c.Valid = grey(4, 2, 200), mask(4, "#.#.", "####"), mask(4, "####", "....")
	c.Before, c.After = mask(4, "##..", "####"), mask(4, "#.#.", "####")
	if err := WriteOverlay(dir, c); err != nil {
		t.Fatal(err)
	}
	if files, err := os.ReadDir(dir); err != nil || len(files) != 3 {
		t.Errorf("left %v (%v), want picture and two layers", files, err)
	}
	for suffix, want := range map[string][]class{
		beforeSuffix: {truePositive, falsePositive, falseNegative, background, outside, outside, outside, outside},
		afterSuffix:  {truePositive, background, truePositive, background, outside, outside, outside, outside},
	} {
		file, err := os.ReadFile(filepath.Join(dir, "01_test"+suffix))
		if err != nil {
			t.Fatal(err)
		}
		got, err := readLayer(file, image.Rect(0, 0, 4, 2))
		if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%s is %v (%v), want %v", suffix, got, err, want)
		}
	}
	s, err := readSlide(dir, c, 0)
	if err != nil {
		t.Fatal(err)
	}
	if len(s.Views) != 2 || s.Width != 4 || s.Height != 2 || s.Outline == "" || s.Views[1].Dice != "0.500" {
		t.Errorf("read back as %+v", s)
	}
	if small, err := readSlide(dir, c, 2); err != nil || small.Width != 2 || small.Height != 1 {
		t.Errorf("shrunk to %+v: %v", small, err)
	}
	if err := os.WriteFile(filepath.Join(dir, "01_test"+afterSuffix), []byte("no picture"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := readSlide(dir, c, 0); err == nil || !strings.Contains(err.Error(), "01_test"+afterSuffix) {
		t.Errorf("error is %v, want the damaged file's name", err)
	}
	c.Case = "gone"
	if _, err := readSlide(dir, c, 0); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error is %v", err)
	}
}
