package report

import (
	"encoding/csv"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/eval"
)

// compared is a comparison of a run with pictures, one that made things worse, one that failed and one that is absent. Its
// names and errors are hostile.
func compared(t *testing.T, dir string) *eval.Comparison {
	t.Helper()
	in := syntheticRun()
	run := filepath.Join(dir, "runs", "a")
	if err := os.MkdirAll(run, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := in.leave(run); err != nil {
		t.Fatal(err)
	}
	worse := *syntheticRun().Results
	paired := *worse.Paired
	paired.Difference, paired.P = -0.2, 0.03
	worse.Paired, worse.Target, worse.Task, worse.Volumes = &paired, "<b>|x", "MRI", 7
	return &eval.Comparison{Schema: 2, Shots: 5, Seed: 1, Prompts: []string{"none", "box", "oracle_box"}, Decoders: []string{"own", "plain"}, Command: "samtune compare",
		Rows: []eval.ComparisonRow{
			{Status: eval.StatusOK, Run: "runs/a", Results: in.Results},
			{Status: eval.StatusOK, Run: "runs/gone", Results: &worse},
			{Status: eval.StatusFailed, Error: "<script>alert(1)</script>\nat line 2", Results: &eval.Results{Benchmark: "f", Title: "F", Task: "MRI", Target: "t"}},
			{Status: eval.StatusAbsent, Get: "from https://example.org/a", Results: &eval.Results{Benchmark: "g", Title: "G", Task: "MRI", Target: "t"}},
		}}
}

func TestComparison(t *testing.T) {
	dir := t.TempDir()
	c := compared(t, dir)
	if err := WriteComparison(dir, c, true); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		t.Helper()
		text, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	html := read(HTMLFile)
	images := 0
	for _, e := range parse(t, html) {
		if e.name == "image" && e.attr["class"] == "picture" {
			images++
			if !strings.HasPrefix(e.attr["href"], "data:image/jpeg;base64,") {
				t.Errorf("picture %.40q", e.attr["href"])
			}
		}
	}
	if strings.Count(html, "<script") != 1 {
		t.Error("an error's text became a script")
	}
	if images != 1 || strings.Contains(html, "://") {
		t.Errorf("%d pictures, want that of the run that has them; an address: %v", images, strings.Contains(html, "://"))
	}
	if len(html) > 1<<20 {
		t.Errorf("the page has %d bytes", len(html))
	}
	rows, err := csv.NewReader(strings.NewReader(read(CompareCSV))).ReadAll()
	if err != nil || len(rows) != 5 {
		t.Fatalf("%d lines: %v", len(rows), err)
	}
	at := map[string]int{}
	for i, name := range rows[0] {
		at[name] = i
	}
	if got := rows[2][at["p_holm"]]; got != "0.03" || rows[2][at["volumes"]] != "7" || rows[4][at["status"]] != "absent" || rows[4][at["own"]] != "" {
		t.Errorf("lines are %q", rows)
	}
	if want := "Fine-tuning on up to 5 images raised mean Dice in 1 of 2 targets, confirmed after Holm's correction in 1; it lowered it in 1, confirmed in 1."; !strings.Contains(read(MarkdownFile), want) {
		t.Errorf("the summary lacks %q:\n%s", want, read(MarkdownFile))
	}
	again, err := eval.ReadComparison(filepath.Join(dir, CompareFile))
	if err != nil {
		t.Fatal(err)
	}
	if again.Rows[1].PHolm != 0.03 || again.Rows[2].Error != c.Rows[2].Error || again.Rows[0].After.Dice.Mean != c.Rows[0].After.Dice.Mean {
		t.Errorf("compare.json gives %+v", again.Rows)
	}
	if err := WriteComparison(dir, again, true); err != nil || read(HTMLFile) != html {
		t.Errorf("what was read back makes another page: %v", err)
	}
	var table strings.Builder
	if err := ComparisonTable(&table, c); err != nil || !strings.Contains(table.String(), "1 row is absent") {
		t.Errorf("%v: %s", err, &table)
	}
}
