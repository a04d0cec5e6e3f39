package main

import (
	"fmt"
	"path/filepath"

	"github.com/spf13/cobra"

	"samtune/experiment"
)

func (a *app) evaluate() *cobra.Command {
	var f runFlags
	var checkpoint string
	c := &cobra.Command{
		Use:     "evaluate",
		Short:   "Test the decoder that a run fine-tuned on a benchmark, without training",
		Example: "  samtune evaluate --checkpoint runs/drive-5shot-seed1-3f9a12 --benchmark drive",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			tuned, err := experiment.OpenTuned(checkpoint)
			if err != nil {
				return err
			}
			if f.config == "" { // what the run was trained with holds where nothing else is said
				f.config = filepath.Join(checkpoint, experiment.ConfigFile)
				f.set = append([]string{"split="}, f.set...) // all test cases are tested, not those of the run's split file
				if own := filepath.Join(checkpoint, experiment.BenchmarkFile); exists(own) && !c.Flags().Changed("benchmark") {
					f.set = append([]string{fmt.Sprintf("benchmark=%q", own)}, f.set...)
				}
			}
			return a.execute(c, &f, experiment.Options{Tuned: tuned})
		},
	}
	f.add(c)
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "folder of the run whose best checkpoint is tested")
	require(c, "checkpoint")
	return c
}

// require makes a flag one that must be given.
func require(c *cobra.Command, flag string) {
	if err := c.MarkFlagRequired(flag); err != nil {
		panic(err) // only a misspelt name above
	}
}
