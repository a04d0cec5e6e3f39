package experiment

import (
	"bufio"
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/gofrs/flock"
	"github.com/google/renameio/v2"

	"samtune/data"
	"samtune/eval/report"
)

// ErrOtherRun says that a folder holds a run with other settings, data or weights.
var ErrOtherRun = errors.New("the folder holds another run")

// identityFile says which run a folder belongs to.
const identityFile = "run.toml"

// identityVersion is part of every run's hash. It changes when the same settings give other results.
const identityVersion = 1

func identity(config, data, weights, device, kind string) string {
	text := fmt.Sprintf("samtune run %d\nconfig %s\ndata %s\nweights %s\ndevice %s\n%s\n", identityVersion, config, data, weights, device, kind)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// lockPause is the time between two looks at a lock that is waited for.
const lockPause = 200 * time.Millisecond

// claim locks the run's folder and makes sure that it is this run's: new, begun or finished.
func (r *Run) claim(ctx context.Context) error {
	r.lock = flock.New(filepath.Join(r.Dir, ".lock"))
	free, err := r.lock.TryLock()
	if r.opt.Wait && err == nil && !free {
		r.opt.Progress.Note("wait", "another samtune works in "+r.Dir)
		free, err = r.lock.TryLockContext(ctx, lockPause)
	}
	if err != nil {
		return fmt.Errorf("lock run folder %q: %w", r.Dir, err)
	}
	if !free {
		return fmt.Errorf("run folder %q is in use by another samtune: wait for it, or choose another folder with --out", r.Dir)
	}
	if err := r.sameRun(); err != nil {
		return err
	}
	if r.opt.Again {
		if err := r.clear(); err != nil {
			return err
		}
	}
	if _, err := os.Stat(filepath.Join(r.Dir, ResultsFile)); err == nil {
		return ErrFinished
	}
	config, err := r.cfg.TOML()
	if err != nil {
		return err
	}
	if err := writeFile(filepath.Join(r.Dir, ConfigFile), config); err != nil {
		return err
	}
	if r.decl.File() != "" {
		if err := writeFile(filepath.Join(r.Dir, BenchmarkFile), []byte(r.decl.Copy())); err != nil {
			return err
		}
	}
	if err := data.WriteSplit(filepath.Join(r.Dir, SplitFile), r.split); err != nil {
		return err
	}
	note, err := r.note()
	if err != nil {
		return err
	}
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(note); err != nil {
		return err
	}
	return writeFile(filepath.Join(r.Dir, identityFile), b.Bytes())
}

// sameRun compares the folder's run with this one. The split that was written is read back and compared
// with the files as they are now, so that a changed image is named.
func (r *Run) sameRun() error {
	path := filepath.Join(r.Dir, identityFile)
	var old runFile
	if _, err := toml.DecodeFile(path, &old); errors.Is(err, os.ErrNotExist) {
		return nil
	} else if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	split, err := data.ReadSplit(filepath.Join(r.Dir, SplitFile))
	if old.Hash == r.hash {
		if errors.Is(err, os.ErrNotExist) { // the run was cut before it had written its split
			return nil
		}
		if err != nil {
			return err
		}
		return data.Unsound(split.Check(r.bench, r.loaded))
	}
	if err == nil && split.Seed == r.split.Seed && split.Shots == r.split.Shots && split.Benchmark == r.split.Benchmark {
		if err := data.Unsound(split.Check(r.bench, r.loaded)); err != nil {
			return fmt.Errorf("%q: %w: %w: choose another folder with --out", r.Dir, ErrOtherRun, err)
		}
	}
	return fmt.Errorf("%q: %w (its hash is %.12s, this run's %.12s: settings, data, weights or device differ; see its %s): choose another folder with --out",
		r.Dir, ErrOtherRun, old.Hash, r.hash, ConfigFile)
}

// clear removes what an earlier run of the same kind left: the results first, so that a kill in between
// leaves a run that is not finished.
func (r *Run) clear() error {
	for _, name := range []string{ResultsFile, CasesFile, TrainLogFile, report.HTMLFile, report.MarkdownFile, report.CSVFile, OverlaysDir, EventsDir, CheckpointsDir} {
		if err := os.RemoveAll(filepath.Join(r.Dir, name)); err != nil {
			return fmt.Errorf("clear run folder: %w", err)
		}
	}
	return nil
}

func writeFile(path string, content []byte) error {
	if err := renameio.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// peakRSS returns the largest memory that the process has held, in MiB; 0 where the system does not say.
func peakRSS() float64 {
	f, err := os.Open("/proc/self/status")
	if err != nil {
		return 0
	}
	defer f.Close()
	lines := bufio.NewScanner(f)
	for lines.Scan() {
		var kb float64
		if strings.HasPrefix(lines.Text(), "VmHWM:") {
			fmt.Sscanf(lines.Text(), "VmHWM: %f kB", &kb)
			return kb / 1024
		}
	}
	return 0
}
