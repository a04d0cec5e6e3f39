package report

import (
	"encoding/csv"
	"errors"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/eval"
)

// swept leaves the runs of a sweep in dir: Dice rises by a power law of the shots. One row failed, one is left; their words are
// hostile. With two settings there is a second decoder that is worse.
func swept(t *testing.T, dir string, settings int) *eval.Sweep {
	t.Helper()
	s := &eval.Sweep{Command: "samtune sweep --benchmark drive --shots 1,3,5,10,20 --seeds 3", PlanHash: strings.Repeat("ab", 32), Config: "benchmark = \"drive\"\n"}
	rng := rand.New(rand.NewPCG(5, 5))
	for k, decoder := range []string{"linear", "<plain>"}[:settings] {
		ease := make([]float64, 20)
		for c := range ease {
			ease[c] = 0.02 * rng.NormFloat64()
		}
		for _, shots := range []int{1, 3, 5, 10, 20} {
			for seed := int64(1); seed <= 3; seed++ {
				row := eval.SweepRow{Index: len(s.Rows), Setting: "drive-" + decoder, Benchmark: "drive", Target: "vessels", Model: "lite_medsam", Decoder: decoder,
					Shots: shots, Seed: seed, Hash: fmt.Sprintf("%064d", len(s.Rows)), Dir: fmt.Sprintf("runs/%d", len(s.Rows)), Status: eval.SweepDone}
				draw := 0.02 / math.Sqrt(float64(shots)) * rng.NormFloat64()
				level := 0.81 - 0.14*math.Pow(float64(shots), -0.8) - 0.2*float64(k)
				leaveRun(t, filepath.Join(dir, row.Dir), row, func(c int) float64 { return level + draw + ease[c] + 0.004*rng.NormFloat64() })
				s.Rows = append(s.Rows, row)
			}
		}
	}
	s.Rows[4].Status, s.Rows[4].Error = eval.SweepFailed, "<script>alert(1)</script>\nno memory"
	s.Rows[8].Status = eval.SweepLeft
	return s
}

func leaveRun(t *testing.T, dir string, row eval.SweepRow, dice func(c int) float64) {
	t.Helper()
	r := *syntheticRun().Results
	r.Shots, r.Seed, r.Training.Decoder, r.Others = row.Shots, row.Seed, row.Decoder, nil
	var rows, before, after []eval.CaseResult
	for c := range 20 {
		id := fmt.Sprintf("%02d_test", c+1)
		before = append(before, eval.CaseResult{Case: id, Patient: id, Method: "box", Scores: eval.Scores{Dice: eval.Float(0.22 + 0.001*float64(c))}})
		after = append(after, eval.CaseResult{Case: id, Patient: id, Method: eval.MethodAfter, Scores: eval.Scores{Dice: eval.Float(dice(c))}})
	}
	rows = append(before, after...)
	r.After = eval.MethodOf("fine-tuned", false, after, 1)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	if err := eval.WriteCasesFile(filepath.Join(dir, CasesFile), rows); err != nil {
		t.Fatal(err)
	}
	if err := eval.WriteResults(filepath.Join(dir, ResultsFile), &r); err != nil {
		t.Fatal(err)
	}
}

func TestSweepReport(t *testing.T) {
	dir := t.TempDir()
	s := swept(t, dir, 1)
	if err := os.WriteFile(filepath.Join(dir, "runs/14", CasesFile), []byte("damaged"), 0o600); err != nil {
		t.Fatal(err)
	}
	s.Totals.Images = 7 // of an encoding before the runs
	s.Collect(dir, 1)
	if s.Rows[14].Status != eval.SweepFailed || !strings.Contains(s.Rows[14].Error, CasesFile) {
		t.Errorf("the damaged run is %+v", s.Rows[14])
	}
	if s.Totals.Images != 7+12*25 || s.Totals.PeakRSSMB != 1874.3 || s.Settings[0].WeightsSHA256 == "" || len(s.Settings[0].Statistics.Shots) != 5 {
		t.Errorf("totals %+v, setting %+v", s.Totals, s.Settings[0])
	}
	if err := WriteSweep(dir, s); err != nil {
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
	html, markdown := read(HTMLFile), read(MarkdownFile)
	parse(t, html)
	if strings.Contains(html, "://") || strings.Count(html, "<script") != 1 || strings.Contains(markdown, "<script") || strings.Contains(html+markdown, "NaN") && !strings.Contains(pageJS, "NaN") {
		t.Error("a page holds an address, a foreign script or NaN")
	}
	st := s.Settings[0].Statistics
	last := st.Shots[4]
	for _, want := range []string{
		"Fine-tuning on 20 images raised mean Dice from 0.230 zero-shot to " + number(last.Mean, 3), "12 of 15 runs done, 2 failed, 1 left", s.PlanHash, s.Command, "no memory",
		number(st.Shots[0].Mean, 3), interval(st.Shots[0].CI95, 3), number(st.Shots[1].BetweenSeeds.SD, 3), "5 images → 10 images", "40 images",
		"Dice 0.788", s.Settings[0].WeightsSHA256, "runs/3", "Learning curve: Dice = ",
	} {
		plainHTML := strings.NewReplacer("&#43;", "+", "&#34;", `"`).Replace(html)
		if !strings.Contains(plainHTML, want) || !strings.Contains(strings.ReplaceAll(markdown, `\_`, "_"), want) {
			t.Errorf("page (%v) or summary lacks %q", strings.Contains(plainHTML, want), want)
		}
	}
	if n := strings.Count(html, `<circle class="run"`); n != 12+1 { // and one in the key
		t.Errorf("the plot shows %d runs, want 12", n-1)
	}
	rows, err := csv.NewReader(strings.NewReader(read(SweepCSV))).ReadAll()
	if err != nil || len(rows) != 1+15+1+5 || rows[1][12] == "" || rows[5][8] != "failed" || rows[21][0] != "shots" || rows[21][6] != "20" {
		t.Errorf("%d lines: %v", len(rows), err)
	}

	var first, again strings.Builder
	if err := SweepTable(&first, s); err != nil || !strings.Contains(first.String(), "convex head") {
		t.Errorf("%v: %s", err, &first)
	}
	other := filepath.Join(t.TempDir(), "figure.html")
	page, err := Again(&again, dir, other)
	if err != nil || page != other || again.String() != first.String() {
		t.Fatalf("%v: %s: %s", err, page, &again)
	}
	copied, err := os.ReadFile(other)
	if err != nil || string(copied) != html {
		t.Errorf("what was read back makes another page: %v", err)
	}
}

func TestSweepSentences(t *testing.T) {
	dir := t.TempDir()
	s := swept(t, dir, 2)
	s.Collect(dir, 1)
	if got, want := sweepVerdict(s).sentence(), "Fine-tuning on the largest number of images raised mean Dice in 2 of 2 settings"; !strings.HasPrefix(got, want) {
		t.Errorf("%q", got)
	}
	p := s.Settings[0].Statistics.Plateau
	st := *s.Settings[0].Statistics
	for _, test := range []struct {
		plateau eval.Plateau
		want    string
	}{
		{eval.Plateau{Status: eval.StatusReached, Shots: 5, ByMeans: 3, Margin: 0.01}, "5 images are enough: that more of them, up to 20, gain 0.01 Dice or more is excluded."},
		{eval.Plateau{Status: eval.StatusNotReached, ByMeans: 10, Margin: 0.01}, "By the means alone 10 images are enough"},
		{eval.Plateau{Status: eval.StatusNotReached, Margin: 0.01}, "More images still help at 20"},
		{eval.Plateau{Status: eval.StatusNoPairs}, "can't be said: no seed and case in common"},
	} {
		st.Plateau = test.plateau
		if got := plateauSentence(&st); !strings.Contains(got, test.want) {
			t.Errorf("%+v: %q", test.plateau, got)
		}
	}
	if p.Margin != eval.DefaultMargin {
		t.Errorf("margin is %v", p.Margin)
	}
	st.Curve.Check.Inside = false
	if got := curveSentence(&st); !strings.Contains(got, "with 40 images") || !strings.Contains(got, "outside the interval") {
		t.Errorf("%q", got)
	}
	empty := eval.SweepSetting{Error: "the test cases differ"}
	if got := settingSentences(&empty); len(got) != 1 || got[0] != "Nothing can be said: the test cases differ." {
		t.Errorf("%q", got)
	}
}

// TestSweepWithoutRuns makes a page of a sweep that has only begun.
func TestSweepWithoutRuns(t *testing.T) {
	dir := t.TempDir()
	s := swept(t, dir, 2)
	for i := range s.Rows {
		s.Rows[i].Status = eval.SweepLeft
	}
	s.Collect(dir, 1)
	if err := WriteSweep(dir, s); err != nil {
		t.Fatal(err)
	}
	html, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil || !strings.Contains(string(html), "No run of this sweep is done.") {
		t.Errorf("%v", err)
	}
	parse(t, string(html))
}

func TestAgain(t *testing.T) {
	in, dir := syntheticRun(), t.TempDir()
	if err := in.leave(dir); err != nil {
		t.Fatal(err)
	}
	var out strings.Builder
	if _, err := Again(&out, dir, ""); !errors.Is(err, ErrNoReport) || !strings.Contains(err.Error(), ResultsFile) {
		t.Errorf("an unfinished run: %v", err)
	}
	if _, err := Again(&out, filepath.Join(dir, "gone"), ""); !errors.Is(err, ErrNoReport) || !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no folder: %v", err)
	}
	if err := Write(dir, In(dir), in.Results, in.Rows); err != nil {
		t.Fatal(err)
	}
	if err := eval.WriteResults(filepath.Join(dir, ResultsFile), in.Results); err != nil {
		t.Fatal(err)
	}
	names := []string{HTMLFile, MarkdownFile, CSVFile}
	want := map[string]string{}
	for _, name := range names {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		want[name] = string(b)
		if err := os.Remove(filepath.Join(dir, name)); err != nil {
			t.Fatal(err)
		}
	}
	page, err := Again(&out, dir, "")
	if err != nil || page != filepath.Join(dir, HTMLFile) || !strings.Contains(out.String(), "DRIVE vessels, 20 test images") {
		t.Fatalf("%v: %s: %s", err, page, &out)
	}
	for _, name := range names {
		if b, err := os.ReadFile(filepath.Join(dir, name)); err != nil || string(b) != want[name] {
			t.Errorf("%s is not what the run left: %v", name, err)
		}
	}
	to := filepath.Join(dir, "figures")
	if err := os.Mkdir(to, 0o755); err != nil {
		t.Fatal(err)
	}
	if _, err := Again(&out, dir, filepath.Join(to, "a.html")); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(filepath.Join(to, "a.md"))
	if err != nil || !strings.Contains(string(b), "](../overlays/best-") {
		t.Errorf("the pictures are not found from another folder: %v", err)
	}
	if err := os.WriteFile(filepath.Join(dir, ResultsFile), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := Again(&out, dir, ""); !errors.Is(err, eval.ErrFormat) {
		t.Errorf("damaged results: %v", err)
	}
}
