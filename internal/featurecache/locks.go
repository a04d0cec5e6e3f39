package featurecache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// Locks are the bytes of a file that processes hold, each standing for something. They end with their process, leave no files
// behind, and hold over NFS.
type Locks struct{ f *os.File }

// OpenLocks opens the locks of a name in a folder, both of which are made where they are missing.
func OpenLocks(dir, name string) (*Locks, error) {
	err := os.MkdirAll(dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(dir, name), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
			return &Locks{f}, nil
		}
	}
	return nil, fmt.Errorf("lock features: %w", err)
}

// Close frees all that is held.
func (l *Locks) Close() error { return l.f.Close() }

// Try takes a byte and says whether no other process has it. Where the file system knows no locks it is always taken: the worst is
// that a view is encoded twice.
func (l *Locks) Try(at int64) (bool, error) {
	ok, err := l.set(unix.F_WRLCK, at)
	if errors.Is(err, errNoLocks) {
		return true, nil
	}
	return ok, err
}

// errNoLocks says that the file system knows no locks.
var errNoLocks = errors.New("its file system knows no locks")

// set takes or frees a byte.
func (l *Locks) set(kind int16, at int64) (bool, error) {
	err := unix.FcntlFlock(l.f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: kind, Start: at, Len: 1})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINTR):
		return false, nil
	case err != nil:
		return false, fmt.Errorf("lock features in %q: %w", l.f.Name(), lockError(err))
	}
	return true, nil
}

func lockError(err error) error {
	for _, none := range []error{unix.ENOLCK, unix.EINVAL, unix.ENOTSUP, unix.ENOSYS} {
		if errors.Is(err, none) {
			return fmt.Errorf("%w (%w)", errNoLocks, err)
		}
	}
	return err
}

// Wait takes a byte as soon as the process that has it gives it back or ends.
func (l *Locks) Wait(ctx context.Context, at int64) error {
	return waitFor(ctx, func() (bool, error) { return l.Try(at) })
}

// waitFor tries until it works.
func waitFor(ctx context.Context, try func() (bool, error)) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if ok, err := try(); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// Free gives a byte back; Close does what fails here.
func (l *Locks) Free(at int64) { _, _ = l.set(unix.F_UNLCK, at) }

// heldIn lists the bytes from first to last, rising, that others hold alone in a file of locks. Nothing is held where there is no file.
func heldIn(path string, first, last int64) ([]int64, error) {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("look for locks: %w", err)
	}
	defer f.Close()
	return held(f, first, last)
}

// held asks for any lock in a range, and then on both sides of the one that it is told.
func held(f *os.File, first, last int64) ([]int64, error) {
	if first > last {
		return nil, nil
	}
	// A lock for reading is in the way of one for writing alone, so those who only look are in nobody's way.
	l := unix.Flock_t{Type: unix.F_RDLCK, Start: first, Len: last - first + 1}
	if err := unix.FcntlFlock(f.Fd(), unix.F_OFD_GETLK, &l); err != nil {
		return nil, fmt.Errorf("look for locks in %q: %w", f.Name(), lockError(err))
	}
	if l.Type == unix.F_UNLCK {
		return nil, nil
	}
	before, err := held(f, first, l.Start-1)
	if err != nil {
		return nil, err
	}
	after, err := held(f, l.Start+max(l.Len, 1), last)
	return append(append(before, l.Start), after...), err
}
