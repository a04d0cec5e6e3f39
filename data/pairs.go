package data

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// fileCase is an image file with its masks' files: a picture, or a volume.
type fileCase struct {
	decl                              *Decl
	id, patient, image, valid, second string
	masks                             map[string][]string // files by target
	crop                              []int
}

func (p fileCase) targets() []string { return slices.Sorted(maps.Keys(p.masks)) }

// files lists the case's files, each once: the image, the masks by target, the valid region.
func (p fileCase) files() []string {
	out := []string{p.image}
	add := func(path string) {
		if path != "" && !slices.Contains(out, path) {
			out = append(out, path)
		}
	}
	for _, t := range p.targets() {
		for _, path := range p.masks[t] {
			add(path)
		}
	}
	add(p.valid)
	return out
}

// asCase is the case of a picture.
func (p fileCase) asCase() Case {
	c := Case{ID: p.id, Patient: p.patient, Files: p.files(), Load: p.load, file: &p}
	if p.second != "" {
		c.Second = func() (*Mask, error) {
			img, err := p.decl.readImage(p.image)
			if err != nil {
				return nil, err
			}
			return ReadMaskFor(p.second, p.image, img)
		}
	}
	return c
}

func (p fileCase) load() (*Sample, error) {
	img, err := p.decl.readImage(p.image)
	if err != nil {
		return nil, err
	}
	s := &Sample{ID: p.id, Patient: p.patient, Image: img, Masks: map[string]*Mask{}, Spacing: [2]float64{1, 1}, Unit: "px"}
	for target, paths := range p.masks {
		if s.Masks[target], err = p.decl.read(target, paths, p.image, img); err != nil {
			return nil, err
		}
	}
	if p.valid == "" {
		s.Valid = FullMask(img.Width, img.Height)
		return s, p.cropped(s)
	}
	if s.Valid, err = ReadMaskFor(p.valid, p.image, img); err != nil {
		return nil, err
	}
	if s.Valid.Count() == 0 {
		return nil, fmt.Errorf("%w: read %q: the field of view is empty: nothing of %q would count", ErrInvalid, p.valid, p.image)
	}
	return s, p.cropped(s)
}

// cropped leaves the declared part of a sample.
func (p fileCase) cropped(s *Sample) error {
	if len(p.crop) == 0 {
		return nil
	}
	x, y, width, height := p.crop[0], p.crop[1], p.crop[2], p.crop[3]
	img := s.Image
	if x+width > img.Width || y+height > img.Height {
		return fmt.Errorf("%w: read %q: it is %d x %d and crop asks for %d x %d from x %d, y %d on: is it cropped already?",
			ErrInvalid, p.image, img.Width, img.Height, width, height, x, y)
	}
	part := func(pix []uint8, channels int) []uint8 {
		out := make([]uint8, 0, width*height*channels)
		for row := y; row < y+height; row++ {
			out = append(out, pix[(row*img.Width+x)*channels:(row*img.Width+x+width)*channels]...)
		}
		return out
	}
	for t, m := range s.Masks {
		s.Masks[t] = &Mask{Width: width, Height: height, Pix: part(m.Pix, 1)}
	}
	s.Valid = &Mask{Width: width, Height: height, Pix: part(s.Valid.Pix, 1)}
	s.Image = &Image{Width: width, Height: height, Pix: part(img.Pix, 3)}
	return nil
}

// found is a file that fits a pattern, with what stands for the pattern's variables.
type found struct {
	path string
	vars map[string]string
}

// match lists the files, or for a pattern that ends in / the folders, under dir whose path fits pattern. A variable may stand in several parts of the path
// and means the same in all of them. Upper and lower case of parts with variables and of file names are not
// told apart, since copies differ in it.
func match(dir, pattern string) ([]found, error) {
	out := []found{{path: dir, vars: map[string]string{}}}
	folder := strings.HasSuffix(pattern, "/")
	parts := strings.Split(strings.TrimSuffix(pattern, "/"), "/")
	for i, part := range parts {
		last := i == len(parts)-1
		var next []found
		for _, f := range out {
			if !last && !strings.Contains(part, "{") {
				next = append(next, found{filepath.Join(f.path, part), f.vars})
				continue
			}
			inside, err := matchPart(f, part, folder || !last)
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
	set := `(?P<set>[A-Za-z0-9-]+)`
	if part == "{set}" { // all of a folder's name
		set = `(?P<set>[^/]+)`
	}
	expression = strings.Replace(expression, `\{set\}`, set, 1)
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

// locateAll returns the files that a pattern means for given variables: one, or with {any} in the path all that fit, or
// os.ErrNotExist. With {any} in its last part it is a stack of files, which comes back as the pattern.
func locateAll(dir, pattern string, vars map[string]string) ([]string, error) {
	if !strings.Contains(pattern, "{any}") {
		path, err := locate(dir, pattern, vars)
		return []string{path}, err
	}
	path := fill(pattern, vars)
	files, err := match(dir, path)
	if err == nil && len(files) == 0 {
		err = fmt.Errorf("%q: %w", path, os.ErrNotExist)
	}
	if err != nil {
		return nil, err
	}
	if strings.Contains(filepath.Base(path), "{any}") {
		return []string{filepath.Join(dir, filepath.FromSlash(path))}, nil
	}
	out := make([]string, len(files))
	for i, f := range files {
		out[i] = f.path
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
