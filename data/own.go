package data

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/BurntSushi/toml"
)

// IsFile says whether what a user calls a benchmark is a declaration of the user's own: a path, or a name that ends in .toml.
func IsFile(benchmark string) bool {
	return strings.HasSuffix(strings.ToLower(benchmark), ".toml") || strings.ContainsRune(benchmark, filepath.Separator) || strings.Contains(benchmark, "/")
}

// ownName is what a user's benchmark may be called: folders of runs are.
var ownName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9_-]{0,63}$`)

// readOwn reads a declaration that is a file of the user's.
func readOwn(path string) (*Decl, error) {
	text, err := os.ReadFile(path)
	if info, failed := os.Stat(path); failed == nil && info.IsDir() {
		return nil, fmt.Errorf("%w %q: it is a folder: samtune data init %s writes the TOML file for it", ErrUnknown, path, path)
	}
	if errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("%w %q: there is no such file: samtune data init FOLDER writes one for a folder of images and masks", ErrUnknown, path)
	}
	if err != nil {
		return nil, fmt.Errorf("read benchmark: %w", err)
	}
	return ParseOwn(path, string(text))
}

// ParseOwn reads the text of a declaration as the file at path would hold it.
func ParseOwn(path, text string) (*Decl, error) {
	text = strings.TrimPrefix(text, "\ufeff")
	absolute, err := filepath.Abs(path)
	if err != nil {
		return nil, fmt.Errorf("read benchmark %q: %w", path, err)
	}
	d, err := parseDeclaration(path, text, (*Decl).checkOwn)
	if err != nil {
		return nil, err
	}
	d.file, d.text = absolute, text
	if !filepath.IsAbs(d.Base) {
		d.Base = filepath.Join(filepath.Dir(absolute), d.Base)
	}
	return d, nil
}

// checkOwn refuses what only a user's file can have wrong, and completes it.
func (d *Decl) checkOwn() error {
	switch {
	case d.Name == "":
		return at("name", `name is missing: say what the benchmark is called, as name = "my_eyes"`)
	case !ownName.MatchString(d.Name):
		return at("name", "name is %q: run folders are called by it, so it wants up to 64 letters, digits, _ and -, and a letter or digit first", d.Name)
	case d.Engine != engineTable && d.Engine != engineFundus && len(d.Layouts) == 0:
		return at("engine", "there is no [[layout]]: say how images and masks are called, as image = \"images/{id}.png\" and mask = \"masks/{id}.png\" under [layout.pool]")
	}
	for _, n := range Names() {
		if strings.EqualFold(n, d.Name) {
			return at("name", "name is %q, as a benchmark of samtune's own is called: choose another, as %q", d.Name, "my_"+d.Name)
		}
	}
	if len(d.Folders) == 0 {
		d.Folders = []string{"."}
	}
	d.Title, d.Task = cmp.Or(d.Title, d.Name), cmp.Or(d.Task, "own data")
	return nil
}

// places lists where the benchmark's folder may be.
func (d *Decl) places(root string) []string {
	var out []string
	for _, folder := range d.Folders {
		folder = filepath.FromSlash(folder)
		switch {
		case filepath.IsAbs(folder):
			out = append(out, folder)
			continue
		case d.Base != "":
			out = append(out, filepath.Join(d.Base, folder))
		}
		if root != "" {
			out = append(out, filepath.Join(root, folder))
		}
	}
	return out
}

// File is the absolute path of a user's own declaration; empty for those that are part of samtune.
func (d *Decl) File() string { return d.file }

// Copy is the text of a user's own declaration, to be kept elsewhere: it finds the files where the original finds them.
func (d *Decl) Copy() string {
	if base := regexp.MustCompile(`(?m)^\s*base\s*=.*\n?`); base.MatchString(d.text) {
		return base.ReplaceAllLiteralString(d.text, fmt.Sprintf("base = %q\n", d.Base))
	}
	return fmt.Sprintf("base = %q # of the folders below, whose paths are beside the original of this copy\n", d.Base) + d.text
}

// Identity tells a benchmark from others in the hash of a run: its name, and of a user's own also the hash of all in its file
// that decides which pixels of which files are looked at. Words, the recipe (it acts through the settings) and the place of the
// files are not part of it.
func (d *Decl) Identity() (string, error) {
	if d.file == "" {
		return d.Name, nil
	}
	c := *d
	c.Title, c.Task, c.Citation, c.Licence, c.Get, c.Expected, c.Base = "", "", "", "", "", "", ""
	c.Folders, c.Recipe, c.Profiles, c.Downloads = nil, nil, nil, nil
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(c); err != nil {
		return "", fmt.Errorf("hash benchmark %s: %w", d.Name, err)
	}
	sum := sha256.Sum256(b.Bytes())
	return d.Name + " " + hex.EncodeToString(sum[:]), nil
}
