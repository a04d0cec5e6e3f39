package main

import (
	"errors"
	"fmt"
	"os"
	"reflect"

	"github.com/spf13/cobra"

	"samtune/configs"
	"samtune/data"
	"samtune/experiment"
)

// splitFlags are the flags of data split.
type splitFlags struct {
	target, out, verify string
	shots               int
	seed                int64
}

func (a *app) dataSplit() *cobra.Command {
	var f splitFlags
	defaults := configs.Default()
	c := &cobra.Command{
		Use:   "split [BENCHMARK]",
		Short: "Write the split file of a run, or verify one against the data",
		Long: "The split file is the one that a run with the same benchmark, target, shots and seed leaves. It lists the cases with the hashes of\n" +
			"their pixels; samtune finetune --split takes it. --verify names each case that is gone or has changed, patients and pictures on two\n" +
			"sides, and ends with exit code 3 where there is one.",
		Example: "  samtune data split drive --shots 5 --seed 1\n  samtune data split --verify split.toml",
		Args:    cobra.MaximumNArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			name := ""
			if len(args) == 1 {
				name = args[0]
			}
			if f.verify == "" {
				return a.writeSplit(&f, name)
			}
			for _, other := range []string{"target", "out", "shots", "seed"} {
				if c.Flags().Changed(other) {
					return fmt.Errorf("%w: --%s does not go with --verify: the split file says what it is of", errUsage, other)
				}
			}
			return a.verifySplit(f.verify, name)
		},
	}
	c.Flags().StringVar(&f.target, "target", "", "which of the benchmark's structures; the default is its first")
	c.Flags().IntVar(&f.shots, "shots", defaults.Shots, "annotated images that training may use")
	c.Flags().Int64Var(&f.seed, "seed", defaults.Seed, "seed of the draw of shots")
	c.Flags().StringVar(&f.out, "out", experiment.SplitFile, "file to write")
	c.Flags().StringVar(&f.verify, "verify", "", "split file to compare with the data")
	return c
}

func (a *app) writeSplit(f *splitFlags, name string) error {
	if name == "" {
		return fmt.Errorf("%w: name a benchmark, or a split file with --verify", errUsage)
	}
	d, err := data.Declaration(name)
	if err != nil {
		return err
	}
	target := f.target
	if target == "" {
		target = d.Targets[0]
	}
	b, err := a.openQuietly(name, target)
	if err != nil {
		return err
	}
	split, err := data.Draw(b, target, f.shots, f.seed, b.Loader())
	if err != nil {
		return err
	}
	switch old, err := data.ReadSplit(f.out); {
	case errors.Is(err, os.ErrNotExist):
	case err != nil || !reflect.DeepEqual(old, split):
		return fmt.Errorf("%w: %q holds something else: name another file with --out, or remove it", errUsage, f.out)
	}
	if err := data.WriteSplit(f.out, split); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %s, %s: %d training, %d validation and %d test cases\n", f.out, b.Title, target, len(split.Train), len(split.Validation), len(split.Test))
	return err
}

func (a *app) verifySplit(path, name string) error {
	split, err := data.ReadSplit(path)
	if err != nil {
		return err
	}
	if name == "" {
		name = split.Benchmark
	}
	b, err := a.openQuietly(name, split.Target)
	if err != nil {
		return err
	}
	findings := split.Check(b, b.Loader())
	report := data.Report{Findings: findings}
	for _, f := range findings {
		fmt.Fprintf(a.out, "%s  %s\n", f.Severity, f)
	}
	if n := report.Count(data.Problem); n > 0 {
		return fmt.Errorf("%w: split %q has %s with %s", data.ErrInvalid, path, count(n, "problem"), b.Title)
	}
	_, err = fmt.Fprintf(a.out, "%s: %s, %s, %d shots of seed %d: all %d cases are as they were\n", path, b.Title, split.Target, split.Shots, split.Seed,
		len(split.Train)+len(split.Validation)+len(split.Test))
	return err
}

// openQuietly opens a benchmark with a progress bar on terminals alone.
func (a *app) openQuietly(name, target string) (*data.Benchmark, error) {
	bar := newProgress(a.err, a.quiet || !isTerminal(a.err))
	defer bar.close()
	return a.openBenchmark(name, target, bar)
}
