package report

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/emulation"
	cdppage "github.com/chromedp/cdproto/page"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"
)

func TestRunPageInABrowser(t *testing.T) {
	b := openBrowser(t)
	in, dir := syntheticRun(), t.TempDir()
	in.Overlays = allPictures(in)
	if err := in.leave(dir); err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, In(dir), in.Results, in.Rows); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, HTMLFile)
	b.open(file, 1280)

	var dice, falling []string
	dice = append(dice, strings.Fields(b.column("table.cases", 3))...)
	if len(dice) != 20 {
		t.Fatalf("column holds %q", dice)
	}
	sortNumbers(dice)
	for i := range dice {
		falling = append(falling, dice[len(dice)-1-i])
	}
	b.sorts("table.cases", 3, strings.Join(dice, " "), strings.Join(falling, " "))
	undefined := strings.Fields(b.column("table.methods", 8)) // HD95 of no prompt is not defined
	b.do(chromedp.Click("table.methods thead th:nth-child(9) button"))
	if got := strings.Fields(b.column("table.methods", 8)); got[len(got)-1] != missing || undefined[len(undefined)-1] == missing {
		t.Errorf("what is not defined is not last: %q, was %q", got, undefined)
	}
	b.filters("1 test", 11) // 01, 10 to 19
	b.filters("07", 1)
	b.slides()

	// Tab reaches controls in order, the first is the page's colours.
	b.open(file, 1280)
	b.do(chromedp.KeyEvent(kb.Tab))
	if got := js[string](b, `document.activeElement.className`); !strings.Contains(got, "theme") {
		t.Errorf("the first Tab reaches %q", got)
	}
	light := b.ground()
	b.do(chromedp.KeyEvent(kb.Enter))
	if dark := b.ground(); dark == light {
		t.Error("the button does not change the colours")
	}
	b.do(chromedp.KeyEvent(kb.Enter))
	if b.ground() != light {
		t.Error("the button does not change the colours back")
	}
	reached := map[string]bool{}
	for range 60 {
		b.do(chromedp.KeyEvent(kb.Tab))
		reached[js[string](b, `document.activeElement.closest("thead") ? "heading" : document.activeElement.type ?? document.activeElement.tagName`)] = true
	}
	for _, want := range []string{"heading", "search", "range", "checkbox"} {
		if !reached[want] {
			t.Errorf("Tab does not reach a %s: %v", want, reached)
		}
	}

	// Paper: both pictures side by side, nothing to press.
	b.media("print", "dark")
	if n := js[int](b, `[...document.querySelectorAll("button.theme, input")].filter(e => e.getClientRects().length).length`); n > 0 {
		t.Errorf("%d controls are printed", n)
	}
	beside := js[bool](b, `[...document.querySelectorAll(".slide")].every(s => { const [a, c] = [...s.querySelectorAll(".view")].map(v => v.getBoundingClientRect()); return c.left >= a.right && a.width > 80; })`)
	if !beside || b.ground() != "rgb(255, 255, 255)" {
		t.Errorf("on paper the pictures are not side by side on white: %s", b.ground())
	}
	background := true
	pdf := call(b, cdppage.PrintToPDF, cdppage.PrintToPDFParams{PrintBackground: &background, PreferCSSPageSize: &background}).Data
	if dir := os.Getenv("SAMTUNE_ARTIFACTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, "run.pdf"), pdf, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	b.media("", "light")

	// Without scripts both pictures are side by side and there is nothing that does not work.
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{Value: true})
	b.open(file, 1280)
	if n := js[int](b, `document.querySelectorAll(".control:not([hidden]), thead button").length`); n > 0 || !js[bool](b, `[...document.querySelectorAll(".slide")].every(s => { const [a, c] = [...s.querySelectorAll(".view")].map(v => v.getBoundingClientRect()); return c.left >= a.right; })`) {
		t.Errorf("without scripts: %d dead controls, or the pictures are not side by side", n)
	}
	call(b, emulation.SetScriptExecutionDisabled, emulation.SetScriptExecutionDisabledParams{})

	b.shoot(file, "run")
	b.checkQuiet()
}

// sortNumbers sorts numbers as they are printed.
func sortNumbers(texts []string) {
	value := func(s string) (v float64) {
		_ = json.Unmarshal([]byte(s), &v) // the tables print JSON's numbers
		return v
	}
	for i := range texts {
		for k := i; k > 0 && value(texts[k]) < value(texts[k-1]); k-- {
			texts[k], texts[k-1] = texts[k-1], texts[k]
		}
	}
}

func TestComparisonPageInABrowser(t *testing.T) {
	b := openBrowser(t)
	dir := t.TempDir()
	if err := WriteComparison(dir, compared(t, dir), true); err != nil {
		t.Fatal(err)
	}
	file := filepath.Join(dir, HTMLFile)
	b.open(file, 1280)
	// Sorted by the difference: what has none stays last.
	difference := js[int](b, `document.querySelectorAll("table.compared thead th").length`) - 2
	b.do(chromedp.Click(fmt.Sprintf("table.compared thead th:nth-child(%d) button", difference+1)))
	if got := b.column("table.compared", 1); got != "<b>|x vessels t t" {
		t.Errorf("rising by the difference the targets are %q", got)
	}
	if n := js[int](b, `[...document.querySelectorAll("table.compared .group")].filter(r => !r.hidden).length`); n > 0 {
		t.Errorf("%d headings of tasks stand in a sorted table", n)
	}
	b.filters("vessels", 1)
	b.slides()
	b.shoot(file, "comparison")
	b.checkQuiet()
}

func TestSweepPageInABrowser(t *testing.T) {
	b := openBrowser(t)
	for settings, name := range map[int]string{1: "sweep", 2: "sweep-two"} {
		dir := t.TempDir()
		s := swept(t, dir, settings)
		s.Collect(dir, 1)
		if err := WriteSweep(dir, s); err != nil {
			t.Fatal(err)
		}
		file := filepath.Join(dir, HTMLFile)
		b.open(file, 1280)
		var shots []string
		for _, n := range []int{1, 3, 5, 10, 20} {
			for range 3 * settings {
				shots = append(shots, fmt.Sprint(n))
			}
		}
		rising := strings.Join(shots, " ")
		slices.Reverse(shots)
		b.sorts("table.runs", 2, rising, strings.Join(shots, " "))
		b.filters("linear", 15)
		b.filters("failed", 1)
		b.shoot(file, name)
	}
	b.checkQuiet()
}
