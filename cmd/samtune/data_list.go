package main

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"strings"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/eval"
)

// listed is a line of data list.
type listed struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Task    string   `json:"task"`
	Targets []string `json:"targets"`
	Status  string   `json:"status"` // ok, absent or failed
	Volumes bool     `json:"volumes"`
	Pool    int      `json:"pool,omitempty"` // cases, or volumes where these are what the cases are slices of
	Test    int      `json:"test,omitempty"`
	Layout  string   `json:"layout,omitempty"`
	Get     string   `json:"get"`
	Error   string   `json:"error,omitempty"`
}

func (a *app) dataList() *cobra.Command {
	var asJSON bool
	c := &cobra.Command{
		Use: "list", Short: "List the benchmarks by task and whether their files are there", Args: cobra.NoArgs,
		Example: "  samtune data list",
		RunE: func(*cobra.Command, []string) error {
			rows, err := a.listBenchmarks()
			if err != nil {
				return err
			}
			if asJSON {
				return writeJSON(a.out, rows)
			}
			return printList(a.out, rows)
		},
	}
	c.Flags().BoolVar(&asJSON, "json", false, "print JSON")
	return c
}

// listBenchmarks lists all in the order of their tasks. No file is read.
func (a *app) listBenchmarks() ([]listed, error) {
	found, err := data.Survey(a.data)
	if err != nil {
		return nil, err
	}
	var rows []listed
	for _, p := range found {
		d, b := p.Decl, p.Benchmark
		row := listed{Name: d.Name, Title: d.Title, Task: d.Task, Targets: d.Targets, Status: eval.StatusOK, Get: d.Get}
		switch {
		case p.Err == nil:
			row.Layout, row.Pool, row.Test = b.Layout, len(b.Pool), len(b.Test)
			row.Volumes = len(b.Pool) > 0 && b.Pool[0].Volume != ""
		case errors.Is(p.Err, data.ErrNotFound):
			row.Status = eval.StatusAbsent
		default:
			row.Status, row.Error = eval.StatusFailed, p.Err.Error()
		}
		rows = append(rows, row)
	}
	return rows, nil
}

// lineWidth is how many columns a table takes.
const lineWidth = 120

// printList prints a table of at most 120 columns.
func printList(out io.Writer, rows []listed) error {
	name, title, here := 0, 0, 0
	for _, r := range rows {
		name, title, here = max(name, len(r.Name)), max(title, len(r.Title)), max(here, len(r.here()))
	}
	task := ""
	for _, r := range rows {
		if r.Task != task {
			task = r.Task
			fmt.Fprintln(out, strings.ToUpper(task[:1])+task[1:])
		}
		fmt.Fprintf(out, "  %-*s  %-*s  %-*s  %s\n", name, r.Name, title, r.Title, here, r.here(), someOf(r.Targets, max(lineWidth-name-title-here-8, 16)))
	}
	for _, r := range rows {
		if r.Status == eval.StatusFailed {
			fmt.Fprintf(out, "%s: %s\n", r.Name, r.Error)
		}
	}
	_, err := fmt.Fprintln(out, "Numbers are of the training pool + of what is tested. samtune data show NAME says how to get a benchmark.")
	return err
}

// here says in a word or two what is there.
func (r listed) here() string {
	switch {
	case r.Status == eval.StatusAbsent:
		return "not here"
	case r.Status == eval.StatusFailed:
		return "damaged"
	case r.Volumes && r.Test == 0:
		return count(r.Pool, "volume")
	case r.Volumes:
		return fmt.Sprintf("%d + %d volumes", r.Pool, r.Test)
	}
	return fmt.Sprintf("%d + %d cases", r.Pool, r.Test)
}

// someOf lists words, as many as fit in a width.
func someOf(words []string, width int) string {
	text := ""
	for i, word := range words {
		rest := fmt.Sprintf(" + %d more", len(words)-i)
		if i > 0 && len(text)+2+len(word)+len(rest) > width && len(text)+2+len(strings.Join(words[i:], ", ")) > width {
			return text + rest
		}
		if i > 0 {
			text += ", "
		}
		text += word
	}
	return text
}

// count writes a number of things.
func count(n int, thing string) string {
	if n == 1 {
		return "1 " + thing
	}
	return fmt.Sprintf("%d %ss", n, thing)
}

func writeJSON(out io.Writer, v any) error {
	e := json.NewEncoder(out)
	e.SetIndent("", "  ")
	return e.Encode(v)
}
