package data

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// notListed says which listed cases have no image.
func (p patterns) notListed(dir string, images []found) (lost []string, err error) {
	if p.List == "" {
		return nil, nil
	}
	listed, err := readList(filepath.Join(dir, filepath.FromSlash(p.List)))
	for _, img := range images {
		delete(listed, p.named(img))
	}
	for _, name := range slices.Sorted(maps.Keys(listed)) {
		lost = append(lost, fmt.Sprintf("%s lists %s, of which there is no image", p.List, name))
	}
	return lost, err
}

// readList reads the names of a file's lines, with or without a file's ending. Where there is no file nothing is listed.
func readList(path string) (map[string]bool, error) {
	text, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	names := map[string]bool{}
	for _, name := range strings.Fields(string(text)) {
		name = filepath.Base(filepath.FromSlash(name))
		names[strings.TrimSuffix(name, filepath.Ext(name))] = true
	}
	return names, nil
}
