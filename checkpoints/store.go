package checkpoints

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"syscall"
)

// ErrNone says that a run has no checkpoint that can be used.
var ErrNone = errors.New("no usable checkpoint")

// manifestFile is written last: a checkpoint without it, or one that does not fit it, is not used.
const manifestFile = "MANIFEST.json"

// manifestSchema is the version of the manifest's form.
const manifestSchema = 1

// Manifest is what MANIFEST.json of a checkpoint says.
type Manifest struct {
	Schema   int                     `json:"schema"`
	Step     int                     `json:"step"`
	Best     bool                    `json:"best"`              // it was the best of its run when it was written
	Between  bool                    `json:"between,omitempty"` // training was stopped between two steps at which checkpoints are due
	Parent   int                     `json:"parent"`            // step of the checkpoint that training went on from; 0: it began
	Identity string                  `json:"identity"`          // hash of all that decides the run's result
	Versions map[string]string       `json:"versions"`          // of the programs that wrote it
	Files    map[string]ManifestItem `json:"files"`
	Checksum string                  `json:"checksum"` // SHA-256 of the manifest with an empty checksum
}

// seal returns the manifest's text with its checksum.
func (m Manifest) seal() ([]byte, error) {
	m.Checksum = ""
	text, err := json.MarshalIndent(m, "", "  ")
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(text)
	m.Checksum = hex.EncodeToString(sum[:])
	text, err = json.MarshalIndent(m, "", "  ")
	return append(text, '\n'), err
}

// ManifestItem is a file of a checkpoint.
type ManifestItem struct {
	Size   int64  `json:"size"`
	SHA256 string `json:"sha256"`
}

// StoreOptions are the settings of a Store.
type StoreOptions struct {
	Identity string            // hash of all that decides the run's result; a checkpoint of another is refused. Empty: any
	Keep     int               // checkpoints kept beside the best; 0: 2
	Versions map[string]string // of samtune, libtorch and so on, for the manifest
}

// Store keeps the checkpoints of one run in a folder, each in a folder step-NNNNNN of its own. A
// checkpoint appears whole or not at all: its files are written and brought to disk under another name,
// then the manifest with their hashes, then the folder is renamed.
type Store struct {
	dir    string
	opt    StoreOptions
	disk   disk
	parent int // step of the checkpoint that was read or written last
}

// disk is what a Store does to the file system; tests put one in its place that fails.
type disk interface {
	Mkdir(path string) error
	Create(path string) (writeSyncer, error)
	SyncDir(path string) error
	Rename(from, to string) error
	RemoveAll(path string) error
}

type writeSyncer interface {
	io.WriteCloser
	Sync() error
}

type realDisk struct{}

func (realDisk) Mkdir(path string) error { return os.MkdirAll(path, 0o755) }
func (realDisk) Create(path string) (writeSyncer, error) {
	return os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
}
func (realDisk) SyncDir(path string) error    { return syncDir(path) }
func (realDisk) Rename(from, to string) error { return os.Rename(from, to) }
func (realDisk) RemoveAll(path string) error  { return os.RemoveAll(path) }

// OpenStore opens the checkpoints in dir, which need not be there yet. What an interrupted Save left
// behind is removed.
func OpenStore(dir string, opt StoreOptions) (*Store, error) {
	if opt.Keep == 0 {
		opt.Keep = 2
	}
	return openStore(dir, opt, realDisk{})
}

func openStore(dir string, opt StoreOptions, d disk) (*Store, error) {
	s := &Store{dir: dir, opt: opt, disk: d}
	names, err := s.entries()
	if err != nil {
		return nil, err
	}
	for _, name := range names {
		m := temporaryName.FindStringSubmatch(name)
		if m == nil || alive(m[3]) {
			continue
		}
		path, final := filepath.Join(dir, name), filepath.Join(dir, "step-"+m[2])
		if _, err := os.Lstat(final); m[1] == "old" && errors.Is(err, os.ErrNotExist) {
			// The process ended between the two renames of Save: this is the checkpoint that was there.
			if err := d.Rename(path, final); err != nil {
				return nil, fmt.Errorf("put replaced checkpoint back: %w", err)
			}
			continue
		}
		if err := d.RemoveAll(path); err != nil {
			return nil, fmt.Errorf("clear unfinished checkpoint: %w", err)
		}
	}
	return s, nil
}

var (
	stepName      = regexp.MustCompile(`^step-(\d{6,})$`)
	temporaryName = regexp.MustCompile(`^(step|old|gone)-(\d{6,})\.tmp-(\d+)$`) // being written, replaced, removed
)

// alive says whether another process of that number is running.
func alive(pid string) bool {
	n, err := strconv.Atoi(pid)
	if err != nil || n == os.Getpid() {
		return false
	}
	if status, err := os.ReadFile(filepath.Join("/proc", pid, "status")); err == nil {
		// One that was killed and not yet cleared away by its parent still has its number, and so has a thread of another program.
		return !ended.Match(status) && bytes.Contains(status, []byte("\nTgid:\t"+pid+"\n"))
	}
	err = syscall.Kill(n, 0)
	return err == nil || errors.Is(err, syscall.EPERM)
}

var ended = regexp.MustCompile(`(?m)^State:\s+[ZX]`)

func (s *Store) entries() ([]string, error) {
	list, err := os.ReadDir(s.dir)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list checkpoints: %w", err)
	}
	names := make([]string, len(list))
	for i, e := range list {
		names[i] = e.Name()
	}
	return names, nil
}

// Save writes a checkpoint of a step; files maps names to what writes them. best marks it as the best so
// far. Older checkpoints are then removed but the newest few and the best. An error leaves those that
// were there as they are.
func (s *Store) Save(step int, best bool, files map[string]func(io.Writer) error) error {
	return s.add(Manifest{Step: step, Best: best}, files)
}

// SaveBetween writes a checkpoint of a step at which none is due, because training stops there. The next one takes its place: a run
// that was stopped keeps in the end what it would have kept without.
func (s *Store) SaveBetween(step int, files map[string]func(io.Writer) error) error {
	return s.add(Manifest{Step: step, Between: true}, files)
}

func (s *Store) add(m Manifest, files map[string]func(io.Writer) error) error {
	name := fmt.Sprintf("step-%06d", m.Step)
	final := filepath.Join(s.dir, name)
	if err := s.save(final, m, files); err != nil {
		if errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) {
			return fmt.Errorf("save checkpoint %q: %w: %s: free some space there and start the same command again: it goes on from the last checkpoint", final, err, s.space(files))
		}
		return fmt.Errorf("save checkpoint %q: %w", final, err)
	}
	s.parent = m.Step
	return s.prune(m.Step)
}

// space says how much a checkpoint needs and how much there is.
func (s *Store) space(files map[string]func(io.Writer) error) string {
	need := counter{w: io.Discard}
	for _, name := range slices.Sorted(maps.Keys(files)) {
		if err := files[name](&need); err != nil {
			return "its size is not known"
		}
	}
	text := fmt.Sprintf("it needs %.1f MB", float64(need.n)/1e6)
	var disk syscall.Statfs_t
	if err := syscall.Statfs(s.dir, &disk); err == nil {
		text += fmt.Sprintf(" and %q has %.1f MB left", s.dir, float64(disk.Bavail)*float64(disk.Bsize)/1e6)
	}
	return text
}

func (s *Store) save(final string, m Manifest, files map[string]func(io.Writer) error) (err error) {
	if err := s.disk.Mkdir(s.dir); err != nil {
		return err
	}
	temporary := fmt.Sprintf("%s.tmp-%d", final, os.Getpid())
	if err := s.disk.RemoveAll(temporary); err != nil {
		return err
	}
	if err := s.disk.Mkdir(temporary); err != nil {
		return err
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.disk.RemoveAll(temporary))
		}
	}()
	m.Schema, m.Parent, m.Identity, m.Versions = manifestSchema, s.parent, s.opt.Identity, s.opt.Versions
	m.Files = map[string]ManifestItem{}
	for _, n := range slices.Sorted(maps.Keys(files)) {
		item, err := s.writeFile(filepath.Join(temporary, n), files[n])
		if err != nil {
			return fmt.Errorf("%s: %w", n, err)
		}
		m.Files[n] = item
	}
	text, err := m.seal()
	if err != nil {
		return err
	}
	write := func(w io.Writer) error { _, err := w.Write(text); return err }
	if _, err := s.writeFile(filepath.Join(temporary, manifestFile), write); err != nil {
		return fmt.Errorf("%s: %w", manifestFile, err)
	}
	if err := s.disk.SyncDir(temporary); err != nil {
		return err
	}
	// A checkpoint of this step can be there only where it did not verify or the same step was done again.
	old := filepath.Join(filepath.Dir(final), fmt.Sprintf("old-%06d.tmp-%d", m.Step, os.Getpid()))
	if _, err := os.Lstat(final); err == nil {
		if err := s.disk.Rename(final, old); err != nil {
			return err
		}
	}
	if err := s.disk.Rename(temporary, final); err != nil {
		if _, lost := os.Lstat(old); lost == nil {
			return errors.Join(err, s.disk.Rename(old, final))
		}
		return err
	}
	if err := s.disk.SyncDir(s.dir); err != nil {
		return err
	}
	return s.disk.RemoveAll(old)
}

// writeFile writes a file, brings it to disk and returns its size and hash.
func (s *Store) writeFile(path string, write func(io.Writer) error) (ManifestItem, error) {
	f, err := s.disk.Create(path)
	if err != nil {
		return ManifestItem{}, err
	}
	sum := sha256.New()
	counted := &counter{w: io.MultiWriter(f, sum)}
	if err := write(counted); err != nil {
		f.Close()
		return ManifestItem{}, err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return ManifestItem{}, err
	}
	if err := f.Close(); err != nil {
		return ManifestItem{}, err
	}
	return ManifestItem{Size: counted.n, SHA256: hex.EncodeToString(sum.Sum(nil))}, nil
}

type counter struct {
	w io.Writer
	n int64
}

func (c *counter) Write(p []byte) (int, error) {
	n, err := c.w.Write(p)
	c.n += int64(n)
	return n, err
}

// prune removes checkpoints but the newest few and the newest that is marked best; one between two that are due only stays as
// the newest. Damaged ones stay, and so does what is above the step just saved: the run went on from below it, so it did not verify.
func (s *Store) prune(saved int) error {
	steps, err := s.steps()
	if err != nil {
		return err
	}
	kept, bestKept := 0, false
	for i := len(steps) - 1; i >= 0; i-- {
		dir := filepath.Join(s.dir, steps[i])
		c, err := s.verify(steps[i]) // one that is damaged stands in for no other
		if err != nil || c.Step > saved {
			continue
		}
		isBest := c.best && !bestKept
		bestKept = bestKept || c.best
		if c.between && kept == 0 || !c.between && (kept < s.opt.Keep || isBest) {
			kept++
			continue
		}
		// Renamed first: a removal that is cut short must not leave half a checkpoint under its name.
		gone := filepath.Join(s.dir, fmt.Sprintf("gone-%06d.tmp-%d", c.Step, os.Getpid()))
		if err := s.disk.Rename(dir, gone); err != nil {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
		if err := s.disk.RemoveAll(gone); err != nil {
			return fmt.Errorf("remove old checkpoint: %w", err)
		}
	}
	return nil
}
