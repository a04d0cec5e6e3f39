package featurecache

import (
	"bytes"
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"samtune/checkpoints"
)

// place is the path of a file of a kind whose hash begins with a letter.
func place(dir string, kind Kind, letter string) string {
	hash := strings.Repeat(letter, 64)
	switch kind {
	case Features:
		return filepath.Join(dir, hash[:2], hash+".safetensors")
	case Answers:
		return filepath.Join(AnswersIn(dir), hash[:2], hash+".gob.gz")
	case Slices:
		return filepath.Join(SlicesIn(dir), hash[:32]+".json")
	}
	return filepath.Join(dir, hash[:2], "."+hash+".safetensors.tmp-123")
}

// put makes a file of a kind that was used some time ago.
func put(t testing.TB, dir string, kind Kind, letter, benchmark string, ago time.Duration) string {
	t.Helper()
	path := place(dir, kind, letter)
	var err error
	switch kind {
	case Features:
		err = Write(path, benchmark, checkpoints.Tensor{Info: checkpoints.Info{Name: "x", DType: "F16", Shape: []int64{500}}, Data: make([]byte, 1000)})
	case Answers:
		err = WriteAnswer(path, benchmark, map[string]int{"a": 1})
	case Slices:
		err = WriteSlices(path, benchmark, map[string][]int{"liver": {1, 2}})
	default:
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = os.WriteFile(path, make([]byte, 10), 0o644)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
	age(t, path, ago)
	return path
}

func age(t testing.TB, path string, ago time.Duration) {
	t.Helper()
	when := time.Now().Add(-ago)
	if err := os.Chtimes(path, when, when); err != nil {
		t.Fatal(err)
	}
}

func list(t testing.TB, dir string) []File {
	t.Helper()
	files, err := List(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := Describe(context.Background(), files); err != nil {
		t.Fatal(err)
	}
	return files
}

func TestListTellsKindsBenchmarksAndOrder(t *testing.T) {
	dir := t.TempDir()
	put(t, dir, Features, "a", "drive", time.Hour)
	put(t, dir, Answers, "b", "сетчатка & co", 3*time.Hour)
	put(t, dir, Slices, "c", "amos_ct", 2*time.Hour)
	put(t, dir, Unfinished, "d", "", 4*time.Hour)
	put(t, dir, Features, "e", "", 5*time.Hour)
	old := place(dir, Slices, "f")
	if err := os.WriteFile(old, []byte(`{"liver":[3]}`), 0o644); err != nil {
		t.Fatal(err)
	}
	age(t, old, 6*time.Hour)
	for _, foreign := range []string{"notes.safetensors", "aa/notes.txt", "zeroshot/mine.gob.gz", ".encoding", "aa/" + strings.Repeat("b", 64) + ".safetensors.bak"} {
		path := filepath.Join(dir, foreign)
		if err := os.WriteFile(path, []byte("mine"), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	var got []string
	for _, f := range list(t, dir) {
		got = append(got, string(f.Kind)+" "+f.Benchmark)
	}
	want := []string{"slices unknown", "features unknown", "unfinished unknown", "answers сетчатка & co", "slices amos_ct", "features drive"}
	if !slices.Equal(got, want) {
		t.Errorf("files are %q, want %q", got, want)
	}
	if counts, err := ReadSlices(old); err != nil || !slices.Equal(counts["liver"], []int{3}) {
		t.Errorf("slices of an earlier version are %v, %v", counts, err)
	}
	link := filepath.Join(t.TempDir(), "link")
	if err := os.Symlink(dir, link); err != nil {
		t.Fatal(err)
	}
	if files, err := List(link); err != nil || len(files) != len(want) {
		t.Errorf("behind a link: %d files, %v", len(files), err)
	}
	if files, err := List(filepath.Join(dir, "none")); err != nil || len(files) != 0 {
		t.Errorf("without a folder: %v, %v", files, err)
	}
}

// TestTheBenchmarkDecidesNothing writes one tensor for two benchmarks: content and checksum are the same.
func TestTheBenchmarkDecidesNothing(t *testing.T) {
	dir := t.TempDir()
	var data [2][]byte
	for i, benchmark := range []string{"drive", ""} {
		path := put(t, dir, Features, "ab"[i:i+1], benchmark, 0)
		if err := Read(path, "x", "F16", func(_ []int64, b []byte) error { data[i] = bytes.Clone(b); return nil }); err != nil {
			t.Fatal(err)
		}
	}
	if !bytes.Equal(data[0], data[1]) {
		t.Error("the content differs")
	}
}

func TestVerify(t *testing.T) {
	for _, kind := range []Kind{Features, Answers, Slices} {
		for name, damage := range map[string]func([]byte) []byte{
			"whole":         func(b []byte) []byte { return b },
			"a flipped bit": func(b []byte) []byte { b[len(b)-1] ^= 1; return b },
			"cut in half":   func(b []byte) []byte { return b[:len(b)/2] },
			"empty":         func(b []byte) []byte { return nil },
			"other":         func(b []byte) []byte { return []byte("this is something else altogether") },
		} {
			t.Run(string(kind)+" "+name, func(t *testing.T) {
				dir := t.TempDir()
				path := put(t, dir, kind, "a", "drive", 0)
				content, err := os.ReadFile(path)
				if err == nil {
					err = os.WriteFile(path, damage(content), 0o644)
				}
				if err != nil {
					t.Fatal(err)
				}
				err = list(t, dir)[0].Verify()
				if name == "whole" && err != nil || name != "whole" && !errors.Is(err, checkpoints.ErrCorrupt) {
					t.Errorf("error %v", err)
				}
			})
		}
	}
	gone := File{Path: filepath.Join(t.TempDir(), "gone"), Kind: Features}
	if err := gone.Verify(); !errors.Is(err, os.ErrNotExist) || errors.Is(err, checkpoints.ErrCorrupt) {
		t.Errorf("a file that is gone: %v", err)
	}
}

func TestPrune(t *testing.T) {
	const day = 24 * time.Hour
	size := func(path string) int64 {
		info, err := os.Stat(path)
		if err != nil {
			t.Fatal(err)
		}
		return info.Size()
	}
	dir := t.TempDir()
	one := size(put(t, dir, Features, "a", "drive", 0))
	for name, c := range map[string]struct {
		limits Limits
		gone   string // first letters of what is removed
	}{
		"nothing beyond":      {Limits{MaxBytes: 10 * one}, ""},
		"size":                {Limits{MaxBytes: 2 * one}, "ab"},
		"size of a benchmark": {Limits{MaxBytes: one, Benchmark: "drive"}, "a"},
		"age":                 {Limits{MaxBytes: -1, Unused: 25 * day}, "ab"},
		"age and size":        {Limits{MaxBytes: one, Unused: 35 * day}, "abc"},
		"a benchmark":         {Limits{MaxBytes: -1, All: true, Benchmark: "drive"}, "ac"},
		"unknown":             {Limits{MaxBytes: -1, All: true, Benchmark: Unknown}, "d"},
		"all":                 {Limits{MaxBytes: -1, All: true}, "abcd"},
	} {
		for _, dry := range []bool{true, false} {
			t.Run(name, func(t *testing.T) {
				dir := t.TempDir()
				put(t, dir, Features, "a", "drive", 40*day)
				put(t, dir, Features, "b", "acdc", 30*day)
				put(t, dir, Features, "c", "drive", 20*day)
				put(t, dir, Features, "d", "", 10*day)
				put(t, dir, Unfinished, "e", "", time.Minute) // may be written right now
				left := put(t, dir, Unfinished, "f", "", 2*time.Hour)
				p, err := Prune(context.Background(), dir, c.limits, dry)
				if err != nil {
					t.Fatal(err)
				}
				for _, l := range "abcd" {
					_, err := os.Stat(place(dir, Features, string(l)))
					if want := !dry && strings.ContainsRune(c.gone, l); (err != nil) != want {
						t.Errorf("file %c: gone %v, want %v", l, err != nil, want)
					}
				}
				if _, err := os.Stat(left); (err == nil) != dry {
					t.Errorf("what a killed process left: %v", err)
				}
				if _, err := os.Stat(place(dir, Unfinished, "e")); err != nil {
					t.Error("what may be under way was removed")
				}
				if len(p.Removed) != len(c.gone)+1 || len(p.Removed)+len(p.Left) != 6 || len(p.Held) != 0 {
					t.Errorf("%d removed, %d left, %d held: want %d removed", len(p.Removed), len(p.Left), len(p.Held), len(c.gone)+1)
				}
			})
		}
	}
}

// TestPruneLeavesWhatIsInUse has two uses, as of two processes, each with a file that it read.
func TestPruneLeavesWhatIsInUse(t *testing.T) {
	dir := t.TempDir()
	ctx := context.Background()
	begin := func() *Use {
		u, err := Begin(ctx, dir)
		if err != nil {
			t.Fatal(err)
		}
		return u
	}
	all := func() *Pruned {
		p, err := Prune(ctx, dir, Limits{All: true, MaxBytes: -1}, false)
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	put(t, dir, Features, "a", "drive", time.Hour)
	read := put(t, dir, Features, "b", "drive", time.Hour)
	first, second := begin(), begin()
	if uses, err := Uses(dir); err != nil || len(uses) != 2 || !uses[0].Before(uses[1]) || time.Since(uses[0]) > time.Minute {
		t.Errorf("uses %v, %v: want two, the first one first", uses, err)
	}
	Touch(read)
	p := all()
	if len(p.Removed) != 1 || p.Removed[0].Path == read || len(p.Held) != 1 || p.Held[0].Path != read || len(p.Uses) != 2 {
		t.Errorf("%+v: want the file removed that nobody read, and the other one held", p)
	}
	if err := first.End(); err != nil {
		t.Fatal(err)
	}
	if p = all(); len(p.Held) != 1 {
		t.Error("the second use holds nothing")
	}
	if err := second.End(); err != nil {
		t.Fatal(err)
	}
	if p = all(); len(p.Removed) != 1 || len(p.Left) != 0 {
		t.Errorf("after both ended: %+v", p)
	}
}

// TestNothingBeginsWhilePruning holds the byte that Prune holds.
func TestNothingBeginsWhilePruning(t *testing.T) {
	dir := t.TempDir()
	locks, err := OpenLocks(dir, usesName)
	if err != nil {
		t.Fatal(err)
	}
	if ok, err := locks.Try(pruning); !ok || err != nil {
		t.Fatal(ok, err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 50*time.Millisecond)
	defer cancel()
	if _, err := Begin(ctx, dir); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("a use began while files were removed: %v", err)
	}
	if _, err := Prune(ctx, dir, Limits{All: true}, false); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("two removed files at once: %v", err)
	}
	if _, err := Prune(context.Background(), dir, Limits{All: true}, true); err != nil {
		t.Errorf("a dry run waits: %v", err)
	}
	locks.Close()
	u, err := Begin(context.Background(), dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := u.End(); err != nil {
		t.Error(err)
	}
}
