package guess

import (
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// table are the columns of a CSV file with paths.
type table struct {
	File, Image, Valid, ID, Patient, Split string
	Masks                                  []string // columns
	Train, Test, Skip                      []string // values of the column split
	Comment                                string
}

const tableRows = 500 // that are looked at

// readTable takes a CSV file whose columns name images and masks.
func (g *Guess) readTable(dir, path string, looks map[string]*look) bool {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		return false
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		return false
	}
	columns := make([][]string, len(header))
	n := 0
	for ; n < tableRows; n++ {
		row, err := r.Read()
		if err == io.EOF {
			break
		}
		if err != nil {
			return false
		}
		for i, v := range row {
			columns[i] = append(columns[i], strings.TrimSpace(v))
		}
	}
	t := &table{File: path}
	var image []*look
	var masks []content
	for i, name := range header {
		name = strings.TrimSpace(strings.TrimPrefix(name, "\ufeff"))
		files := pathsOf(filepath.Join(dir, filepath.Dir(filepath.FromSlash(path))), columns[i])
		if files == nil {
			t.other(name, columns[i])
			continue
		}
		seen := lookAll((&series{files: byKey(files)}).sample(keysOf(files), maxSamples), looks)
		if len(seen) == 0 {
			continue
		}
		switch {
		case seen[0].isMask() && regexp.MustCompile(`(?i)fov|valid|roi|field`).MatchString(name):
			t.Valid = name
		case seen[0].isMask():
			t.Masks = append(t.Masks, name)
			masks = append(masks, understand(seen, name))
		case t.Image == "":
			t.Image, image = name, seen
		}
	}
	if t.Image == "" || len(t.Masks) == 0 {
		return false
	}
	g.Engine, g.Table, g.Pool.Pairs = "table", t, n
	if image[0].deep {
		g.Window = window(image)
		if image[0].planes > 1 {
			g.Axis = image[0].axis
		}
	}
	for i, c := range masks {
		g.addTargets(i, c, &series{fixed: t.Masks[i]}, len(masks) > 1)
	}
	t.Comment = fmt.Sprintf("column %s holds images, %s masks", t.Image, strings.Join(t.Masks, ", "))
	return true
}

// pathsOf are the files that a column names; nil where it does not.
func pathsOf(dir string, values []string) []file {
	var out []file
	for _, v := range values {
		p, _, _ := strings.Cut(v, ";")
		if p = filepath.FromSlash(strings.TrimSpace(p)); !filepath.IsAbs(p) {
			p = filepath.Join(dir, p)
		}
		if info, err := os.Stat(p); v == "" || err != nil || info.IsDir() && len(out) > 0 && out[0].ext != "/" {
			return nil
		} else if info.IsDir() {
			out = append(out, file{path: p, ext: "/"})
			continue
		}
		out = append(out, file{path: p, ext: ending(p)})
	}
	return out
}

// other takes columns that say something of the cases.
func (t *table) other(name string, values []string) {
	is := func(words string) bool { return regexp.MustCompile(`(?i)^(` + words + `)$`).MatchString(name) }
	distinct := slices.Compact(slices.Sorted(slices.Values(values)))
	switch {
	case is("split|set|subset|partition|fold|phase|usage"):
		var train, test, skip []string
		tested := slices.ContainsFunc(distinct, func(v string) bool { return sideOf(v) == sideTest })
		for _, v := range distinct {
			switch sideOf(v) {
			case sidePool:
				train = append(train, v)
			case sideTest:
				test = append(test, v)
			case sideHeld:
				if tested {
					skip = append(skip, v)
				} else {
					test = append(test, v)
				}
			default:
				return
			}
		}
		if len(train) > 0 && len(test) > 0 {
			t.Split, t.Train, t.Test, t.Skip = name, train, test, skip
		}
	case is("patient|patient_?id|subject|subject_?id|person|video"):
		t.Patient = name
	case is("id|name|case|case_?id|image_?id") && len(distinct) == len(values):
		t.ID = name
	}
}

func byKey(files []file) map[string]file {
	out := map[string]file{}
	for _, f := range files {
		out[f.path] = f
	}
	return out
}

func keysOf(files []file) []string {
	var out []string
	for _, f := range files {
		out = append(out, f.path)
	}
	slices.Sort(out)
	return slices.Compact(out)
}
