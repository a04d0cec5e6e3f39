package report

import (
	"fmt"
	"strings"

	"samtune/eval"
)

// page is what all forms of a run's report say, already in words and digits.
type page struct {
	frame
	Verdict              verdict
	Tuned                bool
	Caveats              []string
	Facts                []factGroup
	Metrics              []metric
	Headings             []heading
	Span                 int // columns of the table of methods
	Groups               []methodGroup
	Notes                []string
	References           []fact
	Plots                []plot
	CaseHeadings         []heading
	Cases                []caseRowText
	BeforeLabel          string
	Gallery              *gallery
	Pictures             string        // folder of the pictures that the Markdown shows
	Shown                []CaseOverlay // in the Markdown: the best, the median and the worst
	Averages             []fact        // average precision by method
	Costs                []fact
	IntervalMethod, Test string
	Config               string
}

func newPage(in *input) (*page, error) {
	r := in.results
	if r.Paired != nil && r.Before[r.Paired.Before] == nil {
		return nil, fmt.Errorf("the comparison names the method %q, which the results don't hold", r.Paired.Before)
	}
	cases, err := groupRows(r, in.rows)
	if err != nil {
		return nil, err
	}
	p := &page{
		frame:          frame{titleOf(r), kicker(r)},
		Verdict:        verdictOf(r),
		Tuned:          r.After != nil,
		Caveats:        caveats(r),
		Facts:          factsOf(r, cases),
		Metrics:        metricsOf(r),
		Notes:          tableNotes(r),
		References:     sortedFacts(r.Reference),
		Plots:          plotsOf(in, cases),
		Averages:       averagePrecisions(r),
		Pictures:       in.pictures,
		Costs:          costsOf(r),
		Config:         in.config,
		IntervalMethod: eval.IntervalMethod,
	}
	if r.Paired != nil {
		p.Test = r.Paired.Test
	}
	for _, m := range p.Metrics {
		p.Headings = append(p.Headings, heading{m.name, m.unit, m.better})
	}
	p.Groups = methodGroups(r, p.Metrics)
	p.Span = len(p.Headings) + 1
	p.setCases(r, cases)
	p.setGallery(r, in)
	return p, nil
}

// setGallery shows the cases that the run left pictures of.
func (p *page) setGallery(r *eval.Results, in *input) {
	picked := Pick(r, in.rows)
	at := map[string]CaseOverlay{}
	for _, c := range picked {
		at[c.Case] = c
	}
	slides := in.slides
	for i := range slides {
		s, c := &slides[i], at[slides[i].Name]
		s.Heading = c.Case
		if difference := c.AfterDice - c.BeforeDice; difference.Defined() {
			s.Note = "(" + signed(difference, 3) + ")"
			if difference < 0 {
				s.Class = "worse"
			}
		}
		if c.Role != "" {
			p.Shown = append(p.Shown, c)
		}
	}
	note := "All test cases, best first by Dice"
	if r.Cases > len(slides) {
		note = fmt.Sprintf("%d of %s, best first by Dice: their ranks are evenly spread from the best to the worst, the median among them", len(slides), count(r.Cases, "test case", "test cases"))
	}
	if r.After != nil {
		note += " after fine-tuning"
	}
	p.Gallery = newGallery(note+".", slides)
}

func titleOf(r *eval.Results) string {
	name := strings.TrimSpace(r.Title + " " + r.Target)
	if r.After == nil {
		return name + ": zero-shot"
	}
	return name + ": before and after fine-tuning on " + count(r.Shots, "image", "images")
}

func kicker(r *eval.Results) string {
	parts := []string{r.Title, r.Task, r.ModelTitle}
	if r.After != nil {
		parts = append(parts, count(r.Shots, "shot", "shots"))
	}
	parts = append(parts, fmt.Sprintf("seed %d", r.Seed))
	return joinNonEmpty(" · ", parts...)
}

// curveNote says how the step of a training was chosen.
func curveNote(t eval.Training) string {
	switch {
	case t.Steps == 0:
		return ""
	case len(t.Validation) == 0:
		return fmt.Sprintf("No case was held out: the last of %s was taken.", count(t.Steps, "step", "steps"))
	}
	note := fmt.Sprintf("Step %d of %d was chosen by Dice on the validation cases (%s)", t.BestStep, t.Steps, strings.Join(t.Validation, ", "))
	if t.BestDice.Defined() {
		note += ", " + number(t.BestDice, 3)
	}
	return note + ". Test cases had no part in it."
}
