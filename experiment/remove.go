package experiment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/gofrs/flock"

	"samtune/eval/report"
)

// ErrInUse says that a process holds a run's folder.
var ErrInUse = errors.New("in use by another samtune")

// runNames are what a run leaves in its folder, in the order in which it is removed: the results first, so that what is cut in between
// is an unfinished run, and what tells the folder last.
var runNames = append(slices.Clip(madeNames), "train.*.jsonl", BenchmarkFile, SplitFile, ConfigFile, identityFile, lockFile)

// madeNames are what a run makes of its settings and data.
var madeNames = []string{
	ResultsFile, CasesFile, VolumesFile, TrainLogFile, report.HTMLFile, report.MarkdownFile, report.CSVFile, OverlaysDir, EventsDir, CheckpointsDir,
}

// CanRemove is an error where a folder is none that Remove removes: one that is not a run's, which wraps ErrNoRun, or that a process
// holds, which wraps ErrInUse.
func CanRemove(dir string) error {
	info, err := os.Lstat(dir)
	switch {
	case err != nil:
		return fmt.Errorf("remove run: %w: %w", ErrNoRun, err)
	case info.Mode()&fs.ModeSymlink != 0:
		return fmt.Errorf("remove run: %w: %q is a link: name the folder that it leads to", ErrNoRun, dir)
	case !IsRun(dir):
		return fmt.Errorf("remove run: %w: %q has no %s", ErrNoRun, dir, identityFile)
	case inUse(dir):
		return fmt.Errorf("remove run: %q is %w: wait for it, or end it", dir, holder(dir))
	}
	return nil
}

// Remove removes a run's folder. What a run has not left there stays, and the folder with it: its names are returned.
func Remove(ctx context.Context, dir string) (foreign []string, err error) {
	if err := CanRemove(dir); err != nil {
		return nil, err
	}
	lock := flock.New(filepath.Join(dir, lockFile))
	defer lock.Close()
	free, err := tryLock(ctx, lock)
	if err != nil {
		return nil, fmt.Errorf("remove run: %w", err)
	}
	if !free {
		return nil, fmt.Errorf("remove run: %q is %w: wait for it, or end it", dir, holder(dir))
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, fmt.Errorf("remove run: %w", err)
	}
	var own []string
	for _, e := range entries {
		if removal(e.Name()) < 0 {
			foreign = append(foreign, e.Name())
			continue
		}
		own = append(own, e.Name())
	}
	slices.SortStableFunc(own, func(a, b string) int { return removal(a) - removal(b) })
	for _, name := range own {
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return nil, fmt.Errorf("remove run: %w", err)
		}
	}
	if len(foreign) > 0 {
		return foreign, nil
	}
	if err := os.Remove(dir); err != nil {
		return nil, fmt.Errorf("remove run: %w", err)
	}
	return nil, nil
}

// removal is the place of a name among those that a run leaves; what was left half written comes with it. Below 0: a run leaves no such.
func removal(name string) int {
	whole := strings.TrimRight(strings.TrimPrefix(name, "."), "0123456789")
	return slices.IndexFunc(runNames, func(pattern string) bool {
		is, _ := filepath.Match(pattern, name) // the patterns are sound
		half, _ := filepath.Match(pattern, whole)
		return is || half && strings.HasPrefix(name, ".")
	})
}
