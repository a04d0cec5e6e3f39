package experiment

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"

	"github.com/BurntSushi/toml"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
)

// Kinds of runs.
const (
	kindFinetune = "finetune"
	kindZeroShot = "zeroshot"
	kindEvaluate = "evaluate"
)

// ErrChanged says that what a run was done with is not there any more as it was.
var ErrChanged = errors.New("changed since the run")

// runFile is run.toml: which run a folder belongs to, and what it takes to repeat it beside the settings.
type runFile struct {
	Hash       string `toml:"hash"`    // of all that decides the run's result
	Samtune    string `toml:"samtune"` // version that began it
	Kind       string `toml:"kind"`
	Data       string `toml:"data"`                 // folder of the data sets; empty where none was named
	Checkpoint string `toml:"checkpoint,omitempty"` // folder of the run whose weights an evaluation tests
	Tested     string `toml:"checkpoint_sha256,omitempty"`
	Along      []Draw `toml:"along,omitempty"` // of a sweep, which the convex head was fitted with
}

func (r *Run) kind() string {
	switch {
	case r.opt.ZeroShot:
		return kindZeroShot
	case r.opt.Tuned != nil:
		return kindEvaluate
	}
	return kindFinetune
}

// note makes the run's run.toml.
func (r *Run) note() (*runFile, error) {
	n := &runFile{Hash: r.hash, Samtune: r.opt.Version, Kind: r.kind(), Along: r.along}
	var err error
	if r.opt.DataRoot != "" {
		if n.Data, err = filepath.Abs(r.opt.DataRoot); err != nil {
			return nil, fmt.Errorf("note the data's folder: %w", err)
		}
	}
	if t := r.opt.Tuned; t != nil {
		n.Tested = t.SHA256
		if n.Checkpoint, err = filepath.Abs(t.Dir); err != nil {
			return nil, fmt.Errorf("note the checkpoint's folder: %w", err)
		}
	}
	return n, nil
}

// Record is what a finished run left of itself: all that it takes to do it again.
type Record struct {
	Dir     string
	Config  *configs.Run
	Split   *data.Split
	Results *eval.Results
	Data    string // folder of the data sets
	Device  string // that the repeat is to run on: the run's own
	note    runFile
}

// ReadRecord reads the record of a finished run.
func ReadRecord(dir string) (*Record, error) {
	rec := &Record{Dir: dir}
	var err error
	if rec.Config, rec.Split, err = readSettings(dir); err != nil {
		return nil, err
	}
	path := filepath.Join(dir, identityFile)
	if _, err := toml.DecodeFile(path, &rec.note); err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	rec.Results, err = eval.ReadResults(filepath.Join(dir, ResultsFile))
	switch {
	case errors.Is(err, os.ErrNotExist):
		return nil, fmt.Errorf("run %q is not finished, it has no %s: start its command again, which goes on where it was", dir, ResultsFile)
	case err != nil:
		return nil, err
	case rec.note.Kind == "":
		return nil, fmt.Errorf("%q does not say what kind of run it is: samtune %s wrote it, before runs could be repeated from their record; do the run anew", path, rec.note.Samtune)
	}
	rec.Data, rec.Device = rec.note.Data, rec.Results.Device
	return rec, nil
}

// readSettings reads what a run's folder says of its settings and cases.
func readSettings(dir string) (*configs.Run, *data.Split, error) {
	if _, err := os.Stat(filepath.Join(dir, identityFile)); err != nil {
		return nil, nil, fmt.Errorf("open run %q: it is not a run's folder: %w", dir, err)
	}
	cfg := configs.Default()
	layer, err := configs.FileLayer(filepath.Join(dir, ConfigFile))
	if err != nil {
		return nil, nil, err
	}
	if err := cfg.Apply(layer); err != nil {
		return nil, nil, err
	}
	split, err := data.ReadSplit(filepath.Join(dir, SplitFile))
	return cfg, split, err
}

// verify makes sure that a run that is set up repeats the recorded one: other settings, data or weights are an error that wraps
// ErrChanged and names them. It returns in words what else differs and may change bytes.
func (rec *Record) verify(r *Run) (differs []string, err error) {
	var changed []error
	if r.split.DataSHA256 != rec.Split.DataSHA256 {
		err := data.Unsound(rec.Split.Check(r.bench, r.pictures.get))
		if err == nil {
			err = fmt.Errorf("%w: %s has cases that it had not, or lacks some: another split is drawn", data.ErrInvalid, r.bench.Title)
		}
		changed = append(changed, err)
	}
	if r.model.SHA256 != rec.Results.WeightsSHA256 {
		changed = append(changed, fmt.Errorf("the weights %q have SHA-256 %.12s, the run's had %.12s", r.cfg.Weights, r.model.SHA256, rec.Results.WeightsSHA256))
	}
	if t := r.opt.Tuned; t != nil && t.SHA256 != rec.note.Tested {
		changed = append(changed, fmt.Errorf("the fine-tuned weights %q have SHA-256 %.12s, the run tested %.12s", t.Path, t.SHA256, rec.note.Tested))
	}
	hash, err := r.configHash()
	if err != nil {
		return nil, err
	}
	if hash != rec.Results.ConfigSHA256 {
		err := fmt.Errorf("the settings in %s have hash %.12s, the run's had %.12s", ConfigFile, hash, rec.Results.ConfigSHA256)
		if r.opt.Version == rec.Results.Versions["samtune"] {
			changed = append(changed, err)
		} else {
			differs = append(differs, err.Error())
		}
	}
	for _, fact := range []struct{ name, then, now string }{
		{"device", rec.Results.Device, r.dev.String()},
		{"threads", fmt.Sprint(rec.Results.Threads), fmt.Sprint(r.dev.Threads())},
		{"samtune", rec.Results.Versions["samtune"], r.opt.Version},
		{"libtorch", rec.Results.Versions["libtorch"], tensor.Version()},
		{"go", rec.Results.Versions["go"], runtime.Version()},
	} {
		if fact.then != fact.now {
			differs = append(differs, fmt.Sprintf("%s was %s and is %s", fact.name, fact.then, fact.now))
		}
	}
	if len(changed) > 0 {
		return differs, fmt.Errorf("repeat %q: %w: %w", rec.Dir, ErrChanged, errors.Join(changed...))
	}
	return differs, nil
}
