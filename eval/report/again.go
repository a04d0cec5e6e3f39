package report

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"

	"samtune/eval"
)

// ErrNoReport says that a folder holds nothing that a report can be made of.
var ErrNoReport = errors.New("nothing to report on")

// kinds are what can be reported on, by the file that tells it. A sweep and a comparison hold runs, not the other way round.
var kinds = []struct {
	file string
	make func(w io.Writer, dir string, to *Files) error
}{
	{SweepFile, againSweep},
	{CompareFile, againComparison},
	{ResultsFile, againRun},
}

// Again makes the report of a finished run, a comparison or a sweep once more from what its folder holds, without the data,
// prints its table and returns where the page is: page, with Markdown and CSV beside it, or, where page is empty, in the folder.
func Again(w io.Writer, dir, page string) (string, error) {
	for _, k := range kinds {
		if _, err := os.Stat(filepath.Join(dir, k.file)); err != nil {
			continue
		}
		var to *Files
		if page != "" {
			f := At(page)
			to = &f
		} else {
			page = filepath.Join(dir, HTMLFile)
		}
		return page, k.make(w, dir, to)
	}
	if _, err := os.Stat(dir); err != nil {
		return "", fmt.Errorf("%w: %w: want the folder of a run, a comparison or a sweep", ErrNoReport, err)
	}
	return "", fmt.Errorf("%w: %q holds no %s (a finished run), %s (a comparison) or %s (a sweep): a run that was stopped is finished by the same command",
		ErrNoReport, dir, ResultsFile, CompareFile, SweepFile)
}

func againRun(w io.Writer, dir string, to *Files) error {
	results, err := eval.ReadResults(filepath.Join(dir, ResultsFile))
	if err != nil {
		return err
	}
	rows, err := eval.ReadCasesFile(filepath.Join(dir, CasesFile))
	if err != nil {
		return err
	}
	if to == nil {
		f := In(dir)
		to = &f
	}
	if err := Write(dir, *to, results, rows); err != nil {
		return err
	}
	return Table(w, results)
}

func againComparison(w io.Writer, dir string, to *Files) error {
	c, err := eval.ReadComparison(filepath.Join(dir, CompareFile))
	if err != nil {
		return err
	}
	if to == nil {
		f := comparisonFiles(dir)
		to = &f
	}
	if err := renderComparison(dir, *to, c, true); err != nil {
		return err
	}
	return ComparisonTable(w, c)
}
