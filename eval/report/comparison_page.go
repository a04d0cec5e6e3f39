package report

import (
	"bytes"
	_ "embed"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"os"
	"path/filepath"

	"golang.org/x/image/draw"

	"samtune/eval"
)

//go:embed comparison.html.tmpl
var comparisonHTML string

var comparisonTemplate = template.Must(template.New("comparison").Parse(comparisonHTML))

// comparisonText is what the comparison's page says, already in words and digits.
type comparisonText struct {
	Title, Verdict string
	Facts          []fact
	Columns        []column
	Span           int
	Tasks          []taskText
	Notes          []string
	Plot           template.HTML
	Legend         []legendEntry
	CSS            template.CSS
}

type taskText struct {
	Name  string
	Rows  []comparedText
	Shown []galleryText
}

type comparedText struct {
	Name, Target, Test, Shots, Difference, P, Class string
	Cells                                           []comparedCell
	Missing, Get, Run                               string
}

type comparedCell struct{ Mean, Interval, Class string }

// galleryText is a row's picture: the median case, beside itself the mask before and after.
type galleryText struct {
	Name, Target, Case, Before, After, BeforeLabel, Alt string
	Width, Height                                       int
	URI                                                 template.URL
}

// comparisonPage renders the page. Pictures come from the folders of the rows' runs under dir; a row whose run has none is
// shown without.
func comparisonPage(dir string, c *eval.Comparison) ([]byte, error) {
	p := &comparisonText{
		Title: fmt.Sprintf("Zero-shot and fine-tuned on %s", atMost(c.Shots)), Verdict: comparisonVerdict(c), Columns: columnsOf(c),
		Notes: comparisonNotes(c), Plot: comparisonPlot(c), Facts: comparisonFacts(c), Legend: legend, CSS: template.CSS(pageCSS),
	}
	p.Span = len(p.Columns) + 6
	for _, rows := range byTask(c.Rows) {
		t := taskText{Name: rows[0].Task}
		for _, r := range rows {
			t.Rows = append(t.Rows, comparedRow(r, p.Columns))
			if r.Status != eval.StatusOK {
				continue
			}
			g, err := gallery(dir, r)
			if errors.Is(err, os.ErrNotExist) {
				continue
			}
			if err != nil {
				return nil, err
			}
			if g != nil {
				t.Shown = append(t.Shown, *g)
			}
		}
		p.Tasks = append(p.Tasks, t)
	}
	var b bytes.Buffer
	if err := comparisonTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return withoutAddresses(b.Bytes()), nil
}

func comparedRow(r eval.ComparisonRow, columns []column) comparedText {
	t := comparedText{Name: r.Title, Target: r.Target}
	if r.Status != eval.StatusOK {
		t.Missing, t.Get, t.Class = absence(r), r.Get, "absent"
		return t
	}
	t.Test, t.Shots, t.Run = casesOf(r.Results), fmt.Sprint(r.Shots), r.Run
	for i, col := range columns {
		cell := comparedCell{Mean: number(col.value(r.Results), 3)}
		if col.decoder && (i == 0 || !columns[i-1].decoder) {
			cell.Interval, cell.Class = interval(r.After.Dice.CI95, 3), "tuned"
		}
		t.Cells = append(t.Cells, cell)
	}
	t.Difference, t.P = gain(r)
	if r.Paired != nil && r.Paired.Difference < 0 {
		t.Class = "worse"
	}
	return t
}

func comparisonFacts(c *eval.Comparison) []fact {
	var ok, absent, failed, images, encoded int
	var seconds, memory float64
	out := []fact{}
	for _, r := range c.Rows {
		switch r.Status {
		case eval.StatusAbsent:
			absent++
			continue
		case eval.StatusFailed:
			failed++
			continue
		}
		if ok == 0 {
			out = append(out, fact{"Model", r.ModelTitle, false}, fact{"Weights", r.WeightsFile + ", SHA-256 " + clip(r.WeightsSHA256, 17), true},
				fact{"Device", fmt.Sprintf("%s, %s", r.Device, count(r.Threads, "thread", "threads")), false})
		}
		ok++
		images += r.Cases
		encoded += r.EncodedViews
		seconds += r.Seconds.Total
		memory = max(memory, r.PeakRSSMB)
	}
	rows := fmt.Sprintf("%d done", ok)
	if absent > 0 {
		rows += fmt.Sprintf(", %d absent", absent)
	}
	if failed > 0 {
		rows += fmt.Sprintf(", %d failed", failed)
	}
	return append(out, fact{"Rows", rows, false}, fact{"Shots", fmt.Sprintf("%d, or all of a smaller pool; seed %d", c.Shots, c.Seed), false},
		fact{"Test cases times targets", grouped(images), false}, fact{"Encoder passes of these runs", grouped(encoded), false},
		fact{"Time of all runs", clock(seconds), false}, fact{"Peak memory", mebibytes(memory), false}, fact{"Command", c.Command, true})
}

// Pictures of a comparison: three panels in so many pixels.
const (
	galleryWidth   = 840
	galleryQuality = 82
)

// gallery makes a row's picture smaller: the median case, or the only one, as its run drew it, without captions.
func gallery(dir string, r eval.ComparisonRow) (*galleryText, error) {
	rows, err := eval.ReadCasesFile(filepath.Join(dir, r.Run, "per_case.csv"))
	if err != nil {
		return nil, err
	}
	picked := Pick(r.Results, rows)
	if len(picked) == 0 {
		return nil, nil
	}
	shown := picked[0]
	for _, c := range picked {
		if c.Role == "median" {
			shown = c
		}
	}
	path := filepath.Join(dir, r.Run, OverlayDir, shown.FileName())
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	full, _, err := image.Decode(f)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	from := full.Bounds()
	from.Min.Y, from.Max.Y = from.Min.Y+strip, from.Max.Y-strip
	size := fit(from.Dx(), from.Dy(), 0)
	if from.Dx() > galleryWidth {
		size = image.Rect(0, 0, galleryWidth, max(1, from.Dy()*galleryWidth/from.Dx()))
	}
	small := image.NewRGBA(size)
	draw.CatmullRom.Scale(small, size, full, from, draw.Src, nil)
	var b bytes.Buffer
	if err := jpeg.Encode(&b, small, &jpeg.Options{Quality: galleryQuality}); err != nil {
		return nil, fmt.Errorf("embed %q: %w", path, err)
	}
	return &galleryText{
		Name: r.Title, Target: r.Target, Case: shown.Role + " case " + shown.Case, Before: number(shown.BeforeDice, 3), After: number(shown.AfterDice, 3),
		BeforeLabel: shown.BeforeLabel, Width: size.Dx(), Height: size.Dy(), URI: embedded("jpeg", b.Bytes()),
		Alt: fmt.Sprintf("%s %s, case %s: the picture, the mask before with Dice %s and after with Dice %s", r.Title, r.Target, shown.Case,
			number(shown.BeforeDice, 3), number(shown.AfterDice, 3)),
	}, nil
}

// comparisonPlot draws a line for each row: baselines, zero-shot and fine-tuned Dice with its interval.
func comparisonPlot(c *eval.Comparison) template.HTML {
	const top, row = 58.0, 22.0
	lines := 0
	for _, rows := range byTask(c.Rows) {
		n := 0
		for _, r := range rows {
			if r.Status == eval.StatusOK {
				n++
			}
		}
		if n > 0 {
			lines += n + 1
		}
	}
	if lines == 0 {
		return ""
	}
	bottom := top + row*float64(lines) + 6
	s := newSVG("compared", "Mean Dice of each target, zero-shot and fine-tuned", "A line for each target by task; the numbers are in the table.", plotWidth+100, bottom+42)
	x := scale{0, 1, 250, plotWidth + 60}
	for _, v := range ticks(0, 1, 0.1) {
		s.line("grid", x.at(v), top-6, x.at(v), bottom)
		s.text("tick", "middle", x.at(v), bottom+16, decimal(v, 1))
	}
	s.text("axis", "middle", (x.start+x.end)/2, bottom+34, "Dice (higher is better)")
	key := x.start - 170
	for _, k := range []struct {
		mark  string
		name  string
		width float64
	}{{"trivial", "everything", 92}, {"before", "full box", 84}, {"oracle", "oracle box", 96}, {"grid", "oracle grid", 98}, {"other", "plain decoder", 116}, {"after", "fine-tuned, 95 % interval", 0}} {
		mark(s, k.mark, key+6, 22)
		s.text("tick", "start", key+18, 26, k.name)
		key += k.width
	}
	y := top
	for _, rows := range byTask(c.Rows) {
		first := true
		for _, r := range rows {
			if r.Status != eval.StatusOK {
				continue
			}
			if first {
				s.text("label strong", "start", 0, y+row/2+6, r.Task)
				s.line("rule", 0, y+row-2, plotWidth+100, y+row-2)
				y += row
				first = false
			}
			drawCompared(s, x, y+row/2, r)
			y += row
		}
	}
	return s.done()
}

func drawCompared(s *svg, x scale, y float64, r eval.ComparisonRow) {
	s.text("label", "end", x.start-12, y+4, clip(r.Title+" "+r.Target, 38))
	at := func(name string, v eval.Float) {
		if v.Defined() {
			mark(s, name, x.at(clamp(float64(v), x)), y)
		}
	}
	before := func(kind string) eval.Float {
		if m := r.Before[kind]; m != nil {
			return m.Dice.Mean
		}
		return eval.Undefined
	}
	if a, b := before(eval.PromptBox), r.After; a.Defined() && b != nil && b.Dice.Mean.Defined() {
		class := "gain"
		if b.Dice.Mean < a {
			class = "loss"
		}
		s.line(class, x.at(float64(a)), y, x.at(float64(b.Dice.Mean)), y)
	}
	if r.Trivial != nil {
		at("trivial", r.Trivial.Dice)
	}
	at("grid", before(eval.PromptEverythingOracle))
	at("oracle", before(eval.PromptOracleBox))
	at("before", before(eval.PromptBox))
	if m, _ := r.Decoder("plain"); m != nil && m != r.After {
		at("other", m.Dice.Mean)
	}
	if r.After == nil {
		return
	}
	if low, high := r.After.Dice.CI95[0], r.After.Dice.CI95[1]; low.Defined() && high.Defined() {
		s.line("whisker", x.at(float64(low)), y, x.at(float64(high)), y)
	}
	at("after", r.After.Dice.Mean)
	s.text("tick strong", "end", plotWidth+98, y+4, number(r.After.Dice.Mean, 3))
}

// mark draws one of the plot's marks: they differ in shape, not in colour alone.
func mark(s *svg, name string, x, y float64) {
	switch name {
	case "trivial":
		s.line("whisker", x, y-6, x, y+6)
	case "oracle":
		s.polyline("open", [][2]float64{{x - 4.5, y - 4.5}, {x + 4.5, y - 4.5}, {x + 4.5, y + 4.5}, {x - 4.5, y + 4.5}, {x - 4.5, y - 4.5}})
	case "grid":
		s.line("whisker", x-4, y-4, x+4, y+4)
		s.line("whisker", x-4, y+4, x+4, y-4)
	case "other":
		s.polyline("open other", [][2]float64{{x, y - 5.5}, {x + 5.5, y}, {x, y + 5.5}, {x - 5.5, y}, {x, y - 5.5}})
	default:
		s.circle(name, x, y, 4.5)
	}
}
