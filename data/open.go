package data

import (
	"errors"
	"fmt"
	"maps"
	"os"
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
