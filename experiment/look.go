package experiment

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gofrs/flock"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
)

// ErrNoRun says that a folder is not a run's.
var ErrNoRun = errors.New("not a run's folder")

// ErrDamaged says that a run's folder holds what can't be read.
var ErrDamaged = errors.New("damaged run")

// What a run's folder is.
const (
	StatusFinished   = "finished"
	StatusRunning    = "running"    // a process works in it
	StatusUnfinished = "unfinished" // the same command goes on
	StatusDamaged    = "damaged"
)

// Folder is what a run's folder holds. Of a run that was cut when it had hardly begun, or is damaged, some of it is empty.
type Folder struct {
	Dir       string     `json:"run"`
	Kind      string     `json:"kind"` // finetune, zeroshot or evaluate
	Benchmark string     `json:"benchmark"`
	Target    string     `json:"target"`
	Model     string     `json:"model"`
	Decoder   string     `json:"decoder"` // empty: none was fitted
	Shots     int        `json:"shots"`   // 0: none
	Seed      int64      `json:"seed"`
	Status    string     `json:"status"`
	Error     string     `json:"error,omitempty"` // what of it can't be read
	InUse     bool       `json:"in_use"`          // a process holds it, finished or not
	Before    eval.Float `json:"dice_before"`     // mean Dice of the compared zero-shot prompt
	After     eval.Float `json:"dice_after"`
	When      time.Time  `json:"when"` // its end, or the last change
	Bytes     int64      `json:"bytes"`

	Config  *configs.Run      `json:"-"`
	Split   *data.Split       `json:"-"`
	Results *eval.Results     `json:"-"` // of a finished run
	Cases   []eval.CaseResult `json:"-"`
	note    runFile
}

// FindRuns lists the run folders in a folder: itself, those directly in it, and those of sweeps and comparisons deeper down. It follows
// no links but root itself.
func FindRuns(ctx context.Context, root string) ([]string, error) {
	var out []string
	root = filepath.Clean(root) + string(filepath.Separator) // so that a folder is walked that a link leads to
	err := filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if errors.Is(err, fs.ErrNotExist) && path != root { // removed meanwhile
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		if IsRun(path) {
			out = append(out, filepath.Clean(path))
			return filepath.SkipDir
		}
		if strings.HasPrefix(d.Name(), ".") && path != root {
			return filepath.SkipDir
		}
		return nil
	})
	if err != nil && ctx.Err() == nil {
		return nil, fmt.Errorf("look for runs: %w", err)
	}
	return out, err
}

// IsRun says whether a folder is a run's. One that was cut at once has a lock and settings alone.
func IsRun(dir string) bool {
	file := func(name string) bool {
		info, err := os.Lstat(filepath.Join(dir, name))
		return err == nil && info.Mode().IsRegular()
	}
	return file(identityFile) || file(lockFile) && file(ConfigFile)
}

// Look reads a run's folder. A damaged run is no error; one that is none wraps ErrNoRun.
func Look(dir string) (*Folder, error) {
	if !IsRun(dir) {
		if _, err := os.Stat(dir); err != nil {
			return nil, fmt.Errorf("%w: %w", ErrNoRun, err)
		}
		return nil, fmt.Errorf("%w: %q has no %s", ErrNoRun, dir, identityFile)
	}
	f := &Folder{Dir: dir, InUse: inUse(dir), Before: eval.Undefined, After: eval.Undefined}
	err := f.weigh()
	if err == nil {
		err = f.read()
	}
	switch {
	case f.Results != nil:
		f.Status, f.When = StatusFinished, f.Results.Finished
	case f.InUse: // what is written right now may be half there
		f.Status, err = StatusRunning, nil
	case err != nil:
		f.Status = StatusDamaged
	default:
		f.Status = StatusUnfinished
	}
	if err != nil {
		f.Error = err.Error()
	}
	return f, nil
}

// Damage is an error that wraps ErrDamaged where the folder is damaged.
func (f *Folder) Damage() error {
	if f.Status != StatusDamaged {
		return nil
	}
	return fmt.Errorf("%w: %q: %s", ErrDamaged, f.Dir, f.Error)
}

// inUse says whether a process holds a run's folder. Where the lock can't be asked for, as in another user's folder, none is known of.
func inUse(dir string) bool {
	lock := flock.New(filepath.Join(dir, lockFile), flock.SetFlag(os.O_RDONLY)) // which is not made
	defer lock.Close()
	free, err := lock.TryRLock()
	return err == nil && !free
}

// weigh adds up the folder's files and finds the last change of those at its top.
func (f *Folder) weigh() error {
	return eachFile(f.Dir, func(path string, info fs.FileInfo) {
		f.Bytes += info.Size()
		if filepath.Dir(path) == filepath.Clean(f.Dir) && info.Name() != lockFile && info.ModTime().After(f.When) {
			f.When = info.ModTime()
		}
	})
}

// eachFile shows every file in a folder, or the one that is there in its place, and passes over those that a run at work has
// removed meanwhile.
func eachFile(root string, show func(path string, info fs.FileInfo)) error {
	return filepath.WalkDir(root, func(path string, d fs.DirEntry, err error) error {
		var info fs.FileInfo
		if err == nil && !d.IsDir() {
			if info, err = d.Info(); err == nil {
				show(path, info)
			}
		}
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		return err
	})
}

// read reads all that is there. Settings of another version, which can't be read, are an error after the results were.
func (f *Folder) read() error {
	if _, err := toml.DecodeFile(filepath.Join(f.Dir, identityFile), &f.note); errors.Is(err, fs.ErrNotExist) {
		return nil // cut before that was written
	} else if err != nil {
		return fmt.Errorf("read %s: %w", identityFile, err)
	}
	f.Kind = f.note.Kind
	var unread error
	f.Config, f.Split, unread = readSettings(f.Dir)
	if c := f.Config; c != nil {
		f.Benchmark, f.Target, f.Model, f.Seed = strings.TrimSuffix(filepath.Base(c.Benchmark), ".toml"), c.Target, c.Model, c.Seed
		if f.Kind != kindZeroShot {
			f.Decoder, f.Shots = c.Decoder, c.Shots
		}
	}
	results, err := eval.ReadResults(filepath.Join(f.Dir, ResultsFile))
	if errors.Is(err, fs.ErrNotExist) {
		return unread
	}
	if err != nil {
		return err
	}
	if f.Cases, err = eval.ReadCasesFile(filepath.Join(f.Dir, CasesFile)); err != nil {
		return err
	}
	f.Results = results
	f.Benchmark, f.Target, f.Model, f.Seed = results.Benchmark, results.Target, results.Model, results.Seed
	before := ""
	if results.Paired != nil {
		before = results.Paired.Before
	} else if f.Config != nil {
		before = f.Config.Eval.Before
	}
	if m := results.Before[before]; m != nil {
		f.Before = m.Dice.Mean
	}
	if results.After != nil {
		f.After, f.Decoder, f.Shots = results.After.Dice.Mean, results.Training.Decoder, results.Shots
	} else {
		f.Decoder, f.Shots = "", 0
	}
	return unread
}

// Step returns how far the training of an unfinished run's own decoder is, as far as its log says: 0 where it has not begun.
func (f *Folder) Step() int {
	points, err := report.ReadTrainLog(filepath.Join(f.Dir, TrainLogFile))
	if err != nil || len(points) == 0 {
		return 0
	}
	return points[len(points)-1].Step
}

// Part is a file at the top of a run's folder, or a folder there with all that is in it.
type Part struct {
	Name  string `json:"name"`
	Files int    `json:"files"` // 0: a file
	Bytes int64  `json:"bytes"`
}

// Parts lists what the folder holds, by name.
func (f *Folder) Parts() ([]Part, error) {
	entries, err := os.ReadDir(f.Dir)
	if err != nil {
		return nil, fmt.Errorf("list run: %w", err)
	}
	var out []Part
	for _, e := range entries {
		p := Part{Name: e.Name()}
		err := eachFile(filepath.Join(f.Dir, e.Name()), func(_ string, info fs.FileInfo) {
			p.Bytes += info.Size()
			p.Files++
		})
		if err != nil {
			return nil, fmt.Errorf("list run: %w", err)
		}
		if !e.IsDir() {
			p.Files = 0
		}
		if e.Name() != lockFile {
			out = append(out, p)
		}
	}
	return out, nil
}
