package featurecache

import (
	"context"
	"errors"
	"math"
	"os"
	"path/filepath"
	"time"

	"golang.org/x/sys/unix"
)

// usesName is the file of locks in which everyone who uses the folder holds the byte whose number is the time at which that began, in
// nanoseconds since 1970. What was used since the first of them began is theirs.
const usesName = ".running"

// pruning is the byte that Prune holds alone, and that a use holds together with others while it begins: so none begins unseen.
const pruning = 0

// Use is the use of a folder by a process under way.
type Use struct{ locks *Locks }

// Begin notes that the folder is used from now on, until End or the end of the process: Prune leaves what is used from then on. It
// waits for a Prune that is under way. Where the file system knows no locks nothing is noted, and Prune refuses.
func Begin(ctx context.Context, dir string) (*Use, error) {
	locks, err := OpenLocks(dir, usesName)
	if err != nil {
		return nil, err
	}
	u := &Use{locks}
	err = waitFor(ctx, func() (bool, error) { return locks.set(unix.F_RDLCK, pruning) })
	if err == nil {
		defer locks.Free(pruning)
		for at := time.Now().UnixNano(); ; at++ { // another may have begun in the same instant
			var ok bool
			if ok, err = locks.set(unix.F_WRLCK, at); ok || err != nil {
				break
			}
		}
	}
	if err != nil && !errors.Is(err, errNoLocks) {
		return nil, errors.Join(err, u.End())
	}
	return u, nil
}

// End ends the use.
func (u *Use) End() error { return u.locks.Close() }

// Uses returns when the uses of a folder that are under way began, the first one first.
func Uses(dir string) ([]time.Time, error) {
	at, err := heldIn(filepath.Join(dir, usesName), pruning+1, math.MaxInt64-1)
	began := make([]time.Time, len(at))
	for i, ns := range at {
		began[i] = time.Unix(0, ns)
	}
	return began, err
}

// Touch marks a file as used now: what was used longest ago is given up first. One that can't be marked, as in another user's
// folder, is only given up earlier.
func Touch(path string) {
	now := time.Now()
	_ = os.Chtimes(path, now, now)
}
