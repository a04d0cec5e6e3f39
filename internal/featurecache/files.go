// Package featurecache is the folder in which runs keep what can be made again: the encoder's features and what is made of them, what
// zero-shot prompts were answered with, and what is in which slice of a volume. A file is named by a hash of all that decides its
// content. The package knows nothing of libtorch.
package featurecache

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"
)

// Kind is what a file of the folder holds.
type Kind string

// Kinds of files.
const (
	Features   Kind = "features"   // of the encoder, and what convex heads make of them
	Answers    Kind = "answers"    // to zero-shot prompts
	Slices     Kind = "slices"     // what is in which slice of a volume
	Unfinished Kind = "unfinished" // half written, as a process that was killed leaves it
)

// Kinds lists them in the order of tables.
func Kinds() []Kind { return []Kind{Features, Answers, Slices, Unfinished} }

// Unknown is the benchmark of files that do not say of which they are.
const Unknown = "unknown"

// Folders within the folder, for what is not features.
const (
	answersDir = "zeroshot"
	slicesDir  = "slices"
)

// In is the folder in the cache folder of samtune.
func In(cache string) string { return filepath.Join(cache, "features") }

// AnswersIn is where the answers to zero-shot prompts are kept.
func AnswersIn(dir string) string { return filepath.Join(dir, answersDir) }

// SlicesIn is where it is kept what is in which slice.
func SlicesIn(dir string) string { return filepath.Join(dir, slicesDir) }

// layout tells by its path what a file is. Whatever has another path is not the cache's and is never counted or removed.
var layout = []struct {
	kind Kind
	path *regexp.Regexp
}{
	{Features, regexp.MustCompile(`^[0-9a-f]{2}/[0-9a-f]{64}\.safetensors$`)},
	{Answers, regexp.MustCompile(`^` + answersDir + `/[0-9a-f]{2}/[0-9a-f]{64}\.gob\.gz$`)},
	{Slices, regexp.MustCompile(`^` + slicesDir + `/[0-9a-f]{32}\.json$`)},
	{Unfinished, regexp.MustCompile(`^([0-9a-f]{2}/\.[0-9a-f]{64}\.safetensors\.tmp-|` + answersDir + `/[0-9a-f]{2}/\.[0-9a-f]{64}\.gob\.gz|` +
		slicesDir + `/\.[0-9a-f]{32}\.json)\d+$`)},
}

// File is a file of the cache.
type File struct {
	Path      string
	Kind      Kind
	Size      int64     // bytes
	Used      time.Time // when it was written or read last
	Benchmark string    // that it was made for first; Unknown where it does not say. Empty until Describe
}

// List lists the files of a folder, those that were used longest ago first; none where there is no folder yet.
func List(dir string) ([]File, error) {
	var out []File
	// With the separator a folder is walked that a link leads to.
	err := filepath.WalkDir(dir+string(filepath.Separator), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, os.ErrNotExist) { // another process gave it up
			return nil
		}
		if err != nil || d.IsDir() {
			return err
		}
		within, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		for _, l := range layout {
			if !l.path.MatchString(filepath.ToSlash(within)) {
				continue
			}
			info, err := d.Info()
			if errors.Is(err, os.ErrNotExist) || err == nil && !info.Mode().IsRegular() {
				return nil
			}
			if err != nil {
				return err
			}
			out = append(out, File{Path: path, Kind: l.kind, Size: info.Size(), Used: info.ModTime()})
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the feature cache: %w", err)
	}
	slices.SortFunc(out, func(a, b File) int {
		if c := a.Used.Compare(b.Used); c != 0 {
			return c
		}
		return strings.Compare(a.Path, b.Path)
	})
	return out, nil
}

// Describe fills in the benchmarks of files, which takes a look into each.
func Describe(ctx context.Context, files []File) error {
	for i := range files {
		if err := ctx.Err(); err != nil {
			return err
		}
		files[i].Benchmark = files[i].benchmark()
	}
	return nil
}
