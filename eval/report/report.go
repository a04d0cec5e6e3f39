// Package report turns the results of runs, of comparisons and of sweeps into what people read: one self-contained HTML
// page, the same as Markdown and CSV, overlay pictures and the table that a terminal shows.
//
// The same input gives the same bytes: nothing depends on the clock, the machine or the order of a map.
package report

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"samtune/eval"
)

// Names of the files and the folder of a run that a report is made of and written as.
const (
	ResultsFile  = eval.ResultsFile
	CasesFile    = eval.CasesFile
	VolumesFile  = eval.VolumesFile
	ConfigFile   = "config.toml"
	TrainLogFile = "train.jsonl" // of the run's own decoder; of others train.DECODER.jsonl
	OverlayDir   = "overlays"
	HTMLFile     = "report.html"
	MarkdownFile = "report.md"
	CSVFile      = "report.csv"
)

// Files are where the forms of a report go.
type Files struct{ HTML, Markdown, CSV string }

// In names the files of a run's report in a folder.
func In(dir string) Files {
	return Files{filepath.Join(dir, HTMLFile), filepath.Join(dir, MarkdownFile), filepath.Join(dir, CSVFile)}
}

// At names the page and, beside it, Markdown and CSV of the same name.
func At(page string) Files {
	stem := strings.TrimSuffix(page, filepath.Ext(page))
	return Files{page, stem + ".md", stem + ".csv"}
}

// write writes the forms that there are, the page last. Each is written to a temporary name, synced and renamed.
func (f Files) write(html, markdown, csv []byte) error {
	for _, out := range []struct {
		path  string
		bytes []byte
	}{{f.CSV, csv}, {f.Markdown, markdown}, {f.HTML, html}} {
		if out.bytes == nil {
			continue
		}
		if err := renameio.WriteFile(out.path, out.bytes, 0o644); err != nil {
			return fmt.Errorf("write %q: %w", out.path, err)
		}
	}
	return nil
}

// input is what the report of a run is made of. Only results is needed.
type input struct {
	results  *eval.Results
	rows     []eval.CaseResult // of every case and method
	logs     []trainLog        // of the trainings
	config   string            // the resolved configuration, TOML
	slides   []slide           // cases in pictures
	pictures string            // the folder of the pictures, from where the Markdown is
}

// trainLog is the training of one decoder.
type trainLog struct {
	decoder string
	points  []TrainPoint
}

// Write writes the report of a run: the results and rows that are given, with the configuration, training logs and overlays
// that are in the run's folder.
func Write(dir string, to Files, results *eval.Results, rows []eval.CaseResult) error {
	in, err := read(dir, results, rows)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	if in.pictures, err = relative(filepath.Dir(to.Markdown), filepath.Join(dir, OverlayDir)); err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	p, err := newPage(in)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	html, err := render("run", p)
	if err != nil {
		return fmt.Errorf("write report: %w", err)
	}
	return to.write(html, p.markdown(), methodsCSV(results))
}

// relative is the path from one folder to another with forward slashes.
func relative(from, to string) (string, error) {
	a, err := filepath.Abs(from)
	if err != nil {
		return "", err
	}
	b, err := filepath.Abs(to)
	if err != nil {
		return "", err
	}
	path, err := filepath.Rel(a, b)
	return filepath.ToSlash(path), err
}

// read reads what a run's folder holds beside its results. What is not there is left out of the report.
func read(dir string, results *eval.Results, rows []eval.CaseResult) (*input, error) {
	if results == nil {
		return nil, errors.New("no results")
	}
	in := &input{results: results, rows: rows}
	config, err := os.ReadFile(filepath.Join(dir, ConfigFile))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, err
	}
	in.config = string(config)
	for i, name := range append([]string{results.Training.Decoder}, others(results)...) {
		file := TrainLogFile
		if i > 0 {
			file = "train." + name + ".jsonl"
		}
		points, err := ReadTrainLog(filepath.Join(dir, file))
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		in.logs = append(in.logs, trainLog{name, points})
	}
	for _, c := range Pick(results, rows) {
		s, err := readSlide(filepath.Join(dir, OverlayDir), c, 0)
		if errors.Is(err, os.ErrNotExist) {
			continue
		}
		if err != nil {
			return nil, err
		}
		in.slides = append(in.slides, *s)
	}
	return in, nil
}

// others names the further decoders of a run.
func others(r *eval.Results) []string {
	var out []string
	for _, o := range r.Others {
		out = append(out, o.Key)
	}
	return out
}
