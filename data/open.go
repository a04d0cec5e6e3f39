package data

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"samtune/data/fundus"
)

// Options say where data lies.
type Options struct {
	Root string // folder that holds the data sets, as $SAMTUNE_DATA; generated ones need none
}

// Open finds a benchmark's files and decides which cases are the pool that shots are drawn from and which
// are tested. No picture is read yet. The error wraps ErrUnknown, or ErrNotFound with what was looked
// for, what is expected and where to get it.
func Open(name string, opt Options) (*Benchmark, error) {
	d, err := Declaration(name)
	if err != nil {
		return nil, err
	}
	b := &Benchmark{Name: d.Name, Title: d.Title, Task: d.Task, Targets: d.Targets, Citation: d.Citation, Licence: d.Licence}
	switch d.Engine {
	case "fundus":
		b.Layout = "generated pictures"
		b.Pool = generated(d, 0, d.PoolSize)
		b.Test = generated(d, d.PoolSize, d.TestSize)
		return b, nil
	case "pairs":
		return b, openPairs(b, d, opt.Root)
	}
	return nil, fmt.Errorf("benchmark %s: unknown engine %q", d.Name, d.Engine)
}

// generated lists n generated cases from number first on.
func generated(d *Decl, first, n int) []Case {
	cases := make([]Case, n)
	for i := range cases {
		number := first + i
		id := fmt.Sprintf("eye%02d", number+1)
		cases[i] = Case{ID: id, Patient: id, Load: func() (*Sample, error) {
			p := fundus.Draw(uint64(number))
			return &Sample{
				ID: id, Patient: id, Unit: "px", Spacing: [2]float64{1, 1},
				Image: &Image{Width: p.Side, Height: p.Side, Pix: p.RGB},
				Masks: map[string]*Mask{d.Targets[0]: {Width: p.Side, Height: p.Side, Pix: p.Vessels}},
				Valid: &Mask{Width: p.Side, Height: p.Side, Pix: p.Field},
			}, nil
		}}
	}
	return cases
}

// openPairs takes the first folder and layout in which every case is complete.
func openPairs(b *Benchmark, d *Decl, root string) error {
	if root == "" {
		return notFound(d, "no data folder is named: set SAMTUNE_DATA or give --data")
	}
	var looked []string
	for _, folder := range d.Folders {
		dir := filepath.Join(root, folder)
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			looked = append(looked, fmt.Sprintf("%s: no such folder", dir))
			continue
		}
		var missing *lostMasks // of the first layout whose masks are there without their pictures
		for _, l := range d.Layouts {
			reason, err := l.open(b, dir, d)
			var lost *lostMasks
			if errors.As(err, &lost) && lost.none {
				if missing == nil {
					missing = lost
				}
				continue
			}
			if err == nil && reason == "" && missing != nil && !missing.usedBy(b) {
				err = missing
			}
			if err != nil {
				return fmt.Errorf("open %s: %w", d.Title, err)
			}
			if reason == "" {
				b.Root = dir
				return nil
			}
			looked = append(looked, fmt.Sprintf("%s: not the %s: %s", dir, l.Name, reason))
		}
		if missing != nil {
			return fmt.Errorf("open %s: %w", d.Title, missing)
		}
	}
	return notFound(d, looked...)
}

func notFound(d *Decl, looked ...string) error {
	var s strings.Builder
	fmt.Fprintf(&s, "%s: %%w: looked for it\n", d.Title)
	for _, l := range looked {
		fmt.Fprintf(&s, "    %s\n", strings.ReplaceAll(l, "%", "%%"))
	}
	fmt.Fprintf(&s, "  expected, under the data folder\n")
	for _, l := range strings.Split(strings.TrimSpace(d.Expected), "\n") {
		fmt.Fprintf(&s, "    %s\n", strings.ReplaceAll(l, "%", "%%"))
	}
	fmt.Fprintf(&s, "  get it: %s", strings.ReplaceAll(d.Get, "%", "%%"))
	return fmt.Errorf(s.String(), ErrNotFound)
}

// open fills b with the layout's cases. A layout that does not fit gives the reason.
func (l layout) open(b *Benchmark, dir string, d *Decl) (reason string, err error) {
	pool, poolFields, reason, err := l.Pool.find(dir, b.Targets, d.Rules)
	if reason != "" || err != nil {
		return reason, err
	}
	test, testFields := []Case(nil), true
	if err := d.Patient.assign(dir, pool); err != nil {
		return "", err
	}
	b.Layout = l.Name
	if l.Test != nil {
		if test, testFields, reason, err = l.Test.find(dir, b.Targets, d.Rules); reason != "" || err != nil {
			return reason, err
		}
		if poolFields != testFields {
			return "", incomplete(dir, []string{"only one of training and test images has masks of the field of view"})
		}
		if err := d.Patient.assign(dir, test); err != nil {
			return "", err
		}
	} else {
		var one bool
		if pool, test, one = everySecond(pool); one {
			b.Layout += ", all cases of one patient, who is on both sides"
		}
	}
	ids := map[string]bool{}
	for _, c := range append(append([]Case(nil), pool...), test...) {
		if ids[c.ID] {
			return "", fmt.Errorf("%w: two cases are called %s", ErrInvalid, c.ID)
		}
		ids[c.ID] = true
		if !utf8.ValidString(c.ID) { // a split file could not hold it
			return "", fmt.Errorf("%w: the name of %q is not UTF-8: rename it", ErrInvalid, c.Files[0])
		}
	}
	b.Pool, b.Test = pool, test
	if !poolFields || !testFields {
		b.Layout += ", no masks of the field of view"
	}
	return "", nil
}

// everySecond splits labelled cases where no official split is there: those of the second, fourth and so on patient by
// name are tested. Where all are of one patient the cases themselves take turns, and one says so.
func everySecond(cases []Case) (pool, test []Case, one bool) {
	patients := map[string]bool{}
	for _, c := range cases {
		patients[c.Patient] = true
	}
	if one = len(patients) == 1 && len(cases) > 1; one {
		for i := range cases {
			cases[i].setPatient(cases[i].ID)
		}
		patients = map[string]bool{}
		for _, c := range cases {
			patients[c.ID] = true
		}
	}
	for i, p := range slices.Sorted(maps.Keys(patients)) {
		patients[p] = i%2 == 1
	}
	for _, c := range cases {
		if patients[c.Patient] {
			test = append(test, c)
		} else {
			pool = append(pool, c)
		}
	}
	return pool, test, one
}

// find lists the cases of patterns under dir, ordered by ID, and says whether they have valid regions.
// Pictures none of which has a mask are a reason that the layout does not fit; when only some have one the
// copy is incomplete, which is an error: another layout would quietly test on other cases.
func (p patterns) find(dir string, targets []string, rules map[string]rule) (cases []Case, fields bool, reason string, err error) {
	images, err := match(dir, p.Image)
	if err != nil {
		return nil, false, "", err
	}
	lost, err := p.withoutImage(dir, targets, images)
	if err != nil {
		return nil, false, "", err
	}
	if len(lost) > 0 {
		e := &lostMasks{masks: map[string]bool{}, none: len(images) == 0}
		var what []string
		for _, m := range lost {
			e.masks[m.path] = true
			what = append(what, fmt.Sprintf("%s has no image %s", relative(dir, m.path), fill(p.Image, m.vars)))
		}
		e.err = incomplete(dir, what)
		return nil, false, "", e
	}
	if len(images) == 0 {
		return nil, false, fmt.Sprintf("nothing is called %s", p.Image), nil
	}
	withField, wanted, lacking, noField := 0, 0, []string(nil), []string(nil)
	for _, img := range images {
		if p.Partial && !p.complete(dir, targets, img) {
			continue
		}
		c := pairCase{id: p.Prefix + img.vars["id"], image: img.path, masks: map[string][]string{}, rules: rules}
		for _, t := range targets {
			for _, pattern := range p.Masks[t] {
				path, err := locate(dir, pattern, img.vars)
				if errors.Is(err, os.ErrNotExist) {
					lacking = append(lacking, fmt.Sprintf("%s has no %s", relative(dir, img.path), fill(pattern, img.vars)))
					continue
				} else if err != nil {
					return nil, false, "", err
				}
				c.masks[t] = append(c.masks[t], path)
			}
			wanted += len(p.Masks[t])
		}
		if p.Valid != "" {
			path, err := locate(dir, p.Valid, img.vars)
			if err == nil {
				c.valid = path
				withField++
			} else if errors.Is(err, os.ErrNotExist) {
				noField = append(noField, fmt.Sprintf("%s has no %s", relative(dir, img.path), fill(p.Valid, img.vars)))
			} else {
				return nil, false, "", err
			}
		}
		if second := p.Second[targets[0]]; second != "" {
			if path, err := locate(dir, second, img.vars); err == nil {
				c.second = path
			}
		}
		cases = append(cases, c.asCase())
	}
	switch {
	case len(cases) == 0:
		return nil, false, fmt.Sprintf("no image has a mask called %s", p.Masks[targets[0]]), nil
	case len(lacking) == wanted:
		return nil, false, lacking[0], nil
	case len(lacking) > 0:
		return nil, false, "", incomplete(dir, lacking)
	case withField > 0 && len(noField) > 0:
		return nil, false, "", incomplete(dir, noField)
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].ID < cases[j].ID })
	return cases, withField > 0 || p.Valid == "", "", nil
}

// complete says whether an image has its masks.
func (p patterns) complete(dir string, targets []string, img found) bool {
	for _, t := range targets {
		for _, pattern := range p.Masks[t] {
			if _, err := locate(dir, pattern, img.vars); err != nil {
				return false
			}
		}
	}
	return true
}

// lostMasks says that masks have no picture in a layout. Where the layout has no picture at all these may lie where another
// layout looks for them.
type lostMasks struct {
	err   error
	masks map[string]bool // their files
	none  bool            // there is no picture at all
}

func (e *lostMasks) Error() string { return e.err.Error() }
func (e *lostMasks) Unwrap() error { return e.err }

// usedBy says whether all of the masks have a picture in a layout that was opened after all.
func (e *lostMasks) usedBy(b *Benchmark) bool {
	used := map[string]bool{}
	for _, c := range append(append([]Case(nil), b.Pool...), b.Test...) {
		for _, f := range c.Files {
			used[f] = true
		}
	}
	for m := range e.masks {
		if !used[m] {
			return false
		}
	}
	return true
}

// withoutImage lists the masks that belong to no picture: pictures that are missing would otherwise make
// the data set smaller without a word.
func (p patterns) withoutImage(dir string, targets []string, images []found) ([]found, error) {
	known := map[string]bool{}
	for _, img := range images {
		known[img.vars["id"]] = true
	}
	var lost []found
	if p.Shared {
		return nil, nil
	}
	for _, t := range targets {
		for _, pattern := range p.Masks[t] {
			masks, err := match(dir, pattern)
			if err != nil {
				return nil, err
			}
			for _, m := range masks {
				if !known[m.vars["id"]] {
					lost = append(lost, m)
				}
			}
		}
	}
	return lost, nil
}

func incomplete(dir string, what []string) error {
	return fmt.Errorf("%w: the copy in %q is incomplete: %s: get it again", ErrInvalid, dir, strings.Join(what, "; "))
}

func relative(dir, path string) string {
	if r, err := filepath.Rel(dir, path); err == nil {
		return r
	}
	return path
}
