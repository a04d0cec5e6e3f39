package eval

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
)

// Sweep is one experiment over numbers of shots and seeds, for each of its settings: what sweep.json holds.
type Sweep struct {
	Schema   int               `json:"schema"` // 1
	Command  string            `json:"command"`
	Versions map[string]string `json:"versions"`
	PlanHash string            `json:"plan_hash"` // of all that decides the results of all rows
	Config   string            `json:"config"`    // of the settings, TOML
	Rows     []SweepRow        `json:"rows"`
	Settings []SweepSetting    `json:"settings"`
	Totals   SweepTotals       `json:"totals"`
}

// SweepRow is one run of a sweep.
type SweepRow struct {
	Index     int      `json:"index"`
	Setting   string   `json:"setting"` // the name of the SweepSetting that it belongs to
	Benchmark string   `json:"benchmark"`
	Target    string   `json:"target"`
	Model     string   `json:"model"`
	Decoder   string   `json:"decoder"`
	Shots     int      `json:"shots"`
	Seed      int64    `json:"seed"`
	Hash      string   `json:"hash"` // of all that decides the run's result
	Dir       string   `json:"dir"`  // the run's folder, from the sweep's
	Status    string   `json:"status"`
	Error     string   `json:"error,omitempty"` // of a failed run
	Dice      Float    `json:"dice"`            // mean over the test cases
	CI95      Interval `json:"ci95"`
	LeftOut   Float    `json:"left_out_dice"` // of the shots, each left out of a fit
	Seconds   float64  `json:"seconds"`
	PeakRSSMB float64  `json:"peak_rss_mb"`
}

// What became of a sweep's row.
const (
	SweepDone   = "done"
	SweepFailed = "failed"
	SweepLeft   = "left"
)

// SweepSetting is a benchmark's target, a model and a decoder, with what the runs of a sweep say of it together. Zero-shot and
// the trivial baseline are the same for all shots and seeds.
type SweepSetting struct {
	Name       string            `json:"name"`
	Benchmark  string            `json:"benchmark"`
	Title      string            `json:"title"`
	Task       string            `json:"task"`
	Target     string            `json:"target"`
	Model      string            `json:"model"`
	ModelTitle string            `json:"model_title"`
	Decoder    string            `json:"decoder"`
	Cases      int               `json:"cases"`
	Volumes    int               `json:"volumes,omitempty"`
	Before     string            `json:"before"` // label of the zero-shot prompt that is compared with
	ZeroShot   Float             `json:"zero_shot_dice"`
	ZeroShotCI Interval          `json:"zero_shot_ci95"`
	Trivial    Float             `json:"trivial_dice"`
	Reference  map[string]string `json:"reference,omitempty"`
	Facts      map[string]string `json:"facts"` // hashes of data and weights, citation, device: what a repeat needs
	Points     []SweepPoint      `json:"points"`
	Gains      []SweepDifference `json:"gains"` // of each number of shots on zero-shot
	Steps      []SweepDifference `json:"steps"` // of each number of shots on a smaller one
	Plateau    *SweepPlateau     `json:"plateau,omitempty"`
	Curve      *SweepCurve       `json:"curve,omitempty"`
}

// SweepPoint sums up the runs with one number of shots.
type SweepPoint struct {
	Shots   int      `json:"shots"`
	Seeds   []int64  `json:"seeds"` // of the runs that are done
	Mean    Float    `json:"mean"`
	CI95    Interval `json:"ci95"`     // over seeds and cases
	SDSeeds Float    `json:"sd_seeds"` // of the runs' means
	SDCases Float    `json:"sd_cases"` // of the cases' means over seeds
}

// SweepDifference is the Dice of one number of shots less that of another, or of zero-shot, paired by seed and case.
type SweepDifference struct {
	Shots      int      `json:"shots"`
	Against    int      `json:"against"` // shots; 0: zero-shot
	Difference Float    `json:"difference"`
	CI95       Interval `json:"ci95"`   // over seeds and cases
	Effect     Float    `json:"effect"` // mean over standard deviation of the cases' differences
	P          Float    `json:"p"`      // exact Wilcoxon signed-rank test over the cases' means over seeds
	PHolm      Float    `json:"p_holm"` // adjusted for the tests of the setting
	N          int      `json:"n"`      // cases
	Better     int      `json:"better"` // of them
	Test       string   `json:"test"`   // in words
	Seeds      int      `json:"seeds"`  // that both have
}

// SweepPlateau is the number of shots beyond which more images no longer help.
type SweepPlateau struct {
	Shots    int            `json:"shots"` // 0: not reached by the sweep
	Margin   Float          `json:"margin"`
	Share    []PlateauShare `json:"share"` // of the resamples, by number of shots: how sure that is
	Interval [2]int         `json:"interval"`
}

// PlateauShare is how often the plateau lay at a number of shots; 0 shots: beyond all.
type PlateauShare struct {
	Shots int   `json:"shots"`
	Share Float `json:"share"`
}

// SweepCurve is the learning curve Dice = A - B shots^-C and what it predicts.
type SweepCurve struct {
	A          Float             `json:"a"`
	B          Float             `json:"b"`
	C          Float             `json:"c"`
	Shots      int               `json:"predicted_shots"` // twice the largest number
	Prediction Float             `json:"prediction"`
	CI95       Interval          `json:"ci95"`
	Check      *SweepCheck       `json:"check,omitempty"`
	Points     []SweepCurvePoint `json:"points"` // of the drawn curve
}

// SweepCurvePoint is a point of the fitted curve.
type SweepCurvePoint struct {
	Shots Float    `json:"shots"`
	Dice  Float    `json:"dice"`
	CI95  Interval `json:"ci95"`
}

// SweepCheck is the last number of shots, predicted by the curve through the others.
type SweepCheck struct {
	Shots      int      `json:"shots"`
	Prediction Float    `json:"prediction"`
	CI95       Interval `json:"ci95"`
	Measured   Float    `json:"measured"`
	Inside     bool     `json:"inside"` // the measured value lies in the interval
}

// SweepTotals are the work of a sweep.
type SweepTotals struct {
	Images    int     `json:"encoded_images"`
	Views     int     `json:"encoded_views"`
	Seconds   float64 `json:"seconds"` // of all runs and of the encoding
	PeakRSSMB float64 `json:"peak_rss_mb"`
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
