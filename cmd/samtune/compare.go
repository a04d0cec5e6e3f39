package main

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
	"samtune/experiment"
)

// compareFlags are the flags of compare.
type compareFlags struct {
	runFlags
	benchmarks, targets, decoders, prompts []string
}

func (a *app) compare() *cobra.Command {
	var f compareFlags
	c := &cobra.Command{
		Use:   "compare",
		Short: "One table over all benchmarks that are present: zero-shot by kind of prompt beside fine-tuned decoders",
		Long: "Every target of every benchmark whose files are there is segmented zero-shot and fine-tuned on the same shots. A run that is\n" +
			"finished is taken as it is, so the same command goes on where it was stopped; one that fails is noted and does not stop the\n" +
			"others. A benchmark that is absent is a row that says how to get it. Where a pool holds fewer images than --shots, all are taken.",
		Example: "  samtune compare --shots 5\n  samtune compare --benchmarks drive,ph2 --decoders own,plain,fine",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.compareAll(c, &f) },
	}
	c.Flags().StringSliceVar(&f.benchmarks, "benchmarks", nil, "which of them, TOML files of your own among them; the default is all of samtune's")
	c.Flags().StringSliceVar(&f.targets, "targets", nil, "which of their targets; the default is all")
	c.Flags().StringSliceVar(&f.decoders, "decoders", []string{ownDecoder, "plain"}, "decoders to fit; own: the benchmark's. The first is compared with zero-shot")
	c.Flags().StringSliceVar(&f.prompts, "prompts", []string{eval.PromptNone, eval.PromptPoint, eval.PromptBox, eval.PromptOracleBox, eval.PromptEverythingOracle},
		"zero-shot prompts; box is what fine-tuning is compared with")
	c.Flags().IntVar(&f.shots, "shots", 5, "annotated images that training may use")
	c.Flags().Int64Var(&f.seed, "seed", 1, "seed of the draw of shots and of the training")
	f.addModel(c)
	c.Flags().StringVar(&f.device, "device", "auto", "auto, cpu, cuda or cuda:N")
	c.Flags().StringVar(&f.out, "out", "", "folder of the tables and of runs/ (default runs/compare-<shots>shot-seed<seed>)")
	c.Flags().StringArrayVar(&f.set, "set", nil, "any setting as key=value for every run; repeatable")
	return c
}

// ownDecoder stands for what a benchmark's recipe names.
const ownDecoder = "own"

func recipeDecoder(d *data.Decl) string {
	if own, _ := d.Recipe["decoder"].(string); own != "" {
		return own
	}
	return configs.Default().Decoder
}

func (a *app) compareAll(c *cobra.Command, f *compareFlags) error {
	if len(f.benchmarks) == 0 {
		f.benchmarks = data.Names()
	}
	if len(f.decoders) == 0 {
		return fmt.Errorf("%w: --decoders is empty", errUsage)
	}
	out := f.out
	if out == "" {
		out = filepath.Join(defaultRuns, fmt.Sprintf("compare-%dshot-seed%d", f.shots, f.seed))
	}
	rows, given, err := a.plan(f)
	if err != nil {
		return err
	}
	f.out, f.runs = "", filepath.Join(out, "runs")
	table := &eval.Comparison{Schema: 2, Shots: f.shots, Seed: f.seed, Prompts: f.prompts, Decoders: f.decoders, Command: commandLine(os.Args[1:])}
	failed, todo := 0, 0
	for _, r := range rows {
		if r.Status == "" {
			todo++
		}
	}
	done := 0
	for _, row := range rows {
		if row.Status == "" {
			done++
			if !a.quiet {
				fmt.Fprintf(a.err, "\n[%d/%d] %s %s\n", done, todo, row.Title, row.Target)
			}
			results, dir, err := a.compareOne(c, f, given[row.Benchmark], row.Target)
			switch {
			case c.Context().Err() != nil || errors.Is(err, configs.ErrConfig) || errors.Is(err, errUsage): // would fail for every other too
				return err
			case err != nil:
				fmt.Fprintln(a.err, "samtune:", err)
				row.Status, row.Error = eval.StatusFailed, err.Error()
			default:
				if row.Run, err = filepath.Rel(out, dir); err != nil {
					return err
				}
				row.Status, row.Results = eval.StatusOK, results
			}
		}
		if row.Status == eval.StatusFailed {
			failed++
		}
		table.Rows = append(table.Rows, row)
		if err := report.WriteComparison(out, table, false); err != nil {
			return err
		}
	}
	if err := report.WriteComparison(out, table, true); err != nil {
		return err
	}
	if err := report.ComparisonTable(a.out, table); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "report    %s\n", filepath.Join(out, report.HTMLFile))
	if failed > 0 {
		return fmt.Errorf("%d of %d runs failed: the table says why", failed, todo)
	}
	return nil
}

// plan lists the rows, of which those without a status are to be run, and what was given for each benchmark's name.
func (a *app) plan(f *compareFlags) (rows []eval.ComparisonRow, given map[string]string, err error) {
	given = map[string]string{}
	known := map[string]bool{}
	for _, name := range f.benchmarks {
		d, err := data.Declaration(name)
		if err != nil {
			return nil, nil, err
		}
		if other, twice := given[d.Name]; twice {
			return nil, nil, fmt.Errorf("%w: --benchmarks: %s and %s are both called %s", errUsage, other, name, d.Name)
		}
		given[d.Name] = name
		row := eval.ComparisonRow{PHolm: eval.Undefined}
		switch _, err := d.Open(data.Options{Root: a.data, Volumes: true}); {
		case errors.Is(err, data.ErrNotFound):
			row.Status, row.Get = eval.StatusAbsent, cmp.Or(d.Get, err.Error())
		case err != nil:
			row.Status, row.Error = eval.StatusFailed, err.Error()
		}
		for _, target := range d.Targets {
			known[target] = true
			if len(f.targets) > 0 && !slices.Contains(f.targets, target) {
				continue
			}
			row.Results = &eval.Results{Schema: 1, Benchmark: d.Name, Title: d.Title, Task: d.Task, Target: target, Citation: d.Citation}
			rows = append(rows, row)
		}
	}
	for _, t := range f.targets {
		if !known[t] {
			return nil, nil, fmt.Errorf("%w: --targets: none of %v has a target %q", errUsage, f.benchmarks, t)
		}
	}
	order := data.Tasks()
	place := func(r eval.ComparisonRow) int { // tasks of the user's own come last
		if i := slices.Index(order, r.Task); i >= 0 {
			return i
		}
		return len(order)
	}
	slices.SortStableFunc(rows, func(x, y eval.ComparisonRow) int {
		return cmp.Or(place(x)-place(y), strings.Compare(x.Task, y.Task))
	})
	return rows, given, nil
}

// compareOne does one target's run, or finds it finished.
func (a *app) compareOne(c *cobra.Command, f *compareFlags, benchmark, target string) (*eval.Results, string, error) {
	run := f.runFlags
	d, err := data.Declaration(benchmark)
	if err != nil {
		return nil, "", err
	}
	own := recipeDecoder(d)
	var decoders []string
	for _, name := range f.decoders {
		if name == ownDecoder {
			name = own
		}
		if !slices.Contains(decoders, name) {
			decoders = append(decoders, name)
		}
	}
	run.set = append([]string{fmt.Sprintf("benchmark=%q", benchmark), "target=" + target, "decoder=" + decoders[0], "compare=" + listText(decoders[1:]),
		"eval.prompts=" + quoted(f.prompts), "eval.before=" + eval.PromptBox}, f.set...)
	opt, err := a.options(c, &run)
	if err != nil {
		return nil, "", err
	}
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	opt.Progress, opt.Fewer = bar, true
	results, dir, err := experiment.Execute(c.Context(), *opt)
	if errors.Is(err, experiment.ErrFinished) {
		if !a.quiet {
			fmt.Fprintln(a.err, "finished run found:", dir)
		}
		err = nil
	}
	return results, dir, err
}
