package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/internal/doctor"
)

// errUnwell says that something would fail later.
var errUnwell = errors.New("something would fail")

// furtherChecks are of parts that not every build has: the files that such a part is built with add them as they are initialised, with
// doctor.Agrees.
var furtherChecks []doctor.Check

func (a *app) doctor() *cobra.Command {
	var asJSON, here bool
	var only []string
	c := &cobra.Command{
		Use:   "doctor",
		Short: "Look at all that samtune needs on this machine, and say what to do where something is off",
		Long: "doctor looks at versions, libtorch, processor, threads, memory, disk, devices, weights, data sets and cache, lets a small SAM compute\n" +
			"what the official code has computed, and times a training step. Each check is done whatever the others find. A problem, which would\n" +
			"make something fail later, ends with exit code 1; what is merely absent, as a GPU or a data set, is none. Paste its output into a\n" +
			"report of a fault.",
		Example: "  samtune doctor\n  samtune doctor --only weights,self-test --json",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.examine(c.Context(), only, asJSON, here) },
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	c.Flags().StringSliceVar(&only, "only", nil, "do these checks alone")
	c.Flags().BoolVar(&here, "here", false, "do every check in this process")
	if err := c.Flags().MarkHidden("here"); err != nil {
		panic(err) // only a misspelt name
	}
	return c
}

func (a *app) examine(ctx context.Context, only []string, asJSON, here bool) error {
	opt := doctor.Options{Samtune: versionText(), Commit: commitText(), Data: a.data, Work: ".", Environ: os.Environ(), Model: defaultModel, Weights: a.weightsPlaces, Obtain: obtain}
	opt.Cache, opt.CacheErr = a.cacheDir()
	checks := append(doctor.Checks(opt), furtherChecks...)
	if len(only) > 0 {
		var names []string
		for _, c := range checks {
			names = append(names, c.Name)
		}
		for _, name := range only {
			if !slices.Contains(names, name) {
				return fmt.Errorf("%w: there is no check %q: there are %s", errUsage, name, strings.Join(names, ", "))
			}
		}
		checks = slices.DeleteFunc(checks, func(c doctor.Check) bool { return !slices.Contains(only, c.Name) })
	}
	bar := newProgress(a.err, a.quiet || !isTerminal(a.err))
	defer bar.close()
	stage := bar.Begin("doctor", len(checks))
	report, err := doctor.Examine(ctx, checks, a.apart(here), func(name string) { stage.Add(1, name) })
	stage.End("checks")
	if err != nil {
		return err
	}
	if asJSON {
		err = writeJSON(a.out, report)
	} else {
		err = printDoctor(a.out, report)
	}
	if err != nil {
		return err
	}
	if report.Problems > 0 {
		return fmt.Errorf("%w: %s, each with what to do about it", errUnwell, count(report.Problems, "problem"))
	}
	return nil
}

// apart does a check by starting samtune again; nil where that is not to be, or not possible.
func (a *app) apart(here bool) func(context.Context, string) ([]doctor.Finding, error) {
	self, err := os.Executable()
	if here || err != nil {
		return nil
	}
	return func(ctx context.Context, name string) ([]doctor.Finding, error) {
		return doctor.Apart(ctx, self, "doctor", "--here", "--json", "--quiet", "--only", name, "--cache", a.cache, "--data", a.data)
	}
}

// printDoctor prints a line for each, and below it what to do.
func printDoctor(out io.Writer, r *doctor.Report) error {
	var b bytes.Buffer
	w := tabwriter.NewWriter(&b, 0, 0, 2, ' ', 0)
	for _, f := range r.Findings {
		text := f.Text
		if f.Remedy != "" {
			text += "\n-> " + f.Remedy
		}
		for i, line := range strings.Split(text, "\n") {
			level, check := string(f.Level), f.Check
			if i > 0 {
				level, check = "", ""
			}
			fmt.Fprintf(w, "%s\t%s\t%s\n", level, check, line)
		}
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(&b, "%s, %s\n", count(r.Problems, "problem"), count(r.Warnings, "warning"))
	_, err := b.WriteTo(out)
	return err
}
