package main

import (
	"errors"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/data"
)

func (a *app) dataCommand() *cobra.Command {
	c := &cobra.Command{Use: "data", Short: "Look at the benchmarks and check their files"}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the benchmarks and whether their files are there", Args: cobra.NoArgs,
			Example: "  samtune data list",
			RunE:    func(*cobra.Command, []string) error { return a.dataList() },
		},
		&cobra.Command{
			Use: "show BENCHMARK", Short: "Show what a benchmark is, where to get it and which layout is expected", Args: cobra.ExactArgs(1),
			Example: "  samtune data show drive",
			RunE:    func(_ *cobra.Command, args []string) error { return a.dataShow(args[0]) },
		},
		&cobra.Command{
			Use: "check BENCHMARK", Short: "Load every case of a benchmark and report what is wrong, file by file", Args: cobra.ExactArgs(1),
			Example: "  samtune data check fundus",
			RunE:    func(_ *cobra.Command, args []string) error { return a.dataCheck(args[0]) },
		},
		a.dataInitCommand(), a.dataGetCommand(), a.dataExportCommand(),
	)
	return c
}

func (a *app) dataList() error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tTITLE\tTASK\tTARGETS\tHERE")
	for _, name := range data.Names() {
		d, err := data.Declaration(name)
		if err != nil {
			return err
		}
		here := "not found"
		b, err := data.Open(name, data.Options{Root: a.data})
		switch {
		case err == nil:
			here = fmt.Sprintf("%d + %d cases, %s", len(b.Pool), len(b.Test), b.Layout)
		case !errors.Is(err, data.ErrNotFound):
			here = err.Error()
		}
		fmt.Fprintf(w, "%s\t%s\t%s\t%s\t%s\n", d.Name, d.Title, d.Task, strings.Join(d.Targets, ", "), here)
	}
	return w.Flush()
}

func (a *app) dataShow(name string) error {
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

func (a *app) dataCheck(name string) error {
	b, err := data.Open(name, data.Options{Root: a.data})
	if err != nil {
		return err
	}
	findings, err := data.Check(b)
	if err != nil {
		return err
	}
	for _, f := range findings {
		fmt.Fprintln(a.out, f)
	}
	if len(findings) > 0 {
		return fmt.Errorf("%w: %s has %d problems", data.ErrInvalid, b.Title, len(findings))
	}
	fmt.Fprintf(a.out, "%s: %d cases are sound (%s)\n", b.Title, len(b.Pool)+len(b.Test), b.Layout)
	return nil
}
