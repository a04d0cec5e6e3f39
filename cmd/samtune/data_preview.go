package main

import (
	"bytes"
	"fmt"
	"image/png"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"samtune/data/preview"
	"samtune/experiment"
)

func (a *app) dataPreview() *cobra.Command {
	var target, out string
	var cases int
	c := &cobra.Command{
		Use:   "preview BENCHMARK",
		Short: "Draw a contact sheet: pictures with the outlines of their masks",
		Long: "Cases are spread evenly over pool and test. Every target has an outline of its own; --target draws one alone and, of volumes,\n" +
			"slices that hold it. What lies outside the valid region is dimmed.",
		Example: "  samtune data preview drive\n  samtune data preview acdc --target myocardium --cases 24 --out acdc.png",
		Args:    cobra.ExactArgs(1),
		RunE:    func(c *cobra.Command, args []string) error { return a.previewBenchmark(c, args[0], target, out, cases) },
	}
	c.Flags().StringVar(&target, "target", "", "which of the benchmark's structures; the default is all")
	c.Flags().StringVar(&out, "out", "", "PNG file; the default is BENCHMARK.png")
	c.Flags().IntVar(&cases, "cases", 12, "pictures on the sheet")
	return c
}

func (a *app) previewBenchmark(c *cobra.Command, name, target, out string, cases int) error {
	if err := within("cases", cases, 1, 100); err != nil {
		return err
	}
	bar := newProgress(a.err, a.quiet || !isTerminal(a.err))
	defer bar.close()
	b, err := a.openBenchmark(name, target, bar)
	if err != nil {
		return err
	}
	targets := slices.Clone(b.Targets)
	if target != "" {
		targets = []string{target}
	}
	if out == "" {
		out = b.Name + ".png"
	}
	var stage experiment.Stage
	sheet, err := preview.Sheet(c.Context(), b, preview.Options{Targets: targets, Cases: cases}, func(_, of int) {
		if stage == nil {
			stage = bar.Begin("preview", of)
		}
		stage.Add(1, "")
	})
	if err != nil {
		return err
	}
	var file bytes.Buffer
	if err := png.Encode(&file, sheet); err != nil {
		return fmt.Errorf("write %q: %w", out, err)
	}
	if err := renameio.WriteFile(out, file.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write %q: %w", out, err)
	}
	_, err = fmt.Fprintf(a.out, "%s: %s\n", b.Title, out)
	return err
}
