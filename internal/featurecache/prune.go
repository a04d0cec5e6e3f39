package featurecache

import (
	"context"
	"errors"
	"fmt"
	"os"
	"time"

	"golang.org/x/sys/unix"
)

// Limits say which files go. Each that is set holds.
type Limits struct {
	Benchmark string        // whose files may go; empty: those of all
	All       bool          // all that may go go
	MaxBytes  int64         // that may stay of what may go; below 0: any number
	Unused    time.Duration // files that were not used for so long go; 0: none for that
}

// Pruned is what became of the files of a folder.
type Pruned struct {
	Removed []File
	Left    []File      // all that stays
	Held    []File      // of what stays, what the limits would have removed and a running process has used
	Uses    []time.Time // that are under way, by their beginning
}

const (
	// slack is how much earlier than it was a file system may call the time at which a file was used.
	slack = 2 * time.Second
	// writing is the age up to which a half written file may be one that is being written.
	writing = time.Hour
)

// Prune removes what is beyond the limits, files that were used longest ago first, and what processes that were killed left half written.
// It never removes what was used since the first of the uses under way began: see Begin. Two at once take their turns, and uses that
// want to begin wait. A dry run only says what would become of the files.
func Prune(ctx context.Context, dir string, limits Limits, dry bool) (*Pruned, error) {
	if _, err := os.Stat(dir); err != nil {
		if errors.Is(err, os.ErrNotExist) {
			return &Pruned{}, nil
		}
		return nil, fmt.Errorf("prune the feature cache: %w", err)
	}
	if !dry {
		locks, err := OpenLocks(dir, usesName)
		if err != nil {
			return nil, fmt.Errorf("prune the feature cache: %w", err)
		}
		defer locks.Close()
		if err := waitFor(ctx, func() (bool, error) { return locks.set(unix.F_WRLCK, pruning) }); err != nil {
			if errors.Is(err, errNoLocks) {
				err = fmt.Errorf("%w: whether another samtune uses the folder can't be told: where none does, remove it", err)
			}
			return nil, fmt.Errorf("prune the feature cache: %w", err)
		}
	}
	uses, err := Uses(dir)
	if err != nil {
		return nil, fmt.Errorf("prune the feature cache: %w", err)
	}
	files, err := List(dir)
	if err != nil {
		return nil, err
	}
	if err := Describe(ctx, files); err != nil {
		return nil, err
	}
	out := limits.sort(files, uses, time.Now())
	if dry {
		return out, nil
	}
	for i, f := range out.Removed {
		err := ctx.Err()
		if err == nil {
			err = os.Remove(f.Path)
		}
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			out.Left = append(out.Left, out.Removed[i:]...)
			out.Removed = out.Removed[:i]
			return out, err
		}
	}
	return out, nil
}

// sort says what becomes of files, which come in the order in which they were used.
func (l Limits) sort(files []File, uses []time.Time, now time.Time) *Pruned {
	out := &Pruned{Uses: uses}
	may := func(f File) bool {
		return f.Kind != Unfinished && (l.Benchmark == "" || f.Benchmark == l.Benchmark)
	}
	var total int64
	for _, f := range files {
		if may(f) {
			total += f.Size
		}
	}
	for _, f := range files {
		unused := now.Sub(f.Used)
		goes := may(f) && (l.All || l.Unused > 0 && unused >= l.Unused || l.MaxBytes >= 0 && total > l.MaxBytes)
		goes = goes || f.Kind == Unfinished && unused > writing
		held := len(uses) > 0 && !f.Used.Before(uses[0].Add(-slack))
		if goes && !held {
			out.Removed = append(out.Removed, f)
			if may(f) {
				total -= f.Size
			}
			continue
		}
		if goes {
			out.Held = append(out.Held, f)
		}
		out.Left = append(out.Left, f)
	}
	return out
}
