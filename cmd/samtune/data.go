package main

import (
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/experiment"
	"samtune/internal/featurecache"
)

func (a *app) dataCommand() *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "Look at the benchmarks and check their files"}
	c.AddCommand(a.dataList(), a.dataShow(), a.dataCheck(), a.dataPreview(), a.dataSplit(), a.dataInitCommand(), a.dataGetCommand(), a.dataExportCommand())
	return c
}

func (a *app) dataShow() *cobra.Command {
	return &cobra.Command{
		Use: "show BENCHMARK", Short: "Show what a benchmark is, where to get it and which layout is expected", Args: cobra.ExactArgs(1),
		Example: "  samtune data show drive",
		RunE:    func(_ *cobra.Command, args []string) error { return a.showBenchmark(args[0]) },
	}
}

func (a *app) showBenchmark(name string) error {
	d, err := data.Declaration(name)
	if err != nil {
		return err
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	for _, line := range [][2]string{
		{"name", d.Name}, {"title", d.Title}, {"task", d.Task}, {"targets", strings.Join(d.Targets, ", ")},
		{"licence", d.Licence}, {"cite", d.Citation}, {"get it", d.Get},
	} {
		fmt.Fprintf(w, "%s\t%s\n", line[0], line[1])
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if d.Expected != "" {
		fmt.Fprintf(a.out, "expected layout\n%s\n", indent(d.Expected))
	}
	return nil
}

func indent(text string) string {
	return "  " + strings.ReplaceAll(strings.TrimSpace(text), "\n", "\n  ")
}

// openBenchmark opens a benchmark whose volumes' slices may take a while to find. What they hold is kept beside the feature cache, as
// runs do.
func (a *app) openBenchmark(name, target string, bar *progress) (*data.Benchmark, error) {
	opt, err := a.dataOptions(target, bar)
	if err != nil {
		return nil, err
	}
	return data.Open(name, opt)
}

func (a *app) dataOptions(target string, bar *progress) (data.Options, error) {
	cache, err := a.cacheDir()
	if err != nil {
		return data.Options{}, err
	}
	return experiment.DataOptions(a.data, target, featurecache.In(cache), bar), nil
}
