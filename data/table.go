package data

import (
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// table says which columns of a CSV file, with a header, hold what. Paths in it are relative to its folder; several masks of
// one target are separated by semicolons.
type table struct {
	File    string            `toml:"file"`    // in the data set's folder
	ID      string            `toml:"id"`      // column of names; missing: the image's file name without its ending
	Image   string            `toml:"image"`   // missing: "image"
	Masks   map[string]string `toml:"masks"`   // by target; missing: a column called as the target
	Valid   string            `toml:"valid"`   // field of view; missing: all counts
	Patient string            `toml:"patient"` // missing: [patient] says, or each case is of its own
	Split   string            `toml:"split"`   // missing: every second patient is tested
	Train   []string          `toml:"train"`   // values of split; missing: "train"
	Test    []string          `toml:"test"`    // missing: "test"
	Skip    []string          `toml:"skip"`    // rows that are left out
}

func (t *table) check(d *Decl) error {
	if t == nil {
		return nil
	}
	if t.File == "" {
		return fmt.Errorf("table.file is missing: the CSV file in the data set's folder")
	}
	for target := range t.Masks {
		if !slices.Contains(d.Targets, target) {
			return fmt.Errorf("table.masks.%s is of no target", target)
		}
	}
	if d.sliced() && t.Valid != "" {
		return fmt.Errorf("table.valid is of pictures, not of volumes")
	}
	t.Image = cmp.Or(t.Image, "image")
	if len(t.Train) == 0 {
		t.Train = []string{"train"}
	}
	if len(t.Test) == 0 {
		t.Test = []string{"test"}
	}
	return nil
}

// open fills b with the table's cases. Where there is no such file that is the reason.
func (t *table) open(b *Benchmark, dir string, d *Decl, opt Options) (reason string, err error) {
	path := filepath.Join(dir, filepath.FromSlash(t.File))
	f, err := os.Open(path)
	if errors.Is(err, os.ErrNotExist) {
		return "there is no " + t.File, nil
	}
	if err != nil {
		return "", fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		return "", fmt.Errorf("%w: read %q: header: %w", ErrInvalid, path, err)
	}
	for i := range header {
		header[i] = strings.TrimSpace(strings.TrimPrefix(header[i], "\ufeff"))
	}
	var pool, test []fileCase
	for {
		row, err := r.Read()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			return "", fmt.Errorf("%w: read %q: %w", ErrInvalid, path, err)
		}
		c, side, err := t.row(d, filepath.Dir(path), header, row)
		if err != nil {
			line, _ := r.FieldPos(0)
			return "", fmt.Errorf("%w: read %q: line %d: %w", ErrInvalid, path, line, err)
		}
		switch side {
		case sidePool:
			pool = append(pool, *c)
		case sideTest:
			test = append(test, *c)
		}
	}
	if len(pool) == 0 {
		return "", fmt.Errorf("%w: read %q: it has no case to train on", ErrInvalid, path)
	}
	if t.Split != "" && len(test) == 0 {
		return "", fmt.Errorf("%w: read %q: no case has %v in column %s: none is tested", ErrInvalid, path, t.Test, t.Split)
	}
	byID := func(a, b fileCase) int { return strings.Compare(a.id, b.id) }
	slices.SortFunc(pool, byID)
	slices.SortFunc(test, byID)
	b.Layout = "table " + t.File
	return "", b.fill(dir, d, pool, test, opt)
}

// Sides of a split that a row may be on.
const (
	sideNone = iota
	sidePool
	sideTest
)

// row reads one case.
func (t *table) row(d *Decl, dir string, header, row []string) (c *fileCase, side int, err error) {
	cell := func(column string) (string, error) {
		i := slices.Index(header, column)
		if i < 0 {
			return "", fmt.Errorf("there is no column %q: it has %s", column, strings.Join(header, ", "))
		}
		v := strings.TrimSpace(row[i])
		if v == "" {
			return "", fmt.Errorf("column %s is empty", column)
		}
		return v, nil
	}
	side = sidePool
	if t.Split != "" {
		v, err := cell(t.Split)
		if err != nil {
			return nil, side, err
		}
		switch {
		case slices.Contains(t.Skip, v):
			return nil, sideNone, nil
		case slices.Contains(t.Test, v):
			side = sideTest
		case !slices.Contains(t.Train, v):
			return nil, side, fmt.Errorf("column %s is %q, want one of %v: say in [table] with train, test and skip what its values mean",
				t.Split, v, append(append(slices.Clone(t.Train), t.Test...), t.Skip...))
		}
	}
	paths := func(column string) ([]string, error) {
		v, err := cell(column)
		if err != nil {
			return nil, err
		}
		var out []string
		for _, name := range strings.Split(v, ";") {
			path := filepath.FromSlash(strings.TrimSpace(name))
			if !filepath.IsAbs(path) {
				path = filepath.Join(dir, path)
			}
			if _, err := os.Stat(path); err != nil {
				return nil, fmt.Errorf("column %s: %w", column, err)
			}
			out = append(out, path)
		}
		return out, nil
	}
	images, err := paths(t.Image)
	if err != nil {
		return nil, side, err
	}
	if len(images) > 1 {
		return nil, side, fmt.Errorf("column %s names %d files, want one", t.Image, len(images))
	}
	c = &fileCase{decl: d, image: images[0], masks: map[string][]string{}}
	c.id, _, _ = strings.Cut(filepath.Base(c.image), ".")
	if t.ID != "" {
		if c.id, err = cell(t.ID); err != nil {
			return nil, side, err
		}
	}
	c.patient = c.id
	if t.Patient != "" {
		if c.patient, err = cell(t.Patient); err != nil {
			return nil, side, err
		}
	}
	for _, target := range d.Targets {
		if c.masks[target], err = paths(cmp.Or(t.Masks[target], target)); err != nil {
			return nil, side, err
		}
	}
	if t.Valid != "" {
		valid, err := paths(t.Valid)
		if err != nil {
			return nil, side, err
		}
		c.valid = valid[0]
	}
	return c, side, nil
}
