package main

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/experiment"
)

func (a *app) compare() *cobra.Command {
	var f runFlags
	var benchmarks, decoders []string
	c := &cobra.Command{
		Use:   "compare",
		Short: "One table over all benchmarks that are present: zero-shot beside each decoder",
		Long: "Every target of every benchmark whose files are there is fine-tuned with each decoder on the same shots. A run that is\n" +
			"finished is taken as it is; one that fails is noted and does not stop the others.",
		Example: "  samtune compare --shots 5\n  samtune compare --benchmarks drive,ph2 --decoders plain,linear",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if len(benchmarks) == 0 {
				benchmarks = data.Names()
			}
			if len(decoders) == 0 {
				return fmt.Errorf("%w: --decoders is empty", errUsage)
			}
			table := &experiment.Comparison{Schema: 1, Shots: f.shots, Seed: f.seed, Decoders: decoders, Command: commandLine(os.Args[1:])}
			out := f.out
			if out == "" {
				out = filepath.Join(f.runs, fmt.Sprintf("compare-%dshot-seed%d", f.shots, f.seed))
			}
			f.out = ""
			for _, name := range benchmarks {
				d, err := data.Declaration(name)
				if err != nil {
					return err
				}
				if _, err := data.Open(name, data.Options{Root: a.data}); errors.Is(err, data.ErrNotFound) {
					for _, target := range d.Targets {
						table.Rows = append(table.Rows, experiment.ComparisonRow{Benchmark: name, Title: d.Title, Target: target, Status: experiment.StatusAbsent})
					}
					continue
				}
				for _, target := range d.Targets {
					row, err := a.compareOne(c, f, name, target, decoders)
					if c.Context().Err() != nil {
						return err
					}
					if err != nil {
						fmt.Fprintln(a.err, "samtune:", err)
						row = experiment.ComparisonRow{Benchmark: name, Title: d.Title, Target: target, Status: experiment.StatusFailed, Failed: err.Error()}
					}
					table.Rows = append(table.Rows, row)
					if err := table.Write(out); err != nil {
						return err
					}
				}
			}
			if err := table.Write(out); err != nil {
				return err
			}
			if err := compareTable(a.out, table); err != nil {
				return err
			}
			_, err := fmt.Fprintf(a.out, "table     %s\n", filepath.Join(out, experiment.CompareMarkdown))
			return err
		},
	}
	c.Flags().StringSliceVar(&benchmarks, "benchmarks", nil, "which of them; the default is all that are present")
	c.Flags().StringSliceVar(&decoders, "decoders", []string{"plain", "linear", "fine"}, "decoders to compare")
	c.Flags().IntVar(&f.shots, "shots", 5, "annotated images that training may use")
	c.Flags().Int64Var(&f.seed, "seed", 1, "seed of the draw of shots and of the training")
	c.Flags().StringVar(&f.model, "model", "", "model: samtune weights list shows them (default: the one that --weights is of, or lite_medsam)")
	c.Flags().StringVar(&f.weights, "weights", "", "weights file instead of the model's released weights")
	c.Flags().StringVar(&f.device, "device", "auto", "auto, cpu, cuda or cuda:N")
	c.Flags().StringVar(&f.out, "out", "", "folder of the table; the default is one under --runs")
	c.Flags().StringVar(&f.runs, "runs", "runs", "folder of run folders")
	c.Flags().StringArrayVar(&f.set, "set", nil, "any setting as key=value for every run; repeatable")
	return c
}

// compareOne does one target's run, or finds it finished.
func (a *app) compareOne(c *cobra.Command, f runFlags, benchmark, target string, decoders []string) (experiment.ComparisonRow, error) {
	last := decoders[len(decoders)-1]
	f.set = append([]string{"benchmark=" + benchmark, "target=" + target, "decoder=" + last, "compare=" + listText(decoders[:len(decoders)-1])}, f.set...)
	opt, err := a.options(c, &f)
	if err != nil {
		return experiment.ComparisonRow{}, err
	}
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	opt.Progress = bar
	b, err := data.Open(benchmark, data.Options{Root: a.data})
	if err != nil {
		return experiment.ComparisonRow{}, err
	}
	opt.Config.Shots = min(opt.Config.Shots, len(b.Pool))
	results, dir, err := experiment.Execute(c.Context(), *opt)
	if err != nil && !errors.Is(err, experiment.ErrFinished) {
		return experiment.ComparisonRow{}, err
	}
	return experiment.Row(results, dir), nil
}

func compareTable(w io.Writer, table *experiment.Comparison) error {
	tw := tabwriter.NewWriter(w, 0, 0, 3, ' ', 0)
	fmt.Fprintf(tw, "mean Dice, %d shots\ttest", table.Shots)
	for _, column := range table.Columns() {
		fmt.Fprintf(tw, "\t%s", column)
	}
	fmt.Fprintf(tw, "\t%s against zero-shot\tp (Holm)\n", table.Decoders[len(table.Decoders)-1])
	for _, r := range table.Rows {
		fmt.Fprintf(tw, "%s %s\t%d", r.Title, r.Target, r.Cases)
		if r.Status != experiment.StatusOK {
			fmt.Fprintf(tw, "\t%s\n", r.Missing())
			continue
		}
		for _, column := range table.Columns() {
			fmt.Fprintf(tw, "\t%s", r.Cell(column))
		}
		gain, p := r.Gain()
		fmt.Fprintf(tw, "\t%s\t%s", gain, p)
		if slices.Contains(table.Decoders, "plain") && len(r.Against) > 0 {
			for _, d := range table.Decoders {
				if r.Against[d] != "" {
					fmt.Fprintf(tw, "\t%s against plain: %s", d, r.Against[d])
				}
			}
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}
