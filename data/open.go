package data

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
	"unicode/utf8"

	"samtune/data/fundus"
)

// Options say where data lies.
type Options struct {
	Root   string // folder that holds the data sets, as $SAMTUNE_DATA; generated ones need none
	Target string // whose slices of volumes are cases; empty: those that hold any target
	Index  string // folder that keeps which slices hold what, so that labels are read for that once; empty: read each time

	// Volumes asks for volumes in place of their slices: nothing is read, and such cases can't be loaded.
	Volumes bool
	// Progress is told how many of so many volumes are looked through; may be nil.
	Progress func(done, of int)

	// inspect is handed every volume after its labels were read, with what is wrong with them. Where it returns nil a volume that
	// can't be read is left out.
	inspect func(v *volume, err error) error
}

// Open finds a benchmark's files and decides which cases are the pool that shots are drawn from and which
// are tested. No picture is read yet; of volumes the labels are, to know what is in which slice. The error wraps ErrUnknown, or ErrNotFound with what was looked
// for, what is expected and where to get it.
func Open(name string, opt Options) (*Benchmark, error) {
	d, err := Declaration(name)
	if err != nil {
		return nil, err
	}
	return d.Open(opt)
}

// Presence says whether a declared benchmark's files are here.
type Presence struct {
	Decl      *Decl
	Benchmark *Benchmark // whose cases of volumes are whole volumes
	Err       error      // wraps ErrNotFound where the files are not here
}

// Survey looks for the files of all benchmarks that are declared, in the order of their tasks. No file is read.
func Survey(root string) ([]Presence, error) {
	var out []Presence
	for _, name := range Names() {
		d, err := Declaration(name)
		if err != nil {
			return nil, err
		}
		p := Presence{Decl: d}
		p.Benchmark, p.Err = d.Open(Options{Root: root, Volumes: true})
		out = append(out, p)
	}
	order := Tasks()
	slices.SortStableFunc(out, func(a, b Presence) int { return slices.Index(order, a.Decl.Task) - slices.Index(order, b.Decl.Task) })
	return out, nil
}

// Open finds the files of a benchmark that is declared, as the function does by its name.
func (d *Decl) Open(opt Options) (*Benchmark, error) {
	b := &Benchmark{Name: d.Name, Title: d.Title, Task: d.Task, Targets: d.Targets, Citation: d.Citation, Licence: d.Licence, decl: d}
	if opt.Target != "" && !slices.Contains(d.Targets, opt.Target) {
		return nil, fmt.Errorf("%w: benchmark %s has no target %q: it has %v", ErrInvalid, d.Name, opt.Target, d.Targets)
	}
	if d.Engine == engineFundus {
		b.Layout = "generated pictures"
		b.Pool = generated(d, 0, d.PoolSize)
		b.Test = generated(d, d.PoolSize, d.TestSize)
		return b, nil
	}
	return b, openFiles(b, d, opt)
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

// openFiles takes the first folder and layout in which every case is complete.
func openFiles(b *Benchmark, d *Decl, opt Options) error {
	places := d.places(opt.Root)
	if len(places) == 0 {
		return notFound(d, "no data folder is named: set SAMTUNE_DATA or give --data")
	}
	var looked []string
	for _, dir := range places {
		if info, err := os.Stat(dir); err != nil || !info.IsDir() {
			looked = append(looked, fmt.Sprintf("%s: no such folder", dir))
			continue
		}
		if d.Table != nil {
			reason, err := d.Table.open(b, dir, d, opt)
			if err != nil {
				return fmt.Errorf("open %s: %w", d.Title, err)
			}
			if reason == "" {
				b.Root = dir
				return nil
			}
			looked = append(looked, fmt.Sprintf("%s: %s", dir, reason))
			continue
		}
		var missing *lostMasks // of the first layout whose masks are there without their pictures
		for _, l := range d.Layouts {
			reason, err := l.open(b, dir, d, opt)
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
	if d.Expected != "" {
		fmt.Fprintf(&s, "  expected, under the data folder\n")
	}
	for _, l := range strings.Split(strings.TrimSpace(d.Expected), "\n") {
		if l != "" {
			fmt.Fprintf(&s, "    %s\n", strings.ReplaceAll(l, "%", "%%"))
		}
	}
	get := d.Get
	if get == "" {
		get = fmt.Sprintf("correct folders or the patterns in %q", d.file)
	} else {
		get = "get it: " + get
	}
	fmt.Fprintf(&s, "  %s", strings.ReplaceAll(get, "%", "%%"))
	return fmt.Errorf(s.String(), ErrNotFound)
}

// open fills b with the layout's cases. A layout that does not fit gives the reason.
func (l layout) open(b *Benchmark, dir string, d *Decl, opt Options) (reason string, err error) {
	pool, poolFields, reason, err := l.Pool.find(dir, d)
	if reason != "" || err != nil {
		return reason, err
	}
	test, testFields := []fileCase(nil), true
	b.Layout = l.Name
	if l.Test != nil {
		if test, testFields, reason, err = l.Test.find(dir, d); reason != "" || err != nil {
			return reason, err
		}
		if poolFields != testFields {
			return "", incomplete(dir, []string{"only one of training and test images has masks of the field of view"})
		}
	}
	if d.sliced() {
		if err := l.checkList(dir, d); err != nil {
			return "", err
		}
	}
	if !poolFields || !testFields {
		b.Layout += ", no masks of the field of view"
	}
	return "", b.fill(dir, d, pool, test, opt)
}

// fill makes the benchmark's cases of files. Without test files those of every second patient are tested.
func (b *Benchmark) fill(dir string, d *Decl, pool, test []fileCase, opt Options) error {
	for _, side := range [][]fileCase{pool, test} {
		if err := d.Patient.assign(dir, side); err != nil {
			return err
		}
	}
	one := false
	if len(test) == 0 {
		if pool, test, one = everySecond(pool, func(c fileCase) string { return c.patient }); one {
			b.Layout += ", all cases of one patient, who is on both sides"
		}
	}
	b.files = map[string]bool{}
	for _, f := range append(slices.Clone(pool), test...) {
		for _, path := range f.files() {
			b.files[path] = true
		}
	}
	read, total := 0, len(pool)+len(test)
	expand := func(list []fileCase) ([]Case, error) {
		var out []Case
		on := &shelf{}
		for _, f := range list {
			if !d.sliced() {
				out = append(out, f.asCase())
				continue
			}
			v := &volume{fileCase: f, shelf: on}
			if opt.Volumes {
				out = append(out, v.whole())
				continue
			}
			cases, err := v.cases(opt.Target, opt.Index)
			if opt.inspect != nil {
				err = opt.inspect(v, err)
			}
			if err != nil {
				return nil, err
			}
			out = append(out, cases...)
			if read++; opt.Progress != nil {
				opt.Progress(read, total)
			}
		}
		return out, nil
	}
	var err error
	if b.Pool, err = expand(pool); err != nil {
		return err
	}
	if b.Test, err = expand(test); err != nil {
		return err
	}
	if b.onePatient = one; one && !(opt.Volumes && d.sliced()) {
		all := append(b.Pool, b.Test...)
		sort.Slice(all, func(i, j int) bool { return all[i].ID < all[j].ID })
		for i := range all {
			all[i].alone()
		}
		b.Pool, b.Test, _ = everySecond(all, func(c Case) string { return c.ID })
	}
	return b.checkNames()
}

// checkNames refuses what a split file could not hold.
func (b *Benchmark) checkNames() error {
	ids := map[string]bool{}
	for _, c := range append(append([]Case(nil), b.Pool...), b.Test...) {
		if ids[c.ID] {
			return fmt.Errorf("%w: two cases are called %s", ErrInvalid, c.ID)
		}
		ids[c.ID] = true
		if !utf8.ValidString(c.ID) {
			return fmt.Errorf("%w: the name of %q is not UTF-8: rename it", ErrInvalid, c.Files[0])
		}
	}
	return nil
}

// everySecond splits labelled cases where no official split is there: those of the second, fourth and so on patient by
// name are tested. Where all are of one patient nothing is split, and one says so.
func everySecond[T any](cases []T, patient func(T) string) (pool, test []T, one bool) {
	side := map[string]bool{}
	for _, c := range cases {
		side[patient(c)] = false
	}
	for i, p := range slices.Sorted(maps.Keys(side)) {
		side[p] = i%2 == 1
	}
	for _, c := range cases {
		if side[patient(c)] {
			test = append(test, c)
		} else {
			pool = append(pool, c)
		}
	}
	return pool, test, len(side) == 1
}

// find lists the cases of patterns under dir, ordered by ID, and says whether they have valid regions.
// Pictures none of which has a mask are a reason that the layout does not fit; when only some have one the
// copy is incomplete, which is an error: another layout would quietly test on other cases.
func (p patterns) find(dir string, d *Decl) (cases []fileCase, fields bool, reason string, err error) {
	targets := d.Targets
	images, err := p.match(dir, p.Image)
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
		return nil, false, fmt.Sprintf("nothing is called %s", cmp.Or(p.List, p.Image)), nil
	}
	if lost, err := p.notListed(dir, images); err != nil || len(lost) > 0 {
		return nil, false, "", cmp.Or(err, incomplete(dir, lost))
	}
	withField, wanted, lacking, noField := 0, 0, []string(nil), []string(nil)
	for _, img := range images {
		if p.Partial && !p.complete(dir, targets, img) {
			continue
		}
		c := fileCase{decl: d, id: p.Prefix + p.named(img), image: img.path, masks: map[string][]string{}, crop: p.Crop}
		for _, t := range targets {
			for _, pattern := range p.Masks[t] {
				paths, err := locateAll(dir, pattern, img.vars)
				if errors.Is(err, os.ErrNotExist) {
					lacking = append(lacking, fmt.Sprintf("%s has no %s", relative(dir, img.path), fill(pattern, img.vars)))
					continue
				} else if err != nil {
					return nil, false, "", err
				}
				c.masks[t] = append(c.masks[t], paths...)
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
		c.patient = c.id
		cases = append(cases, c)
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
	sort.Slice(cases, func(i, j int) bool { return cases[i].id < cases[j].id })
	return cases, withField > 0 || p.Valid == "", "", nil
}

// match lists the files of the cases that are of this benchmark.
func (p patterns) match(dir, pattern string) ([]found, error) {
	out, err := match(dir, pattern)
	if p.Only != "" && err == nil {
		only := regexp.MustCompile(p.Only) // it was compiled when the declaration was read
		out = slices.DeleteFunc(out, func(f found) bool { return !only.MatchString(p.named(f)) })
	}
	if p.List == "" || err != nil {
		return out, err
	}
	listed, err := readList(filepath.Join(dir, filepath.FromSlash(p.List)))
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(out, func(f found) bool { return !listed[p.named(f)] }), nil
}

// named is the name of the case that a file is of.
func (p patterns) named(f found) string { return fill(cmp.Or(p.Name, "{id}"), f.vars) }

// complete says whether an image has its masks.
func (p patterns) complete(dir string, targets []string, img found) bool {
	for _, t := range targets {
		for _, pattern := range p.Masks[t] {
			if _, err := locateAll(dir, pattern, img.vars); err != nil {
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
	for m := range e.masks {
		if !b.files[m] {
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
		known[p.named(img)] = true
	}
	var lost []found
	if p.Shared {
		return nil, nil
	}
	for _, t := range targets {
		for _, pattern := range p.Masks[t] {
			masks, err := p.match(dir, pattern)
			if err != nil {
				return nil, err
			}
			for _, m := range masks {
				if !known[p.named(m)] {
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
