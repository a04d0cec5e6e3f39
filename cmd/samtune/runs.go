package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/configs"
	"samtune/eval"
	"samtune/eval/report"
	"samtune/experiment"
)

// defaultRuns is where runs leave their folders where nothing else is said.
const defaultRuns = "runs"

func (a *app) runsCommand() *cobra.Command {
	var runs string
	c := &cobra.Command{Use: "runs", Short: "List runs, look at them, compare two, remove them"}
	c.PersistentFlags().StringVar(&runs, "runs", defaultRuns, "folder of run folders, those of sweeps and comparisons in it among them")
	c.AddCommand(a.runsList(&runs), a.runsShow(&runs), a.runsDiff(&runs), a.runsRemove(&runs))
	return c
}

// openRun reads the run that a user means.
func openRun(runs, name string) (*experiment.Folder, error) {
	f, err := experiment.Look(runDir(runs, name))
	if errors.Is(err, experiment.ErrNoRun) {
		return nil, fmt.Errorf("%w: samtune runs list shows those that there are", err)
	}
	return f, err
}

// runDir is the folder that a user means: one of that path, or of that name in the folder of run folders.
func runDir(runs, name string) string {
	if within := filepath.Join(runs, name); !experiment.IsRun(name) && exists(within) {
		return within
	}
	return filepath.Clean(name)
}

// column is one by which runs can be sorted.
type column struct {
	name    string
	compare func(x, y *experiment.Folder) int
}

var columns = []column{
	{"run", func(x, y *experiment.Folder) int { return strings.Compare(x.Dir, y.Dir) }},
	{"benchmark", func(x, y *experiment.Folder) int { return strings.Compare(x.Benchmark, y.Benchmark) }},
	{"target", func(x, y *experiment.Folder) int { return strings.Compare(x.Target, y.Target) }},
	{"model", func(x, y *experiment.Folder) int { return strings.Compare(x.Model, y.Model) }},
	{"decoder", func(x, y *experiment.Folder) int { return strings.Compare(x.Decoder, y.Decoder) }},
	{"shots", func(x, y *experiment.Folder) int { return x.Shots - y.Shots }},
	{"seed", func(x, y *experiment.Folder) int { return cmp.Compare(x.Seed, y.Seed) }},
	{"status", func(x, y *experiment.Folder) int { return strings.Compare(x.Status, y.Status) }},
	{"before", func(x, y *experiment.Folder) int { return cmp.Compare(x.Before, y.Before) }},
	{"after", func(x, y *experiment.Folder) int { return cmp.Compare(x.After, y.After) }},
	{"when", func(x, y *experiment.Folder) int { return x.When.Compare(y.When) }},
	{"size", func(x, y *experiment.Folder) int { return cmp.Compare(x.Bytes, y.Bytes) }},
}

// sortRuns sorts by columns, the first one first; a minus before a name turns its order around.
func sortRuns(found []*experiment.Folder, by []string) error {
	var order []func(x, y *experiment.Folder) int
	for _, name := range by {
		plain, down := strings.CutPrefix(name, "-")
		i := slices.IndexFunc(columns, func(c column) bool { return c.name == plain })
		if i < 0 {
			var names []string
			for _, c := range columns {
				names = append(names, c.name)
			}
			return fmt.Errorf("%w: --sort: there is no column %q: there are %s", errUsage, plain, strings.Join(names, ", "))
		}
		compare := columns[i].compare
		if down {
			compare = func(x, y *experiment.Folder) int { return columns[i].compare(y, x) }
		}
		order = append(order, compare)
	}
	slices.SortStableFunc(found, func(x, y *experiment.Folder) int {
		for _, compare := range order {
			if c := compare(x, y); c != 0 {
				return c
			}
		}
		return 0
	})
	return nil
}

func (a *app) runsList(runs *string) *cobra.Command {
	var asJSON bool
	var by []string
	c := &cobra.Command{
		Use: "list [FOLDER...]", Short: "List the runs in a folder, those of sweeps and comparisons too", Args: cobra.ArbitraryArgs,
		Long: "A run is finished, running (a process works in its folder), unfinished (its command goes on), or damaged, which is said below the\n" +
			"table. FOLDER is a folder of runs, a sweep's, a comparison's or a run's own; the default is that of --runs. --sort takes names of\n" +
			"columns, the first one first, and a minus turns one around.",
		Example: "  samtune runs list\n  samtune runs list runs/sweep-drive --sort decoder,shots,-after",
		RunE:    func(c *cobra.Command, args []string) error { return a.listRuns(c.Context(), *runs, args, by, asJSON) },
	}
	c.Flags().StringSliceVar(&by, "sort", []string{"-when"}, "columns to sort by, as decoder,-after")
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// findRuns reads all runs in folders; without any, those in the folder of run folders, which need not be there.
func findRuns(ctx context.Context, runs string, folders []string) ([]*experiment.Folder, error) {
	if len(folders) == 0 {
		if !exists(runs) && runs == defaultRuns {
			return nil, nil
		}
		folders = []string{runs}
	}
	found := []*experiment.Folder{}
	seen := map[string]bool{}
	for _, folder := range folders {
		dirs, err := experiment.FindRuns(ctx, folder)
		if err != nil {
			return nil, err
		}
		for _, dir := range dirs {
			f, err := experiment.Look(dir)
			if errors.Is(err, experiment.ErrNoRun) || seen[dir] { // removed meanwhile
				continue
			}
			if err != nil {
				return nil, err
			}
			seen[dir] = true
			found = append(found, f)
		}
	}
	return found, nil
}

func (a *app) listRuns(ctx context.Context, runs string, folders, by []string, asJSON bool) error {
	if err := sortRuns(nil, by); err != nil {
		return err
	}
	found, err := findRuns(ctx, runs, folders)
	if err != nil {
		return err
	}
	if err := sortRuns(found, by); err != nil {
		return err
	}
	if asJSON {
		return writeJSON(a.out, append([]*experiment.Folder{}, found...))
	}
	if len(found) == 0 {
		_, err := fmt.Fprintf(a.out, "no runs in %s\n", cmp.Or(strings.Join(folders, ", "), runs))
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "RUN\tBENCHMARK\tTARGET\tMODEL\tDECODER\tSHOTS\tSEED\tSTATUS\tBEFORE\tAFTER\tWHEN\tSIZE")
	for _, f := range found {
		shots := "–"
		if f.Shots > 0 {
			shots = fmt.Sprint(f.Shots)
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\t%s\t%s\t%s\t%s\n", f.Dir, cmp.Or(f.Benchmark, "–"), cmp.Or(f.Target, "–"), cmp.Or(f.Model, "–"), cmp.Or(f.Decoder, "–"),
			shots, f.Seed, f.Status, report.Number(f.Before, 3), report.Number(f.After, 3), f.When.Local().Format("2006-01-02 15:04"), size(f.Bytes))
	}
	if err := w.Flush(); err != nil {
		return err
	}
	for _, f := range found {
		if f.Error != "" {
			fmt.Fprintf(a.out, "%s: %s\n", f.Dir, f.Error)
		}
	}
	return nil
}

func (a *app) runsShow(runs *string) *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "show RUN", Short: "Show a run's settings, results and files", Args: cobra.ExactArgs(1),
		Example: "  samtune runs show runs/drive-5shot-seed1-3f9a12",
		RunE:    func(_ *cobra.Command, args []string) error { return a.showRun(*runs, args[0], asJSON) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

func (a *app) showRun(runs, name string, asJSON bool) error {
	f, err := openRun(runs, name)
	if err != nil {
		return err
	}
	parts, err := f.Parts()
	if err != nil {
		return err
	}
	var settings, other []configs.Setting // all, and those that are not the defaults
	if f.Config != nil {
		if settings, err = f.Config.Decisive(); err != nil {
			return err
		}
		defaults, err := configs.Default().Decisive()
		if err != nil {
			return err
		}
		for _, s := range settings {
			if !slices.Contains(defaults, s) && !slices.Contains(shownAnyway, s.Key) {
				other = append(other, s)
			}
		}
	}
	if asJSON {
		err = writeJSON(a.out, struct {
			*experiment.Folder
			Settings []configs.Setting `json:"settings"`
			Results  *eval.Results     `json:"results"`
			Files    []experiment.Part `json:"files"`
		}{f, settings, f.Results, parts})
	} else {
		err = printRun(a.out, f, other, parts)
	}
	return errors.Join(f.Damage(), err)
}

// shownAnyway are settings that are at the top of what is shown of a run.
var shownAnyway = []string{"benchmark", "target", "model", "decoder", "shots", "seed"}

func printRun(out io.Writer, f *experiment.Folder, settings []configs.Setting, parts []experiment.Part) error {
	used := ""
	if f.InUse && f.Status != experiment.StatusRunning {
		used = ", held by a process"
	}
	fmt.Fprintf(out, "%s: %s%s, %s, %s\n", f.Dir, f.Status, used, f.When.Local().Format("2006-01-02 15:04"), size(f.Bytes))
	w := tabwriter.NewWriter(out, 0, 0, 2, ' ', 0)
	line := func(name, text string) {
		if text != "" {
			fmt.Fprintf(w, "%s\t%s\n", name, text)
		}
	}
	line("kind", f.Kind)
	line("benchmark", strings.TrimSuffix(f.Benchmark+", "+f.Target, ", "))
	if f.Decoder != "" {
		line("decoder", fmt.Sprintf("%s, %s, seed %d", f.Decoder, count(f.Shots, "shot"), f.Seed))
	}
	if s := f.Split; s != nil {
		line("cases", fmt.Sprintf("%d to train on, %d to validate, %d to test", len(s.Train), len(s.Validation), len(s.Test)))
	}
	if r := f.Results; r != nil {
		line("model", fmt.Sprintf("%s, weights %s, SHA-256 %.12s", r.Model, r.WeightsFile, r.WeightsSHA256))
		line("machine", fmt.Sprintf("%s, %d threads; samtune %s, libtorch %s, %s", r.Device, r.Threads, r.Versions["samtune"], r.Versions["libtorch"], r.Versions["go"]))
		line("command", r.Command)
	} else {
		line("model", f.Model)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(settings) > 0 {
		fmt.Fprintln(out, "settings other than the defaults")
		for _, s := range settings {
			fmt.Fprintf(w, "  %s\t%s\n", s.Key, s.Value)
		}
		if err := w.Flush(); err != nil {
			return err
		}
	}
	fmt.Fprintln(out)
	switch n := f.Step(); {
	case f.Results != nil:
		if err := report.Table(out, f.Results); err != nil {
			return err
		}
	case f.Error != "": // said below
	case n > 0 && f.Config != nil:
		fmt.Fprintf(out, "no results yet: the training of the %s decoder is at step %d of %d\n", f.Decoder, n, f.Config.Train.Steps)
	default:
		fmt.Fprintln(out, "no results yet")
	}
	fmt.Fprintln(out)
	for _, p := range parts {
		if p.Files > 0 {
			fmt.Fprintf(w, "%s/\t%s\t%s\n", p.Name, size(p.Bytes), count(p.Files, "file"))
		} else {
			fmt.Fprintf(w, "%s\t%s\n", p.Name, size(p.Bytes))
		}
	}
	if err := w.Flush(); err != nil || f.Error == "" {
		return err
	}
	_, err := fmt.Fprintf(out, "can't be read: %s\n", f.Error)
	return err
}
