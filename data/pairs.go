package data

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"sort"
	"strings"
)

// pairCase is a picture file with its masks' files.
type pairCase struct {
	id, image, valid, second string
	masks                    map[string][]string // files by target
	rules                    map[string]rule
}

func (p pairCase) asCase() Case {
	c := Case{ID: p.id, Patient: p.id, Files: []string{p.image}, Load: p.load}
	targets := make([]string, 0, len(p.masks))
	for t := range p.masks {
		targets = append(targets, t)
	}
	sort.Strings(targets)
	for _, t := range targets {
		c.Files = append(c.Files, p.masks[t]...)
	}
	if p.valid != "" {
		c.Files = append(c.Files, p.valid)
	}
	if p.second != "" {
		c.Second = func() (*Mask, error) {
			img, err := ReadImage(p.image)
			if err != nil {
				return nil, err
			}
			return ReadMaskFor(p.second, p.image, img)
		}
	}
	return c
}

func (p pairCase) load() (*Sample, error) {
	img, err := ReadImage(p.image)
	if err != nil {
		return nil, err
	}
	s := &Sample{ID: p.id, Patient: p.id, Image: img, Masks: map[string]*Mask{}, Spacing: [2]float64{1, 1}, Unit: "px"}
	for target, paths := range p.masks {
		if s.Masks[target], err = p.rules[target].read(paths, p.image, img); err != nil {
			return nil, err
		}
	}
	if p.valid == "" {
		s.Valid = FullMask(img.Width, img.Height)
		return s, nil
	}
	if s.Valid, err = ReadMaskFor(p.valid, p.image, img); err != nil {
		return nil, err
	}
	if s.Valid.Count() == 0 {
		return nil, fmt.Errorf("%w: read %q: the field of view is empty: nothing of %q would count", ErrInvalid, p.valid, p.image)
	}
	return s, nil
}

// found is a file that fits a pattern, with what stands for the pattern's variables.
type found struct {
	path string
	vars map[string]string
}

// match lists the files under dir whose path fits pattern. A variable may stand in several parts of the path
// and means the same in all of them. Upper and lower case of parts with variables and of file names are not
// told apart, since copies differ in it.
func match(dir, pattern string) ([]found, error) {
	out := []found{{path: dir, vars: map[string]string{}}}
	parts := strings.Split(pattern, "/")
	for i, part := range parts {
		last := i == len(parts)-1
		var next []found
		for _, f := range out {
			if !last && !strings.Contains(part, "{") {
				next = append(next, found{filepath.Join(f.path, part), f.vars})
				continue
			}
			inside, err := matchPart(f, part, !last)
			if err != nil {
				return nil, err
			}
			next = append(next, inside...)
		}
		out = next
	}
	return out, nil
}

// matchPart lists the files, or else the folders, directly in f whose name fits one part of a pattern.
func matchPart(f found, part string, folders bool) ([]found, error) {
	expression := regexp.QuoteMeta(fill(part, f.vars))
	expression = strings.Replace(expression, `\{id\}`, `(?P<id>[^/]+?)`, 1)
	expression = strings.ReplaceAll(expression, `\{any\}`, `[^/]+`)
	expression = strings.Replace(expression, `\{set\}`, `(?P<set>[A-Za-z0-9-]+)`, 1)
	re, err := regexp.Compile(`(?i)^` + expression + `$`)
	if err != nil {
		return nil, fmt.Errorf("pattern %q: %w", part, err)
	}
	entries, err := os.ReadDir(f.path)
	if errors.Is(err, os.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list folder: %w", err)
	}
	var out []found
	for _, e := range entries {
		m := re.FindStringSubmatch(e.Name())
		if m == nil || strings.HasPrefix(e.Name(), ".") {
			continue
		}
		path := filepath.Join(f.path, e.Name())
		if folders {
			if info, err := os.Stat(path); err != nil || !info.IsDir() { // a link to a folder is one
				continue
			}
		} else if e.IsDir() {
			continue
		}
		vars := maps.Clone(f.vars)
		for i, name := range re.SubexpNames() {
			if name != "" {
				vars[name] = m[i]
			}
		}
		out = append(out, found{path, vars})
	}
	return out, nil
}

// locate returns the file that a pattern means for given variables, or os.ErrNotExist.
func locate(dir, pattern string, vars map[string]string) (string, error) {
	path := filepath.Join(dir, filepath.FromSlash(fill(pattern, vars)))
	if _, err := os.Stat(path); err == nil {
		return path, nil
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil {
		return "", err
	}
	for _, e := range entries {
		if strings.EqualFold(e.Name(), filepath.Base(path)) {
			return filepath.Join(filepath.Dir(path), e.Name()), nil
		}
	}
	return "", fmt.Errorf("%q: %w", path, os.ErrNotExist)
}

func fill(pattern string, vars map[string]string) string {
	for name, value := range vars {
		pattern = strings.ReplaceAll(pattern, "{"+name+"}", value)
	}
	return pattern
}
