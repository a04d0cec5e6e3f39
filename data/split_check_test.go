package data

import (
	"errors"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestSplitCheckNamesWhatChanged(t *testing.T) {
	b := cohort(8, 4)
	tests := []struct {
		name   string
		change func(s *Sample)
	}{
		{"picture", func(s *Sample) { s.Image.Pix[5]++ }},
		{"mask of t", func(s *Sample) { s.Masks["t"].Pix[3] = 1 }},
		{"valid region", func(s *Sample) { s.Valid.Pix[3] = 0 }},
		{"picture", func(s *Sample) { s.Image.Width, s.Image.Height = 4, 1 }},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			split, samples := filled(t, 5)
			for i, list := range split.lists() {
				id := list[len(list)-1].ID
				kept := *samples[id]
				image := Image{Width: kept.Image.Width, Height: kept.Image.Height, Pix: slices.Clone(kept.Image.Pix)}
				mask, valid := *kept.Masks["t"], *kept.Valid
				mask.Pix, valid.Pix = slices.Clone(mask.Pix), slices.Clone(valid.Pix)
				changed := kept
				changed.Image, changed.Masks, changed.Valid = &image, map[string]*Mask{"t": &mask}, &valid
				tt.change(&changed)
				samples[id] = &changed
				want := []Finding{{Problem, FindingSplit, id, "", "of the " + sides()[i] + " case the pixels of the " + tt.name + " have changed since the split was written"}}
				if found := split.Check(b, inMemory(samples)); !reflect.DeepEqual(found, want) {
					t.Errorf("found %v, want %v", found, want)
				}
				samples[id] = &kept
			}
		})
	}
}

func TestSplitCheckFinds(t *testing.T) {
	for name, c := range map[string]struct {
		change func(s *Split, b *Benchmark)
		says   string
		leak   bool
	}{
		"another benchmark": {func(_ *Split, b *Benchmark) { b.Name = "other" }, "a split of benchmark cohort, and the data are those of other", false},
		"another target":    {func(s *Split, _ *Benchmark) { s.Target = "u" }, `it is of target "u"`, false},
		"number of shots":   {func(s *Split, _ *Benchmark) { s.Shots = 4 }, "it says 4 shots and lists 4 training, 1 validation and 4 test cases", false},
		"case that is gone": {func(s *Split, b *Benchmark) { b.Test = b.Test[1:] }, "c08: the test case is not in the data", false},
		"test case trained on": {func(s *Split, b *Benchmark) {
			s.Train[0], s.Test = s.Test[0], s.Test[1:]
		}, "c08: it is a training case here and belongs to the benchmark's test cases", false},
		"patient changed": {func(s *Split, b *Benchmark) { b.Test[0].Patient = "p99" }, `c08: the test case is of patient "p99" now, and was of "p08"`, false},
		"patient on two sides": {func(s *Split, b *Benchmark) {
			s.Test[1].Patient, b.Test[1].Patient = s.Validation[0].Patient, s.Validation[0].Patient
		}, "c09: the test case has the same patient as validation case ", true},
		"picture on two sides": {func(s *Split, _ *Benchmark) { s.Test[1].ImageSHA256 = s.Train[0].ImageSHA256 }, "c09: the test case has the same picture as training case ", true},
	} {
		t.Run(name, func(t *testing.T) {
			split, samples := filled(t, 5)
			b := cohort(8, 4)
			c.change(split, b)
			err := Unsound(split.Check(b, inMemory(samples)))
			if !errors.Is(err, map[bool]error{false: ErrInvalid, true: ErrLeak}[c.leak]) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error is %v, want %q", err, c.says)
			}
		})
	}
	split, samples := filled(t, 5)
	found := split.Check(cohort(8, 6), inMemory(samples))
	if len(found) != 1 || found[0].Severity != Warning || found[0].Case != "c12" || Unsound(found) != nil {
		t.Errorf("with two more test cases it finds %v, want one warning", found)
	}
	unreadable := errors.New("unreadable")
	found = split.Check(cohort(8, 4), func(id string) (*Sample, error) {
		if id == "c10" {
			return nil, unreadable
		}
		return samples[id], nil
	})
	if len(found) != 1 || found[0].Kind != FindingFile || found[0].Case != "c10" {
		t.Errorf("of a case that can't be read it finds %v", found)
	}
}
