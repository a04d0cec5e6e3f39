package checkpoints

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
)

var errDisk = errors.New("injected I/O error")

// faultyDisk fails its operation number at, none where that is 0; one that stays broken fails every later one
// too, as after a power cut. It does not wait for the real disk.
type faultyDisk struct {
	real  realDisk
	at, n int
	stays bool
	why   error // nil: errDisk
}

func (d *faultyDisk) fault() error {
	if d.why != nil {
		return d.why
	}
	return errDisk
}

func (d *faultyDisk) fails() bool {
	d.n++
	return d.n == d.at || d.stays && d.n > d.at && d.at > 0
}

func (d *faultyDisk) do(op func() error) error {
	if d.fails() {
		return d.fault()
	}
	return op()
}

func (d *faultyDisk) Mkdir(path string) error {
	return d.do(func() error { return d.real.Mkdir(path) })
}
func (d *faultyDisk) SyncDir(path string) error {
	return d.do(func() error { return nil })
}
func (d *faultyDisk) Rename(from, to string) error {
	return d.do(func() error { return d.real.Rename(from, to) })
}

// RemoveAll that fails has removed a part, the manifest, as os.RemoveAll may.
func (d *faultyDisk) RemoveAll(path string) error {
	if d.fails() {
		return errors.Join(d.fault(), d.real.RemoveAll(filepath.Join(path, manifestFile)))
	}
	return d.real.RemoveAll(path)
}

func (d *faultyDisk) Create(path string) (writeSyncer, error) {
	if d.fails() {
		return nil, d.fault()
	}
	f, err := d.real.Create(path)
	return &faultyFile{f, d}, err
}

type faultyFile struct {
	writeSyncer
	disk *faultyDisk
}

// Write that fails has written a half.
func (f *faultyFile) Write(p []byte) (int, error) {
	if f.disk.fails() {
		n, err := f.writeSyncer.Write(p[:len(p)/2])
		return n, errors.Join(f.disk.fault(), err)
	}
	return f.writeSyncer.Write(p)
}

func (f *faultyFile) Sync() error { return f.disk.do(func() error { return nil }) }

func (f *faultyFile) Close() error {
	err := f.writeSyncer.Close()
	if f.disk.fails() {
		return f.disk.fault()
	}
	return err
}

// Every operation of Save fails in turn, until there is none left to fail. Whatever happens, a checkpoint
// can be read; it is the new one where Save succeeded; and the best stays.
func TestEveryOperationOfSaveFailsInTurn(t *testing.T) {
	for _, scene := range []struct {
		name   string
		before []int // steps saved; the first is the best
		keep   int
		step   int
	}{
		{"a new step", []int{1}, 2, 2},
		{"with others to remove", []int{1, 2, 3}, 1, 4},
		{"a step again", []int{1, 2}, 2, 2},
		{"the only step again", []int{2}, 2, 2},
		{"the first of all", nil, 2, 1},
	} {
		for _, stays := range []bool{false, true} {
			t.Run(fmt.Sprintf("%s, broken for good %v", scene.name, stays), func(t *testing.T) {
				failed := 0
				for at := 1; ; at++ {
					if at > 200 {
						t.Fatal("Save has no end of operations")
					}
					if !saveWithFault(t, scene.before, scene.keep, scene.step, at, stays) {
						break
					}
					failed++
				}
				if failed < 15 {
					t.Errorf("%d operations failed in turn, want every one of at least 15", failed)
				}
				t.Logf("%d operations failed in turn", failed)
			})
		}
	}
}

// TestWhatTheDiskSaysIsKept: a full disk, one that may not be written, a call that is interrupted, whichever operation it is: the error is the
// disk's and says of what, and the checkpoint before is read.
func TestWhatTheDiskSaysIsKept(t *testing.T) {
	for _, why := range []error{syscall.ENOSPC, syscall.EROFS, syscall.EINTR, syscall.EIO} {
		for at := 1; ; at++ {
			dir := filepath.Join(t.TempDir(), "run")
			save(t, onDisk(t, dir, 2, &faultyDisk{}), 1, true)
			d := &faultyDisk{at: at, why: why, stays: true}
			err := onDisk(t, dir, 2, d).Save(2, false, stepFiles(2))
			if d.n < at {
				break
			}
			if !errors.Is(err, why) || !strings.Contains(err.Error(), "checkpoint") || !strings.Contains(err.Error(), dir) {
				t.Errorf("operation %d with %v: %v: want the disk's error with the place", at, why, err)
			}
			if got, damaged := latest(t, onDisk(t, dir, 2, &faultyDisk{})); got < 1 || len(damaged) > 0 {
				t.Errorf("operation %d with %v: latest is %d, damaged %v", at, why, got, damaged)
			}
		}
	}
}

// saveWithFault says whether the operation at was reached.
func saveWithFault(t *testing.T, before []int, keep, step, at int, stays bool) bool {
	dir := filepath.Join(t.TempDir(), "run")
	for i, old := range before {
		save(t, onDisk(t, dir, 9, &faultyDisk{}), old, i == 0)
	}
	d := &faultyDisk{at: at, stays: stays}
	saveErr := onDisk(t, dir, keep, d).Save(step, false, stepFiles(step))
	reached := d.n >= at
	switch {
	case reached && saveErr == nil:
		t.Errorf("operation %d failed and Save says nothing", at)
	case !reached && saveErr != nil:
		t.Fatalf("Save: %v", saveErr)
	case saveErr != nil && (!errors.Is(saveErr, errDisk) || !strings.Contains(saveErr.Error(), "checkpoint")):
		t.Errorf("operation %d: %v", at, saveErr)
	}
	s := onDisk(t, dir, keep, &faultyDisk{}) // as the next start of the program
	got, damaged := latest(t, s)
	var newest int
	if len(before) > 0 {
		newest = slices.Max(before)
	}
	if len(damaged) > 0 || got != newest && got != step || saveErr == nil && got != step {
		t.Fatalf("operation %d (%v): latest is %d, damaged %v", at, saveErr, got, damaged)
	}
	if len(before) > 0 && before[0] != step {
		if best, err := s.Best(); err != nil || best.Step != before[0] {
			t.Fatalf("operation %d (%v): best is %v, %v", at, saveErr, best, err)
		}
	}
	for _, name := range entriesOf(t, s) {
		if !stepName.MatchString(name) {
			t.Errorf("operation %d: %q is left after the next start", at, name)
		}
	}
	save(t, s, step+1, false)
	if got, damaged := latest(t, s); got != step+1 || len(damaged) > 0 {
		t.Errorf("operation %d: after the next save latest is %d, damaged %v", at, got, damaged)
	}
	return reached
}

func onDisk(t *testing.T, dir string, keep int, d disk) *Store {
	t.Helper()
	s, err := openStore(dir, StoreOptions{Keep: keep}, d)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func entriesOf(t *testing.T, s *Store) []string {
	t.Helper()
	names, err := s.entries()
	if err != nil {
		t.Fatal(err)
	}
	return names
}
