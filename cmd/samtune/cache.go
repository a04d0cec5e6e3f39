package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"samtune/checkpoints"
	"samtune/configs"
	"samtune/internal/featurecache"
)

func (a *app) cacheCommand() *cobra.Command {
	c := &cobra.Command{Use: "cache", Short: "Look at, verify and prune the cache of features"}
	c.AddCommand(a.cacheShow(), a.cacheVerify(), a.cachePrune())
	return c
}

// featuresDir is the folder that a command on the cache is about: the one that is named, or that of --cache.
func (a *app) featuresDir(args []string) (string, error) {
	if len(args) > 0 {
		return args[0], nil
	}
	dir, err := a.cacheDir()
	return featurecache.In(dir), err
}

// cached are the files of a benchmark, or of all.
type cached struct {
	Benchmark string                    `json:"benchmark,omitempty"`
	Files     int                       `json:"files"`
	Bytes     int64                     `json:"bytes"`
	Oldest    time.Time                 `json:"oldest_use,omitzero"`
	Newest    time.Time                 `json:"newest_use,omitzero"`
	Kinds     map[featurecache.Kind]int `json:"kinds,omitempty"` // files of each
}

// add counts a file; files come in the order in which they were used.
func (c *cached) add(f featurecache.File) {
	if c.Files == 0 {
		c.Oldest, c.Kinds = f.Used, map[featurecache.Kind]int{}
	}
	c.Files++
	c.Bytes += f.Size
	c.Newest = f.Used
	c.Kinds[f.Kind]++
}

// sumUp counts files, and those of each benchmark, the one that was used longest ago first.
func sumUp(files []featurecache.File) (all cached, each []*cached) {
	each = []*cached{}
	for _, f := range files {
		all.add(f)
		i := slices.IndexFunc(each, func(c *cached) bool { return c.Benchmark == f.Benchmark })
		if i < 0 {
			i = len(each)
			each = append(each, &cached{Benchmark: f.Benchmark})
		}
		each[i].add(f)
	}
	slices.SortStableFunc(each, func(a, b *cached) int { return a.Newest.Compare(b.Newest) })
	return all, each
}

func (a *app) cacheShow() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show [FOLDER]", Short: "Show what the feature cache holds, by benchmark, and how long ago it was used", Args: cobra.MaximumNArgs(1),
		Long: "The benchmark that was not used for longest comes first. A file is of the benchmark that it was made for first; files of earlier\n" +
			"versions do not say and are called unknown. FOLDER is a folder of features, as cache.dir names one.",
		Example: "  samtune cache show",
		RunE:    func(c *cobra.Command, args []string) error { return a.showCache(c.Context(), args, asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) showCache(ctx context.Context, args []string, asJSON bool) error {
	dir, err := a.featuresDir(args)
	if err != nil {
		return err
	}
	files, err := featurecache.List(dir)
	if err != nil {
		return err
	}
	if err := featurecache.Describe(ctx, files); err != nil {
		return err
	}
	uses, err := featurecache.Uses(dir)
	if err != nil {
		fmt.Fprintln(a.err, "samtune:", err)
	}
	all, each := sumUp(files)
	budget := int64(configs.Default().Cache.BudgetGB * 1e9)
	if asJSON {
		return writeJSON(a.out, struct {
			Dir string `json:"dir"`
			cached
			Budget     int64       `json:"budget_bytes"`
			Benchmarks []*cached   `json:"benchmarks"`
			Uses       []time.Time `json:"in_use_since"`
		}{dir, all, budget, each, append([]time.Time{}, uses...)})
	}
	fmt.Fprintln(a.out, dir)
	if all.Files == 0 {
		_, err := fmt.Fprintln(a.out, "nothing is cached there")
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "BENCHMARK\tFILES\tSIZE\tOLDEST USE\tNEWEST USE")
	for _, c := range each {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\t%s\n", c.Benchmark, c.Files, size(c.Bytes), dated(c.Oldest), dated(c.Newest))
	}
	fmt.Fprintf(w, "total\t%d\t%s\t%s\t%s\n", all.Files, size(all.Bytes), dated(all.Oldest), dated(all.Newest))
	if err := w.Flush(); err != nil {
		return err
	}
	room := size(budget-all.Bytes) + " are left"
	if all.Bytes > budget {
		room = size(all.Bytes-budget) + " over it"
	}
	fmt.Fprintf(a.out, "budget    %s, unless a run's cache.budget_gb says otherwise: %s\n", size(budget), room)
	var kinds []string
	for _, k := range featurecache.Kinds() {
		if n := all.Kinds[k]; n > 0 {
			kinds = append(kinds, fmt.Sprintf("%d %s", n, k))
		}
	}
	fmt.Fprintf(a.out, "files     %s\n", strings.Join(kinds, ", "))
	if len(uses) > 0 {
		fmt.Fprintf(a.out, "in use    %s\n", inUse(uses))
	}
	return nil
}

// inUse says what is not pruned while others work.
func inUse(uses []time.Time) string {
	return fmt.Sprintf("by %d samtune at work, the first since %s: what was used since then is not pruned", len(uses), uses[0].Format("2006-01-02 15:04:05"))
}

// size writes bytes for people, in the units of cache.budget_gb.
func size(bytes int64) string { return humanize.Bytes(uint64(max(bytes, 0))) }

// dated writes a day and how long ago that was.
func dated(t time.Time) string { return t.Format("2006-01-02") + " (" + humanize.Time(t) + ")" }

func (a *app) cacheVerify() *cobra.Command {
	var asJSON, remove bool
	c := &cobra.Command{
		Use: "verify [FOLDER]", Short: "Read every file of the feature cache and list those that are damaged", Args: cobra.MaximumNArgs(1),
		Long: "Every file is held against its checksum. Damaged ones end with exit code 4, also where --remove removes them. Runs find damage\n" +
			"themselves and compute again what is damaged, so this is to look after a disk.",
		Example: "  samtune cache verify --remove",
		RunE:    func(c *cobra.Command, args []string) error { return a.verifyCache(c.Context(), args, asJSON, remove) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().BoolVar(&remove, "remove", false, "remove what is damaged: it is computed again when it is needed")
	return c
}

// damage is a damaged file.
type damage struct {
	File    string `json:"file"`
	Error   string `json:"error"`
	Removed bool   `json:"removed"`
}

func (a *app) verifyCache(ctx context.Context, args []string, asJSON, remove bool) error {
	dir, err := a.featuresDir(args)
	if err != nil {
		return err
	}
	files, err := featurecache.List(dir)
	if err != nil {
		return err
	}
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	stage := bar.Begin("verify", len(files))
	damaged := []damage{}
	var read int64
	for _, f := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		err := f.Verify()
		switch {
		case errors.Is(err, checkpoints.ErrCorrupt):
			d := damage{File: f.Path, Error: err.Error()}
			if remove {
				if err := os.Remove(f.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
					return fmt.Errorf("remove what is damaged: %w", err)
				}
				d.Removed = true
			}
			damaged = append(damaged, d)
		case err != nil && !errors.Is(err, os.ErrNotExist):
			return err
		}
		read += f.Size
		stage.Add(1, size(read))
	}
	stage.End(size(read))
	if asJSON {
		err = writeJSON(a.out, struct {
			Dir     string   `json:"dir"`
			Files   int      `json:"files"`
			Bytes   int64    `json:"bytes"`
			Damaged []damage `json:"damaged"`
		}{dir, len(files), read, damaged})
	} else {
		for _, d := range damaged {
			fmt.Fprintln(a.out, d.Error)
		}
		_, err = fmt.Fprintf(a.out, "%s: %s, %s, %d damaged\n", dir, count(len(files), "file"), size(read), len(damaged))
	}
	if err != nil {
		return err
	}
	switch {
	case len(damaged) > 0 && remove:
		return fmt.Errorf("%w: %s of %d, now removed", checkpoints.ErrCorrupt, count(len(damaged), "file"), len(files))
	case len(damaged) > 0:
		return fmt.Errorf("%w: %s of %d: samtune cache verify --remove removes them", checkpoints.ErrCorrupt, count(len(damaged), "file"), len(files))
	}
	return nil
}
