// Package configs holds the declarations of benchmarks and models that are part of the program, and the
// settings of a run.
package configs

import (
	"embed"
	"fmt"
	"io/fs"
	"path"
	"strings"
)

//go:embed benchmarks/*.toml models/*.toml
var declarations embed.FS

// Kinds of declarations.
const (
	Benchmarks = "benchmarks"
	Models     = "models"
)

// Names lists the declarations of a kind, in order.
func Names(kind string) []string {
	files, err := fs.Glob(declarations, kind+"/*.toml")
	if err != nil { // only a malformed pattern
		return nil
	}
	names := make([]string, len(files))
	for i, f := range files {
		names[i] = strings.TrimSuffix(path.Base(f), ".toml")
	}
	return names
}

// Declaration returns the text of a declaration and the name that errors call it; the error is
// fs.ErrNotExist where there is none of that name.
func Declaration(kind, name string) (file, text string, err error) {
	file = kind + "/" + name + ".toml"
	b, err := declarations.ReadFile(file)
	if err != nil {
		return file, "", fmt.Errorf("read %s: %w", file, err)
	}
	return file, string(b), nil
}
