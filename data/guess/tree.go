package guess

import (
	"fmt"
	"os"
	"path"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"samtune/data/format"
)

// Limits of what is looked at.
const (
	maxFiles = 200000 // in the folder
	maxDepth = 12     // of folders in folders
)

// file is a picture, a volume, a series of DICOM files, or a folder of pictures that belong to a series.
type file struct {
	path string // on disk
	dir  string // with slashes, under the folder that is looked at; {c} stands for the folder of a case
	name string // without its ending
	ext  string // ".png", ".nii.gz"; "/" for a series and "/{any}.png" for the pictures of one
	unit string // what {c} stands for; empty where no folder is a case's
	side string // of a split: pool, test, held or none
}

// endings are of the files that are looked at.
var endings = []string{
	".nii.gz", ".ppm.gz", ".pgm.gz", ".pbm.gz", ".pnm.gz", ".png", ".jpg", ".jpeg", ".tif", ".tiff", ".bmp", ".gif", ".ppm", ".pgm", ".pbm", ".pnm",
	".nii", ".mha", ".mhd", ".npy", ".npz", ".dcm", ".ima",
}

// ending returns a file's ending as it is written; empty for files of other kinds.
func ending(name string) string {
	lower := strings.ToLower(name)
	for _, e := range endings {
		if strings.HasSuffix(lower, e) && len(name) > len(e) {
			return name[len(name)-len(e):]
		}
	}
	return ""
}

// list finds the files under dir, and the CSV tables and dataset.json files beside them.
func list(dir string) (files []file, tables []string, descriptions []string, err error) {
	var walk func(rel string, depth int) error
	walk = func(rel string, depth int) error {
		entries, err := os.ReadDir(filepath.Join(dir, filepath.FromSlash(rel)))
		if err != nil {
			return err
		}
		for _, e := range entries {
			if strings.HasPrefix(e.Name(), ".") || e.Name() == "__MACOSX" {
				continue
			}
			name := path.Join(rel, e.Name())
			info, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))) // a link to a folder is one
			if err != nil {
				continue
			}
			switch lower := strings.ToLower(e.Name()); {
			case info.IsDir():
				if depth < maxDepth {
					if err := walk(name, depth+1); err != nil {
						return err
					}
				}
			case strings.HasSuffix(lower, ".csv"):
				tables = append(tables, name)
			case lower == "dataset.json":
				descriptions = append(descriptions, name)
			default:
				ext := ending(e.Name())
				full := filepath.Join(dir, filepath.FromSlash(name))
				if ext == "" && (path.Ext(name) != "" || !isDICOM(full)) {
					continue
				}
				files = append(files, file{path: full, dir: rel, name: strings.TrimSuffix(e.Name(), ext), ext: ext})
				if len(files) > maxFiles {
					return fmt.Errorf("there are more than %d pictures in it: name a folder further down", maxFiles)
				}
			}
		}
		return nil
	}
	err = walk("", 0)
	return files, tables, descriptions, err
}

// isDICOM tells a DICOM file without an ending by its content.
func isDICOM(path string) bool {
	v, err := format.OpenVolume(path)
	return err == nil && v.Kind == "DICOM"
}

// gather puts the DICOM files of a folder that are one series together, and then the pictures of a folder that may be its masks.
func gather(dir string, files []file) []file {
	byDir := map[string][]file{}
	for _, f := range files {
		byDir[f.dir] = append(byDir[f.dir], f)
	}
	var out []file
	planes := map[int]bool{} // of the series that were found
	put := func(d, ext string) {
		parent, name := path.Split(d)
		out = append(out, file{path: filepath.Join(dir, filepath.FromSlash(d)), dir: strings.TrimSuffix(parent, "/"), name: name, ext: ext})
	}
	rest := map[string]bool{}
	for d, inside := range byDir {
		rest[d] = true
		if !slices.ContainsFunc(inside, func(f file) bool { return !dicomEnding(f.ext) }) && d != "" {
			if v, err := format.OpenSeries(filepath.Join(dir, filepath.FromSlash(d))); err == nil && v.Size[2] > 1 {
				planes[v.Size[2]] = true
				put(d, "/")
				delete(rest, d)
			}
		}
	}
	for d := range rest {
		inside := byDir[d]
		ext := inside[0].ext
		alike := !slices.ContainsFunc(inside, func(f file) bool { return f.ext != ext })
		if d != "" && alike && planes[len(inside)] && !dicomEnding(ext) {
			put(d, "/{any}"+ext)
			continue
		}
		out = append(out, inside...)
	}
	slices.SortFunc(out, func(a, b file) int { return strings.Compare(a.dir+"/"+a.name+a.ext, b.dir+"/"+b.name+b.ext) })
	return out
}

func dicomEnding(ext string) bool {
	return ext == "" || strings.EqualFold(ext, ".dcm") || strings.EqualFold(ext, ".ima")
}

// words of folders and files that say what these hold.
var (
	maskWords  = regexp.MustCompile(`(?i)mask|label|annot|manual|ground|truth|seg|lesion|contour|outline|(^|[^a-z])gt([^a-z]|$)|GT`)
	imageWords = regexp.MustCompile(`(?i)image|img|frame|picture|photo|scan|cxr|original|dicom|input`)
	fieldWords = regexp.MustCompile(`(?i)fov|field|valid|roi|mask`)
	separator  = regexp.MustCompile(`[_\-. ]+`)
	number     = regexp.MustCompile(`\d+`)
	oneCase    = regexp.MustCompile(`(?i)^(patient|pat|p|case|subject|sub|study|s)?[-_]?\d+$`)
	camel      = regexp.MustCompile(`([a-z0-9])([A-Z])`)
)

// Sides of a split.
const (
	sidePool = "pool"
	sideTest = "test"
	sideHeld = "validation"
)

// sideOf says which side of a split a word names; empty for other words.
func sideOf(word string) string {
	switch strings.ToLower(word) {
	case "train", "training", "tr", "trainset":
		return sidePool
	case "test", "testing", "ts", "te", "testset":
		return sideTest
	case "val", "valid", "validation", "va", "vali", "dev":
		return sideHeld
	}
	return ""
}

// splitWord finds the part of a folder's name that names a side.
func splitWord(name string) (side, without string) {
	spaced := camel.ReplaceAllString(name, "$1\x00$2")
	for _, word := range regexp.MustCompile(`[A-Za-z0-9]+`).FindAllString(spaced, -1) {
		if s := sideOf(word); s != "" {
			return s, strings.Replace(strings.ReplaceAll(spaced, "\x00", ""), word, "*", 1)
		}
	}
	return "", name
}

// cases finds the folders that are each of one case or patient and writes {c} for them.
func cases(files []file) {
	parts := make([][]string, len(files))
	for i, f := range files {
		if f.dir != "" {
			parts[i] = strings.Split(f.dir, "/")
		}
	}
	var walk func(group []int, depth int)
	walk = func(group []int, depth int) {
		children := map[string][]int{}
		for _, i := range group {
			if len(parts[i]) <= depth {
				continue
			}
			if c := files[i].unit; c != "" {
				parts[i][depth] = replaceUnit(parts[i][depth], c)
			}
			children[parts[i][depth]] = append(children[parts[i][depth]], i)
		}
		if len(children) == 0 {
			return
		}
		if files[group[0]].unit == "" && areCases(children, func(i int) string {
			return strings.Join(parts[i][depth+1:], "/") + "/" + files[i].name + files[i].ext
		}) {
			var all []int
			for name, inside := range children {
				for _, i := range inside {
					files[i].unit, parts[i][depth] = name, "{c}"
				}
				all = append(all, inside...)
			}
			slices.Sort(all)
			walk(all, depth+1)
			return
		}
		for _, inside := range children {
			walk(inside, depth+1)
		}
	}
	all := make([]int, len(files))
	for i := range all {
		all[i] = i
	}
	if len(all) > 0 {
		walk(all, 0)
	}
	for i := range files {
		files[i].dir = strings.Join(parts[i], "/")
	}
}

// replaceUnit writes {c} for a case's name where it is a word of its own in another.
func replaceUnit(name, unit string) string {
	i := strings.Index(strings.ToLower(name), strings.ToLower(unit))
	if i < 0 {
		return name
	}
	alike := func(a, b byte) bool { // of one word
		digit := func(c byte) bool { return c >= '0' && c <= '9' }
		letter := func(c byte) bool { return c|32 >= 'a' && c|32 <= 'z' }
		return digit(a) && digit(b) || letter(a) && letter(b)
	}
	end := i + len(unit)
	if i > 0 && alike(name[i-1], unit[0]) || end < len(name) && alike(name[end], unit[len(unit)-1]) {
		return name
	}
	return name[:i] + "{c}" + name[end:]
}

// areCases says whether folders side by side are cases: numbered alike, or many with the same inside, and none named by its role.
func areCases(children map[string][]int, inside func(i int) string) bool {
	shapes, holds := map[string]int{}, map[string]map[string]bool{}
	for name, list := range children {
		side, _ := splitWord(name)
		if maskWords.MatchString(name) || imageWords.MatchString(name) || side != "" || name == "{c}" {
			if !number.MatchString(name) || len(children) < 4 {
				return false
			}
		}
		shapes[number.ReplaceAllString(name, "#")]++
		for _, i := range list {
			p := number.ReplaceAllString(replaceUnit(inside(i), name), "#")
			if holds[p] == nil {
				holds[p] = map[string]bool{}
			}
			holds[p][name] = true
		}
	}
	if len(children) == 1 {
		for name := range children {
			return oneCase.MatchString(name)
		}
	}
	shared := 0
	for _, by := range holds {
		shared = max(shared, len(by))
	}
	for shape, n := range shapes {
		if strings.Contains(shape, "#") && 10*n >= 6*len(children) {
			return true
		}
	}
	return len(children) >= 4 && 4*shared >= 3*len(children)
}
