package report

import (
	"fmt"
	"html/template"
	"math"
	"strings"

	"samtune/eval"
)

// plotsOf are the plots of a run's page.
func plotsOf(in *input, cases []testCase) []plot {
	r := in.results
	plots := []plot{{ID: "cases", Heading: "Case by case", Drawing: casePlot(r, cases)}}
	if drawing, note := precisionRecallPlot(r); drawing != "" {
		plots = append(plots, plot{ID: "precision", Heading: "Precision and recall", Drawing: drawing, Note: note})
	}
	plots = append(plots, plot{ID: "thickness", Heading: "Dice against thickness", Drawing: thicknessPlot(r), Note: "Thickness of a pixel: the diameter of the largest disc that " +
		"fits into the structure and covers it. Bars are 95 % intervals over cases."})
	for i, log := range in.logs {
		training := r.Training
		for _, o := range r.Others {
			if o.Key == log.decoder {
				training = o.Training
			}
		}
		heading := "Training"
		if log.decoder != "" {
			heading = "Training of the " + log.decoder + " decoder"
		}
		plots = append(plots, plot{ID: fmt.Sprintf("curve-%d", i+1), Heading: heading, Drawing: curvePlot(fmt.Sprintf("curve-%d-plot", i+1), log.points, training), Note: curveNote(training)})
	}
	return plotted(plots...)
}

// series is a line of a plot with the method that it is of. Lines differ in dashes and marks, not in colour alone.
type series struct {
	class, mark, label string
	method             *eval.Method
}

// seriesOf are what is compared with and each fitted decoder.
func seriesOf(r *eval.Results) []series {
	var out []series
	if m := r.Before[comparedBefore(r)]; m != nil {
		out = append(out, series{"s0", "before", "zero-shot, " + zeroShotLabel(m), m})
	}
	if r.After != nil {
		out = append(out, series{"s1", "after", afterLabel(r), r.After})
	}
	marks := []string{"diamond", "square", "cross"}
	for i := range r.Others {
		out = append(out, series{fmt.Sprintf("s%d", 2+i%3), marks[i%3], r.Others[i].Method.Label, &r.Others[i].Method})
	}
	return out
}

// precisionRecallPlot draws precision over recall of all pixels of the test cases together.
func precisionRecallPlot(r *eval.Results) (template.HTML, string) {
	const top, side = 20.0, 360.0
	var lines []series
	for _, l := range seriesOf(r) {
		if _, average := averagePrecision(l.method); average.Defined() {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return "", ""
	}
	s := newSVG("precision", "Precision over recall of the predicted pixels", "Average precision: "+factText(averagePrecisions(r))+".", plotWidth, top+side+44)
	x, y := scale{0, 1, 60, 60 + side}, scale{0, 1, top + side, top}
	grid(s, x, y, 0.2, "recall: share of the structure's pixels that are found", "precision")
	inside, pixels := 0, 0
	for i, n := range lines[0].method.Histogram.Inside {
		inside += n
		pixels += n + lines[0].method.Histogram.Outside[i]
	}
	share := float64(inside) / float64(pixels)
	s.line("s0 thin", x.start, y.at(share), x.end, y.at(share))
	left, at := x.end+28, top+14
	s.text("tick strong", "start", left, at, "average precision")
	for _, l := range lines {
		curve, average := averagePrecision(l.method)
		s.polyline("line "+l.class, thinned(curve, x, y))
		at += 22
		s.line("line "+l.class, left, at-4, left+30, at-4)
		s.text("tick", "start", left+38, at, number(average, 3)+"  "+clip(l.label, 38))
	}
	at += 22
	s.line("s0 thin", left, at-4, left+30, at-4)
	s.text("tick", "start", left+38, at, decimal(share, 3)+"  by chance: the structure's share")
	return s.done(), fmt.Sprintf("Over %s inside the valid regions of all test cases together, by falling threshold on the predicted probability.", count(pixels, "pixel", "pixels"))
}

func averagePrecision(m *eval.Method) ([]eval.OperatingPoint, eval.Float) {
	if m.Histogram == nil {
		return nil, eval.Undefined
	}
	return m.Histogram.PrecisionRecall()
}

func averagePrecisions(r *eval.Results) []fact {
	var out []fact
	for _, l := range seriesOf(r) {
		if _, average := averagePrecision(l.method); average.Defined() {
			out = append(out, fact{Name: l.label, Value: number(average, 3)})
		}
	}
	return out
}

func factText(facts []fact) string {
	var parts []string
	for _, f := range facts {
		parts = append(parts, f.Name+": "+f.Value)
	}
	return strings.Join(parts, "; ")
}

// thinned leaves out points that lie within a third of a pixel of the last one.
func thinned(curve []eval.OperatingPoint, x, y scale) [][2]float64 {
	out := [][2]float64{{x.at(0), y.at(curve[0].Precision)}}
	for i, p := range curve {
		at := [2]float64{x.at(p.Recall), y.at(p.Precision)}
		last := out[len(out)-1]
		if i == len(curve)-1 || math.Hypot(at[0]-last[0], at[1]-last[1]) > 0.33 {
			out = append(out, at)
		}
	}
	return out
}

// grid draws the lines, ticks and names of two axes of 0 to 1.
func grid(s *svg, x, y scale, step float64, xName, yName string) {
	for _, v := range ticks(0, 1, step) {
		s.line("grid", x.at(v), y.start, x.at(v), y.end)
		s.text("tick", "middle", x.at(v), y.start+16, decimal(v, 1))
		s.line("grid", x.start, y.at(v), x.end, y.at(v))
		s.text("tick", "end", x.start-8, y.at(v)+4, decimal(v, 1))
	}
	s.text("axis", "middle", (x.start+x.end)/2, y.start+34, xName)
	s.text("axis", "start", x.start, y.end-8, yName)
}

// thicknessPlot draws Dice of each class of local thickness with its interval.
func thicknessPlot(r *eval.Results) template.HTML {
	labels := eval.ThicknessLabels(r.Thickness, r.Unit)
	var lines []series
	for _, l := range seriesOf(r) {
		if len(l.method.ByThickness) == len(labels) && len(labels) > 0 {
			lines = append(lines, l)
		}
	}
	if len(lines) == 0 {
		return ""
	}
	top := 34 + 20*float64(len(lines)-1)
	const height = 220.0
	s := newSVG("thick", "Dice by local thickness of the structure", factText(thicknessFacts(r)), plotWidth, top+height+44)
	y := scale{0, 1, top + height, top}
	for _, v := range ticks(0, 1, 0.2) {
		s.line("grid", 60, y.at(v), plotWidth-20, y.at(v))
		s.text("tick", "end", 52, y.at(v)+4, decimal(v, 1))
	}
	width := (plotWidth - 80) / float64(len(labels))
	for k, label := range labels {
		s.text("tick", "middle", 60+width*(float64(k)+0.5), top+height+18, label)
	}
	s.text("axis", "middle", plotWidth/2, top+height+38, "local thickness")
	for i, l := range lines {
		mark(s, l.mark, 70, 12+20*float64(i))
		s.text("tick", "start", 82, 16+20*float64(i), clip(l.label, 80))
		shift := 22 * (float64(i) - float64(len(lines)-1)/2)
		var path [][2]float64
		for k, v := range l.method.ByThickness {
			if !v.Mean.Defined() {
				continue
			}
			at := 60 + width*(float64(k)+0.5) + shift
			whisker(s, at, y, v.CI95)
			path = append(path, [2]float64{at, y.at(float64(v.Mean))})
		}
		s.polyline("line thin "+l.class, path)
		for _, p := range path {
			mark(s, l.mark, p[0], p[1])
		}
	}
	return s.done()
}

// whisker draws an upright interval, cut to the axis.
func whisker(s *svg, x float64, y scale, ci eval.Interval) {
	if !ci[0].Defined() || !ci[1].Defined() {
		return
	}
	low, high := y.at(clamp(float64(ci[0]), y)), y.at(clamp(float64(ci[1]), y))
	s.line("whisker", x, low, x, high)
	s.line("whisker", x-4, low, x+4, low)
	s.line("whisker", x-4, high, x+4, high)
}
