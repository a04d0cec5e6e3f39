package report

import (
	"fmt"
	"net/url"
	"strings"
)

// markdown is the page in short: verdict, table, facts, links to the pictures.
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
	if p.CurveNote != "" {
		say("%s", plain(p.CurveNote))
	}
	for _, o := range p.Overlays {
		last := o.Panels[len(o.Panels)-1]
		say("\n![%s case %s, Dice %s](%s)", o.Role, plain(o.Case), last.Dice, (&url.URL{Path: o.File}).EscapedPath())
	}
	for _, g := range p.Facts {
		say("\n## %s\n", g.Name)
		bullets(say, g.Facts)
	}
	say("\n## Time and memory\n")
	bullets(say, p.Costs)
	return []byte(b.String())
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
