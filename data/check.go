package data

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
)

// Severity says how bad a finding is.
type Severity string

// Severities.
const (
	Problem Severity = "problem" // figures on these data would be wrong, or a run refuses them
	Warning Severity = "warning" // worth a look
)

// Kinds of findings.
const (
	FindingFile      = "file"      // it can't be read or used
	FindingSize      = "size"      // a mask has not the size of its picture
	FindingConstant  = "constant"  // a picture has one value alone
	FindingLabel     = "label"     // masks hold values that no rule names
	FindingEmpty     = "empty"     // a mask or a volume without any foreground
	FindingOutside   = "outside"   // a mask outside the valid region alone
	FindingFull      = "full"      // a mask that fills the valid region
	FindingDuplicate = "duplicate" // the same pixels
	FindingNear      = "near"      // nearly the same picture
	FindingPatient   = "patient"   // a patient on two sides of the split
	FindingSplit     = "split"     // a split file that does not go with the data
)

// Finding is something about a benchmark's files that is wrong or worth a look.
type Finding struct {
	Severity Severity `json:"severity"`
	Kind     string   `json:"kind"`
	Case     string   `json:"case,omitempty"`
	File     string   `json:"file,omitempty"` // relative to the data set's folder, where it lies in there
	Text     string   `json:"text"`
}

func (f Finding) String() string {
	at := f.Case
	if f.File != "" && at != "" {
		at += ", "
	}
	if at += f.File; at != "" {
		at += ": "
	}
	return at + f.Text
}

// Range is the smallest and the largest of some values.
type Range struct {
	Min float64 `json:"min"`
	Max float64 `json:"max"`
}

// SideReport sums up one side of the split.
type SideReport struct {
	Side     string `json:"side"` // "pool" or "test"
	Cases    int    `json:"cases"`
	Volumes  int    `json:"volumes,omitempty"`
	Patients int    `json:"patients"`
	Width    Range  `json:"width"` // pixels of the cases
	Height   Range  `json:"height"`
	Slices   *Range `json:"slices,omitempty"` // of a volume, whether or not they are cases
	Values   *Range `json:"values,omitempty"` // of the files, before any window; missing where no file is
	Channels []int  `json:"channels"`         // numbers of channels that differ in a case: 1 is grey
}

// TargetReport sums up the masks of one target on one side of the split. Foreground is the share of the valid region; of volumes
// that of all voxels.
type TargetReport struct {
	Target     string  `json:"target"`
	Side       string  `json:"side"`
	Masks      int     `json:"masks"` // of cases, or of volumes
	Empty      int     `json:"empty"`
	Foreground Range   `json:"foreground"`
	Median     float64 `json:"median"`
}

// Report is what Check finds.
type Report struct {
	Benchmark string         `json:"benchmark"`
	Title     string         `json:"title"`
	Task      string         `json:"task"`
	Layout    string         `json:"layout"`
	Root      string         `json:"root,omitempty"`
	Files     int            `json:"files"`            // read
	Slices    int            `json:"slices,omitempty"` // of volumes, read whether or not they are cases
	Sides     []SideReport   `json:"sides"`
	Targets   []TargetReport `json:"targets"`
	Labels    []LabelReport  `json:"labels"`
	Findings  []Finding      `json:"findings"`
}

// Count returns how many findings have a severity.
func (r *Report) Count(s Severity) int {
	n := 0
	for _, f := range r.Findings {
		if f.Severity == s {
			n++
		}
	}
	return n
}

// Check reads every file of a benchmark, one case at a time, and reports what it holds and what is wrong with it. step is told how
// many of the cases are read; opt.Progress of how many volumes the voxels are. A benchmark that is not there, or unknown, is an
// error; one whose files do not go together is a report with that finding.
func Check(ctx context.Context, name string, opt Options, step func(done, of int)) (*Report, error) {
	d, err := Declaration(name)
	if err != nil {
		return nil, err
	}
	in := newInspector(d)
	opt.inspect = func(v *volume, err error) error {
		if err := ctx.Err(); err != nil {
			return err
		}
		in.volume(v, err)
		return nil
	}
	b, err := Open(name, opt)
	switch {
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case errors.Is(err, ErrInvalid):
		in.report.Title, in.report.Task = d.Title, d.Task
		in.find(Problem, FindingFile, "", "", err.Error())
		return in.report, nil
	case err != nil:
		return nil, err
	}
	in.begin(b)
	done, of := 0, len(b.Pool)+len(b.Test)
	for _, side := range []struct {
		name  string
		cases []Case
	}{{"pool", b.Pool}, {"test", b.Test}} {
		s := in.side(side.name)
		for _, c := range side.cases {
			if err := ctx.Err(); err != nil {
				return nil, err
			}
			in.inspectCase(s, c)
			if done++; step != nil {
				step(done, of)
			}
		}
		in.end(s)
	}
	in.patients(b)
	in.duplicates()
	in.finishLabels()
	slices.SortStableFunc(in.report.Findings, func(a, b Finding) int {
		if a.Severity != b.Severity && a.Severity == Problem {
			return -1
		} else if a.Severity != b.Severity {
			return 1
		}
		return 0
	})
	return in.report, nil
}

// inspector gathers a report. Of the cases it keeps hashes, not pixels.
type inspector struct {
	report *Report
	bench  *Benchmark
	decl   *Decl
	broken map[string]bool // cases and volumes that can't be used
	read   map[string]bool // files
	// volumes holds what the voxels of each volume were like, by its case file.
	volumes map[*volume]*volumeFacts
	labels  map[string]*labelCount // by the names of the targets whose masks the files hold
	seen    []fingerprint
}

// volumeFacts are what is known of a volume as a whole.
type volumeFacts struct {
	slices int
	values Range
}

func newInspector(d *Decl) *inspector {
	return &inspector{
		report: &Report{Benchmark: d.Name, Sides: []SideReport{}, Targets: []TargetReport{}, Labels: []LabelReport{}, Findings: []Finding{}},
		decl:   d, broken: map[string]bool{}, read: map[string]bool{}, volumes: map[*volume]*volumeFacts{}, labels: map[string]*labelCount{},
	}
}

// begin notes what benchmark is looked at.
func (in *inspector) begin(b *Benchmark) {
	in.bench = b
	r := in.report
	r.Title, r.Task, r.Layout, r.Root = b.Title, b.Task, b.Layout, b.Root
	for i := range r.Findings {
		r.Findings[i].File = in.relative(r.Findings[i].File)
	}
	if b.onePatient {
		in.find(Warning, FindingPatient, "", "", "all cases are of one patient, so pool and test are alike: results say little about other patients")
	}
}

func (in *inspector) find(s Severity, kind, id, file, text string) {
	in.report.Findings = append(in.report.Findings, Finding{Severity: s, Kind: kind, Case: id, File: in.relative(file), Text: text})
}

func (in *inspector) relative(path string) string {
	if in.bench == nil || !filepath.IsAbs(path) && in.bench.Root == "" {
		return path
	}
	return relative(in.bench.Root, path)
}

// patients reports those on both sides of the split.
func (in *inspector) patients(b *Benchmark) {
	tested := map[string]string{}
	for _, c := range b.Test {
		if _, seen := tested[c.Patient]; !seen {
			tested[c.Patient] = c.ID
		}
	}
	said := map[string]bool{}
	for _, c := range b.Pool {
		if other, both := tested[c.Patient]; both && !said[c.Patient] {
			said[c.Patient] = true
			in.find(Problem, FindingPatient, c.ID, "", fmt.Sprintf("its patient %s is also that of test case %s: keep all of a patient on one side", c.Patient, other))
		}
	}
}
