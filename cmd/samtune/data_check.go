package main

import (
	"errors"
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/experiment"
)

func (a *app) dataCheck() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use:   "check [BENCHMARK...]",
		Short: "Read every file of benchmarks and report what they hold and what is wrong",
		Long: "Every file of the named benchmarks, or of all that are present, is read: sizes, values, labels, empty masks, masks that do not fit their\n" +
			"pictures, pictures that are there twice and patients on both sides of the split. Problems end with exit code 3, warnings do not.",
		Example: "  samtune data check\n  samtune data check drive ph2 --json",
		RunE:    func(c *cobra.Command, args []string) error { return a.checkBenchmarks(c, args, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// checked is what data check prints as JSON.
type checked struct {
	Benchmarks []*data.Report `json:"benchmarks"`
	Absent     []string       `json:"absent"`
}

func (a *app) checkBenchmarks(c *cobra.Command, names []string, asJSON bool) error {
	all := len(names) == 0
	if all {
		names = data.Names()
	}
	out := checked{Benchmarks: []*data.Report{}, Absent: []string{}}
	var bad []string
	for _, name := range names {
		began := time.Now()
		r, err := a.checkOne(c, name)
		if all && errors.Is(err, data.ErrNotFound) {
			out.Absent = append(out.Absent, name)
			continue
		}
		if err != nil {
			return err
		}
		if n := r.Count(data.Problem); n > 0 {
			bad = append(bad, fmt.Sprintf("%s has %s", r.Title, count(n, "problem")))
		}
		out.Benchmarks = append(out.Benchmarks, r)
		if !asJSON {
			if err := printReport(a.out, r, time.Since(began)); err != nil {
				return err
			}
		}
	}
	if asJSON {
		if err := writeJSON(a.out, out); err != nil {
			return err
		}
	} else if len(out.Absent) > 0 {
		fmt.Fprintf(a.out, "not here: %s\n", strings.Join(out.Absent, ", "))
	}
	if len(bad) > 0 {
		return fmt.Errorf("%w: %s", data.ErrInvalid, strings.Join(bad, ", "))
	}
	return nil
}

func (a *app) checkOne(c *cobra.Command, name string) (*data.Report, error) {
	bar := newProgress(a.err, a.quiet || !isTerminal(a.err))
	defer bar.close()
	opt, err := a.dataOptions("", bar)
	if err != nil {
		return nil, err
	}
	var stage experiment.Stage
	return data.Check(c.Context(), name, opt, func(done, of int) {
		if stage == nil {
			stage = bar.Begin("check", of)
		}
		stage.Add(1, name)
	})
}

// printReport prints a benchmark's tables and findings.
func printReport(out io.Writer, r *data.Report, took time.Duration) error {
	fmt.Fprintf(out, "%s (%s), %s: %s\n", r.Title, r.Benchmark, r.Task, r.Layout)
	if r.Root != "" {
		fmt.Fprintf(out, "  in %s\n", r.Root)
	}
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	volumes := false
	for _, s := range r.Sides {
		volumes = volumes || s.Volumes > 0
	}
	if len(r.Sides) > 0 {
		fmt.Fprintf(w, "  side\tcases\t%spatients\tsize\tvalues\n", only(volumes, "volumes\t"))
	}
	for _, s := range r.Sides {
		size := span(s.Width) + " x " + span(s.Height)
		if s.Slices != nil {
			size += ", " + span(*s.Slices) + " slices"
		}
		fmt.Fprintf(w, "  %s\t%d\t%s%d\t%s\t%s\n", s.Side, s.Cases, only(volumes, fmt.Sprintf("%d\t", s.Volumes)), s.Patients, size, values(s))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Targets) > 0 {
		fmt.Fprintf(w, "  target\tside\tmasks\tempty\tforeground: least\tmedian\tmost\n")
	}
	for _, t := range r.Targets {
		fmt.Fprintf(w, "  %s\t%s\t%d\t%d\t%s\t%s\t%s\n", t.Target, t.Side, t.Masks, t.Empty, percent(t.Foreground.Min), percent(t.Median), percent(t.Foreground.Max))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, l := range r.Labels {
		fmt.Fprintf(out, "  values in masks of %s: %s\n", someOf(l.Targets, lineWidth/2), labels(l))
	}
	printFindings(out, r.Findings)
	read := count(r.Files, "file")
	if r.Slices > 0 {
		read += fmt.Sprintf(" with %s of volumes", count(r.Slices, "slice"))
	}
	if r.Files == 0 && r.Count(data.Problem) == 0 {
		read = "generated pictures"
	}
	_, err := fmt.Fprintf(out, "  %s read in %.1f s: %s, %s\n\n", read, took.Seconds(), count(r.Count(data.Problem), "problem"), count(r.Count(data.Warning), "warning"))
	return err
}

// mostWarnings is how many warnings of one kind are printed.
const mostWarnings = 5

// printFindings prints all problems, and of warnings of one kind the first ones.
func printFindings(out io.Writer, findings []data.Finding) {
	seen := map[string]int{}
	for _, f := range findings {
		if seen[f.Kind]++; f.Severity == data.Problem || seen[f.Kind] <= mostWarnings {
			fmt.Fprintf(out, "  %s  %s\n", f.Severity, f)
		}
	}
	for _, f := range findings {
		if more := seen[f.Kind] - mostWarnings; f.Severity == data.Warning && more > 0 {
			fmt.Fprintf(out, "  warning  %d more of this kind (%s): --json lists all\n", more, f.Kind)
			seen[f.Kind] = 0
		}
	}
}

func only(show bool, text string) string {
	if show {
		return text
	}
	return ""
}

// span writes a range, or the one value that it is.
func span(r data.Range) string {
	if r.Min == r.Max {
		return fmt.Sprintf("%g", r.Min)
	}
	return fmt.Sprintf("%g..%g", r.Min, r.Max)
}

func values(s data.SideReport) string {
	if s.Values == nil {
		return "none"
	}
	kind := ""
	for _, c := range s.Channels {
		kind += map[int]string{1: ", grey", 3: ", colour"}[c]
	}
	return fmt.Sprintf("%.6g..%.6g%s", s.Values.Min, s.Values.Max, kind)
}

func percent(share float64) string {
	if share > 0 && share < 0.001 {
		return fmt.Sprintf("%.3f %%", 100*share)
	}
	return fmt.Sprintf("%.1f %%", 100*share)
}

// mostValues is how many values of masks are printed.
const mostValues = 8

func labels(l data.LabelReport) string {
	var out []string
	for i, v := range l.Values {
		if i == mostValues {
			out = append(out, fmt.Sprintf("%d more", len(l.Values)-i))
			break
		}
		out = append(out, v.Value+" "+percent(v.Share))
	}
	if l.Others > 0 {
		out = append(out, "and others")
	}
	return strings.Join(out, ", ")
}
