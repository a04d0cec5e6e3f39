package report

import (
	"fmt"
	"strings"

	"samtune/eval"
)

type heading struct{ Name, Unit, Better string }

// methodGroup is a block of rows of the table of methods.
type methodGroup struct {
	Name string
	Rows []methodRow
}

type methodRow struct {
	Label, Class string
	Oracle       bool
	Compared     string // "before" or "after" for the two rows that the paired test compares
	Cells        []cell
}

// cell is the mean over cases, its interval and, where a value is not defined for all cases, for how many it is.
type cell struct{ Mean, Interval, Defined string }

type caseRowText struct {
	Case, Patient, Before, Difference, Class string
	Values                                   []string
}

func methodGroups(r *eval.Results, metrics []metric) []methodGroup {
	row := func(label string, m *eval.Method) methodRow {
		out := methodRow{Label: label, Oracle: m.Oracle}
		for _, c := range metrics {
			out.Cells = append(out.Cells, cellOf(c, c.of(m)))
		}
		return out
	}
	var out []methodGroup
	if r.Trivial != nil {
		label := r.Trivial.Method.Label
		if label == "" {
			label = "everything is foreground"
		}
		out = append(out, methodGroup{"Trivial baseline", []methodRow{row(label, &r.Trivial.Method)}})
	}
	name := "Before: zero-shot"
	if r.After == nil {
		name = "Zero-shot"
	}
	plain, oracle := methodGroup{Name: name}, methodGroup{Name: "Zero-shot with prompts made from the ground truth"}
	for _, k := range sortedBefore(r) {
		m := r.Before[k]
		t := row(m.Label, m)
		if r.Paired != nil && k == r.Paired.Before {
			t.Compared, t.Class = "before", "compared"
		}
		if m.Oracle {
			oracle.Rows = append(oracle.Rows, t)
		} else {
			plain.Rows = append(plain.Rows, t)
		}
	}
	for _, g := range []methodGroup{plain, oracle} {
		if len(g.Rows) > 0 {
			out = append(out, g)
		}
	}
	if r.After != nil {
		t := row(afterLabel(r), r.After)
		t.Class = "after"
		if r.Paired != nil {
			t.Compared = "after"
		}
		after := methodGroup{"After: fine-tuned", []methodRow{t}}
		for i := range r.Others {
			after.Rows = append(after.Rows, row(r.Others[i].Method.Label, &r.Others[i].Method))
		}
		out = append(out, after)
	}
	return out
}

func afterLabel(r *eval.Results) string {
	if r.After.Label != "" {
		return r.After.Label
	}
	return "fine-tuned on " + count(r.Shots, "image", "images")
}

func cellOf(m metric, s eval.Summary) cell {
	c := cell{Mean: number(s.Mean, m.digits), Interval: interval(s.CI95, m.digits)}
	if c.Mean == missing || c.Interval == missing {
		c.Interval = ""
	}
	if s.Undefined > 0 {
		c.Defined = fmt.Sprintf("%d of %d", s.N, s.N+s.Undefined)
	}
	return c
}

// tableNotes are the remarks below the table of methods.
func tableNotes(r *eval.Results) []string {
	notes := []string{fmt.Sprintf("Means over %s at the image's own resolution, inside the valid region, each with its 95 %% confidence interval. ↑ higher is better, ↓ lower is better.",
		count(r.Cases, "test case", "test cases"))}
	undefined, empty := false, []string{}
	look := func(label string, m *eval.Method) {
		for _, c := range metricsOf(r) {
			undefined = undefined || c.of(m).Undefined > 0
		}
		if m.BothEmpty > 0 {
			empty = append(empty, fmt.Sprintf("%s %d", label, m.BothEmpty))
		}
	}
	if r.Trivial != nil {
		look("trivial baseline", &r.Trivial.Method)
	}
	for _, k := range sortedBefore(r) {
		look(zeroShotLabel(r.Before[k]), r.Before[k])
	}
	if r.After != nil {
		look("after", r.After)
	}
	for i := range r.Others {
		look(r.Others[i].Method.Label, &r.Others[i].Method)
	}
	if undefined {
		notes = append(notes, "“n of m”: the value is defined for n of m cases and the mean is over these; "+missing+": for none.")
	}
	if len(empty) > 0 {
		notes = append(notes, "Cases in which truth and prediction are both empty (no Dice; left out of its mean): "+strings.Join(empty, ", ")+".")
	}
	if all, without, why := volumesOf(r); without > 0 {
		notes = append(notes, fmt.Sprintf("%d of %s could not be compared in three dimensions, with HD95, ASSD and NSD of the whole: %s. HD95, ASSD and NSD without 3D are means over slices.",
			without, count(all, "volume", "volumes"), why))
	}
	if r.Paired != nil && r.Paired.Test != "" {
		notes = append(notes, fmt.Sprintf("Compared are the two marked rows, case by case: %s, p = %s; %d better, %d equal, %d worse.",
			r.Paired.Test, probability(r.Paired.P), r.Paired.Wins, r.Paired.Ties, r.Paired.Losses))
	}
	return notes
}

func (p *page) setCases(r *eval.Results, cases []testCase) {
	before := comparedBefore(r)
	if m := r.Before[before]; m != nil {
		p.BeforeLabel = zeroShotLabel(m)
	}
	by := before
	if r.After != nil {
		by = eval.MethodAfter
	}
	var byCase []metric // a slice has none in three dimensions, which come last
	for _, m := range p.Metrics {
		if m.score != nil {
			byCase = append(byCase, m)
		}
	}
	p.CaseHeadings = p.Headings[:len(byCase)]
	for _, c := range cases {
		row := caseRowText{Case: c.id, Patient: c.patient}
		if r.After != nil {
			a, b := c.scores.dice(before), c.scores.dice(eval.MethodAfter)
			row.Before, row.Difference = number(a, 3), signed(b-a, 3)
			if b < a {
				row.Class = "worse"
			}
		}
		for _, m := range byCase {
			v := eval.Undefined
			if s, ok := c.scores[by]; ok {
				v = m.score(s)
			}
			row.Values = append(row.Values, number(v, m.digits))
		}
		p.Cases = append(p.Cases, row)
	}
}
