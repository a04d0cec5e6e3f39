package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Repeat does a recorded run again in the folder opt.Out and compares, file by file, what both left. Of opt it takes where
// things are and how they are shown; zero-shot prompts are answered again, and features come from the cache as in any
// run. A repeat that was cut goes on, one that is finished is compared as it is. found says that it was.
func Repeat(ctx context.Context, rec *Record, opt Options) (files []FileVerdict, found bool, err error) {
	if same, err := sameFolder(rec.Dir, opt.Out); err != nil || same {
		return nil, false, errors.Join(err, fmt.Errorf("repeat %q: a run can't be repeated in its own folder: choose another with --out", rec.Dir))
	}
	opt.repeats, opt.Config, opt.DataRoot = rec, rec.Config, rec.Data
	switch rec.note.Kind {
	case kindFinetune:
	case kindZeroShot:
		opt.ZeroShot = true
	case kindEvaluate:
		if opt.Tuned, err = OpenTuned(rec.note.Checkpoint); err != nil {
			return nil, false, fmt.Errorf("repeat %q: open what it tested: %w", rec.Dir, err)
		}
	default:
		return nil, false, fmt.Errorf("repeat %q: its %s says kind %q, want %s, %s or %s", rec.Dir, identityFile, rec.note.Kind, kindFinetune, kindZeroShot, kindEvaluate)
	}
	if len(rec.note.Along) > 0 {
		if found, err = repeatAlong(ctx, rec, opt); err != nil {
			return nil, false, err
		}
		files, err = compareRuns(rec.Dir, opt.Out)
		return files, found, err
	}
	_, dir, err := Execute(ctx, opt)
	if found = errors.Is(err, ErrFinished); err != nil && !found {
		return nil, false, err
	}
	files, err = compareRuns(rec.Dir, dir)
	return files, found, err
}

// repeatAlong repeats a run of a sweep whose head was fitted with those of others, which leave nothing this time.
func repeatAlong(ctx context.Context, rec *Record, opt Options) (found bool, err error) {
	draws := slices.Clone(rec.note.Along)
	for i := range draws {
		if draws[i].Shots == rec.Config.Shots && draws[i].Seed == rec.Config.Seed {
			draws[i].Dir = opt.Out
		}
	}
	_, failed := os.Stat(filepath.Join(opt.Out, ResultsFile))
	return failed == nil && !opt.Again, ExecuteTogether(ctx, opt, draws)
}

func sameFolder(a, b string) (bool, error) {
	one, err := os.Stat(a)
	if err != nil {
		return false, fmt.Errorf("open run: %w", err)
	}
	two, err := os.Stat(b)
	if errors.Is(err, os.ErrNotExist) {
		return filepath.Clean(a) == filepath.Clean(b), nil
	}
	if err != nil {
		return false, fmt.Errorf("open run folder: %w", err)
	}
	return os.SameFile(one, two), nil
}
