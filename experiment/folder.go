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
)

// ErrOtherRun says that a folder holds a run with other settings, data or weights.
var ErrOtherRun = errors.New("the folder holds another run")

const (
	identityFile = "run.toml" // says which run a folder belongs to
	lockFile     = ".lock"    // is held by the process that works in the folder
)

// identityVersion is part of every run's hash. It changes when the same settings give other results.
const identityVersion = 1

func identity(config, data, weights, device, kind string) string {
	text := fmt.Sprintf("samtune run %d\nconfig %s\ndata %s\nweights %s\ndevice %s\n%s\n", identityVersion, config, data, weights, device, kind)
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// name is the folder's where none is named.
func (r *Run) name() string {
	if kind := r.kind(); kind != kindFinetune {
		return fmt.Sprintf("%s-%s-%s", r.bench.Name, kind, r.hash[:6])
	}
	return fmt.Sprintf("%s-%dshot-seed%d-%s", r.bench.Name, r.cfg.Shots, r.cfg.Seed, r.hash[:6])
}

// openDir finds or makes the run's folder. Its name, and what it holds, carries the hash of all that
// decides the result, so a folder of another run is never written into.
func (r *Run) openDir(ctx context.Context) error {
	if err := r.identify(r.model.SHA256, r.dev.String()); err != nil {
		return err
	}
	if want := r.opt.Expect; want != "" && want != r.hash {
		return fmt.Errorf("%w: it was planned with the hash %.12s and now has %.12s: data, weights, device or settings have changed since: plan again", ErrOtherRun, want, r.hash)
	}
	r.Dir = r.opt.Out
	if r.Dir == "" {
		r.Dir = filepath.Join(r.opt.RunsDir, r.name())
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	return r.claim(ctx)
}

// identify computes the run's hash; its split must be drawn.
func (r *Run) identify(weights, device string) error {
	var err error
	if r.config, err = r.configHash(); err != nil {
		return err
	}
	decides := r.kind() + together(r.cfg, r.along)
	if r.opt.Tuned != nil {
		decides += " " + r.opt.Tuned.SHA256
	}
	r.hash = identity(r.config, r.split.DataSHA256, weights, device, decides)
	return nil
}

// configHash is the hash of the settings alone, in which a user's own benchmark stands with what its file says and not with its path.
func (r *Run) configHash() (string, error) {
	cfg := *r.cfg
	var err error
	if cfg.Benchmark, err = r.decl.Identity(); err != nil {
		return "", err
	}
	if cfg.Split != "" { // its content counts, not where it lies
		content, err := os.ReadFile(cfg.Split)
		if err != nil {
			return "", fmt.Errorf("read split: %w", err)
		}
		cfg.Split = fmt.Sprintf("%x", sha256.Sum256(content))
	}
	return cfg.Hash()
}

const (
	lockPause = 200 * time.Millisecond // between two looks at a lock that is waited for
	glance    = time.Second            // for longer than which nobody holds a lock who only looks
)

// tryLock takes a lock, unless another process holds it.
func tryLock(ctx context.Context, lock *flock.Flock) (bool, error) {
	short, cancel := context.WithTimeout(ctx, glance)
	defer cancel()
	free, err := lock.TryLockContext(short, lockPause)
	if errors.Is(err, context.DeadlineExceeded) && ctx.Err() == nil {
		return false, nil
	}
	return free, err
}

// holdIt writes into the lock who holds it. The file is not replaced, for the lock is on it.
func (r *Run) holdIt() error {
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("find the machine's name: %w", err)
	}
	if err := os.WriteFile(filepath.Join(r.Dir, lockFile), fmt.Appendf(nil, "process %d on %s\n", os.Getpid(), host), 0o644); err != nil {
		return fmt.Errorf("write who works in run folder: %w", err)
	}
	return nil
}

// holder is ErrInUse with the process that holds a run's folder, where its lock says so.
func holder(dir string) error {
	who, err := os.ReadFile(filepath.Join(dir, lockFile))
	if err != nil || len(who) == 0 { // it has just begun
		return ErrInUse
	}
	return fmt.Errorf("%w: %s", ErrInUse, bytes.TrimSpace(who))
}

// claim locks the run's folder and makes sure that it is this run's: new, begun or finished.
func (r *Run) claim(ctx context.Context) error {
	r.lock = flock.New(filepath.Join(r.Dir, lockFile))
	free, err := tryLock(ctx, r.lock)
	if r.opt.Wait && err == nil && !free {
		r.opt.Progress.Note("wait", "another samtune works in "+r.Dir)
		free, err = r.lock.TryLockContext(ctx, lockPause)
	}
	if err != nil {
		return fmt.Errorf("lock run folder %q: %w", r.Dir, err)
	}
	if !free {
		return fmt.Errorf("run folder %q is %w: wait for it, or choose another folder with --out", r.Dir, holder(r.Dir))
	}
	if err := r.holdIt(); err != nil {
		return err
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
		return data.Unsound(split.Check(r.bench, r.pictures.get))
	}
	if err == nil && split.Seed == r.split.Seed && split.Shots == r.split.Shots && split.Benchmark == r.split.Benchmark {
		if err := data.Unsound(split.Check(r.bench, r.pictures.get)); err != nil {
			return fmt.Errorf("%q: %w: %w: choose another folder with --out", r.Dir, ErrOtherRun, err)
		}
	}
	return fmt.Errorf("%q: %w (its hash is %.12s, this run's %.12s: settings, data, weights or device differ; see its %s): choose another folder with --out",
		r.Dir, ErrOtherRun, old.Hash, r.hash, ConfigFile)
}

// clear removes what an earlier run of the same kind left: the results first, so that a kill in between
// leaves a run that is not finished.
func (r *Run) clear() error {
	for _, name := range madeNames {
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
