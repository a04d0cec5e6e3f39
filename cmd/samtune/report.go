package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"samtune/eval/report"
)

func (a *app) report() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use:   "report RUN|COMPARE|SWEEP",
		Short: "Make the report of a finished run, a comparison or a sweep again from its folder, and print its table",
		Long: "The report is made of what the folder holds: neither data nor weights are needed. It is one HTML page that loads nothing, and\n" +
			"the same as Markdown and CSV.",
		Example: "  samtune report runs/drive-5shot-seed1-3f9a12\n  samtune report runs/compare-5shot-seed1 --out figures/compare.html",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			page, err := report.Again(a.out, args[0], out)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "report    %s\n", page)
			return err
		},
	}
	c.Flags().StringVar(&out, "out", "", "the page, with .md and .csv of the same name beside it; the default is report.html in the folder")
	return c
}
