package main

import (
	"github.com/spf13/cobra"

	"samtune/experiment"
)

func (a *app) encode() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:     "encode",
		Short:   "Run the image encoder over all images of a benchmark and cache its features",
		Long:    "Every view that a run with the same settings will look at goes through the encoder once; runs with any shots and\nseed find its features in the cache.",
		Example: "  samtune encode --benchmark drive",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			opt, err := a.options(c, &f)
			if err != nil {
				return err
			}
			bar := newProgress(a.err, a.quiet)
			defer bar.close()
			opt.Progress = bar
			_, err = experiment.Encode(c.Context(), []experiment.Options{*opt}, make([][]experiment.Draw, 1), 0, 1)
			return err
		},
	}
	f.addBenchmark(c)
	return c
}
