package report

import (
	"fmt"
	"strings"

	"samtune/eval"
)

// sweepText is what a sweep's page says, already in words and digits.
type sweepText struct {
	frame
	Verdict  verdict
	More     []string // of a single setting: the rest of what it says
	Facts    []factGroup
	Settings []settingText
	Rows     []sweepRowText
	Method   string
	Test     string
	Config   string
}

type settingText struct {
	ID, Name   string
	Sentences  []string
	Plots      []plot
	Headings   []string
	Rows       []shotsText
	Pairs      []pairText
	Notes      []string
	Repeat     []fact
	References []fact
}

type shotsText struct {
	Name, Class string
	Values      []string
}

type pairText struct {
	Name, Class string
	Gain        string // the number in the difference
	Values      []string
}

type sweepRowText struct {
	Name                                            string // what the filter looks at
	Index                                           int
	What                                            string
	Shots                                           int
	Seed                                            int64
	Status                                          string
	Class                                           string
	Dice, Interval, Time, Seconds, Run, Hash, Error string
}

func newSweepPage(s *eval.Sweep) *sweepText {
	p := &sweepText{frame: frame{Title: "Sweep over numbers of images", Kicker: "Sweep over numbers of images"}, Verdict: sweepVerdict(s), Method: eval.SweepIntervalMethod, Config: s.Config}
	if len(s.Settings) == 1 {
		p.Kicker += ": " + settingTitle(&s.Settings[0])
		p.Title = p.Kicker
		p.More = settingSentences(&s.Settings[0])[1:]
	}
	t := s.Totals
	p.Facts = []factGroup{{"This sweep", []fact{
		{"Runs", countRows(s), false}, {"Images encoded", fmt.Sprintf("%s in %s", grouped(t.Images), count(t.Views, "view", "views")), false},
		{"Time of all runs", clock(t.Seconds), false}, {"Peak memory of a run", mebibytes(t.PeakRSSMB), false},
		{"Versions", versions(s.Versions), false}, {"Plan hash", word(s.PlanHash), true}, {"Command", word(s.Command), true},
	}}}
	for i := range s.Settings {
		p.Settings = append(p.Settings, settingOf(s, i))
		if st := s.Settings[i].Statistics; st != nil && len(st.Comparisons) > 0 && p.Test == "" {
			p.Test = st.Comparisons[0].Test
		}
	}
	for _, r := range s.Rows {
		row := sweepRowText{Index: r.Index, What: joinNonEmpty(" ", r.Benchmark, r.Target, r.Decoder), Shots: r.Shots, Seed: r.Seed, Status: r.Status, Class: r.Status,
			Dice: number(r.Dice, 3), Interval: interval(r.CI95, 3), Run: r.Dir, Hash: clip(r.Hash, 13), Error: oneLine(r.Error)}
		if row.Interval == missing {
			row.Interval = ""
		}
		if r.Status == eval.SweepDone {
			row.Time, row.Seconds = clock(r.Seconds), fmt.Sprintf("%.3f", r.Seconds)
		}
		row.Name = fmt.Sprintf("%d %s %d shots seed %d %s", r.Index, row.What, r.Shots, r.Seed, r.Status)
		p.Rows = append(p.Rows, row)
	}
	return p
}

// shotsHeadings are the columns of a setting's table.
var shotsHeadings = []string{"Dice", "95 % interval", "sd over draws", "sd over cases", "draws", "difference to zero-shot", "95 % interval", "p (Holm)"}

func settingOf(s *eval.Sweep, at int) settingText {
	set := &s.Settings[at]
	out := settingText{ID: fmt.Sprintf("setting-%d", at+1), Name: settingTitle(set), Headings: shotsHeadings, References: sortedFacts(set.Reference),
		Sentences: settingSentences(set), Repeat: []fact{
			{"Data set", joinNonEmpty(", ", set.Title, set.Task, set.Layout), false}, {"Cite", word(set.Citation), false},
			{"Weights", word(set.WeightsFile), false}, {"Weights hash", word(set.WeightsSHA256), true},
			{"Device", fmt.Sprintf("%s, %s", word(set.Device), count(set.Threads, "thread", "threads")), false},
		}}
	if len(s.Settings) == 1 { // the page's head says it
		out.Sentences = nil
	}
	st := set.Statistics
	if st == nil {
		return out
	}
	out.Plots = plotted(plot{ID: out.ID + "-curve", Heading: "Dice over the number of images", Drawing: shotsPlot(out.ID, s, set),
		Note: "Dots are runs, the line joins their means; the band is the 95 % interval for other draws of images and other cases."})
	if set.Trivial.Defined() {
		out.Rows = append(out.Rows, shotsText{Name: "everything foreground", Values: padded(number(set.Trivial, 3))})
	}
	if z := st.ZeroShot; z != nil {
		out.Rows = append(out.Rows, shotsText{Name: "zero-shot, " + set.Before, Class: "compared", Values: padded(number(z.Mean, 3), interval(z.CI95, 3), missing, number(z.BetweenCases.SD, 3))})
	}
	for i := range st.Shots {
		p := &st.Shots[i]
		row := shotsText{Name: count(p.Shots, "image", "images"), Values: []string{number(p.Mean, 3), interval(p.CI95, 3), number(p.BetweenSeeds.SD, 3),
			number(p.BetweenCases.SD, 3), fmt.Sprint(p.BetweenSeeds.N)}}
		if c := comparisonOf(st, 0, p.Shots); c != nil {
			row.Values = append(row.Values, signed(c.Difference, 3), interval(c.CI95, 3), probability(c.PHolm))
		}
		row.Values = padded(row.Values...)
		if i == len(st.Shots)-1 {
			row.Class = "after"
		}
		out.Rows = append(out.Rows, row)
	}
	for i := range st.Comparisons {
		out.Pairs = append(out.Pairs, pairOf(&st.Comparisons[i]))
	}
	out.Notes = []string{fmt.Sprintf("Means over draws of the means over %s.", count(st.Cases, "test case", "test cases"))}
	if note := plateauNote(st); note != "" {
		out.Notes = append(out.Notes, note)
	}
	if c := st.Curve; c.Predicted.Mean.Defined() {
		law := fmt.Sprintf("Learning curve: Dice = %s - %s · images^-%s.", number(c.A, 3), number(c.B, 3), number(c.C, 2))
		if !c.C.Defined() {
			law = fmt.Sprintf("Learning curve: %s, at Dice %s.", c.Status, number(c.A, 3))
		}
		out.Notes = append(out.Notes, law)
	}
	return out
}

// plateauNote says how often the resamples agree on the number of images that is enough.
func plateauNote(st *eval.SweepStatistics) string {
	var shares []string
	for _, v := range st.Plateau.Probability {
		shares = append(shares, fmt.Sprintf("%d in %s %%", v.Shots, number(100*v.Share, 0)))
	}
	if len(shares) == 0 || !st.Plateau.NotReached.Defined() {
		return ""
	}
	return fmt.Sprintf("Images from which on more gain less than %g Dice, by the resamples: %s, none in %s %%.", st.Plateau.Margin, strings.Join(shares, ", "), number(100*st.Plateau.NotReached, 0))
}

func pairOf(c *eval.ShotsComparison) pairText {
	from := "zero-shot"
	if c.From > 0 {
		from = count(c.From, "image", "images")
	}
	out := pairText{Name: fmt.Sprintf("%s → %s", from, count(c.To, "image", "images")), Gain: full(c.Difference), Values: []string{
		interval(c.CI95, 3), fmt.Sprintf("%d / %d / %d", c.Wins, c.Ties, c.Losses), number(c.CohenDz, 2), number(c.RankBiserial, 2), probability(c.P), probability(c.PHolm)}}
	out.Values = append([]string{signed(c.Difference, 3)}, out.Values...)
	if judgeShots(c) == lowered {
		out.Class = "worse"
	}
	return out
}

// padded fills a row of the table of shots with what is not there.
func padded(values ...string) []string {
	for len(values) < len(shotsHeadings) {
		values = append(values, missing)
	}
	return values
}

// markdown is the page without its plots.
func (p *sweepText) markdown() []byte {
	var b strings.Builder
	say := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	say("# %s\n\n%s\n", plain(p.Title), plain(joinNonEmpty(" ", append([]string{p.Verdict.sentence()}, p.More...)...)))
	for _, g := range p.Facts {
		bullets(say, g.Facts)
	}
	for _, t := range p.Settings {
		say("\n## %s\n", plain(t.Name))
		if len(t.Sentences) > 0 {
			say("%s\n", plain(strings.Join(t.Sentences, " ")))
		}
		if len(t.Rows) > 0 {
			markdownTable(say, append([]string{"Images"}, t.Headings...), func(row func(...string)) {
				for _, r := range t.Rows {
					row(append([]string{r.Name}, r.Values...)...)
				}
			})
			say("")
			markdownTable(say, append([]string{"Comparison"}, pairHeadings...), func(row func(...string)) {
				for _, r := range t.Pairs {
					row(append([]string{r.Name}, r.Values...)...)
				}
			})
			say("")
		}
		for _, r := range t.References {
			say("For reference, %s: %s.", plain(r.Name), plain(r.Value))
		}
		for _, n := range t.Notes {
			say("%s", plain(n))
		}
		say("")
		bullets(say, t.Repeat)
	}
	say("\n## Runs\n")
	markdownTable(say, []string{"Run", "Setting", "Shots", "Seed", "Status", "Dice", "95 % interval", "Time", "Folder"}, func(row func(...string)) {
		for _, r := range p.Rows {
			row(fmt.Sprint(r.Index), r.What, fmt.Sprint(r.Shots), fmt.Sprint(r.Seed), strings.TrimSpace(r.Status+" "+r.Error), r.Dice, r.Interval, r.Time, r.Run)
		}
	})
	say("\nIntervals: %s.", plain(p.Method))
	if p.Test != "" {
		say("Test: %s, over patients.", plain(p.Test))
	}
	return []byte(b.String())
}

// pairHeadings are the columns of the table of comparisons.
var pairHeadings = []string{"difference", "95 % interval", "better / equal / worse", "Cohen's dz", "rank-biserial", "p", "p (Holm)"}

// PairHeadings are pairHeadings for the template.
func (settingText) PairHeadings() []string { return pairHeadings }

// markdownTable writes a Markdown table.
func markdownTable(say func(string, ...any), headings []string, rows func(row func(...string))) {
	line := func(cells ...string) {
		for i := range cells {
			cells[i] = plain(cells[i])
		}
		say("| %s |", strings.Join(cells, " | "))
	}
	line(append([]string(nil), headings...)...)
	say("|---|%s", strings.Repeat("---:|", len(headings)-1))
	rows(line)
}
