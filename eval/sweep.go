package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"slices"
)

// Sweep is one experiment over numbers of shots and seeds, for each of its settings: what sweep.json holds.
type Sweep struct {
	Schema   int               `json:"schema"` // 1
	Command  string            `json:"command"`
	Versions map[string]string `json:"versions"`
	PlanHash string            `json:"plan_hash"` // of all that decides the results of all rows
	Config   string            `json:"config"`    // the plan's settings, TOML; may be empty
	Rows     []SweepRow        `json:"rows"`
	Settings []SweepSetting    `json:"settings"`
	Totals   SweepTotals       `json:"totals"`
}

// SweepRow is one run of a sweep.
type SweepRow struct {
	Index     int      `json:"index"`
	Setting   string   `json:"setting"` // the SweepSetting that it belongs to
	Benchmark string   `json:"benchmark"`
	Target    string   `json:"target"`
	Model     string   `json:"model"`
	Decoder   string   `json:"decoder"`
	Shots     int      `json:"shots"`
	Seed      int64    `json:"seed"`
	Hash      string   `json:"hash"`            // of all that decides the run's result
	Dir       string   `json:"dir"`             // run folder, from the sweep's
	Status    string   `json:"status"`          // SweepDone, SweepFailed or SweepLeft
	Error     string   `json:"error,omitempty"` // of a failed run
	Dice      Float    `json:"dice"`            // mean over the test cases
	CI95      Interval `json:"ci95"`            // over these cases, for this run's draw of shots
	LeftOut   Float    `json:"left_out_dice"`   // mean Dice of the shots, each left out of a fit
	Seconds   float64  `json:"seconds"`
	PeakRSSMB float64  `json:"peak_rss_mb"`
}

// What became of a row of a sweep.
const (
	SweepDone   = "done"
	SweepFailed = "failed"
	SweepLeft   = "left" // not begun or still running
)

// SweepSetting is a benchmark's target, a model and a decoder, with what the runs of a sweep say of it together. What it says of
// data and weights is that of the first of its runs that is done.
type SweepSetting struct {
	Name          string            `json:"name"`
	Benchmark     string            `json:"benchmark"`
	Title         string            `json:"title"`
	Task          string            `json:"task"`
	Target        string            `json:"target"`
	Layout        string            `json:"layout"`
	Citation      string            `json:"citation"`
	Model         string            `json:"model"`
	ModelTitle    string            `json:"model_title"`
	WeightsFile   string            `json:"weights_file"`
	WeightsSHA256 string            `json:"weights_sha256"`
	Decoder       string            `json:"decoder"`
	Device        string            `json:"device"`
	Threads       int               `json:"threads"`
	Before        string            `json:"before"` // the zero-shot prompt that is compared with, in words
	Trivial       Float             `json:"trivial_dice"`
	Reference     map[string]string `json:"reference,omitempty"`
	Statistics    *SweepStatistics  `json:"statistics"`      // of Dice; nil where no run is done
	Error         string            `json:"error,omitempty"` // why there are no statistics of runs that are done
}

// SweepTotals are the work of a sweep.
type SweepTotals struct {
	Images    int     `json:"encoded_images"` // that went through the encoder
	Views     int     `json:"encoded_views"`
	Seconds   float64 `json:"seconds"` // of the runs and of the encoding
	PeakRSSMB float64 `json:"peak_rss_mb"`
}

// Names of the files of a run that a sweep is collected from.
const (
	ResultsFile = "results.json"
	CasesFile   = "per_case.csv"
	VolumesFile = "per_volume.csv" // where the cases are slices of volumes
)

// Collect reads the runs of a sweep's rows from their folders under dir and fills in what they say: each row's Dice, the settings in
// the order of their first rows, and what the runs took, which is added to the totals. Rows come with status and error. One that is
// called done and can't be read becomes failed and says why. The seed is that of the resamples.
func (s *Sweep) Collect(dir string, seed int64) {
	s.Versions, s.Settings = nil, nil
	type collected struct {
		runs     []SweepRun
		zeroShot []CaseValue
	}
	of := map[string]*collected{}
	for i := range s.Rows {
		row := &s.Rows[i]
		row.Dice, row.CI95, row.LeftOut = Undefined, Interval{Undefined, Undefined}, Undefined
		at := slices.IndexFunc(s.Settings, func(set SweepSetting) bool { return set.Name == row.Setting })
		if at < 0 {
			at = len(s.Settings)
			s.Settings = append(s.Settings, SweepSetting{Name: row.Setting, Benchmark: row.Benchmark, Title: row.Benchmark, Target: row.Target,
				Model: row.Model, ModelTitle: row.Model, Decoder: row.Decoder, Trivial: Undefined})
			of[row.Setting] = &collected{}
		}
		if row.Status != SweepDone {
			continue
		}
		r, values, zero, err := collectRun(filepath.Join(dir, row.Dir))
		if err != nil {
			row.Status, row.Error = SweepFailed, err.Error()
			continue
		}
		c := of[row.Setting]
		if c.runs == nil {
			s.Settings[at].describe(r)
			c.zeroShot = zero
		}
		if s.Versions == nil {
			s.Versions = r.Versions
		}
		c.runs = append(c.runs, SweepRun{Shots: row.Shots, Seed: row.Seed, Cases: values})
		row.Dice, row.CI95, row.LeftOut = r.After.Dice.Mean, r.After.Dice.CI95, r.Training.LeftOutDice
		row.Seconds, row.PeakRSSMB = r.Seconds.Total, r.PeakRSSMB
		s.Totals.Images += r.EncodedImages
		s.Totals.Views += r.EncodedViews
		s.Totals.Seconds += r.Seconds.Total
		s.Totals.PeakRSSMB = max(s.Totals.PeakRSSMB, r.PeakRSSMB)
	}
	for i := range s.Settings {
		set := &s.Settings[i]
		c := of[set.Name]
		if c.runs == nil {
			continue
		}
		var err error
		if set.Statistics, err = SummariseSweep(c.runs, c.zeroShot, SweepOptions{Metric: "dice", Margin: DefaultMargin, Seed: seed}); err != nil {
			set.Error = err.Error()
		}
	}
}

// collectRun reads a run, its Dice by case and that of zero-shot.
func collectRun(dir string) (r *Results, after, before []CaseValue, err error) {
	if r, err = ReadResults(filepath.Join(dir, ResultsFile)); err != nil {
		return nil, nil, nil, err
	}
	if r.After == nil || r.Paired == nil {
		return nil, nil, nil, fmt.Errorf("read %q: %w: it compares nothing with zero-shot", dir, ErrFormat)
	}
	rows, err := ReadCasesFile(filepath.Join(dir, CasesFile))
	if err != nil {
		return nil, nil, nil, err
	}
	by := map[string][]CaseResult{}
	for _, row := range rows {
		by[row.Method] = append(by[row.Method], row)
	}
	after, err = CaseValues(by[MethodAfter], "dice")
	if err != nil {
		return nil, nil, nil, err
	}
	before, err = CaseValues(by[r.Paired.Before], "dice")
	return r, after, before, err
}

// describe takes over what the runs of a setting share.
func (s *SweepSetting) describe(r *Results) {
	s.Title, s.Task, s.Layout, s.Citation, s.ModelTitle = r.Title, r.Task, r.Layout, r.Citation, r.ModelTitle
	s.WeightsFile, s.WeightsSHA256, s.Device, s.Threads, s.Reference = r.WeightsFile, r.WeightsSHA256, r.Device, r.Threads, r.Reference
	if m := r.Before[r.Paired.Before]; m != nil {
		s.Before = m.Label
	}
	if r.Trivial != nil {
		s.Trivial = r.Trivial.Dice
	}
}

// WriteSweep writes sweep.json, which is replaced as a whole or not at all. It sets the schema.
func WriteSweep(path string, s *Sweep) error {
	s.Schema = 1
	text, err := json.MarshalIndent(s, "", "  ")
	if err != nil {
		return fmt.Errorf("write sweep: %w", err)
	}
	return writeFile(path, append(text, '\n'))
}

// ReadSweep reads what WriteSweep wrote; errors wrap ErrFormat where the content is to blame.
func ReadSweep(path string) (*Sweep, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read sweep: %w", err)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	s := new(Sweep)
	if err := in.Decode(s); err != nil {
		return nil, fmt.Errorf("read %q: %w: %w", path, ErrFormat, err)
	}
	if s.Schema != 1 {
		return nil, fmt.Errorf("read %q: %w: its schema is %d, want 1", path, ErrFormat, s.Schema)
	}
	return s, nil
}
