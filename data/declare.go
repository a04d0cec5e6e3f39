package data

import (
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strings"

	"samtune/configs"
)

// Decl is a benchmark as its file under configs/benchmarks, or a user's own file, declares it.
type Decl struct {
	Name         string          `toml:"name"`
	Title        string          `toml:"title"`
	Task         string          `toml:"task"`
	Targets      []string        `toml:"targets"`
	Engine       string          `toml:"engine"` // pairs, volumes, dicom, table or fundus
	Citation     string          `toml:"citation"`
	Licence      string          `toml:"licence"`
	Get          string          `toml:"get"`           // how to get it
	Expected     string          `toml:"expected"`      // layout, in words for people
	NSDTolerance float64         `toml:"nsd_tolerance"` // in the data's unit
	Folders      []string        `toml:"folders"`       // names that its folder may have under the data folder; of a user's file first beside that file
	Base         string          `toml:"base"`          // folder that the folders of a user's file are beside, where it is not the file's own
	Layouts      []layout        `toml:"layout"`
	Rules        map[string]rule `toml:"rule"`    // by target: which pixels of its mask files are inside
	Patient      grouping        `toml:"patient"` // which cases are of one patient; missing: each is of its own
	PoolSize     int             `toml:"pool"`    // of generated cases
	TestSize     int             `toml:"test"`
	Intensity    *intensity      `toml:"intensity"` // how values beyond 8 bits become grey values
	Planes       planes          `toml:"planes"`    // of files that hold several, in the pairs engine
	Slices       *slicing        `toml:"slices"`    // of volumes
	Table        *table          `toml:"table"`     // of the table engine
	Recipe       map[string]any  `toml:"recipe"`    // settings of a run that this benchmark wants

	Profiles map[string]map[string]any `toml:"profile"` // settings over the recipe, by name: "fast"

	Downloads []Download `toml:"download"` // archives that the publisher gives to everybody

	file, text string // of a user's own declaration
}

// layout is one way in which the files may lie.
type layout struct {
	Name string    `toml:"name"`
	Pool patterns  `toml:"pool"`
	Test *patterns `toml:"test"` // missing: every second case of the pool is a test case
}

// patterns are paths with {id}, {set} for another part that is the same in all files of a case, and {any} for one that is
// not looked at. A path that ends in / is a folder.
type patterns struct {
	List    string            `toml:"list"` // a file of cases' names, one a line: others are not on this side
	Only    string            `toml:"only"` // a regular expression over the case's name: others are not of this benchmark
	Name    string            `toml:"name"` // of cases, where {id} alone is not one: "{set}_{id}"
	Image   string            `toml:"image"`
	Crop    []int             `toml:"crop"`    // part of pictures and masks that is looked at: x, y, width, height
	Mask    files             `toml:"mask"`    // of every target that masks does not name
	Masks   map[string]files  `toml:"masks"`   // by target
	Valid   string            `toml:"valid"`   // field of view; may be missing from the data
	Prefix  string            `toml:"prefix"`  // of the cases' names, where both sides count from 1
	Shared  bool              `toml:"shared"`  // the masks' folders hold those of other images too
	Partial bool              `toml:"partial"` // images without a mask are left out
	Second  map[string]string `toml:"second"`
}

// Names lists the benchmarks that are declared, in order.
func Names() []string { return configs.Names(configs.Benchmarks) }

// Tasks lists what is segmented, in the order of tables: the nine benchmarks of the study, and others.
func Tasks() []string {
	return []string{
		"retinal vessels", "optic disc and cup", "retinal OCT layers", "retinal OCT fluid", "skin lesions", "abdominal CT", "MRI",
		"chest X-ray lungs", "surgical instruments and endoscopy", "fetal head in ultrasound",
	}
}

// Declaration returns a benchmark's declaration: of a name the one that is part of samtune, of a path the user's own. The
// error wraps ErrUnknown and names the benchmark that may have been meant, or configs.ErrConfig with the place in the file.
func Declaration(name string) (*Decl, error) {
	if IsFile(name) {
		return readOwn(name)
	}
	file, text, err := configs.Declaration(configs.Benchmarks, name)
	if err != nil {
		return nil, fmt.Errorf("%w %q%s (samtune data list shows all; a file of your own ends in .toml)", ErrUnknown, name, meant(name, Names()))
	}
	return parseDeclaration(file, text)
}

// meant is a question after the name that is most like one that is unknown; empty where none is like it.
func meant(name string, known []string) string {
	hint := ""
	best := len(name)/2 + 1
	for _, n := range known {
		if d := editDistance(name, n); d < best {
			best, hint = d, fmt.Sprintf("; did you mean %q?", n)
		}
	}
	return hint
}

// keyError is what is wrong with the value of a key, of the nth layout where it is of one.
type keyError struct {
	key string
	nth int
	err error
}

func (e *keyError) Error() string { return e.err.Error() }
func (e *keyError) Unwrap() error { return e.err }

// at is an error that knows its key.
func at(key, format string, args ...any) error { return &keyError{key, 0, fmt.Errorf(format, args...)} }

// parseDeclaration reads a declaration; further checks come after those of all.
func parseDeclaration(file, text string, further ...func(*Decl) error) (*Decl, error) {
	var d Decl
	l := configs.Layer{Name: file, Text: text}
	if err := configs.Decode(l, &d, "recipe", "profile"); err != nil {
		return nil, err
	}
	err := d.check()
	for _, check := range further {
		if err == nil {
			err = check(&d)
		}
	}
	var keyed *keyError
	switch {
	case errors.As(err, &keyed):
		return nil, configs.At(l, keyed.key, keyed.nth, err)
	case err != nil:
		return nil, fmt.Errorf("read %s: %w: %w", file, configs.ErrConfig, err)
	}
	return &d, nil
}

// The engines: how a benchmark's cases come about.
const (
	enginePairs   = "pairs"   // pictures and masks, matched by their names
	engineVolumes = "volumes" // slices of volumes and label volumes, matched by their names
	engineDICOM   = "dicom"   // slices of series, each a folder
	engineTable   = "table"   // paths in a CSV file
	engineFundus  = "fundus"  // generated
)

// sliced says whether the cases are slices of volumes.
func (d *Decl) sliced() bool {
	return d.Engine == engineVolumes || d.Engine == engineDICOM || d.Engine == engineTable && d.Slices != nil
}

// maxGenerated bounds the cases of a side that are generated.
const maxGenerated = 100_000

// check refuses what can't be meant and completes what is left to be understood.
func (d *Decl) check() error {
	engines := []string{enginePairs, engineVolumes, engineDICOM, engineTable, engineFundus}
	switch {
	case len(d.Targets) == 0:
		return at("targets", "no targets: name what the masks show, as targets = [\"lesion\"]")
	case !slices.Contains(engines, d.Engine):
		return at("engine", "engine is %q, want one of %s%s", d.Engine, strings.Join(engines, ", "), meant(d.Engine, engines))
	case d.Engine == engineFundus && (d.PoolSize < 1 || d.PoolSize > maxGenerated):
		return at("pool", "pool is %d, want 1 to %d generated cases", d.PoolSize, maxGenerated)
	case d.Engine == engineFundus && (d.TestSize < 1 || d.TestSize > maxGenerated):
		return at("test", "test is %d, want 1 to %d generated cases", d.TestSize, maxGenerated)
	case !(d.NSDTolerance >= 0) || math.IsInf(d.NSDTolerance, 1):
		return at("nsd_tolerance", "nsd_tolerance is %g, want 0 or more", d.NSDTolerance)
	case (d.Engine == engineTable) != (d.Table != nil):
		return at("table", "[table] belongs to engine = \"table\", and only there")
	case d.Slices != nil && !d.sliced():
		return at("slices", "[slices] belongs to volumes: engine is %q", d.Engine)
	case d.sliced() && d.Intensity == nil:
		return at("intensity", "[intensity] is missing: say with which window values become grey values, "+
			"as window = [-160, 240] for abdominal CT or percentiles = [0.5, 99.5] for MRI")
	}
	for i, t := range d.Targets {
		if t == "" || slices.Contains(d.Targets[:i], t) {
			return at("targets", "targets holds %q twice or without a name", t)
		}
	}
	if d.sliced() && d.Slices == nil {
		d.Slices = &slicing{}
	}
	for target, r := range d.Rules {
		if !slices.Contains(d.Targets, target) {
			return at("rule."+target, "rule.%s is of no target%s", target, meant(target, d.Targets))
		}
		if err := r.check(target, d.sliced() || d.Intensity != nil); err != nil {
			return &keyError{"rule." + target, 0, err}
		}
	}
	for _, part := range []struct {
		key string
		err error
	}{
		{"patient", d.Patient.check()}, {"intensity", d.Intensity.check()}, {"planes", d.Planes.check()}, {"slices", d.Slices.check()}, {"table", d.Table.check(d)},
	} {
		if part.err != nil {
			return &keyError{part.key, 0, part.err}
		}
	}
	for i := range d.Layouts {
		l := &d.Layouts[i]
		for key, p := range map[string]*patterns{"layout.pool": &l.Pool, "layout.test": l.Test} {
			if p == nil {
				continue
			}
			if err := p.check(d, l.Name); err != nil {
				var keyed *keyError
				if errors.As(err, &keyed) {
					key += "." + keyed.key
				}
				return &keyError{key, i, err}
			}
		}
	}
	for i, a := range d.Downloads {
		if err := a.check(); err != nil {
			return &keyError{"download", i, err}
		}
	}
	return nil
}

// variable is one in a pattern.
var variable = regexp.MustCompile(`\{[^{}]*\}`)

// check gives every target its masks.
func (p *patterns) check(d *Decl, layout string) error {
	if p.Masks == nil {
		p.Masks = map[string]files{}
	}
	if p.Image == "" {
		return at("image", "layout %q names no image: want a pattern as image = \"images/{id}.png\"", layout)
	}
	all := map[string]files{"image": {p.Image}, "valid": {p.Valid}, "name": {p.Name}, "mask": p.Mask}
	for t := range p.Masks {
		all["masks."+t] = p.Masks[t]
	}
	for key, patterns := range all {
		for _, pattern := range patterns {
			if err := knownVariables(key, pattern); err != nil {
				return err
			}
		}
	}
	for t := range p.Masks {
		if !slices.Contains(d.Targets, t) {
			return at("masks."+t, "layout %q names masks of %q, which is no target%s", layout, t, meant(t, d.Targets))
		}
	}
	for _, t := range d.Targets {
		if len(p.Masks[t]) == 0 {
			p.Masks[t] = p.Mask
		}
		if len(p.Masks[t]) == 0 {
			return at("masks", "layout %q names no mask of %s", layout, t)
		}
	}
	if _, err := regexp.Compile(p.Only); err != nil {
		return at("only", "layout %q: only: %w", layout, err)
	}
	if len(p.Crop) > 0 && (len(p.Crop) != 4 || slices.Min(p.Crop) < 0 || p.Crop[2]*p.Crop[3] == 0 || d.sliced()) {
		return at("crop", "layout %q: crop is %v, want [x, y, width, height] of pictures", layout, p.Crop)
	}
	if len(p.Crop) > 0 && len(p.Second) > 0 {
		return at("second", "layout %q: second is not cropped", layout)
	}
	if d.sliced() && (p.Valid != "" || len(p.Second) > 0) {
		return at("valid", "layout %q: valid and second are of pictures, not of volumes", layout)
	}
	return nil
}

// knownVariables refuses a pattern with a variable that there is not: no file would fit it.
func knownVariables(key, pattern string) error {
	known := []string{"{id}", "{set}", "{any}"}
	for _, v := range variable.FindAllString(pattern, -1) {
		if !slices.Contains(known, v) {
			return at(key, "%q holds %s: patterns know %s", pattern, v, strings.Join(known, ", "))
		}
	}
	return nil
}

// editDistance is Levenshtein's, with the exchange of neighbours as one edit.
func editDistance(a, b string) int {
	rows := make([][]int, len(a)+1)
	for i := range rows {
		rows[i] = make([]int, len(b)+1)
		rows[i][0] = i
	}
	for j := range rows[0] {
		rows[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			rows[i][j] = min(rows[i-1][j]+1, rows[i][j-1]+1, rows[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				rows[i][j] = min(rows[i][j], rows[i-2][j-2]+1)
			}
		}
	}
	return rows[len(a)][len(b)]
}
