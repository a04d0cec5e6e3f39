package data

import (
	"fmt"
	"slices"

	"github.com/BurntSushi/toml"

	"samtune/configs"
)

// Decl is a benchmark as its file under configs/benchmarks declares it.
type Decl struct {
	Name         string          `toml:"name"`
	Title        string          `toml:"title"`
	Task         string          `toml:"task"`
	Targets      []string        `toml:"targets"`
	Engine       string          `toml:"engine"` // "pairs" of files, or "fundus", which are generated
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
	Recipe       map[string]any  `toml:"recipe"` // settings of a run that this benchmark wants

	Profiles map[string]map[string]any `toml:"profile"` // settings over the recipe, by name: "fast"
}

// layout is one way in which the files may lie.
type layout struct {
	Name string    `toml:"name"`
	Pool patterns  `toml:"pool"`
	Test *patterns `toml:"test"` // missing: every second case of the pool is a test case
}

// patterns are paths with {id}, {set} for another part that is the same in all files of a case, and {any} for one that is
// not looked at.
type patterns struct {
	Image   string            `toml:"image"`
	Masks   map[string]files  `toml:"masks"`   // by target
	Valid   string            `toml:"valid"`   // field of view; may be missing from the data
	Prefix  string            `toml:"prefix"`  // of the cases' names, where both sides count from 1
	Shared  bool              `toml:"shared"`  // the masks' folders hold those of other images too
	Partial bool              `toml:"partial"` // images without a mask are left out
	Second  map[string]string `toml:"second"`
}

// Names lists the benchmarks that are declared, in order.
func Names() []string { return configs.Names(configs.Benchmarks) }

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
	if len(d.Targets) == 0 {
		return nil, fmt.Errorf("read %s: no targets", file)
	}
	for target, r := range d.Rules {
		if !slices.Contains(d.Targets, target) {
			return nil, fmt.Errorf("read %s: rule.%s is of no target", file, target)
		}
		if err := r.check(target); err != nil {
			return nil, fmt.Errorf("read %s: %w", file, err)
		}
	}
	if err := d.Patient.check(); err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	return &d, nil
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
