package report

import (
	"bytes"
	_ "embed"
	"encoding/base64"
	"errors"
	"fmt"
	"html/template"
	"image"
	"image/jpeg"
	"image/png"
	"sort"
	"strings"
	"time"

	"samtune/eval"
)

//go:embed page.html.tmpl
var pageHTML string

//go:embed page.css
var pageCSS string

var pageTemplate = template.Must(template.New("page").Parse(pageHTML))

// page is what both forms of the report say, already in words and digits.
type page struct {
	Title, Kicker        string
	Verdict              verdict
	Tuned                bool
	Caveats              []string
	Facts                []factGroup
	Metrics              []metric
	Headings             []heading
	Groups               []methodGroup
	Notes                []string
	References           []fact
	CaseHeadings         []heading
	Cases                []caseRowText
	BeforeLabel          string
	CasePlot             template.HTML
	CurvePlot            template.HTML
	CurveNote            string
	Overlays             []overlayText
	Legend               []legendEntry
	Costs                []fact
	IntervalMethod, Test string
	Config               string
	CSS                  template.CSS
}

type fact struct {
	Name, Value string
	Code        bool // an identifier: shown in a fixed-width face, broken anywhere
}

type factGroup struct {
	Name  string
	Facts []fact
}

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

type overlayText struct {
	Role, Case, File string
	Panels           []panelText
}

type panelText struct {
	Title, Label, Dice, Alt string
	Width, Height           int
	Small                   bool
	URI                     template.URL
}

func newPage(in Input) (*page, error) {
	r := in.Results
	if r == nil {
		return nil, errors.New("no results")
	}
	if r.Paired != nil && r.Before[r.Paired.Before] == nil {
		return nil, fmt.Errorf("the comparison names the method %q, which the results don't hold", r.Paired.Before)
	}
	cases, err := groupRows(r, in.Rows)
	if err != nil {
		return nil, err
	}
	p := &page{
		Title:          titleOf(r),
		Kicker:         kicker(r),
		Verdict:        verdictOf(r),
		Tuned:          r.After != nil,
		Caveats:        caveats(r),
		Facts:          factsOf(r, cases),
		Metrics:        metricsOf(r),
		Notes:          tableNotes(r),
		References:     sortedFacts(r.Reference),
		CasePlot:       casePlot(r, cases),
		CurvePlot:      curvePlot(in.Log, r.Training),
		CurveNote:      curveNote(r.Training),
		Legend:         legend,
		Costs:          costsOf(r),
		Config:         in.Config,
		IntervalMethod: eval.IntervalMethod,
		CSS:            template.CSS(pageCSS),
	}
	if r.Paired != nil {
		p.Test = r.Paired.Test
	}
	for _, m := range p.Metrics {
		p.Headings = append(p.Headings, heading{m.name, m.unit, m.better})
	}
	p.Groups = methodGroups(r, p.Metrics)
	p.setCases(r, cases)
	if p.Overlays, err = overlayTexts(in.Overlays); err != nil {
		return nil, err
	}
	return p, nil
}

// html renders the page.
func (p *page) html() ([]byte, error) {
	var b bytes.Buffer
	if err := pageTemplate.Execute(&b, p); err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return withoutAddresses(b.Bytes()), nil
}

// withoutAddresses keeps a page's text that holds an address readable, but no byte sequence of the page is one: a reader that
// looks for network references finds none.
func withoutAddresses(page []byte) []byte {
	return bytes.ReplaceAll(page, []byte("://"), []byte("&#58;//"))
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
	p.CaseHeadings = p.Headings
	for _, c := range cases {
		row := caseRowText{Case: c.id, Patient: c.patient}
		if r.After != nil {
			a, b := c.scores.dice(before), c.scores.dice(eval.MethodAfter)
			row.Before, row.Difference = number(a, 3), signed(b-a, 3)
			if b < a {
				row.Class = "worse"
			}
		}
		for _, m := range p.Metrics {
			v := eval.Undefined
			if s, ok := c.scores[by]; ok {
				v = m.score(s)
			}
			row.Values = append(row.Values, number(v, m.digits))
		}
		p.Cases = append(p.Cases, row)
	}
}

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

// Embedded pictures are smaller than those in files.
const (
	pageSide    = 640
	smallSide   = 320 // a picture of less is enlarged without blurring
	jpegQuality = 86
)

func overlayTexts(cases []CaseOverlay) ([]overlayText, error) {
	var out []overlayText
	for _, c := range cases {
		panels, err := c.panels(pageSide)
		if err != nil {
			return nil, err
		}
		t := overlayText{Role: c.Role, Case: c.Case, File: OverlayDir + "/" + c.FileName()}
		for i, p := range panels {
			uri, err := dataURI(p.picture, i == 0)
			if err != nil {
				return nil, fmt.Errorf("embed picture of case %q: %w", c.Case, err)
			}
			size := p.picture.Bounds().Size()
			q := panelText{Title: p.title, Label: p.label, Width: size.X, Height: size.Y,
				Small: max(size.X, size.Y) < smallSide, URI: uri, Alt: fmt.Sprintf("Case %s, the picture itself", c.Case)}
			if i > 0 {
				q.Dice = number(p.dice, 3)
				q.Alt = fmt.Sprintf("Case %s %s (%s): prediction over the picture, Dice %s", c.Case, p.title, p.label, q.Dice)
			}
			t.Panels = append(t.Panels, q)
		}
		out = append(out, t)
	}
	return out, nil
}

func dataURI(img image.Image, photo bool) (template.URL, error) {
	var b bytes.Buffer
	kind := "png"
	var err error
	if photo {
		kind, err = "jpeg", jpeg.Encode(&b, img, &jpeg.Options{Quality: jpegQuality})
	} else {
		err = (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&b, img)
	}
	if err != nil {
		return "", err
	}
	return embedded(kind, b.Bytes()), nil
}

func embedded(kind string, file []byte) template.URL {
	return template.URL("data:image/" + kind + ";base64," + base64.StdEncoding.EncodeToString(file))
}

func sortedFacts(m map[string]string) []fact {
	out := make([]fact, 0, len(m))
	for k, v := range m {
		out = append(out, fact{Name: k, Value: v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// date prints a time in UTC, so that the page does not depend on where it is made.
func date(t time.Time) string {
	if t.IsZero() {
		return missing
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
