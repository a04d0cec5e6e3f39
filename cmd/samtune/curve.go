package main

import (
	"fmt"
	"io"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
	"samtune/experiment"
)

func (a *app) curve() *cobra.Command {
	var f runFlags
	var shots []int
	var seeds int
	f.shots = 1 // the run that the settings are read for; the flag below is a list
	c := &cobra.Command{
		Use:   "curve",
		Short: "Dice over the number of shots: the convex head fitted on many draws of images at once",
		Long: "The convex head is fitted on every draw of images, all draws in the same passes over the cached features, and each is\n" +
			"scored on all test images. The table shows mean and spread over draws: what another choice of images would change.",
		Example: "  samtune curve --benchmark drive --shots 1,3,5,10,20 --seeds 10",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if seeds < 1 {
				return fmt.Errorf("%w: --seeds is %d, want 1 or more", errUsage, seeds)
			}
			opt, err := a.options(c, &f)
			if err != nil {
				return err
			}
			if opt.Out == "" {
				d, err := data.Declaration(opt.Config.Benchmark)
				if err != nil {
					return err
				}
				opt.Out = filepath.Join(f.runs, d.Name+"-curve")
			}
			draws := make([]int64, seeds)
			for i := range draws {
				draws[i] = int64(i) + 1
			}
			bar := newProgress(a.err, a.quiet)
			opt.Progress = bar
			curve, err := experiment.LearningCurve(c.Context(), *opt, shots, draws)
			bar.close()
			if err != nil {
				return err
			}
			if err := curveTable(a.out, curve); err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "table     %s\n", filepath.Join(opt.Out, experiment.CurveFile))
			return err
		},
	}
	f.addBenchmark(c)
	c.Flags().IntSliceVar(&shots, "shots", []int{1, 3, 5, 10, 20}, "numbers of annotated images")
	c.Flags().IntVar(&seeds, "seeds", 5, "draws of each number")
	c.Flags().StringVar(&f.out, "out", "", "folder for curve.json and curve.csv; the default is BENCHMARK-curve under --runs")
	c.Flags().StringVar(&f.runs, "runs", "runs", "folder of run folders")
	return c
}

func curveTable(w io.Writer, c *experiment.Curve) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(tw, "%s %s, %d test images\tdraws\tDice\tsd\tlowest\thighest\tleft out\tsensitivity\tAUC\tclDice\n", c.Title, c.Target, c.Cases)
	for _, r := range c.Rows {
		fmt.Fprintf(tw, "%d shots\t%d", r.Shots, r.Draws)
		for _, v := range []eval.Float{r.Dice, r.SD, r.Min, r.Max, r.LeftOut, r.Sensitivity, r.AUC, r.ClDice} {
			fmt.Fprintf(tw, "\t%s", report.Number(v, 4))
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	for name, value := range c.Reference {
		fmt.Fprintf(w, "reference: %s: %s\n", name, value)
	}
	s := c.Seconds
	_, err := fmt.Fprintf(w, "time: encode %.0f s, fit %.1f s, test %.0f s, total %.0f s; peak memory %.0f MiB\n", s.Encode, s.Train, s.Evaluate, s.Total, c.PeakRSSMB)
	return err
}
