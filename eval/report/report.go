// Package report turns the results of one fine-tuning run into what people read: one self-contained HTML
// page, a Markdown summary, overlay pictures and the table that a terminal shows.
//
// The same input gives the same bytes: nothing depends on the clock, the machine or the order of a map.
package report

import (
	"fmt"
	"path/filepath"

	"github.com/google/renameio/v2"

	"samtune/eval"
)

// Input is what a report is made of. Only Results is needed.
type Input struct {
	Results  *eval.Results
	Rows     []eval.CaseResult // of every case and method
	Log      []TrainPoint      // of the training, by step
	Config   string            // the resolved configuration, TOML
	Overlays []CaseOverlay     // cases to show in pictures, as from Pick
}

// Names of the files and the folder of a run that a report is made of.
const (
	HTMLFile     = "report.html"
	MarkdownFile = "report.md"
	OverlayDir   = "overlays"
)

// Write writes report.html and report.md into the run's folder dir. Each is written to a temporary name,
// synced and renamed. report.md links to the pictures that WriteOverlays leaves in dir/overlays.
func Write(dir string, in Input) error {
	p, err := newPage(in)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	html, err := p.html()
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	for _, f := range []struct {
		name  string
		bytes []byte
	}{{MarkdownFile, p.markdown()}, {HTMLFile, html}} {
		path := filepath.Join(dir, f.name)
		if err := renameio.WriteFile(path, f.bytes, 0o644); err != nil {
			return fmt.Errorf("write %q: %w", path, err)
		}
	}
	return nil
}
