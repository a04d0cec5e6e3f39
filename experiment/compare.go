package experiment

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
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
	Status    string                `json:"status"`  // StatusOK, StatusAbsent or StatusFailed
	Failed    string                `json:"failed,omitempty"`

	Paired *eval.Paired `json:"paired"` // the last decoder against zero-shot
	PHolm  eval.Float   `json:"p_holm"` // its p-value, adjusted for the number of rows (Holm)
}

// What became of a row.
const (
	StatusOK     = "ok"
	StatusAbsent = "absent" // the benchmark's files are not here
	StatusFailed = "failed"
)

// CompareFile and CompareMarkdown are what a comparison leaves.
const (
	CompareFile     = "compare.json"
	CompareMarkdown = "compare.md"
	CompareCSV      = "compare.csv"
)

// Row takes from a run's results what the table shows.
func Row(r *eval.Results, dir string) ComparisonRow {
	row := ComparisonRow{
		Benchmark: r.Benchmark, Title: r.Title, Target: r.Target, Cases: r.Cases, Shots: r.Shots, Dir: dir,
		Status: StatusOK, Dice: map[string]eval.Float{}, Seconds: map[string]float64{}, Against: map[string]string{},
	}
	for kind, m := range r.Before {
		row.Dice[kind] = m.Dice.Mean
	}
	if r.Trivial != nil {
		row.Dice[eval.MethodTrivial] = r.Trivial.Dice
	}
	row.Paired, row.PHolm = r.Paired, eval.Undefined
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

// adjust fills in the p-values that are adjusted for the number of rows.
func (c *Comparison) adjust() {
	p := make([]eval.Float, len(c.Rows))
	for i, r := range c.Rows {
		p[i] = eval.Undefined
		if r.Paired != nil && r.Status == StatusOK {
			p[i] = r.Paired.P
		}
	}
	for i, v := range eval.Holm(p) {
		c.Rows[i].PHolm = v
	}
}

// Missing says why a row has no figures.
func (r ComparisonRow) Missing() string {
	if r.Status == StatusAbsent {
		return "not here"
	}
	return "failed: " + r.Failed
}

// Gain is how much the last decoder gained on zero-shot, with its 95 % interval and the adjusted p-value, in words.
func (r ComparisonRow) Gain() (difference, p string) {
	if r.Paired == nil || !r.Paired.Difference.Defined() {
		return "–", "–"
	}
	difference = fmt.Sprintf("%+.3f (%.3f to %.3f)", float64(r.Paired.Difference), float64(r.Paired.CI95[0]), float64(r.Paired.CI95[1]))
	if !r.PHolm.Defined() {
		return difference, "–"
	}
	return difference, fmt.Sprintf("%.2g", float64(r.PHolm))
}

// Write leaves compare.json, compare.csv and compare.md in dir.
func (c *Comparison) Write(dir string) error {
	c.adjust()
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
	if err := writeFile(filepath.Join(dir, CompareCSV), c.csv()); err != nil {
		return err
	}
	return writeFile(filepath.Join(dir, CompareFile), append(text, '\n'))
}

func (c *Comparison) markdown() string {
	var b strings.Builder
	fmt.Fprintf(&b, "Mean Dice over the test cases, %d shots, seed %d. box: the full-image box; oracle_box: a box around the truth, which only the truth's owner can draw.\n\n", c.Shots, c.Seed)
	last := c.Decoders[len(c.Decoders)-1]
	fmt.Fprintf(&b, "| benchmark | target | test cases | %s | %s against zero-shot (95 %% interval) | p (Holm) | %s |\n|---|---|---:|%s\n", strings.Join(c.Columns(), " | "), last,
		strings.Join(fitTimes(c.Decoders), " | "), strings.Repeat("---:|", len(c.Columns())+len(c.Decoders)+2))
	for _, r := range c.Rows {
		if r.Status != StatusOK {
			fmt.Fprintf(&b, "| %s | %s | | %s |\n", r.Title, r.Target, r.Missing())
			continue
		}
		cells := make([]string, 0, len(c.Columns())+len(c.Decoders))
		for _, column := range c.Columns() {
			cells = append(cells, r.Cell(column))
		}
		gain, p := r.Gain()
		cells = append(cells, gain, p)
		for _, d := range c.Decoders {
			cells = append(cells, fmt.Sprintf("%.0f s", r.Seconds[d]))
		}
		fmt.Fprintf(&b, "| %s | %s | %d | %s |\n", r.Title, r.Target, r.Cases, strings.Join(cells, " | "))
	}
	return b.String()
}

// csv is the table with a line for each row and all numbers in full.
func (c *Comparison) csv() []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	header := append([]string{"benchmark", "target", "status", "cases", "shots", "failed"}, c.Columns()...)
	// Writing into memory does not fail.
	_ = w.Write(append(header, "difference", "ci95_low", "ci95_high", "p", "p_holm"))
	number := func(v eval.Float) string {
		if !v.Defined() {
			return ""
		}
		return strconv.FormatFloat(float64(v), 'g', -1, 64)
	}
	for _, r := range c.Rows {
		row := []string{r.Benchmark, r.Target, r.Status, strconv.Itoa(r.Cases), strconv.Itoa(r.Shots), r.Failed}
		for _, column := range c.Columns() {
			v, ok := r.Dice[column]
			if !ok {
				v = eval.Undefined
			}
			row = append(row, number(v))
		}
		if p := r.Paired; p != nil {
			row = append(row, number(p.Difference), number(p.CI95[0]), number(p.CI95[1]), number(p.P), number(r.PHolm))
		} else {
			row = append(row, "", "", "", "", "")
		}
		_ = w.Write(row)
	}
	w.Flush()
	return b.Bytes()
}

func fitTimes(decoders []string) []string {
	out := make([]string, len(decoders))
	for i, d := range decoders {
		out[i] = "fit " + d
	}
	return out
}
