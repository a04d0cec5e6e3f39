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

// written returns report.html and report.md of the run.
func written(t *testing.T, in made) (html, markdown string) {
	t.Helper()
	dir := t.TempDir()
	if err := in.leave(dir); err != nil {
		t.Fatal(err)
	}
	before, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Write(dir, In(dir), in.Results, in.Rows); err != nil {
		t.Fatal(err)
	}
	read := func(name string) string {
		b, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	after, err := os.ReadDir(dir)
	if err != nil || len(after) != len(before)+3 {
		t.Fatalf("folder holds %v (%v), want the three forms of the report more and nothing temporary", after, err)
	}
	read(CSVFile)
	return read(HTMLFile), read(MarkdownFile)
}

// zeroShotOnly is a run that fine-tuned nothing.
func zeroShotOnly() made {
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
	for name, in := range map[string]made{"fine-tuned": syntheticRun(), "zero-shot": zeroShotOnly()} {
		t.Run(name, func(t *testing.T) {
			html, _ := written(t, in)
			if n := strings.Count(html, "<script"); n != 1 || !strings.Contains(html, "<script>\n"+pageJS+"</script>") {
				t.Errorf("the page has %d scripts, want its own", n)
			}
			for _, bad := range []string{"http:", "https:", "://", "xmlns", "<link", "<iframe", "@import", "url(", "javascript:"} {
				if strings.Contains(html, bad) {
					t.Errorf("the page holds %q", bad)
				}
			}
			for _, src := range regexp.MustCompile(`(?:src|href)="([^"]{0,40})`).FindAllStringSubmatch(html, -1) {
				if !strings.HasPrefix(src[1], "data:image/") && !strings.HasPrefix(src[1], "#case-") {
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
	noise := CaseOverlay{Case: "noise", AfterLabel: "after"} // is what compresses worst
	addPictures(&noise, 1200, 1000, 3)
	seed := uint32(1)
	for k := range noise.Image.Pix {
		seed = seed*1664525 + 1013904223
		noise.Image.Pix[k] = uint8(seed >> 24)
		if k < len(noise.After.Pix) {
			noise.After.Pix[k], noise.Before.Pix[k] = uint8(seed>>23)&1, uint8(seed>>22)&1
		}
	}
	p, err := noise.draw()
	if err != nil {
		t.Fatal(err)
	}
	if n := len(p.picture) + len(p.before) + len(p.after); n > caseBytes*3/2 {
		t.Errorf("pictures of noise have %d bytes", n)
	}
	in := syntheticRun()
	in.Overlays = allPictures(in)
	html, _ := written(t, in)
	t.Logf("the page of 20 cases of 565 x 584 pixels has %d bytes", len(html))
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
		if strings.Contains(regexp.MustCompile(`base64,[^"]*`).ReplaceAllString(strings.ReplaceAll(html, pageJS, ""), "")+markdown, bad) {
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
	in.Overlays = in.Overlays[:len(names)]
	for i := range in.Overlays {
		in.Overlays[i].Case = names[i]
	}
	html, markdown := written(t, in)
	parse(t, html)
	if strings.Count(html, "<script") != 1 {
		t.Error("a name became a script")
	}
	for _, bad := range []string{"<img src=x", "</code></pre>&"} {
		if strings.Contains(html, bad) {
			t.Errorf("the page holds %q", bad)
		}
	}
	if code := regexp.MustCompile("`[^`\n]*`"); strings.Contains(code.ReplaceAllString(markdown, ""), "<") {
		t.Error("the summary holds a tag")
	}
	metrics := len(metricsOf(in.Results))
	for _, line := range strings.Split(markdown, "\n") {
		if cells := strings.Count(line, "|") - strings.Count(line, `\|`); strings.HasPrefix(line, "|") && cells != metrics+2 && cells != metrics+4 {
			t.Errorf("a row of the summary has another number of cells: %s", line)
		}
	}
	dir := t.TempDir()
	if err := in.leave(dir); err != nil {
		t.Fatal(err)
	}
	for _, o := range in.Overlays {
		if !filepath.IsLocal(o.FileName()) || filepath.Base(o.FileName()) != o.FileName() {
			t.Errorf("file name %q leaves its folder", o.FileName())
		}
		if _, err := os.Stat(filepath.Join(dir, OverlayDir, o.stem()+pictureSuffix)); err != nil {
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
		html, _ := written(t, made{Results: syntheticRun().Results})
		if strings.Contains(html, "<figure") && strings.Contains(html, `class="slide"`) || strings.Contains(html, `id="cases"`) {
			t.Error("the page shows what there is nothing of")
		}
	})
	t.Run("hardly anything", func(t *testing.T) {
		html, _ := written(t, made{Results: &eval.Results{}})
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
		if len(html) > 5_000_000 || !strings.Contains(html, "training loss (mean of 20 steps)") {
			t.Errorf("the page has %d bytes", len(html))
		}
	})
}

func TestWriteRefuses(t *testing.T) {
	tests := []struct {
		name string
		in   func(*made)
		want string
	}{
		{"no results", func(in *made) { in.Results = nil }, "no results"},
		{"a row of an unknown method", func(in *made) { in.Rows[3].Method = "psychic" }, `method "psychic"`},
		{"two rows of one case", func(in *made) { in.Rows = append(in.Rows, in.Rows[0]) }, `case "01_test" has two rows`},
		{"a comparison with nothing", func(in *made) { in.Results.Paired.Before = "gone" }, `method "gone"`},
		{"a method without results", func(in *made) { in.Results.Before["box"] = nil }, `method "box"`},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			in, dir := syntheticRun(), t.TempDir()
			test.in(&in)
			err := Write(dir, In(dir), in.Results, in.Rows)
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
		in := syntheticRun()
		err := Write(t.TempDir(), In(dir), in.Results, in.Rows)
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

func TestOverlaysRefuse(t *testing.T) {
	for _, test := range []struct {
		name string
		in   func(*CaseOverlay)
		want string
	}{
		{"a mask of another size", func(c *CaseOverlay) { c.After = data.NewMask(10, 12) }, "prediction is 10 x 12, want 141 x 146"},
		{"a truth of another size", func(c *CaseOverlay) { c.Truth = data.NewMask(9, 9) }, "truth is 9 x 9"},
		{"no prediction", func(c *CaseOverlay) { c.Before, c.After = nil, nil }, "neither"},
	} {
		t.Run(test.name, func(t *testing.T) {
			c, dir := syntheticRun().Overlays[0], t.TempDir()
			test.in(&c)
			if err := WriteOverlay(dir, c); err == nil || !strings.Contains(err.Error(), test.want) {
				t.Errorf("error is %v, want %q in it", err, test.want)
			}
			if left, _ := os.ReadDir(dir); len(left) > 0 {
				t.Errorf("left behind: %v", left)
			}
		})
	}
}

func TestAnEarlierReportIsReplaced(t *testing.T) {
	dir := t.TempDir()
	for range 2 {
		in := syntheticRun()
		if err := Write(dir, In(dir), in.Results, in.Rows); err != nil {
			t.Fatal(err)
		}
	}
	b, err := os.ReadFile(filepath.Join(dir, HTMLFile))
	if err != nil || !bytes.HasSuffix(bytes.TrimSpace(b), []byte("</html>")) {
		t.Errorf("the page is not whole: %v", err)
	}
}
