package experiment

import (
	"fmt"
	"slices"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
)

// Change is something that decides a run's result, or may change its last digits, and is not the same in two runs.
type Change struct {
	What string `json:"what"` // a setting's key, or another fact's name
	A    string `json:"a"`    // empty: the run has none
	B    string `json:"b"`
}

// Diff is how the runs a and b differ.
type Diff struct {
	A       *Folder          `json:"a"`
	B       *Folder          `json:"b"`
	Changes []Change         `json:"changes"`
	Results *eval.Difference `json:"results"` // nil where one of them is not finished
}

// Compare compares two runs' settings and, where both are finished, their results. The error wraps ErrDamaged.
func Compare(a, b *Folder) (*Diff, error) {
	for _, f := range []*Folder{a, b} {
		switch {
		case f.Error != "":
			return nil, fmt.Errorf("compare runs: %w: %q: %s", ErrDamaged, f.Dir, f.Error)
		case f.Config == nil || f.Split == nil:
			return nil, fmt.Errorf("compare runs: %w: %q has no settings yet", ErrNoRun, f.Dir)
		}
	}
	d := &Diff{A: a, B: b, Changes: []Change{}}
	settingsA, err := a.Config.Decisive()
	if err != nil {
		return nil, err
	}
	settingsB, err := b.Config.Decisive()
	if err != nil {
		return nil, err
	}
	factsA, factsB := append(a.facts(), settingsA...), append(b.facts(), settingsB...)
	for _, f := range factsA {
		d.change(f.Key, f.Value, valueOf(factsB, f.Key))
	}
	for _, f := range factsB {
		if !slices.ContainsFunc(factsA, func(other configs.Setting) bool { return other.Key == f.Key }) {
			d.change(f.Key, "", f.Value)
		}
	}
	if a.Results == nil || b.Results == nil {
		return d, nil
	}
	d.Results, err = eval.Differ(a.Results, b.Results, a.Cases, b.Cases, sameCase(a.Split, b.Split))
	return d, err
}

func (d *Diff) change(what, a, b string) {
	if a != b {
		d.Changes = append(d.Changes, Change{what, a, b})
	}
}

func valueOf(facts []configs.Setting, key string) string {
	if i := slices.IndexFunc(facts, func(f configs.Setting) bool { return f.Key == key }); i >= 0 {
		return facts[i].Value
	}
	return ""
}

// facts are what decides a result beside the settings, as far as the folder tells it.
func (f *Folder) facts() []configs.Setting {
	facts := []configs.Setting{{Key: "kind", Value: f.Kind}, {Key: "cases and splits", Value: fmt.Sprintf("%.12s", f.Split.DataSHA256)}}
	if f.note.Tested != "" {
		facts = append(facts, configs.Setting{Key: "tested weights", Value: fmt.Sprintf("%.12s", f.note.Tested)})
	}
	if r := f.Results; r != nil {
		facts = append(facts, configs.Setting{Key: "weights", Value: fmt.Sprintf("%s %.12s", r.WeightsFile, r.WeightsSHA256)},
			configs.Setting{Key: "device", Value: r.Device}, configs.Setting{Key: "threads", Value: fmt.Sprint(r.Threads)})
		for _, name := range []string{"samtune", "libtorch", "go"} {
			facts = append(facts, configs.Setting{Key: name, Value: r.Versions[name]})
		}
	}
	return facts
}

// sameCase says of a test case whether two splits have it, with the same pixels of picture, mask and valid region.
func sameCase(a, b *data.Split) func(id string) bool {
	of := func(s *data.Split) map[string]data.Entry {
		m := map[string]data.Entry{}
		for _, e := range s.Test {
			m[e.ID] = e
		}
		return m
	}
	inA, inB := of(a), of(b)
	return func(id string) bool {
		x, both := inA[id]
		y, ok := inB[id]
		return both && ok && x.ImageSHA256 == y.ImageSHA256 && x.MaskSHA256 == y.MaskSHA256 && x.ValidSHA256 == y.ValidSHA256
	}
}
