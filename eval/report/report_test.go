package report

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"samtune/data"
	"samtune/eval"
)

// written returns report.html and report.md of the input.
func written(t *testing.T, in Input) (html, markdown string) {
	t.Helper()
	dir := t.TempDir()
	if err := Write(dir, in); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	entries, err := os.ReadDir(dir)
	if err != nil || len(entries) != 2 {
		t.Fatalf("folder holds %v (%v), want the two reports and nothing temporary", entries, err)
	}
	return read(HTMLFile), read(MarkdownFile)
}

// zeroShotOnly is a run that fine-tuned nothing.
func zeroShotOnly() Input {
	in := syntheticRun()
	in.Results.After, in.Results.Paired, in.Results.Training, in.Log = nil, nil, eval.Training{}, nil
	var rows []eval.CaseResult
	for _, r := range in.Rows {
		if r.Method != eval.MethodAfter {
			rows = append(rows, r)
		}
	}
	in.Rows = rows
	in.Overlays = Pick(in.Results, rows)
	for i := range in.Overlays {
		addPictures(&in.Overlays[i], 96, 64, 1)
		in.Overlays[i].After = nil
	}
	return in
}

func TestPageNeedsNoNetwork(t *testing.T) {
	for name, in := range map[string]Input{"fine-tuned": syntheticRun(), "zero-shot": zeroShotOnly()} {
		t.Run(name, func(t *testing.T) {
			html, _ := written(t, in)
			for _, bad := range []string{"http:", "https:", "://", "xmlns", "<script", "<link", "<iframe", "@import", "url(", "javascript:"} {
				if strings.Contains(html, bad) {
					t.Errorf("the page holds %q", bad)
				}
			}
			for _, src := range regexp.MustCompile(`(?:src|href)="([^"]{0,40})`).FindAllStringSubmatch(html, -1) {
				if !strings.HasPrefix(src[1], "data:image/") {
					t.Errorf("the page refers to %q", src[1])
				}
			}
			if !strings.Contains(html, "https&#58;//doi.org/10.1109/TMI.2004.825627") {
				t.Error("the address in the citation can no longer be read")
			}
		})
	}
}

func TestPageIsSmall(t *testing.T) {
	in := syntheticRun()
	for i := range in.Overlays { // noise is what compresses worst
		addPictures(&in.Overlays[i], 2400, 2000, 3)
		seed := uint32(i + 1)
		for k := range in.Overlays[i].Image.Pix {
			seed = seed*1664525 + 1013904223
			in.Overlays[i].Image.Pix[k] = uint8(seed >> 24)
		}
	}
	html, _ := written(t, in)
	if len(html) >= 5_000_000 {
		t.Errorf("the page of 20 cases has %d bytes, want less than 5 MB", len(html))
	}
}

func TestBytesAreDeterministic(t *testing.T) {
	html, markdown := written(t, syntheticRun())
	for range 3 {
		h, m := written(t, syntheticRun())
		if h != html || m != markdown {
			t.Fatal("the same run gave other bytes")
		}
	}
}

func TestEveryNumberIsShown(t *testing.T) {
	in := syntheticRun()
	html, markdown := written(t, in)
	methods := []*eval.Method{in.Results.After, &in.Results.Trivial.Method}
	for _, k := range sortedBefore(in.Results) {
		methods = append(methods, in.Results.Before[k])
	}
	for _, m := range methods {
		for _, c := range metricsOf(in.Results) {
			s := c.of(m)
			if !s.Mean.Defined() {
				continue
			}
			mean, ci := number(s.Mean, c.digits), interval(s.CI95, c.digits)
			if want := "<td>" + mean + "<small>" + ci + "</small></td>"; !strings.Contains(html, want) {
				t.Errorf("%s of %q: the page lacks %s", c.name, m.Label, want)
			}
			if want := " " + mean + " (" + ci + ") |"; !strings.Contains(markdown, want) {
				t.Errorf("%s of %q: the summary lacks %s", c.name, m.Label, want)
			}
		}
	}
	for _, row := range in.Rows {
		if row.Method != eval.MethodAfter {
			continue
		}
		for _, c := range metricsOf(in.Results) {
			if want := "<td>" + number(c.score(&row.Scores), c.digits) + "</td>"; !strings.Contains(html, want) {
				t.Errorf("case %s: the page lacks its %s %s", row.Case, c.name, want)
			}
		}
	}
	r := in.Results
	for _, want := range []string{r.WeightsSHA256, r.ConfigSHA256, r.DataSHA256, r.WeightsFile, r.Layout, "2026-11-23 21:04 UTC",
		"cpu, 2 threads", "libtorch 2.11.0", "8:12", "9:59", "1874 MiB", "250 views of 25 images", "12 views", "4,058,340",
		"resumed at 121", "22_training, 25_training, 36_training, 39_training", "33_training", "19_test, 20_test", r.Command,
		"second human observer", "Dice 0.788", "oracle", "1.9e-06"} {
		if !strings.Contains(html, want) {
			t.Errorf("the page lacks %q", want)
		}
		if !strings.Contains(strings.ReplaceAll(markdown, `\_`, "_"), want) {
			t.Errorf("the summary lacks %q", want)
		}
	}
	if !strings.Contains(html, "steps = 300") {
		t.Error("the page lacks the configuration")
	}
}

func TestUndefinedIsCountedNotScored(t *testing.T) {
	in := syntheticRun()
	in.Results.Before["none"].BothEmpty = 2
	html, markdown := written(t, in)
	if !strings.Contains(html, `<td>–<small class="defined">0 of 20</small></td>`) {
		t.Error("the page does not show HD95 of no prompt as – with its count")
	}
	if !strings.Contains(markdown, "| –, 0 of 20 |") {
		t.Error("the summary does not show HD95 of no prompt as – with its count")
	}
	for _, bad := range []string{"NaN", "Inf"} {
		if strings.Contains(regexp.MustCompile(`base64,[^"]*`).ReplaceAllString(html, "")+markdown, bad) {
			t.Errorf("a report holds %q", bad)
		}
	}
	if !strings.Contains(html, "no prompt 2") {
		t.Error("the cases that are empty on both sides are not counted")
	}
}

func TestHostileNamesStayText(t *testing.T) {
	names := []string{`<script>alert(1)</script>`, `"><img src=x onerror=alert(1)>`, `../../etc/passwd`, "a|b`c*d_e\nf", `{{.Config}}`}
	in := syntheticRun()
	for i := range in.Rows {
		for k, name := range names {
			if in.Rows[i].Case == []string{"01_test", "02_test", "03_test", "04_test", "05_test"}[k] {
				in.Rows[i].Case, in.Rows[i].Patient = name, name
			}
		}
	}
	r := in.Results
	r.Title, r.Citation, r.Command, r.After.Label = names[0], names[1], names[0], names[1]
	r.Before["box"].Label = names[0]
	r.Reference = map[string]string{names[0]: names[1]}
	in.Config = "</code></pre>" + names[0]
	for i := range in.Overlays {
		in.Overlays[i].Case = names[i]
	}
	html, markdown := written(t, in)
	parse(t, html)
	for _, bad := range []string{"<script", "<img src=x", "</code></pre>&"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if code := regexp.MustCompile("`[^`\n]*`"); strings.Contains(code.ReplaceAllString(markdown, ""), "<") {
		t.Error("the summary holds a tag")
	}
	for _, line := range strings.Split(markdown, "\n") {
		if strings.HasPrefix(line, "|") && strings.Count(line, "|")-strings.Count(line, `\|`) != 12 {
			t.Errorf("a row of the summary has another number of cells: %s", line)
		}
	}
	dir := t.TempDir()
	if err := WriteOverlays(filepath.Join(dir, OverlayDir), in.Overlays); err != nil {
		t.Fatal(err)
	}
	for _, o := range in.Overlays {
		if !filepath.IsLocal(o.FileName()) || filepath.Base(o.FileName()) != o.FileName() {
			t.Errorf("file name %q leaves its folder", o.FileName())
		}
		if _, err := os.Stat(filepath.Join(dir, OverlayDir, o.FileName())); err != nil {
			t.Error(err)
		}
	}
}

func TestRunsWithoutParts(t *testing.T) {
	t.Run("zero-shot only", func(t *testing.T) {
		html, markdown := written(t, zeroShotOnly())
		for _, s := range []string{html, markdown} {
			if !strings.Contains(s, "nothing was fine-tuned") || strings.Contains(s, "Fine-tuned</b>") || strings.Contains(s, "Dice before") || strings.Contains(s, "Before:") || strings.Contains(s, "<b>before</b>") {
				t.Error("the report speaks of fine-tuning that was not done")
			}
		}
	})
	t.Run("results only", func(t *testing.T) {
		html, _ := written(t, Input{Results: syntheticRun().Results})
		if strings.Contains(html, "<img") || strings.Contains(html, `class="plot"`) {
			t.Error("the page shows what there is nothing of")
		}
	})
	t.Run("hardly anything", func(t *testing.T) {
		html, _ := written(t, Input{Results: &eval.Results{}})
		parse(t, html)
	})
	t.Run("no validation", func(t *testing.T) {
		in := syntheticRun()
		in.Results.Training.Validation = nil
		for i := range in.Log {
			in.Log[i].ValDice = nil
		}
		html, _ := written(t, in)
		if !strings.Contains(html, "the last of 300 steps was taken") || strings.Contains(html, "Dice on the validation cases<") {
			t.Error("the page does not say that nothing was held out")
		}
	})
	t.Run("a thousand cases and ten thousand steps", func(t *testing.T) {
		in := syntheticRun()
		rows, log := in.Rows, in.Log
		for i := range 50 {
			for _, r := range rows {
				r.Case += strings.Repeat("x", i+1)
				in.Rows = append(in.Rows, r)
			}
		}
		for i := range 10_000 {
			p := log[i%len(log)]
			p.Step = i + 1
			in.Log = append(in.Log, p)
		}
		html, _ := written(t, in)
		parse(t, html)
		if len(html) > 5_000_000 || !strings.Contains(html, "training loss (mean of 21 steps)") {
			t.Errorf("the page has %d bytes", len(html))
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	small := func(w, h int) *data.Mask { return data.NewMask(w, h) }
	tests := []struct {
		name string
		in   func(*Input)
		want string
	}{
		{"no results", func(in *Input) { in.Results = nil }, "no results"},
		{"a row of an unknown method", func(in *Input) { in.Rows[3].Method = "psychic" }, `method "psychic"`},
		{"two rows of one case", func(in *Input) { in.Rows = append(in.Rows, in.Rows[0]) }, `case "01_test" has two rows`},
		{"a comparison with nothing", func(in *Input) { in.Results.Paired.Before = "gone" }, `method "gone"`},
		{"a method without results", func(in *Input) { in.Results.Before["box"] = nil }, `method "box"`},
		{"a mask of another size", func(in *Input) { in.Overlays[0].After = small(10, 12) }, "prediction is 10 x 12, want 141 x 146"},
		{"a truth of another size", func(in *Input) { in.Overlays[0].Truth = small(9, 9) }, "truth is 9 x 9"},
		{"no prediction", func(in *Input) { in.Overlays[0].Before, in.Overlays[0].After = nil, nil }, "neither"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in, dir := syntheticRun(), t.TempDir()
			test.in(&in)
			err := Write(dir, in)
			if err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
	t.Run("no such folder", func(t *testing.T) {
		dir := filepath.Join(t.TempDir(), "gone")
		err := Write(dir, syntheticRun())
		if !errors.Is(err, fs.ErrNotExist) || !strings.Contains(err.Error(), dir) {
			t.Errorf("error is %v, want the folder's name and that it does not exist", err)
		}
	})
	t.Run("trivial rows are no error", func(t *testing.T) {
		in := syntheticRun()
		in.Rows = append(in.Rows, eval.CaseResult{Case: "01_test", Method: eval.MethodTrivial})
		written(t, in)
	})
}

func TestAnEarlierReportIsReplaced(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		if err := Write(dir, syntheticRun()); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil || !bytes.HasSuffix(bytes.TrimSpace(b), []byte("</html>")) {
		t.Errorf("the page is not whole: %v", err)
	}
}
