package train

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"

	"samtune/model"
)

// viewLocks keep two processes from sending the same view through the encoder: who does it holds the byte of one file that
// stands for the view. Such locks end with their process, leave no files behind, and hold over NFS.
type viewLocks struct{ f *os.File }

func (c *EmbeddingCache) openLocks() (*viewLocks, error) {
	err := os.MkdirAll(c.Dir, 0o755)
	if err == nil {
		var f *os.File
		if f, err = os.OpenFile(filepath.Join(c.Dir, ".encoding"), os.O_RDWR|os.O_CREATE, 0o644); err == nil {
			return &viewLocks{f}, nil
		}
	}
	return nil, fmt.Errorf("lock features: %w", err)
}

// Close frees all that is held.
func (l *viewLocks) Close() error { return l.f.Close() }

// at is the byte that stands for a view.
func (c *EmbeddingCache) at(m *model.Model, v View) int64 {
	sum := sha256.Sum256([]byte(c.Key(m, v, "")))
	return int64(binary.LittleEndian.Uint64(sum[:]) >> 2)
}

// try takes a view and says whether no other process has it. Where the file system knows no locks a view is always taken:
// the worst is that it is encoded twice.
func (l *viewLocks) try(at int64) (bool, error) {
	err := unix.FcntlFlock(l.f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_WRLCK, Start: at, Len: 1})
	switch {
	case errors.Is(err, unix.EAGAIN), errors.Is(err, unix.EACCES), errors.Is(err, unix.EINTR):
		return false, nil
	case errors.Is(err, unix.ENOLCK), errors.Is(err, unix.EINVAL), errors.Is(err, unix.ENOTSUP), errors.Is(err, unix.ENOSYS):
		return true, nil
	case err != nil:
		return false, fmt.Errorf("lock features in %q: %w", l.f.Name(), err)
	}
	return true, nil
}

// wait takes a view as soon as the process that has it gives it back or ends.
func (l *viewLocks) wait(ctx context.Context, at int64) error {
	for pause := 10 * time.Millisecond; ; pause = min(2*pause, time.Second) {
		if ok, err := l.try(at); ok || err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(pause):
		}
	}
}

// free gives a view back; Close does what fails here.
func (l *viewLocks) free(at int64) {
	_ = unix.FcntlFlock(l.f.Fd(), unix.F_OFD_SETLK, &unix.Flock_t{Type: unix.F_UNLCK, Start: at, Len: 1})
}
