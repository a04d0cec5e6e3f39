package experiment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"samtune/eval"
	"samtune/eval/report"
)

// write writes the run's files; results.json comes last and marks the run as finished.
func (r *Run) write() error {
	if err := eval.WriteCasesFile(filepath.Join(r.Dir, CasesFile), r.rows); err != nil {
		return err
	}
	overlays := report.Pick(r.results, r.rows)
	for i := range overlays {
		o := &overlays[i]
		sample := r.samples[o.Case]
		o.Image, o.Truth, o.Valid = sample.Image, sample.Masks[r.target], sample.Valid
		o.Before, o.After = r.masks[o.BeforeMethod][o.Case], r.masks[eval.MethodAfter][o.Case]
	}
	if err := report.WriteOverlays(filepath.Join(r.Dir, OverlaysDir), overlays); err != nil {
		return err
	}
	if err := writeReport(r.Dir, r.results, r.rows, overlays); err != nil {
		return err
	}
	if err := r.writeEvents(overlays); err != nil {
		return err
	}
	return eval.WriteResults(filepath.Join(r.Dir, ResultsFile), r.results)
}

func writeReport(dir string, results *eval.Results, rows []eval.CaseResult, overlays []report.CaseOverlay) error {
	log, err := report.ReadTrainLog(filepath.Join(dir, TrainLogFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return err
	}
	config, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return report.Write(dir, report.Input{Results: results, Rows: rows, Log: log, Config: string(config), Overlays: overlays})
}

// Report reads a finished run's folder.
func Report(dir string) (*eval.Results, error) {
	return eval.ReadResults(filepath.Join(dir, ResultsFile))
}
