package eval

import (
	"encoding/json"
	"fmt"
	"os"

	"github.com/google/renameio/v2"
)

// Comparison is a table over benchmarks: a row for each target of each, on the same shots, seed, prompts and decoders.
type Comparison struct {
	Schema   int             `json:"schema"` // 2
	Shots    int             `json:"shots"`
	Seed     int64           `json:"seed"`
	Prompts  []string        `json:"prompts"`  // kinds of zero-shot prompts, in order
	Decoders []string        `json:"decoders"` // beside the benchmark's own
	Command  string          `json:"command"`
	Rows     []ComparisonRow `json:"rows"`
}

// ComparisonRow is one target of one benchmark: what its run left in results.json, and what became of it. Where there was no
// run only the benchmark is named.
type ComparisonRow struct {
	Status string `json:"status"`          // StatusOK, StatusAbsent or StatusFailed
	Error  string `json:"error,omitempty"` // of a failed row
	Get    string `json:"get,omitempty"`   // how to get the data of an absent row
	Run    string `json:"run,omitempty"`   // the run's folder, from the comparison's
	PHolm  Float  `json:"p_holm"`          // Results.Paired.P, adjusted for the number of rows (Holm)
	*Results
}

// What became of a row.
const (
	StatusOK     = "ok"
	StatusAbsent = "absent" // the benchmark's files are not here
	StatusFailed = "failed"
)

// Adjust fills in the p-values that are adjusted for the number of rows that have one.
func (c *Comparison) Adjust() {
	p := make([]Float, len(c.Rows))
	for i, r := range c.Rows {
		p[i] = Undefined
		if r.Status == StatusOK && r.Paired != nil {
			p[i] = r.Paired.P
		}
	}
	for i, v := range Holm(p) {
		c.Rows[i].PHolm = v
	}
}

// Decoder returns a decoder's method and training, whether the run was of it or it is shown beside; nil where it is neither.
func (r *Results) Decoder(name string) (*Method, *Training) {
	if r.After != nil && r.Training.Decoder == name {
		return r.After, &r.Training
	}
	for i := range r.Others {
		if o := &r.Others[i]; o.Training.Decoder == name {
			return &o.Method, &o.Training
		}
	}
	return nil, nil
}

// WriteComparison writes compare.json.
func WriteComparison(path string, c *Comparison) error {
	text, err := json.MarshalIndent(c, "", "  ")
	if err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	if err := renameio.WriteFile(path, append(text, '\n'), 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// ReadComparison reads what WriteComparison wrote.
func ReadComparison(path string) (*Comparison, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read comparison: %w", err)
	}
	var c Comparison
	if err := json.Unmarshal(text, &c); err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	if c.Schema != 2 {
		return nil, fmt.Errorf("read %q: its schema is %d, want 2", path, c.Schema)
	}
	return &c, nil
}
