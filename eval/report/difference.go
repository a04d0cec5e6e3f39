package report

import (
	"fmt"
	"io"
	"slices"
	"strings"
	"text/tabwriter"

	"samtune/eval"
)

// mostCases are shown of a table of cases where not all are asked for.
const mostCases = 20

// DifferenceTable writes how two runs, of which a is the first, differ: method by method, metric by metric and case by case, as lines for
// a terminal. Without all only the cases with the greatest losses and gains are listed.
func DifferenceTable(w io.Writer, a *eval.Results, d *eval.Difference, all bool) error {
	fmt.Fprintf(w, "%s are the same in both", count(d.Shared, "test case", "test cases"))
	if d.OnlyA+d.OnlyB > 0 {
		fmt.Fprintf(w, "; %d of A's are not in B, %d of B's not in A", d.OnlyA, d.OnlyB)
	}
	fmt.Fprintln(w)
	if len(d.Methods) == 0 {
		_, err := fmt.Fprintln(w, "no method can be compared case by case")
		return err
	}
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(tw, "MEAN DICE\tA\tB\tB - A (95 % INTERVAL)\tP\tBETTER, EQUAL, WORSE IN B")
	for _, m := range d.Methods {
		name := m.LabelA
		if m.LabelA != m.LabelB {
			name += " | " + m.LabelB
		}
		text := signed(m.Paired.Difference, 3)
		if ci := interval(m.Paired.CI95, 3); ci != missing {
			text += " (" + ci + ")"
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\t%s\t%d, %d, %d\n", name, number(m.A, 3), number(m.B, 3), text, probability(m.Paired.P), m.Paired.Wins, m.Paired.Ties, m.Paired.Losses)
	}
	fmt.Fprintf(tw, "\nOTHER MEANS, %s\tA\tB\tB - A\n", d.Methods[len(d.Methods)-1].LabelB)
	for _, m := range metricsOf(a) {
		if i := slices.IndexFunc(d.Metrics, func(x eval.MetricDifference) bool { return strings.EqualFold(x.Metric, m.name) }); i >= 0 {
			x := d.Metrics[i]
			fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", m.Heading(), number(x.A, m.digits), number(x.B, m.digits), signed(x.B-x.A, m.digits))
		}
	}
	fmt.Fprintf(tw, "\nCASE\tA\tB\tB - A\n")
	for i, p := range d.Pairs {
		if half := mostCases / 2; !all && len(d.Pairs) > mostCases && i >= half && i < len(d.Pairs)-half {
			if i == half {
				fmt.Fprintf(tw, "... %d more: --all\n", len(d.Pairs)-mostCases)
			}
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%s\t%s\n", p.Case, number(p.Before, 3), number(p.After, 3), signed(p.After-p.Before, 3))
	}
	return tw.Flush()
}
