package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/experiment"
	"samtune/internal/featurecache"
)

// errDiffers says that a repeat did not give the same bytes.
var errDiffers = errors.New("the repeat differs")

func (a *app) repro() *cobra.Command {
	var out, device string
	var again bool
	c := &cobra.Command{
		Use:   "repro RUN",
		Short: "Repeat a run from its record and say whether the bytes agree",
		Long: "The run is done again from config.toml, split.toml, run.toml and results.json in its folder, in a folder of its own, on the\n" +
			"same device with the same number of threads. Changed data, weights or settings are refused by name; other versions are said.\n" +
			"Then what both left is compared byte for byte, times, memory and paths aside. Features come from the cache as in any run:\n" +
			"--cache with an empty folder computes them too.",
		Example: "  samtune repro runs/drive-5shot-seed1-3f9a12",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			rec, err := experiment.ReadRecord(args[0])
			if err != nil {
				return err
			}
			if out == "" {
				out = filepath.Clean(args[0]) + "-repro"
			}
			if device != "" {
				rec.Device = device
			}
			if err := a.places(c, rec); err != nil {
				return err
			}
			bar := newProgress(a.err, a.quiet)
			files, found, err := experiment.Repeat(c.Context(), rec, experiment.Options{
				Out: out, Again: again, Command: commandLine(os.Args[1:]), Version: versionText(), Progress: bar,
			})
			bar.close()
			if found {
				fmt.Fprintf(a.err, "finished repeat found: %s (use --again to do it anew)\n", out)
			}
			if err != nil {
				return err
			}
			return a.verdict(args[0], out, files)
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder of the repeat; the default is RUN-repro")
	c.Flags().StringVar(&device, "device", "", "repeat on another device than the run's own: auto, cpu, cuda or cuda:N")
	c.Flags().BoolVar(&again, "again", false, "do a finished repeat anew")
	return c
}

// places says where data, weights and cache are where that is not as it was in the recorded run. Their content is compared.
func (a *app) places(c *cobra.Command, rec *experiment.Record) error {
	if c.Flags().Changed("data") {
		rec.Data = a.data
	}
	if a.cache != "" {
		rec.Config.Cache.Dir = featurecache.In(a.cache)
	}
	var err error
	if !exists(rec.Config.Weights) {
		_, rec.Config.Weights, err = a.modelAndWeights(rec.Config.Model, "")
	}
	return err
}

// verdict prints what agrees, file by file, and says it in a sentence. Where something differs that is an error.
func (a *app) verdict(dir, repeat string, files []experiment.FileVerdict) error {
	tw := tabwriter.NewWriter(a.out, 0, 0, 3, ' ', 0)
	var differing []string
	for _, f := range files {
		text := "equal"
		if f.Difference != "" {
			text = "differs: " + f.Difference
			differing = append(differing, f.File)
		}
		fmt.Fprintf(tw, "%s\t%s\n", f.File, text)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	if len(differing) > 0 {
		return fmt.Errorf("%w: of %d files %d do not have the bytes of %s: %s (compare with %s)", errDiffers, len(files), len(differing), dir, strings.Join(differing, ", "), repeat)
	}
	_, err := fmt.Fprintf(a.out, "The bytes agree: all %d files of %s and of its repeat in %s, times, memory and paths aside.\n", len(files), dir, repeat)
	return err
}
