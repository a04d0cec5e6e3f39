package report

import (
	"fmt"
	"html/template"
	"math"
	"sort"

	"samtune/eval"
)

// Sizes of the plots in CSS pixels.
const (
	plotWidth    = 760
	caseRow      = 20.0 // height of a case's row
	manyCases    = 60   // above this many the rows shrink and lose their names
	manyHeight   = 900.0
	maxLossDots  = 500 // points of the loss curve; above, means of neighbouring steps
	labelLetters = 24
)

// casePlot draws Dice before and after of each case on a line of its own, best after on top, the means with
// their intervals below. Without after it shows what zero-shot reaches.
func casePlot(r *eval.Results, cases []testCase) template.HTML {
	before := comparedBefore(r)
	by := before
	if r.After != nil {
		by = eval.MethodAfter
	}
	shown := make([]testCase, 0, len(cases))
	low, high := 1.0, 0.0
	for _, c := range cases {
		values := []eval.Float{c.scores.dice(before), c.scores.dice(by)}
		if !values[0].Defined() && !values[1].Defined() {
			continue
		}
		shown = append(shown, c)
		for _, v := range values {
			if v.Defined() {
				low, high = math.Min(low, float64(v)), math.Max(high, float64(v))
			}
		}
	}
	if len(shown) == 0 {
		return ""
	}
	for _, m := range []*eval.Method{r.Before[before], r.After} {
		if m == nil {
			continue
		}
		for _, v := range m.Dice.CI95 {
			if v.Defined() {
				low, high = math.Min(low, float64(v)), math.Max(high, float64(v))
			}
		}
	}
	low, high = widen(math.Max(low, 0), math.Min(high, 1))
	sort.SliceStable(shown, func(i, j int) bool {
		a, b := shown[i].scores.dice(by), shown[j].scores.dice(by)
		return a > b || a.Defined() && !b.Defined()
	})
	from, to, step, digits := axis(low, high, 8)
	if high-low > 0.3 {
		from, to, step, digits = 0, 1, 0.1, 1
	}
	row, named := caseRow, true
	if len(shown) > manyCases {
		row, named = math.Max(3, math.Min(caseRow, manyHeight/float64(len(shown)))), false
	}
	const top = 34.0
	bottom := top + row*float64(len(shown)) + 2*caseRow + 8
	title := fmt.Sprintf("Dice of each of %s before and after", count(len(shown), "test case", "test cases"))
	description := "A line for each case, sorted by Dice after; the numbers are in the table of all cases."
	if r.After == nil {
		title = fmt.Sprintf("Zero-shot Dice of each of %s", count(len(shown), "test case", "test cases"))
		description = "A line for each case, sorted by Dice; the numbers are in the table of all cases."
	}
	s := newSVG("cases", title, description, plotWidth, bottom+42)
	x := scale{from, to, 190, plotWidth - 76}
	for _, v := range ticks(from, to, step) {
		s.line("grid", x.at(v), top-6, x.at(v), bottom)
		s.text("tick", "middle", x.at(v), bottom+16, decimal(v, digits))
	}
	s.text("axis", "middle", (x.start+x.end)/2, bottom+34, "Dice (higher is better)")
	if r.After != nil {
		s.text("tick", "end", plotWidth-4, top-14, "difference")
	}
	for i, c := range shown {
		drawCase(s, x, top+row*(float64(i)+0.5), c, before, r.After != nil, named)
	}
	drawMeans(s, x, bottom-caseRow*2+4, r, before)
	drawKey(s, x.start, top-18, r.After != nil)
	return s.done()
}

func drawCase(s *svg, x scale, y float64, c testCase, before string, tuned, named bool) {
	a, b := c.scores.dice(before), c.scores.dice(eval.MethodAfter)
	if named {
		s.text("label", "end", x.start-12, y+4, clip(c.id, labelLetters))
	}
	if !tuned {
		if a.Defined() {
			s.circle("after", x.at(float64(a)), y, 4.5)
		}
		return
	}
	if a.Defined() && b.Defined() {
		class := "gain"
		if b < a {
			class = "loss"
		}
		s.line(class, x.at(float64(a)), y, x.at(float64(b)), y)
		if named {
			s.text("tick", "end", plotWidth-4, y+4, signed(b-a, 3))
		}
	}
	if a.Defined() {
		s.circle("before", x.at(float64(a)), y, 4.5)
	}
	if b.Defined() {
		s.circle("after", x.at(float64(b)), y, 4.5)
	}
}

// drawMeans adds the mean of each side with its 95 % interval, each on its own line.
func drawMeans(s *svg, x scale, y float64, r *eval.Results, before string) {
	s.line("rule", 0, y-caseRow/2+2, plotWidth, y-caseRow/2+2)
	mean := func(class, label string, y float64, m *eval.Method) {
		if m == nil || !m.Dice.Mean.Defined() {
			return
		}
		s.text("label strong", "end", x.start-12, y+4, label)
		if low, high := m.Dice.CI95[0], m.Dice.CI95[1]; low.Defined() && high.Defined() {
			l, h := x.at(clamp(float64(low), x)), x.at(clamp(float64(high), x))
			s.line("whisker", l, y, h, y)
			s.line("whisker", l, y-5, l, y+5)
			s.line("whisker", h, y-5, h, y+5)
		}
		s.circle(class, x.at(clamp(float64(m.Dice.Mean), x)), y, 3.5)
		s.text("tick strong", "end", plotWidth-4, y+4, number(m.Dice.Mean, 3))
	}
	if r.After == nil {
		mean("after", "mean", y+6, r.Before[before])
		return
	}
	mean("before", "mean before", y+6, r.Before[before])
	mean("after", "mean after", y+6+caseRow, r.After)
}

// widen makes a range of Dice at least as wide as a fifth of all that Dice can be, so that the noise of
// cases that hardly differ does not fill the plot.
func widen(low, high float64) (float64, float64) {
	const least = 0.2
	if high-low >= least {
		return low, high
	}
	low = math.Min(math.Max((low+high-least)/2, 0), 1-least)
	return low, low + least
}

func clamp(v float64, x scale) float64 { return math.Min(math.Max(v, x.from), x.to) }

func drawKey(s *svg, left, y float64, tuned bool) {
	if !tuned {
		s.circle("after", left+6, y, 4.5)
		s.text("tick", "start", left+16, y+4, "zero-shot")
		return
	}
	s.circle("before", left+6, y, 4.5)
	s.text("tick", "start", left+16, y+4, "before: zero-shot")
	s.circle("after", left+146, y, 4.5)
	s.text("tick", "start", left+156, y+4, "after: fine-tuned")
	s.line("loss", left+280, y, left+304, y)
	s.text("tick", "start", left+312, y+4, "got worse")
	s.line("whisker", left+386, y, left+406, y)
	s.line("whisker", left+386, y-5, left+386, y+5)
	s.line("whisker", left+406, y-5, left+406, y+5)
	s.text("tick", "start", left+414, y+4, "95 % interval")
}

// curvePlot draws the training loss and, below it on the same steps, Dice on the validation cases with the
// step that was chosen. It is empty where the log is.
func curvePlot(id string, log []TrainPoint, t eval.Training) template.HTML {
	if len(log) == 0 {
		return ""
	}
	first, last := float64(log[0].Step), float64(log[len(log)-1].Step)
	if last == first {
		last = first + 1
	}
	losses, width := lossPoints(log)
	var dice [][2]float64
	for _, p := range log {
		if p.ValDice != nil {
			dice = append(dice, [2]float64{float64(p.Step), *p.ValDice})
		}
	}
	const upper, lower = 190.0, 150.0
	height := upper + 70
	if len(dice) > 0 {
		height += lower + 30
	}
	s := newSVG(id, "Training loss and validation Dice over steps",
		fmt.Sprintf("Loss from %s at step %d to %s at step %d.", decimal(log[0].Loss, 3), log[0].Step,
			decimal(log[len(log)-1].Loss, 3), log[len(log)-1].Step), plotWidth, height)
	x := scale{first, last, 60, plotWidth - 20}
	name := "training loss"
	if width > 1 {
		name = fmt.Sprintf("training loss (mean of %d steps)", width)
	}
	foot := drawCurve(s, x, 26, upper, name, losses, false)
	if len(dice) > 0 {
		foot = drawCurve(s, x, foot+36, lower, "Dice on the validation cases", dice, true)
	}
	if t.BestStep > 0 && float64(t.BestStep) >= first && float64(t.BestStep) <= last {
		at := x.at(float64(t.BestStep))
		s.line("chosen", at, 26, at, foot)
		anchor, shift := "end", -6.0
		if at < plotWidth/2 {
			anchor, shift = "start", 6
		}
		s.text("tick strong", anchor, at+shift, 40, fmt.Sprintf("step %d chosen", t.BestStep))
	}
	from, _, step, digits := axis(first, last, 8)
	for _, v := range ticks(from, last, step) {
		if v >= first {
			s.text("tick", "middle", x.at(v), foot+16, tickLabel(v, digits))
		}
	}
	s.text("axis", "middle", (x.start+x.end)/2, foot+34, "optimiser step")
	return s.done()
}

// drawCurve draws one panel and returns the y of its foot.
func drawCurve(s *svg, x scale, top, height float64, name string, points [][2]float64, dots bool) float64 {
	low, high := points[0][1], points[0][1]
	for _, p := range points {
		low, high = math.Min(low, p[1]), math.Max(high, p[1])
	}
	from, to, step, digits := axis(low, high, 5)
	y := scale{from, to, top + height, top}
	for _, v := range ticks(from, to, step) {
		s.line("grid", x.start, y.at(v), x.end, y.at(v))
		s.text("tick", "end", x.start-8, y.at(v)+4, tickLabel(v, digits))
	}
	s.text("axis", "start", x.start, top-9, name)
	line := make([][2]float64, len(points))
	for i, p := range points {
		line[i] = [2]float64{x.at(p[0]), y.at(p[1])}
	}
	s.polyline("curve", line)
	if dots {
		for _, p := range line {
			s.circle("after", p[0], p[1], 3)
		}
	}
	return top + height
}

// lossPoints are the losses by step; of a long log the means of so many neighbours that few enough remain.
func lossPoints(log []TrainPoint) (points [][2]float64, width int) {
	width = (len(log) + maxLossDots - 1) / maxLossDots
	for i := 0; i < len(log); i += width {
		var step, loss float64
		part := log[i:min(i+width, len(log))]
		for _, p := range part {
			step += float64(p.Step)
			loss += p.Loss
		}
		n := float64(len(part))
		points = append(points, [2]float64{step / n, loss / n})
	}
	return points, width
}
