package main

import (
	"cmp"
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/eval/report"
	"samtune/experiment"
)

func (a *app) runsDiff(runs *string) *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use: "diff A B", Short: "Show in which settings two runs differ, and how their results do", Args: cobra.ExactArgs(2),
		Long: "Settings and other facts that decide a result are compared first. Where both runs are finished, Dice is compared method by method over\n" +
			"the test cases that both have, the same to the pixel: the mean of the differences with its 95 % interval, the exact paired test, and\n" +
			"case by case.",
		Example: "  samtune runs diff runs/drive-5shot-seed1-3f9a12 runs/drive-10shot-seed1-77ab01",
		RunE:    func(_ *cobra.Command, args []string) error { return a.diffRuns(*runs, args[0], args[1], asJSON, all) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&all, "all", false, "list every case, not only the ten greatest losses and gains")
	return c
}

func (a *app) diffRuns(runs, one, two string, asJSON, all bool) error {
	first, err := openRun(runs, one)
	if err != nil {
		return err
	}
	second, err := openRun(runs, two)
	if err != nil {
		return err
	}
	d, err := experiment.Compare(first, second)
	if err != nil {
		return err
	}
	if asJSON {
		return writeJSON(a.out, d)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for i, f := range []*experiment.Folder{first, second} {
		fmt.Fprintf(w, "%c\t%s\t%s\n", 'A'+i, f.Dir, f.Status)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(d.Changes) == 0 {
		fmt.Fprintf(a.out, "\nno setting differs\n")
	} else {
		fmt.Fprintln(w, "\nSETTING\tA\tB")
	}
	for _, c := range d.Changes {
		fmt.Fprintf(w, "%s\t%s\t%s\n", c.What, cmp.Or(c.A, "–"), cmp.Or(c.B, "–"))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintln(a.out)
	if d.Results == nil {
		_, err := fmt.Fprintln(a.out, "results are compared where both runs are finished")
		return err
	}
	return report.DifferenceTable(a.out, first.Results, d.Results, all)
}
