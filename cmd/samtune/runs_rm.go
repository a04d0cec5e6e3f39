package main

import (
	"context"
	"fmt"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"samtune/experiment"
)

// removeFlags say which runs go.
type removeFlags struct {
	unfinished, dry bool
}

func (a *app) runsRemove(runs *string) *cobra.Command {
	var f removeFlags
	c := &cobra.Command{
		Use: "rm RUN...", Short: "Remove run folders", Args: cobra.ArbitraryArgs,
		Long: "Nothing is asked, and nothing is removed where one of the folders is not a run's or a process works in it. What a run has not left in\n" +
			"its folder stays there. With --unfinished all runs go too that have no results and that no process works in.",
		Example: "  samtune runs rm runs/drive-5shot-seed1-3f9a12\n  samtune runs rm --unfinished --dry-run",
		RunE:    func(c *cobra.Command, args []string) error { return a.removeRuns(c.Context(), *runs, args, &f) },
	}
	c.Flags().BoolVar(&f.unfinished, "unfinished", false, "remove all unfinished runs in the folder of --runs")
	c.Flags().BoolVar(&f.dry, "dry-run", false, "say what would be removed, and remove nothing")
	return c
}

func (a *app) removeRuns(ctx context.Context, runs string, names []string, f *removeFlags) error {
	if len(names) == 0 && !f.unfinished {
		return fmt.Errorf("%w: nothing says which runs to remove: name their folders, or give --unfinished", errUsage)
	}
	var chosen []*experiment.Folder
	for _, name := range names {
		dir := runDir(runs, name)
		if err := experiment.CanRemove(dir); err != nil {
			return err
		}
		r, err := experiment.Look(dir)
		if err != nil {
			return err
		}
		chosen = append(chosen, r)
	}
	if f.unfinished {
		all, err := findRuns(ctx, runs, nil)
		if err != nil {
			return err
		}
		for _, r := range all {
			if r.Status == experiment.StatusUnfinished {
				chosen = append(chosen, r)
			}
		}
	}
	slices.SortStableFunc(chosen, func(x, y *experiment.Folder) int { return strings.Compare(x.Dir, y.Dir) })
	chosen = slices.CompactFunc(chosen, func(x, y *experiment.Folder) bool { return x.Dir == y.Dir })
	what := "removed"
	if f.dry {
		what = "to be removed"
	}
	var total int64
	for _, r := range chosen {
		total += r.Bytes
		note := ""
		if !f.dry {
			if err := ctx.Err(); err != nil {
				return err
			}
			foreign, err := experiment.Remove(ctx, r.Dir)
			if err != nil {
				return err
			}
			if len(foreign) > 0 {
				note = ", but for what is no run's: " + strings.Join(foreign, ", ")
			}
		}
		fmt.Fprintf(a.out, "%s: %s (%s, %s)%s\n", what, r.Dir, r.Status, size(r.Bytes), note)
	}
	_, err := fmt.Fprintf(a.out, "%s %s: %s\n", count(len(chosen), "run"), what, size(total))
	return err
}
