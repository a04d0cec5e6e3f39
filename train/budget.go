package train

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"time"
)

// usage is what a cache's folder holds, as far as this process knows it: others may write there as well, so
// the budget is kept to within what they write meanwhile.
type usage struct {
	total int64
	mine  map[string]bool // files that this process has read: they are not given up for others
	full  bool            // there is nothing left that may be given up
}

// touch marks a file as used: what was used longest ago is given up first.
func (c *EmbeddingCache) touch(path string) {
	if c.disk == nil {
		c.disk = &usage{total: -1, mine: map[string]bool{}}
	}
	if c.disk.mine[path] {
		return
	}
	c.disk.mine[path] = true
	if c.Budget > 0 {
		now := time.Now()
		// A file that can't be marked, as in another user's folder, is only given up earlier.
		_ = os.Chtimes(path, now, now)
	}
}

// reserve makes sure that size more bytes stay within the budget and counts them. Files that this process
// has not used are given up for them, those that were used longest ago first. It returns false where
// that is not enough.
func (c *EmbeddingCache) reserve(size int64) (bool, error) {
	if c.Budget <= 0 {
		return true, nil
	}
	if c.disk == nil {
		c.disk = &usage{total: -1, mine: map[string]bool{}}
	}
	u := c.disk
	if u.total < 0 {
		files, err := cacheFiles(c.Dir)
		if err != nil {
			return false, err
		}
		u.total = 0
		for _, f := range files {
			u.total += f.size
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
	files, err := cacheFiles(c.Dir)
	if err != nil {
		return err
	}
	sort.Slice(files, func(i, j int) bool {
		if !files[i].used.Equal(files[j].used) {
			return files[i].used.Before(files[j].used)
		}
		return files[i].path < files[j].path
	})
	for _, f := range files {
		if need <= 0 {
			return nil
		}
		if c.disk.mine[f.path] {
			continue
		}
		if err := os.Remove(f.path); err != nil && !errors.Is(err, os.ErrNotExist) {
			return fmt.Errorf("make room in the feature cache: %w", err)
		}
		need -= f.size
		c.disk.total -= f.size
	}
	c.disk.full = need > 0
	return nil
}

// cacheName is what the cache calls its files, and what a killed process may leave of one: nothing else in
// the folder is counted or removed.
var cacheName = regexp.MustCompile(`^(\.?)[0-9a-f]{64}\.safetensors(\.tmp-\d+)?$`)

type cacheFile struct {
	path string
	size int64
	used time.Time
}

// cacheFiles lists the files of a cache's folder; none where there is no folder yet.
func cacheFiles(dir string) ([]cacheFile, error) {
	var out []cacheFile
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			if errors.Is(err, os.ErrNotExist) { // another process gave it up
				return nil
			}
			return err
		}
		if d.IsDir() || !cacheName.MatchString(d.Name()) {
			return nil
		}
		info, err := d.Info()
		if errors.Is(err, os.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		out = append(out, cacheFile{path, info.Size(), info.ModTime()})
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the feature cache: %w", err)
	}
	return out, nil
}
