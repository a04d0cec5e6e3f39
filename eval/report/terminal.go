package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"samtune/eval"
)

// Table writes the results as lines for a terminal: before, after, difference and p of each metric, then what
// else was tried and what it cost. Without fine-tuning it lists the zero-shot methods. p belongs to Dice,
// the only metric that is tested; other differences are those of the means, where both are over the same
// number of cases.
func Table(w io.Writer, r *eval.Results) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	head := fmt.Sprintf("%s, %s", joinNonEmpty(" ", r.Title, r.Target), count(r.Cases, "test image", "test images"))
	if before, ok := pairedBefore(r); ok && r.After != nil {
		pairedTable(tw, head, r, before)
	} else {
		methodTable(tw, head, r)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	var b strings.Builder
	b.WriteByte('\n')
	if before, ok := pairedBefore(r); ok && r.After != nil {
		fmt.Fprintf(&b, "before: zero-shot, %s; %d of %s better\n", zeroShotLabel(before), r.Paired.Wins, count(r.Paired.N, "case", "cases"))
		if judge(r.Paired) == unconfirmed {
			fmt.Fprintf(&b, "the paired test does not confirm a difference\n")
		}
		if others := otherDice(r); others != "" {
			fmt.Fprintf(&b, "other Dice: %s\n", others)
		}
		for _, f := range thicknessFacts(r) {
			fmt.Fprintf(&b, "Dice by thickness, %s: %s\n", f.Name, f.Value)
		}
		for _, line := range comparisons(r) {
			fmt.Fprintf(&b, "%s\n", line)
		}
	}
	for _, f := range sortedFacts(r.Reference) {
		fmt.Fprintf(&b, "reference: %s: %s\n", f.Name, f.Value)
	}
	s := r.Seconds
	fmt.Fprintf(&b, "time: setup %s, encode %s, train %s, evaluate %s, total %s; peak memory %s\n",
		clock(s.Setup), clock(s.Encode), clock(s.Train), clock(s.Evaluate), clock(s.Total), mebibytes(r.PeakRSSMB))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func pairedTable(w io.Writer, head string, r *eval.Results, before *eval.Method) {
	fmt.Fprintf(w, "%s\tbefore\tafter\tdifference (95 %% interval)\tp\n", head)
	for _, m := range metricsOf(r) {
		a, b := m.of(before), m.of(r.After)
		if m.name == "Dice" {
			fmt.Fprintf(w, "%s\t%s\t%s\t%s (%s)\t%s\n", m.Heading(), summaryText(m, a), summaryText(m, b),
				signed(r.Paired.Difference, m.digits), interval(r.Paired.CI95, m.digits), probability(r.Paired.P))
			continue
		}
		difference := missing
		if a.Undefined == b.Undefined {
			difference = signed(b.Mean-a.Mean, m.digits)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\n", m.Heading(), summaryText(m, a), summaryText(m, b), difference)
	}
}

// methodTable has a row for each method: what is shown where nothing is compared.
func methodTable(w io.Writer, head string, r *eval.Results) {
	metrics := metricsOf(r)
	fmt.Fprintf(w, "%s\tDice (95 %% interval)", head)
	for _, m := range metrics[1:] {
		fmt.Fprintf(w, "\t%s", m.Heading())
	}
	fmt.Fprintln(w)
	row := func(label string, method *eval.Method) {
		dice := metrics[0].of(method)
		fmt.Fprintf(w, "%s\t%s", label, summaryText(metrics[0], dice))
		if ci := interval(dice.CI95, 3); ci != missing {
			fmt.Fprintf(w, " (%s)", ci)
		}
		for _, m := range metrics[1:] {
			fmt.Fprintf(w, "\t%s", summaryText(m, m.of(method)))
		}
		fmt.Fprintln(w)
	}
	if r.Trivial != nil {
		row("everything = foreground", &r.Trivial.Method)
	}
	for _, k := range sortedBefore(r) {
		row("zero-shot, "+zeroShotLabel(r.Before[k]), r.Before[k])
	}
	if r.After != nil {
		row(afterLabel(r), r.After)
	}
	for i := range r.Others {
		row(r.Others[i].Method.Label, &r.Others[i].Method)
	}
}

func summaryText(m metric, s eval.Summary) string {
	text := number(s.Mean, m.digits)
	if s.Undefined > 0 {
		text += fmt.Sprintf(" [%d of %d]", s.N, s.N+s.Undefined)
	}
	return text
}

// otherDice lists the mean Dice of what is not "before".
func otherDice(r *eval.Results) string {
	var parts []string
	for _, k := range sortedBefore(r) {
		if k != r.Paired.Before {
			parts = append(parts, zeroShotLabel(r.Before[k])+" "+number(r.Before[k].Dice.Mean, 3))
		}
	}
	if r.Trivial != nil {
		parts = append(parts, "everything = foreground "+number(r.Trivial.Dice, 3))
	}
	return strings.Join(parts, ", ")
}
