package experiment

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"samtune/eval"
)

// Comparison is a table over benchmarks: each decoder beside zero-shot, on the same shots and test cases.
type Comparison struct {
	Schema   int             `json:"schema"` // 1
	Shots    int             `json:"shots"`
	Seed     int64           `json:"seed"`
	Decoders []string        `json:"decoders"`
	Rows     []ComparisonRow `json:"rows"`
	Command  string          `json:"command"`
}

// ComparisonRow is one target of one benchmark.
type ComparisonRow struct {
	Benchmark string                `json:"benchmark"`
	Title     string                `json:"title"`
	Target    string                `json:"target"`
	Cases     int                   `json:"cases"`
	Shots     int                   `json:"shots"`
	Dir       string                `json:"dir"`
	Dice      map[string]eval.Float `json:"dice"`    // mean, by column: a prompt's kind, "everything", or a decoder's name
	Seconds   map[string]float64    `json:"seconds"` // of the fit, by decoder
	Against   map[string]string     `json:"against"` // by decoder: it against plain, in words
	Failed    string                `json:"failed,omitempty"`
}

// CompareFile and CompareMarkdown are what a comparison leaves.
const (
	CompareFile     = "compare.json"
	CompareMarkdown = "compare.md"
)

// Row takes from a run's results what the table shows.
func Row(r *eval.Results, dir string) ComparisonRow {
	row := ComparisonRow{
		Benchmark: r.Benchmark, Title: r.Title, Target: r.Target, Cases: r.Cases, Shots: r.Shots, Dir: dir,
		Dice: map[string]eval.Float{}, Seconds: map[string]float64{}, Against: map[string]string{},
	}
	for kind, m := range r.Before {
		row.Dice[kind] = m.Dice.Mean
	}
	if r.Trivial != nil {
		row.Dice[eval.MethodTrivial] = r.Trivial.Dice
	}
	if r.After != nil {
		row.Dice[r.Training.Decoder], row.Seconds[r.Training.Decoder] = r.After.Dice.Mean, r.Training.Seconds
	}
	for _, o := range r.Others {
		row.Dice[o.Training.Decoder], row.Seconds[o.Training.Decoder] = o.Method.Dice.Mean, o.Training.Seconds
	}
	for _, o := range r.Others {
		if o.Training.Decoder == decoderPlain && o.Against != nil {
			row.Against[r.Training.Decoder] = fmt.Sprintf("%+.3f, p = %.2g", float64(o.Against.Difference), float64(o.Against.P))
		}
	}
	return row
}

// Columns are the table's columns after the benchmark's name: the prompts compared with, then the decoders.
func (c *Comparison) Columns() []string {
	return append([]string{eval.MethodTrivial, "box", "oracle_box"}, c.Decoders...)
}

// Cell is what a column shows for a row.
func (r ComparisonRow) Cell(column string) string {
	v, ok := r.Dice[column]
	if !ok {
		return "–"
	}
	return three(v)
}

// Write leaves compare.json and compare.md in dir.
func (c *Comparison) Write(dir string) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("make output folder: %w", err)
	}
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	if err := writeFile(filepath.Join(dir, CompareMarkdown), []byte(c.markdown())); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, CompareFile), append(text, '\n'))
}

func (c *Comparison) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Mean Dice over the test cases, %d shots, seed %d. box: the full-image box; oracle_box: a box around the truth, which only the truth's owner can draw.\n\n", c.Shots, c.Seed)
	fmt.Fprintf(&b, "| benchmark | target | test cases | %s | %s |\n|---|---|---:|%s\n", strings.Join(c.Columns(), " | "), strings.Join(fitTimes(c.Decoders), " | "),
		strings.Repeat("---:|", len(c.Columns())+len(c.Decoders)))
	for _, r := range c.Rows {
		if r.Failed != "" {
			fmt.Fprintf(&b, "| %s | %s | | failed: %s |\n", r.Title, r.Target, r.Failed)
			continue
		}
		cells := make([]string, 0, len(c.Columns())+len(c.Decoders))
		for _, column := range c.Columns() {
			cells = append(cells, r.Cell(column))
		}
		for _, d := range c.Decoders {
			cells = append(cells, fmt.Sprintf("%.0f s", r.Seconds[d]))
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", r.Title, r.Target, r.Cases, strings.Join(cells, " | "))
	}
	return b.String()
}

func fitTimes(decoders []string) []string {
	out := make([]string, len(decoders))
	for i, d := range decoders {
		out[i] = "fit " + d
	}
	return out
}
