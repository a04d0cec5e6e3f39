package report

import (
	"errors"
	"fmt"
	"html/template"
	"os"
	"path/filepath"

	"samtune/eval"
)

// comparisonText is what the comparison's page says, already in words and digits.
type comparisonText struct {
	frame
	Verdict string
	Facts   []factGroup
	Columns []column
	Span    int // columns of the table
	Rest    int // those right of the target
	Tasks   []taskText
	Notes   []string
	Plots   []plot
	Gallery *gallery
}

type taskText struct {
	Name string
	Rows []comparedText
}

type comparedText struct {
	Name, Target, Test, Shots, Difference, Gain, P, Class string // Gain is the number in Difference
	Cells                                                 []comparedCell
	Missing, Get                                          string
}

type comparedCell struct{ Mean, Interval, Class string }

// comparisonPage renders the page. Pictures come from the folders of the rows' runs under dir; a row whose run has none is
// shown without.
func comparisonPage(dir string, c *eval.Comparison) ([]byte, error) {
	title := fmt.Sprintf("Zero-shot and fine-tuned on %s", atMost(c.Shots))
	p := &comparisonText{
		frame: frame{title, title}, Verdict: comparisonVerdict(c), Columns: columnsOf(c), Notes: comparisonNotes(c),
		Facts: []factGroup{{"This comparison", comparisonFacts(c)}},
		Plots: plotted(plot{ID: "glance", Heading: "At a glance", Drawing: comparisonPlot(c)}),
	}
	p.Span, p.Rest = len(p.Columns)+6, len(p.Columns)+4
	var slides []slide
	for _, rows := range byTask(c.Rows) {
		t := taskText{Name: rows[0].Task}
		for _, r := range rows {
			t.Rows = append(t.Rows, comparedRow(r, p.Columns))
			if r.Status != eval.StatusOK {
				continue
			}
			s, err := medianSlide(dir, r)
			if err != nil {
				return nil, err
			}
			if s != nil {
				slides = append(slides, *s)
			}
		}
		p.Tasks = append(p.Tasks, t)
	}
	p.Gallery = newGallery("The median test case of each target by Dice after fine-tuning, zero-shot with the full-image box beside it. Each run's own report, in the folder runs, shows more.", slides)
	return render("comparison", p)
}

func comparedRow(r eval.ComparisonRow, columns []column) comparedText {
	t := comparedText{Name: r.Title, Target: r.Target}
	if r.Status != eval.StatusOK {
		t.Missing, t.Get, t.Class = absence(r), r.Get, "absent"
		return t
	}
	t.Test, t.Shots = casesOf(r.Results), fmt.Sprint(r.Shots)
	for i, col := range columns {
		cell := comparedCell{Mean: number(col.value(r.Results), 3)}
		if col.decoder && (i == 0 || !columns[i-1].decoder) {
			cell.Interval, cell.Class = interval(r.After.Dice.CI95, 3), "tuned"
		}
		t.Cells = append(t.Cells, cell)
	}
	t.Difference, t.P = gain(r)
	if r.Paired != nil {
		t.Gain = full(r.Paired.Difference)
		if r.Paired.Difference < 0 {
			t.Class = "worse"
		}
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

// comparedSide is the longest side of a comparison's pictures: there may be many.
const comparedSide = 360

// medianSlide shows the median case of a row, or the only one; nil where its run left no pictures.
func medianSlide(dir string, r eval.ComparisonRow) (*slide, error) {
	rows, err := eval.ReadCasesFile(filepath.Join(dir, r.Run, CasesFile))
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
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
	s, err := readSlide(filepath.Join(dir, r.Run, OverlayDir), shown, comparedSide)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	s.Name, s.Heading, s.Role = r.Title+" "+r.Target, r.Title+" "+r.Target+", "+shown.Case, shown.Role
	return s, nil
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
	}{{"trivial", "everything", 92}, {"before", "full box", 84}, {"square", "oracle box", 96}, {"cross", "oracle grid", 98}, {"diamond", "plain decoder", 116}, {"after", "fine-tuned, 95 % interval", 0}} {
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
	at("cross", before(eval.PromptEverythingOracle))
	at("square", before(eval.PromptOracleBox))
	at("before", before(eval.PromptBox))
	if m, _ := r.Decoder("plain"); m != nil && m != r.After {
		at("diamond", m.Dice.Mean)
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
