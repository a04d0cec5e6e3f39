package main

import (
	"github.com/spf13/cobra"

	"samtune/experiment"
)

func (a *app) report() *cobra.Command {
	return &cobra.Command{
		Use:     "report RUN",
		Short:   "Print a finished run's table and where its report is",
		Example: "  samtune report runs/drive-5shot-seed1-3f9a12",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			results, err := experiment.Report(args[0])
			if err != nil {
				return err
			}
			return a.show(results, args[0])
		},
	}
}
