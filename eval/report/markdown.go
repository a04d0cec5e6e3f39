package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"net/url"
	"strconv"
	"strings"

	"samtune/eval"
)

// markdown is the page without its plots: verdict, tables, facts, links to the pictures.
func (p *page) markdown() []byte {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# %s\n\n%s\n", plain(p.Title), plain(p.Verdict.sentence()))
	for _, c := range p.Caveats {
		say("%s", plain(c))
	}
	if len(p.Caveats) > 0 {
		say("")
	}
	row := "| Method |"
	rule := "|---|"
	for _, h := range p.Headings {
		row += " " + plain(strings.TrimSpace(h.Name+" "+h.Unit)) + " " + h.Better + " |"
		rule += "---:|"
	}
	say("%s\n%s", row, rule)
	for _, g := range p.Groups {
		for _, r := range g.Rows {
			label := plain(r.Label)
			if r.Oracle {
				label += " *(oracle)*"
			}
			if r.Compared != "" {
				label += " **" + r.Compared + "**"
			}
			line := "| " + label + " |"
			for _, c := range r.Cells {
				line += " " + c.text() + " |"
			}
			say("%s", line)
		}
	}
	say("")
	for _, r := range p.References {
		say("For reference, %s: %s.", plain(r.Name), plain(r.Value))
	}
	for _, n := range p.Notes {
		say("%s", plain(n))
	}
	for _, f := range p.Plots {
		if f.Note != "" {
			say("%s: %s", f.Heading, plain(f.Note))
		}
	}
	for _, f := range p.Averages {
		say("Average precision, %s: %s.", plain(f.Name), f.Value)
	}
	for _, c := range p.Shown {
		side := "Dice " + number(c.BeforeDice, 3)
		if p.Tuned {
			side += " before, " + number(c.AfterDice, 3) + " after"
		}
		say("\n![%s case %s, %s](%s)", c.Role, plain(c.Case), side, (&url.URL{Path: p.Pictures + "/" + c.FileName()}).EscapedPath())
	}
	if len(p.Cases) > 0 {
		p.markdownCases(say)
	}
	for _, g := range p.Facts {
		say("\n## %s\n", g.Name)
		bullets(say, g.Facts)
	}
	say("\n## Time and memory\n")
	bullets(say, p.Costs)
	return []byte(b.String())
}

// markdownCases is the table of all cases.
func (p *page) markdownCases(say func(string, ...any)) {
	row, rule := "| Case |", "|---|"
	if p.Tuned {
		row, rule = row+" Dice before | Difference |", rule+"---:|---:|"
	}
	for _, h := range p.CaseHeadings {
		row += " " + plain(strings.TrimSpace(h.Name+" "+h.Unit)) + " |"
		rule += "---:|"
	}
	say("\n## Cases\n\n%s\n%s", row, rule)
	for _, c := range p.Cases {
		line := "| " + plain(c.Case) + " |"
		if p.Tuned {
			line += " " + c.Before + " | " + c.Difference + " |"
		}
		say("%s %s |", line, strings.Join(c.Values, " | "))
	}
}

func bullets(say func(string, ...any), facts []fact) {
	for _, f := range facts {
		if f.Code && f.Value != missing {
			say("- %s: `%s`", plain(f.Name), strings.ReplaceAll(oneLine(f.Value), "`", "'"))
			continue
		}
		say("- %s: %s", plain(f.Name), plain(f.Value))
	}
}

func (c cell) text() string {
	s := c.Mean
	if c.Interval != "" {
		s += " (" + c.Interval + ")"
	}
	if c.Defined != "" {
		s += ", " + c.Defined
	}
	return s
}

func oneLine(s string) string { return strings.Join(strings.Fields(s), " ") }

// plain escapes what Markdown would take for markup, so that a name shows as it is.
func plain(s string) string {
	return strings.NewReplacer(`\`, `\\`, "`", "\\`", "*", `\*`, "_", `\_`, "[", `\[`, "]", `\]`, "<", "&lt;", ">", "&gt;", "|", `\|`, "#", `\#`).
		Replace(oneLine(s))
}

// methodsCSV has a line for each method and metric, all numbers in full; what is not defined is an empty cell.
func methodsCSV(r *eval.Results) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	// Writing into memory does not fail.
	_ = w.Write([]string{"method", "label", "oracle", "metric", "mean", "ci95_low", "ci95_high", "sd", "median", "min", "max", "cases", "undefined"})
	add := func(key string, m *eval.Method) {
		for _, c := range metricsOf(r) {
			v := c.of(m)
			_ = w.Write([]string{key, m.Label, strconv.FormatBool(m.Oracle), c.name, full(v.Mean), full(v.CI95[0]), full(v.CI95[1]), full(v.SD),
				full(v.Median), full(v.Min), full(v.Max), strconv.Itoa(v.N), strconv.Itoa(v.Undefined)})
		}
	}
	if r.Trivial != nil {
		add(eval.MethodTrivial, &r.Trivial.Method)
	}
	for _, k := range sortedBefore(r) {
		add(k, r.Before[k])
	}
	if r.After != nil {
		add(eval.MethodAfter, r.After)
	}
	for i := range r.Others {
		add(r.Others[i].Key, &r.Others[i].Method)
	}
	w.Flush()
	return b.Bytes()
}
