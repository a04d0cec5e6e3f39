package data

import (
	"fmt"
	"sort"
)

// Finding is a problem with a benchmark's files.
type Finding struct {
	Case    string
	Problem string
}

func (f Finding) String() string { return f.Case + ": " + f.Problem }

// Check loads every case and reports what is wrong with it: files that can't be read or do not fit each
// other, masks without any foreground or with nothing else, foreground outside the valid region alone,
// pictures that are there twice.
func Check(b *Benchmark) ([]Finding, error) {
	var out []Finding
	first := map[string]string{}
	for _, c := range append(append([]Case(nil), b.Pool...), b.Test...) {
		s, err := c.Load()
		if err != nil {
			out = append(out, Finding{c.ID, err.Error()})
			continue
		}
		for _, t := range b.Targets {
			out = append(out, checkMask(s, t)...)
		}
		hash := s.Image.Hash()
		if other, twice := first[hash]; twice {
			out = append(out, Finding{c.ID, fmt.Sprintf("its picture has the same pixels as that of %s", other)})
		} else {
			first[hash] = c.ID
		}
	}
	sort.SliceStable(out, func(i, j int) bool { return out[i].Case < out[j].Case })
	return out, nil
}

func checkMask(s *Sample, target string) []Finding {
	m := s.Masks[target]
	if m == nil {
		return []Finding{{s.ID, fmt.Sprintf("it has no mask of %s", target)}}
	}
	inside, valid := 0, s.Valid.Count()
	for i, v := range m.Pix {
		inside += int(v & s.Valid.Pix[i])
	}
	switch {
	case m.Count() == 0:
		return []Finding{{s.ID, fmt.Sprintf("the mask of %s is empty", target)}}
	case inside == 0:
		return []Finding{{s.ID, fmt.Sprintf("the mask of %s lies outside the valid region", target)}}
	case inside == valid:
		return []Finding{{s.ID, fmt.Sprintf("the mask of %s fills the valid region", target)}}
	}
	return nil
}
