package report

import (
	"fmt"
	"html/template"
	"math"
	"regexp"
	"strconv"

	"samtune/eval"
)

// shotsPlot draws Dice over the number of images, which is on a logarithmic scale: every run, the means with their band, zero-shot,
// what a person reaches, and the fitted curve up to what it predicts.
func shotsPlot(id string, sweep *eval.Sweep, set *eval.SweepSetting) template.HTML {
	st := set.Statistics
	if len(st.Shots) == 0 {
		return ""
	}
	const top, height, left, right = 30.0, 330.0, 60.0, 520.0
	first, last := st.Shots[0].Shots, st.Shots[len(st.Shots)-1].Shots
	predicted := st.Curve.Predicted
	if predicted.Mean.Defined() {
		last = max(last, predicted.Shots)
	}
	low, high := shotsRange(sweep, set)
	from, to, step, digits := axis(low, high, 8)
	y := scale{from, to, top + height, top}
	x := scale{math.Log(float64(first)), math.Log(float64(last)), left + 14, right - 14}
	if first == last {
		x.from, x.to = x.from-1, x.to+1
	}
	at := func(shots float64) float64 { return x.at(math.Log(shots)) }
	s := newSVG(id+"-plot", "Mean Dice over the number of images", plateauSentence(st)+" "+curveSentence(st), plotWidth+60, top+height+44)
	for _, v := range ticks(from, to, step) {
		s.line("grid", left, y.at(v), right, y.at(v))
		s.text("tick", "end", left-8, y.at(v)+4, decimal(v, digits))
	}
	s.text("axis", "start", left, top-10, "mean Dice")
	s.text("axis", "middle", (left+right)/2, top+height+36, "annotated images (logarithmic)")

	var above, below, line [][2]float64
	for _, p := range st.Shots {
		px := at(float64(p.Shots))
		s.line("grid", px, y.start, px, y.end)
		s.text("tick", "middle", px, top+height+18, fmt.Sprint(p.Shots))
		if p.Mean.Defined() {
			line = append(line, [2]float64{px, y.at(float64(p.Mean))})
		}
		if p.CI95[0].Defined() && p.CI95[1].Defined() {
			below = append(below, [2]float64{px, y.at(clamp(float64(p.CI95[0]), y))})
			above = append(above, [2]float64{px, y.at(clamp(float64(p.CI95[1]), y))})
		}
	}
	band := above
	for i := len(below) - 1; i >= 0; i-- {
		band = append(band, below[i])
	}
	key := top + 10
	entry := func(name string, sign func(x, y float64)) {
		sign(right+24, key)
		s.text("tick", "start", right+58, key+4, clip(name, 36))
		key += 22
	}
	s.polygon("band", band)
	if predicted.Mean.Defined() {
		s.polyline("line s4", curvePoints(st.Curve, float64(first), float64(last), at, y))
	}
	s.polyline("line s1", line)
	for _, r := range sweep.Rows {
		if r.Setting == set.Name && r.Dice.Defined() {
			s.circle("run", at(float64(r.Shots)), y.at(clamp(float64(r.Dice), y)), 2.4)
		}
	}
	for _, p := range line {
		s.circle("after", p[0], p[1], 4.5)
	}
	entry("mean of the runs", func(x, y float64) { s.line("line s1", x, y, x+26, y); s.circle("after", x+13, y, 4.5) })
	if len(band) > 0 {
		entry("95 % interval", func(x, y float64) {
			s.polygon("band", [][2]float64{{x, y - 7}, {x + 26, y - 7}, {x + 26, y + 7}, {x, y + 7}})
		})
	}
	entry("a run", func(x, y float64) { s.circle("run", x+13, y, 2.4) })
	level := func(class, name string, v eval.Float) {
		if !v.Defined() {
			return
		}
		s.line("line "+class, left, y.at(float64(v)), right, y.at(float64(v)))
		entry(fmt.Sprintf("%s: %s", name, number(v, 3)), func(x, y float64) { s.line("line "+class, x, y, x+26, y) })
	}
	if st.ZeroShot != nil {
		level("s0", "zero-shot", st.ZeroShot.Mean)
	}
	for _, f := range sortedFacts(set.Reference) {
		level("s3", f.Name, referenceDice(f.Value))
	}
	if predicted.Mean.Defined() {
		px := at(float64(predicted.Shots))
		s.text("tick", "middle", px, top+height+18, fmt.Sprint(predicted.Shots))
		whisker(s, px, y, predicted.CI95)
		mark(s, "diamond", px, y.at(clamp(float64(predicted.Mean), y)))
		entry("fitted power law", func(x, y float64) { s.line("line s4", x, y, x+26, y) })
		entry(fmt.Sprintf("predicted: %s", number(predicted.Mean, 3)), func(x, y float64) { mark(s, "diamond", x+13, y) })
	}
	return s.done()
}

// shotsRange is the range of Dice that a plot has to hold.
func shotsRange(sweep *eval.Sweep, set *eval.SweepSetting) (low, high float64) {
	low, high = math.Inf(1), math.Inf(-1)
	see := func(values ...eval.Float) {
		for _, v := range values {
			if v.Defined() {
				low, high = math.Min(low, float64(v)), math.Max(high, float64(v))
			}
		}
	}
	st := set.Statistics
	for _, p := range st.Shots {
		see(p.Mean, p.CI95[0], p.CI95[1])
	}
	for _, r := range sweep.Rows {
		if r.Setting == set.Name {
			see(r.Dice)
		}
	}
	if st.ZeroShot != nil {
		see(st.ZeroShot.Mean)
	}
	for _, v := range set.Reference {
		see(referenceDice(v))
	}
	see(st.Curve.Predicted.Mean, st.Curve.Predicted.CI95[0], st.Curve.Predicted.CI95[1])
	if low > high {
		return 0, 1
	}
	return math.Max(0, low), math.Min(1, high)
}

// curvePoints are points of the fitted law between two numbers of images.
func curvePoints(c eval.LearningCurve, first, last float64, at func(float64) float64, y scale) [][2]float64 {
	var out [][2]float64
	const n = 40
	for i := range n + 1 {
		shots := first * math.Pow(last/first, float64(i)/n)
		v := float64(c.A)
		if c.B != 0 && c.C.Defined() {
			v -= float64(c.B) * math.Pow(shots, -float64(c.C))
		}
		out = append(out, [2]float64{at(shots), y.at(clamp(v, y))})
	}
	return out
}

var diceText = regexp.MustCompile(`Dice ([01]\.\d+)`)

// referenceDice is the Dice that the words of a reference name; undefined where they name none.
func referenceDice(words string) eval.Float {
	m := diceText.FindStringSubmatch(words)
	if m == nil {
		return eval.Undefined
	}
	v, err := strconv.ParseFloat(m[1], 64)
	if err != nil {
		return eval.Undefined
	}
	return eval.Float(v)
}
