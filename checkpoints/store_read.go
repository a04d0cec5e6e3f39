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
	"slices"
	"sort"
)

// Checkpoint is one whose manifest was verified.
type Checkpoint struct {
	Dir           string
	Step          int
	best, between bool
}

// Path returns the path of one of its files.
func (c *Checkpoint) Path(name string) string { return filepath.Join(c.Dir, name) }

// ReadFile returns the content of one of its files.
func (c *Checkpoint) ReadFile(name string) ([]byte, error) {
	b, err := os.ReadFile(c.Path(name))
	if err != nil {
		return nil, fmt.Errorf("read checkpoint: %w", err)
	}
	return b, nil
}

// Latest returns the checkpoint of the highest step that verifies, nil where there is none, and what is
// wrong with the ones above it, which are left where they are. A Save that was killed when its checkpoint was there may have left
// older ones: they are removed as it would have done.
func (s *Store) Latest() (c *Checkpoint, damaged []error, err error) {
	c, damaged, err = s.find(func(*Checkpoint) bool { return true })
	if c != nil {
		s.parent = c.Step
		err = s.prune(c.Step)
	}
	return c, damaged, err
}

// Best returns the newest checkpoint that was marked as best and verifies.
func (s *Store) Best() (*Checkpoint, error) {
	c, damaged, err := s.find(func(c *Checkpoint) bool { return c.best })
	if err == nil && c == nil {
		err = fmt.Errorf("find best checkpoint in %q: %w", s.dir, errors.Join(append([]error{ErrNone}, damaged...)...))
	}
	return c, err
}

func (s *Store) find(wanted func(*Checkpoint) bool) (*Checkpoint, []error, error) {
	steps, err := s.steps()
	if err != nil {
		return nil, nil, err
	}
	var damaged []error
	for i := len(steps) - 1; i >= 0; i-- {
		c, err := s.verify(steps[i])
		switch {
		case errors.Is(err, ErrCorrupt):
			damaged = append(damaged, err)
		case err != nil:
			return nil, damaged, err
		case wanted(c):
			return c, damaged, nil
		}
	}
	return nil, damaged, nil
}

func (s *Store) steps() ([]string, error) {
	names, err := s.entries()
	if err != nil {
		return nil, err
	}
	var out []string
	for _, n := range names {
		if stepName.MatchString(n) {
			out = append(out, n)
		}
	}
	sort.Slice(out, func(i, j int) bool {
		return len(out[i]) < len(out[j]) || len(out[i]) == len(out[j]) && out[i] < out[j]
	})
	return out, nil
}

// verify compares every file of a checkpoint with its manifest.
func (s *Store) verify(name string) (*Checkpoint, error) {
	dir := filepath.Join(s.dir, name)
	m, err := readManifest(dir)
	if err != nil {
		return nil, err
	}
	if s.opt.Identity != "" && m.Identity != s.opt.Identity {
		return nil, fmt.Errorf("checkpoint %q belongs to another run (%.12s, this is %.12s)", dir, m.Identity, s.opt.Identity)
	}
	for _, file := range slices.Sorted(maps.Keys(m.Files)) {
		if !filepath.IsLocal(file) {
			return nil, fmt.Errorf("checkpoint %q: %w: manifest names %q", dir, ErrCorrupt, file)
		}
		if err := verifyFile(filepath.Join(dir, file), m.Files[file]); err != nil {
			return nil, err
		}
	}
	return &Checkpoint{Dir: dir, Step: m.Step, best: m.Best, between: m.Between}, nil
}

func readManifest(dir string) (*Manifest, error) {
	path := filepath.Join(dir, manifestFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("checkpoint %q: %w: %w", dir, ErrCorrupt, err)
	}
	var m Manifest
	if err := json.Unmarshal(text, &m); err != nil {
		return nil, fmt.Errorf("checkpoint manifest %q: %w: %w", path, ErrCorrupt, err)
	}
	sealed, err := m.seal()
	if err != nil {
		return nil, err
	}
	if m.Schema != manifestSchema {
		return nil, fmt.Errorf("checkpoint manifest %q: %w, or of another version of samtune: schema %d, want %d", path, ErrCorrupt, m.Schema, manifestSchema)
	}
	if !bytes.Equal(sealed, text) || fmt.Sprintf("step-%06d", m.Step) != filepath.Base(dir) {
		return nil, fmt.Errorf("checkpoint manifest %q: %w: its content differs from its checksum", path, ErrCorrupt)
	}
	return &m, nil
}

func verifyFile(path string, want ManifestItem) error {
	f, err := os.Open(path)
	if err != nil {
		return fmt.Errorf("checkpoint file %q: %w: %w", path, ErrCorrupt, err)
	}
	defer f.Close()
	sum := sha256.New()
	n, err := io.Copy(sum, f)
	if err != nil {
		return fmt.Errorf("checkpoint file %q: %w", path, err)
	}
	if got := hex.EncodeToString(sum.Sum(nil)); n != want.Size || got != want.SHA256 {
		return fmt.Errorf("checkpoint file %q: %w: %d bytes with SHA-256 %.12s, want %d with %.12s", path, ErrCorrupt, n, got, want.Size, want.SHA256)
	}
	return nil
}
