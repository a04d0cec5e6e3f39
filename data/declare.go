package data

import (
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"

	"samtune/configs"
)

// Decl is a benchmark as its file under configs/benchmarks declares it.
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
	Folders      []string        `toml:"folders"`       // names that its folder may have under the data folder
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

// Declaration returns a benchmark's declaration. The error wraps ErrUnknown and names the benchmark that
// may have been meant.
func Declaration(name string) (*Decl, error) {
	file, text, err := configs.Declaration(configs.Benchmarks, name)
	if err != nil {
		hint := ""
		best := len(name)/2 + 1
		for _, n := range Names() {
			if d := editDistance(name, n); d < best {
				best, hint = d, fmt.Sprintf("; did you mean %q?", n)
			}
		}
		return nil, fmt.Errorf("%w %q%s (samtune data list shows all)", ErrUnknown, name, hint)
	}
	return parseDeclaration(file, text)
}

func parseDeclaration(file, text string) (*Decl, error) {
	var d Decl
	meta, err := toml.Decode(text, &d)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	for _, key := range meta.Undecoded() {
		if key[0] != "recipe" && key[0] != "profile" {
			return nil, fmt.Errorf("read %s: unknown key %q", file, key.String())
		}
	}
	if err := d.check(); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
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

// check refuses what can't be meant and completes what is left to be understood.
func (d *Decl) check() error {
	engines := []string{enginePairs, engineVolumes, engineDICOM, engineTable, engineFundus}
	switch {
	case len(d.Targets) == 0:
		return fmt.Errorf("no targets")
	case !slices.Contains(engines, d.Engine):
		return fmt.Errorf("engine is %q, want one of %s", d.Engine, strings.Join(engines, ", "))
	case (d.Engine == engineTable) != (d.Table != nil):
		return fmt.Errorf("[table] belongs to engine = \"table\", and only there")
	case d.Slices != nil && !d.sliced():
		return fmt.Errorf("[slices] belongs to volumes: engine is %q", d.Engine)
	case d.sliced() && d.Intensity == nil:
		return fmt.Errorf("[intensity] is missing: say with which window values become grey values, " +
			"as window = [-160, 240] for abdominal CT or percentiles = [0.5, 99.5] for MRI")
	}
	if d.sliced() && d.Slices == nil {
		d.Slices = &slicing{}
	}
	for target, r := range d.Rules {
		if !slices.Contains(d.Targets, target) {
			return fmt.Errorf("rule.%s is of no target", target)
		}
		if err := r.check(target, d.sliced() || d.Intensity != nil); err != nil {
			return err
		}
	}
	checks := []error{d.Patient.check(), d.Intensity.check(), d.Planes.check(), d.Slices.check(), d.Table.check(d)}
	for i := range d.Layouts {
		for _, p := range []*patterns{&d.Layouts[i].Pool, d.Layouts[i].Test} {
			if p != nil {
				checks = append(checks, p.check(d, d.Layouts[i].Name))
			}
		}
	}
	for _, err := range checks {
		if err != nil {
			return err
		}
	}
	return nil
}

// check gives every target its masks.
func (p *patterns) check(d *Decl, layout string) error {
	if p.Masks == nil {
		p.Masks = map[string]files{}
	}
	for _, t := range d.Targets {
		if len(p.Masks[t]) == 0 {
			p.Masks[t] = p.Mask
		}
		if len(p.Masks[t]) == 0 {
			return fmt.Errorf("layout %q names no mask of %s", layout, t)
		}
	}
	if len(p.Masks) > len(d.Targets) {
		return fmt.Errorf("layout %q names masks of what is no target", layout)
	}
	if _, err := regexp.Compile(p.Only); err != nil {
		return fmt.Errorf("layout %q: only: %w", layout, err)
	}
	if len(p.Crop) > 0 && (len(p.Crop) != 4 || slices.Min(p.Crop) < 0 || p.Crop[2]*p.Crop[3] == 0 || d.sliced()) {
		return fmt.Errorf("layout %q: crop is %v, want [x, y, width, height] of pictures", layout, p.Crop)
	}
	if len(p.Crop) > 0 && len(p.Second) > 0 {
		return fmt.Errorf("layout %q: second is not cropped", layout)
	}
	if d.sliced() && (p.Valid != "" || len(p.Second) > 0) {
		return fmt.Errorf("layout %q: valid and second are of pictures, not of volumes", layout)
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
