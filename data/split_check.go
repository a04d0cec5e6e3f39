package data

import (
	"fmt"
	"slices"
	"strings"
)

// Check compares a split with a benchmark as it is now: its cases must be there, on the sides that the benchmark has them on, with the
// patients and pixels that they had, and no patient and no picture may be on two sides. Test cases that the split does not know are a
// warning.
func (s *Split) Check(b *Benchmark, load Loader) []Finding {
	c := splitCheck{split: s}
	switch {
	case s.Benchmark != b.Name:
		c.problem(FindingSplit, "", fmt.Sprintf("it is a split of benchmark %s, and the data are those of %s", s.Benchmark, b.Name))
		return c.findings
	case !slices.Contains(b.Targets, s.Target):
		c.problem(FindingSplit, "", fmt.Sprintf("it is of target %q, and %s has %s", s.Target, b.Title, strings.Join(b.Targets, ", ")))
		return c.findings
	case s.Shots != len(s.Train)+len(s.Validation) || s.Shots < 1 || len(s.Test) < 1:
		c.problem(FindingSplit, "", fmt.Sprintf("it says %d shots and lists %d training, %d validation and %d test cases: want as many as it says, and some to test",
			s.Shots, len(s.Train), len(s.Validation), len(s.Test)))
	}
	pool, test := byID(b.Pool), byID(b.Test)
	for i, side := range sides() {
		here, other, of := pool, test, "test"
		if side == "test" {
			here, other, of = test, pool, "training"
		}
		for _, e := range s.lists()[i] {
			now, there := here[e.ID]
			if _, elsewhere := other[e.ID]; !there && elsewhere {
				c.problem(FindingSplit, e.ID, fmt.Sprintf("it is a %s case here and belongs to the benchmark's %s cases", side, of))
				continue
			}
			if !there {
				c.problem(FindingSplit, e.ID, fmt.Sprintf("the %s case is not in the data", side))
				continue
			}
			if now.Patient != e.Patient {
				c.problem(FindingSplit, e.ID, fmt.Sprintf("the %s case is of patient %q now, and was of %q", side, now.Patient, e.Patient))
			}
			c.content(side, e, load)
		}
	}
	c.leaks("patient", FindingPatient, func(e Entry) string { return e.Patient })
	c.leaks("picture", FindingDuplicate, func(e Entry) string { return e.ImageSHA256 })
	known := map[string]bool{}
	for _, e := range s.Test {
		known[e.ID] = true
	}
	if more := slices.DeleteFunc(slices.Clone(b.Test), func(c Case) bool { return known[c.ID] }); len(more) > 0 {
		c.findings = append(c.findings, Finding{Warning, FindingSplit, more[0].ID, "", fmt.Sprintf("the benchmark tests %d cases that the split does not list; this is the first", len(more))})
	}
	return c.findings
}

func byID(cases []Case) map[string]Case {
	out := map[string]Case{}
	for _, c := range cases {
		out[c.ID] = c
	}
	return out
}

type splitCheck struct {
	split    *Split
	findings []Finding
}

func (c *splitCheck) problem(kind, id, text string) {
	c.findings = append(c.findings, Finding{Severity: Problem, Kind: kind, Case: id, Text: text})
}

// content compares the pixels of a case.
func (c *splitCheck) content(side string, e Entry, load Loader) {
	sample, err := load(e.ID)
	now := e
	if err == nil {
		err = c.split.note(&now, sample)
	}
	if err != nil {
		c.problem(FindingFile, e.ID, err.Error())
		return
	}
	var changed []string
	for _, part := range []struct{ name, was, is string }{
		{"picture", e.ImageSHA256, now.ImageSHA256}, {"mask of " + c.split.Target, e.MaskSHA256, now.MaskSHA256}, {"valid region", e.ValidSHA256, now.ValidSHA256},
	} {
		if part.was != part.is {
			changed = append(changed, part.name)
		}
	}
	if len(changed) > 0 {
		c.problem(FindingSplit, e.ID, fmt.Sprintf("of the %s case the pixels of the %s have changed since the split was written", side, strings.Join(changed, " and the ")))
	}
}

// leaks reports what two sides of the split have in common.
func (c *splitCheck) leaks(what, kind string, of func(Entry) string) {
	seen := map[string]string{} // of the sides before
	for i, side := range sides() {
		list := c.split.lists()[i]
		for _, e := range list {
			if other, both := seen[of(e)]; both {
				c.problem(kind, e.ID, fmt.Sprintf("the %s case has the same %s as %s", side, what, other))
			}
		}
		for _, e := range list {
			seen[of(e)] = side + " case " + e.ID
		}
	}
}

// Unsound is an error that names every problem among findings, or nil where there is none. It wraps ErrLeak where one is a leak, else
// ErrInvalid.
func Unsound(findings []Finding) error {
	var all []string
	kind := ErrInvalid
	for _, f := range findings {
		if f.Severity == Problem {
			all = append(all, f.String())
		}
		if f.Kind == FindingPatient || f.Kind == FindingDuplicate {
			kind = ErrLeak
		}
	}
	if len(all) == 0 {
		return nil
	}
	return fmt.Errorf("%w: %s", kind, strings.Join(all, "; "))
}
