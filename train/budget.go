package train

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"

	"samtune/internal/featurecache"
)

// usage is the cache's use of its folder, and what that holds, as far as this process knows it: others may write there as well, so
// the budget is kept to within what they write meanwhile.
type usage struct {
	noted *featurecache.Use // nil where it could not be noted
	total int64
	mine  map[string]bool // files that this process has read: they are not given up for others
	full  bool            // there is nothing left that may be given up
}

// begin begins the use of the folder, before anything is read there. Where that can't be noted, as in another user's folder, files are
// used all the same: one that is removed is computed again.
func (c *EmbeddingCache) begin() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.disk == nil {
		c.disk = &usage{total: -1, mine: map[string]bool{}}
		c.disk.noted, _ = featurecache.Begin(context.Background(), c.Dir)
	}
}

// Close ends the use of the folder: what was used may be pruned from then on. What a GPU holds is freed.
func (c *EmbeddingCache) Close() {
	c.warming.Wait()
	c.letGo()
	if c.disk != nil && c.disk.noted != nil {
		_ = c.disk.noted.End() // it ends with the process at the latest
	}
	c.disk = nil
}

// touch marks a file as used, once.
func (c *EmbeddingCache) touch(path string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.disk.mine[path] {
		c.disk.mine[path] = true
		featurecache.Touch(path)
	}
}

// files lists the features in the folder, half written ones too.
func (c *EmbeddingCache) files() ([]featurecache.File, error) {
	files, err := featurecache.List(c.Dir)
	return slices.DeleteFunc(files, func(f featurecache.File) bool {
		return f.Kind != featurecache.Features && f.Kind != featurecache.Unfinished
	}), err
}

// reserve makes sure that size more bytes stay within the budget and counts them. Files that this process
// has not used are given up for them, those that were used longest ago first. It returns false where
// that is not enough.
func (c *EmbeddingCache) reserve(size int64) (bool, error) {
	if c.Budget <= 0 {
		return true, nil
	}
	c.begin()
	c.mu.Lock()
	defer c.mu.Unlock()
	u := c.disk
	if u.total < 0 {
		files, err := c.files()
		if err != nil {
			return false, err
		}
		u.total = 0
		for _, f := range files {
			u.total += f.Size
		}
	}
	if u.total+size > c.Budget && !u.full {
		if err := c.giveUp(u.total + size - c.Budget); err != nil {
			return false, err
		}
	}
	if u.total+size > c.Budget {
		return false, nil
	}
	u.total += size
	return true, nil
}

// giveUp removes files until need bytes are free or none is left that may go.
func (c *EmbeddingCache) giveUp(need int64) error {
	files, err := c.files()
	if err != nil {
		return err
	}
	for _, f := range files {
		if need <= 0 {
			return nil
		}
		if c.disk.mine[f.Path] {
			continue
		}
		if err := os.Remove(f.Path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("make room in the feature cache: %w", err)
		}
		need -= f.Size
		c.disk.total -= f.Size
	}
	c.disk.full = need > 0
	return nil
}
