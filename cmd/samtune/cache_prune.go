package main

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"strconv"
	"strings"
	"text/tabwriter"
	"time"

	"github.com/dustin/go-humanize"
	"github.com/spf13/cobra"

	"samtune/internal/featurecache"
)

// pruneFlags say what is to be pruned.
type pruneFlags struct {
	maxSize, olderThan, benchmark string
	all, dry, asJSON              bool
}

func (a *app) cachePrune() *cobra.Command {
	var f pruneFlags
	c := &cobra.Command{
		Use: "prune [FOLDER]", Short: "Remove from the feature cache what was not used for longest", Args: cobra.MaximumNArgs(1),
		Long: "Files that were used longest ago go first; what is gone is computed again when it is needed. With --max-size and --older-than both\n" +
			"limits hold; --benchmark limits what goes to one benchmark's files, of which without a further limit all go. What was used since\n" +
			"the first samtune that is at work began stays, whatever the limits are, and prune says so.",
		Example: "  samtune cache prune --older-than 30d --max-size 10GB\n  samtune cache prune --benchmark drive --dry-run",
		RunE:    func(c *cobra.Command, args []string) error { return a.pruneCache(c.Context(), args, &f) },
	}
	c.Flags().StringVar(&f.maxSize, "max-size", "", "what may stay, as 10GB or 500MB")
	c.Flags().StringVar(&f.olderThan, "older-than", "", "remove what was not used for so long, as 30d, 2w or 12h")
	c.Flags().StringVar(&f.benchmark, "benchmark", "", "remove files of this benchmark alone, as samtune cache show calls it")
	c.Flags().BoolVar(&f.all, "all", false, "remove everything")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "say what would be removed, and remove nothing")
	c.Flags().BoolVar(&f.asJSON, "json", false, "print JSON")
	return c
}

// limits turns the flags into limits; the error wraps errUsage.
func (f *pruneFlags) limits() (featurecache.Limits, error) {
	l := featurecache.Limits{Benchmark: f.benchmark, All: f.all, MaxBytes: -1}
	bad := func(format string, args ...any) (featurecache.Limits, error) {
		return l, fmt.Errorf("%w: "+format, append([]any{errUsage}, args...)...)
	}
	if f.maxSize != "" {
		n, err := humanize.ParseBytes(f.maxSize)
		if err != nil || n > math.MaxInt64 || !strings.ContainsAny(f.maxSize, "kKmMgGtTbB") { // a bare number is more often meant otherwise
			return bad("--max-size is %q, want a number with a unit, as 10GB, 500MB or 1.5TB", f.maxSize)
		}
		l.MaxBytes = int64(n)
	}
	if f.olderThan != "" {
		var err error
		if l.Unused, err = parseAge(f.olderThan); err != nil {
			return bad("--older-than is %q, %w", f.olderThan, err)
		}
	}
	limited := f.maxSize != "" || f.olderThan != ""
	switch {
	case f.all && limited:
		return bad("--all removes everything, which --max-size and --older-than are to limit: leave one of them out")
	case !f.all && !limited && f.benchmark == "":
		return bad("nothing says what to remove: give --max-size, --older-than, --benchmark or --all")
	case !limited:
		l.All = true
	}
	return l, nil
}

// ageText is how long ago something was.
var ageText = regexp.MustCompile(`^(\d+(?:\.\d+)?)([hdw])$`)

func parseAge(text string) (time.Duration, error) {
	m := ageText.FindStringSubmatch(text)
	if m == nil {
		return 0, fmt.Errorf("want a number of hours, days or weeks, as 12h, 30d or 2w")
	}
	n, err := strconv.ParseFloat(m[1], 64)
	age := n * float64(map[string]time.Duration{"h": time.Hour, "d": 24 * time.Hour, "w": 7 * 24 * time.Hour}[m[2]])
	if err != nil || age > math.MaxInt64/2 || age == 0 {
		return 0, fmt.Errorf("want more than 0 and less than 100 years")
	}
	return time.Duration(age), nil
}

func (a *app) pruneCache(ctx context.Context, args []string, f *pruneFlags) error {
	limits, err := f.limits()
	if err != nil {
		return err
	}
	dir, err := a.featuresDir(args)
	if err != nil {
		return err
	}
	p, failed := featurecache.Prune(ctx, dir, limits, f.dry)
	if p == nil {
		return failed
	}
	removed, each := sumUp(p.Removed)
	left, _ := sumUp(p.Left)
	held, _ := sumUp(p.Held)
	if f.asJSON {
		err = writeJSON(a.out, struct {
			Dir        string      `json:"dir"`
			Dry        bool        `json:"dry_run"`
			Removed    cached      `json:"removed"`
			Benchmarks []*cached   `json:"removed_by_benchmark"`
			Left       cached      `json:"left"`
			Held       cached      `json:"held"`
			Uses       []time.Time `json:"in_use_since"`
		}{dir, f.dry, removed, each, left, held, append([]time.Time{}, p.Uses...)})
	} else {
		err = a.printPruned(removed, left, held, each, p.Uses, f.dry)
	}
	if failed != nil {
		return failed
	}
	return err
}

func (a *app) printPruned(removed, left, held cached, each []*cached, uses []time.Time, dry bool) error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	if removed.Files > 0 {
		fmt.Fprintln(w, "BENCHMARK\tFILES\tSIZE\tNEWEST USE")
	}
	for _, c := range each {
		fmt.Fprintf(w, "%s\t%d\t%s\t%s\n", c.Benchmark, c.Files, size(c.Bytes), dated(c.Newest))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	what := "removed"
	if dry {
		what = "to be removed"
	}
	fmt.Fprintf(a.out, "%s: %s, %s; left: %s, %s\n", what, count(removed.Files, "file"), size(removed.Bytes), count(left.Files, "file"), size(left.Bytes))
	if held.Files > 0 {
		fmt.Fprintf(a.out, "left for others: %s, %s, in use %s\n", count(held.Files, "file"), size(held.Bytes), inUse(uses))
	}
	return nil
}
