package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/spf13/cobra"
	"golang.org/x/sync/errgroup"

	"samtune/experiment"
)

func (a *app) encode() *cobra.Command {
	var f runFlags
	var share string
	c := &cobra.Command{
		Use:     "encode",
		Short:   "Run the image encoder over all images of a benchmark and cache its features",
		Long:    "Every view that a run with the same settings will look at goes through the encoder once; runs with any shots and\nseed find its features in the cache. Where there are several GPUs, each is given its share by a process of its own.",
		Example: "  samtune encode --benchmark drive",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			opt, err := a.options(c, &f)
			if err != nil {
				return err
			}
			first, of, err := parseShare(share)
			if err != nil {
				return err
			}
			bar := newProgress(a.err, a.quiet)
			defer bar.close()
			if gpus := gpusFor(opt.Config.Train.Device); share == "" && len(gpus) > 1 {
				return encodeOn(c.Context(), gpus, bar)
			}
			opt.Progress = bar
			_, err = experiment.Encode(c.Context(), []experiment.Options{*opt}, make([][]experiment.Draw, 1), first, of)
			return err
		},
	}
	f.addBenchmark(c)
	c.Flags().StringVar(&share, "share", "", "encode the I-th of N shares of the images alone, as 2/4: for machines side by side over one cache")
	return c
}

// parseShare reads I/N as the number of a share, from 0, and their count.
func parseShare(text string) (share, of int, err error) {
	if text == "" {
		return 0, 1, nil
	}
	if n, err := fmt.Sscanf(text+" ", "%d/%d ", &share, &of); err != nil || n != 2 || share < 1 || share > of {
		return 0, 0, fmt.Errorf("%w: --share is %q, want I/N with I from 1 to N, as 2/4", errUsage, text)
	}
	return share - 1, of, nil
}

// encodeOn does what this command line asks for with a process on each GPU.
func encodeOn(ctx context.Context, gpus []string, bar *progress) error {
	self, err := os.Executable()
	if err != nil {
		return fmt.Errorf("find samtune's own file: %w", err)
	}
	logs, err := os.MkdirTemp("", "samtune-encode-")
	if err != nil {
		return fmt.Errorf("make folder of logs: %w", err)
	}
	stage := bar.Begin("encode", len(gpus))
	var mu sync.Mutex // a stage is counted by one at a time
	var g errgroup.Group
	for i, gpu := range gpus {
		g.Go(func() error {
			args := append(slices.Clone(os.Args[1:]), "--share", fmt.Sprintf("%d/%d", i+1, len(gpus)))
			if err := startSelf(ctx, self, gpu, args, filepath.Join(logs, "gpu-"+gpu+".log")); err != nil {
				return fmt.Errorf("encode on GPU %s: %w; all it said is in %s", gpu, err, logs)
			}
			mu.Lock()
			defer mu.Unlock()
			stage.Add(1, "")
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return cmp.Or(ctx.Err(), err)
	}
	stage.End("GPUs, each with a share of the images")
	return os.RemoveAll(logs)
}
