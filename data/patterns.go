package data

import (
	"cmp"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"sort"
	"strings"
)

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
