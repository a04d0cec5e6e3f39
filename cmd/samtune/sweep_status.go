package main

import (
	"encoding/json"
	"fmt"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/sweep"
)

func (a *app) sweepStatus() *cobra.Command {
	var asJSON, all bool
	c := &cobra.Command{
		Use:     "status DIR",
		Short:   "Show how far a sweep is: done, running, failed, left, and the time left",
		Example: "  samtune sweep status runs/sweep-drive",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := sweep.Read(args[0])
			if err != nil {
				return err
			}
			s := sweep.Look(args[0], p)
			if asJSON {
				e := json.NewEncoder(a.out)
				e.SetIndent("", "  ")
				return e.Encode(s)
			}
			return a.showStatus(s, all)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "as JSON, with every row")
	c.Flags().BoolVar(&all, "all", false, "list every row, not only those that are running or failed")
	return c
}

func (a *app) showStatus(s *sweep.Status, all bool) error {
	left := ""
	if s.Seconds != nil && s.Done < len(s.Rows) {
		left = "  ·  " + minutes(s.Time) + " left"
	}
	fmt.Fprintf(a.out, "%d runs: %d done, %d running, %d failed, %d left%s\n", len(s.Rows), s.Done, s.Running, s.Failed, s.Left, left)
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	first := true
	for _, r := range s.Rows {
		if !all && r.Status != sweep.StatusRunning && r.Status != sweep.StatusFailed {
			continue
		}
		if first {
			fmt.Fprintln(w, "RUN\tBENCHMARK\tTARGET\tDECODER\tSHOTS\tSEED\tSTATUS\tWHERE\tTRIES\t")
			first = false
		}
		what, _, _ := strings.Cut(r.Error, "\n")
		fmt.Fprintf(w, "%d\t%s\t%s\t%s\t%d\t%d\t%s\t%s\t%d\t%s\n", r.Index, r.Benchmark, r.Target, r.Decoder, r.Shots, r.Seed, r.Status, r.Host, r.Attempts, what)
	}
	return w.Flush()
}

func (a *app) sweepCollect() *cobra.Command {
	return &cobra.Command{
		Use:     "collect DIR",
		Short:   "Bring the finished runs of a sweep together: table, statistics, report",
		Example: "  samtune sweep collect runs/sweep-drive",
		Args:    cobra.ExactArgs(1),
		RunE: func(_ *cobra.Command, args []string) error {
			p, err := sweep.Read(args[0])
			if err != nil {
				return err
			}
			return a.collectSweep(args[0], p)
		},
	}
}
