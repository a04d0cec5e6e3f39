// Package eval scores segmentations, compares them case by case and says how sure the comparison is.
// It knows nothing of libtorch.
package eval

import (
	"encoding/json"
	"math"
	"time"
)

// Float is a float64 whose undefined value, NaN, is null in JSON.
type Float float64

// Undefined is the value of a metric that has none, as Dice where truth and prediction are both empty.
var Undefined = Float(math.NaN())

// Defined says whether the value is a number.
func (f Float) Defined() bool { return !math.IsNaN(float64(f)) }

// MarshalJSON writes null for NaN and infinities.
func (f Float) MarshalJSON() ([]byte, error) {
	if v := float64(f); math.IsNaN(v) || math.IsInf(v, 0) {
		return []byte("null"), nil
	}
	return json.Marshal(float64(f))
}

// UnmarshalJSON reads null as NaN.
func (f *Float) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		*f = Undefined
		return nil
	}
	return json.Unmarshal(b, (*float64)(f))
}

// Scores are the metrics of one case and target, over the pixels of the valid region. A metric that
// is not defined for the case is NaN.
type Scores struct {
	TP          int   `json:"tp"`
	FP          int   `json:"fp"`
	FN          int   `json:"fn"`
	TN          int   `json:"tn"`
	Dice        Float `json:"dice"`
	IoU         Float `json:"iou"`
	Sensitivity Float `json:"sensitivity"`
	Specificity Float `json:"specificity"`
	Accuracy    Float `json:"accuracy"`
	AUC         Float `json:"auc"`
	ClDice      Float `json:"cldice"`
	HD95        Float `json:"hd95"`
	ASSD        Float `json:"assd"`
	NSD         Float `json:"nsd"`

	ByThickness []Float `json:"by_thickness,omitempty"` // Dice by classes of local thickness, where that was asked for
}

// CaseResult is the row of one case under one method.
type CaseResult struct {
	Case    string `json:"case"`
	Patient string `json:"patient"`
	Volume  string `json:"volume"` // whose slice it is; empty for a picture of its own
	Method  string `json:"method"` // key of Results.Before ("none", "box", ...), or "after"
	Scores
}

// Interval is a confidence interval.
type Interval [2]Float

// Summary is a metric over cases: the mean of the defined values and its 95 % bootstrap interval.
type Summary struct {
	Mean      Float    `json:"mean"`
	CI95      Interval `json:"ci95"`
	SD        Float    `json:"sd"`
	Median    Float    `json:"median"`
	Min       Float    `json:"min"`
	Max       Float    `json:"max"`
	N         int      `json:"n"`         // cases with a defined value
	Undefined int      `json:"undefined"` // cases without one, left out of all the above
}

// Method is a way of segmenting the test cases, summarised metric by metric.
type Method struct {
	Label       string  `json:"label"`      // for people: "full-image box"
	Oracle      bool    `json:"oracle"`     // its prompts were made from the ground truth
	BothEmpty   int     `json:"both_empty"` // cases in which truth and prediction are both empty
	Dice        Summary `json:"dice"`
	IoU         Summary `json:"iou"`
	Sensitivity Summary `json:"sensitivity"`
	Specificity Summary `json:"specificity"`
	Accuracy    Summary `json:"accuracy"`
	AUC         Summary `json:"auc"`
	ClDice      Summary `json:"cldice"`
	HD95        Summary `json:"hd95"`
	ASSD        Summary `json:"assd"`
	NSD         Summary `json:"nsd"`

	ByThickness []Summary  `json:"by_thickness,omitempty"` // Dice by Results.Thickness
	In3D        *In3D      `json:"in_3d,omitempty"`        // of volumes
	Histogram   *Histogram `json:"histogram,omitempty"`    // of the probabilities of all test cases' pixels; of what is compared alone
}

// metric is one of the metrics, in a row of Scores and in a Method.
type metric struct {
	name    string
	value   func(*Scores) *Float
	summary func(*Method) *Summary
}

// metrics are all metrics, in the order of tables and columns.
var metrics = []metric{
	{"dice", func(s *Scores) *Float { return &s.Dice }, func(m *Method) *Summary { return &m.Dice }},
	{"iou", func(s *Scores) *Float { return &s.IoU }, func(m *Method) *Summary { return &m.IoU }},
	{"sensitivity", func(s *Scores) *Float { return &s.Sensitivity }, func(m *Method) *Summary { return &m.Sensitivity }},
	{"specificity", func(s *Scores) *Float { return &s.Specificity }, func(m *Method) *Summary { return &m.Specificity }},
	{"accuracy", func(s *Scores) *Float { return &s.Accuracy }, func(m *Method) *Summary { return &m.Accuracy }},
	{"auc", func(s *Scores) *Float { return &s.AUC }, func(m *Method) *Summary { return &m.AUC }},
	{"cldice", func(s *Scores) *Float { return &s.ClDice }, func(m *Method) *Summary { return &m.ClDice }},
	{"hd95", func(s *Scores) *Float { return &s.HD95 }, func(m *Method) *Summary { return &m.HD95 }},
	{"assd", func(s *Scores) *Float { return &s.ASSD }, func(m *Method) *Summary { return &m.ASSD }},
	{"nsd", func(s *Scores) *Float { return &s.NSD }, func(m *Method) *Summary { return &m.NSD }},
}

// Paired compares Dice after with Dice before over the cases that have both.
type Paired struct {
	Before     string   `json:"before"`     // the key in Results.Before that "after" is compared with
	Difference Float    `json:"difference"` // mean of after - before
	CI95       Interval `json:"ci95"`
	P          Float    `json:"p"`      // exact two-sided Wilcoxon signed-rank test
	Test       string   `json:"test"`   // the test's name and variant, in words
	N          int      `json:"n"`      // pairs
	Wins       int      `json:"wins"`   // after > before
	Ties       int      `json:"ties"`   // after == before
	Losses     int      `json:"losses"` // after < before
}

// Trivial is the baseline that calls every pixel of the valid region foreground.
type Trivial struct {
	Dice   Float  `json:"dice"` // mean over the test cases
	Method Method `json:"method"`
}

// Seconds are wall times of a run's parts.
type Seconds struct {
	Setup    float64 `json:"setup"`  // loading weights and data
	Encode   float64 `json:"encode"` // running the image encoder, cache look-ups included
	Train    float64 `json:"train"`
	Evaluate float64 `json:"evaluate"`
	Total    float64 `json:"total"`
}

// Training says how the fine-tuned weights came about.
type Training struct {
	Decoder    string   `json:"decoder"`
	Steps      int      `json:"steps"`
	BestStep   int      `json:"best_step"`
	Validation []string `json:"validation"` // cases held out of the shots to choose the best step; empty: the last step was taken
	TrainCases []string `json:"train_cases"`
	ResumedAt  []int    `json:"resumed_at"` // steps at which an interrupted run went on
	Parameters int      `json:"parameters"` // trained numbers
	BestDice   Float    `json:"best_validation_dice"`

	LeftOutDice Float   `json:"left_out_dice"` // mean Dice of the shots, each left out of a fit of its own
	Ridge       float64 `json:"ridge"`         // penalty of a convex head
	Threshold   float64 `json:"threshold"`     // probability above which a pixel is inside
	Seconds     float64 `json:"seconds"`
}

// Other is a further decoder that was fitted on the same shots.
type Other struct {
	Key      string   `json:"key"` // its method in per_case.csv
	Method   Method   `json:"method"`
	Prompt   string   `json:"prompt"`
	Training Training `json:"training"`
	Paired   *Paired  `json:"paired"`  // it against zero-shot
	Against  *Paired  `json:"against"` // the run's own decoder against it: "before" is this one
}

// Results is what a run leaves in results.json: enough to print its report and to sweep over.
type Results struct {
	Schema        int                `json:"schema"` // 1
	Benchmark     string             `json:"benchmark"`
	Title         string             `json:"title"`
	Task          string             `json:"task"`
	Target        string             `json:"target"`
	Layout        string             `json:"layout"`
	Citation      string             `json:"citation"`
	Model         string             `json:"model"`
	ModelTitle    string             `json:"model_title"`
	WeightsFile   string             `json:"weights_file"`
	WeightsSHA256 string             `json:"weights_sha256"`
	ConfigSHA256  string             `json:"config_sha256"`
	DataSHA256    string             `json:"data_sha256"`
	Shots         int                `json:"shots"`
	Seed          int64              `json:"seed"`
	Cases         int                `json:"cases"`             // test cases: pictures or slices
	Volumes       int                `json:"volumes,omitempty"` // that the test cases are slices of; statistics are over these
	Unit          string             `json:"unit"`              // of HD95 and ASSD
	NSDTolerance  float64            `json:"nsd_tolerance"`
	Thickness     []float64          `json:"thickness,omitempty"` // bounds of the classes of local thickness, in Unit
	Device        string             `json:"device"`
	Threads       int                `json:"threads"`
	Versions      map[string]string  `json:"versions"`
	Before        map[string]*Method `json:"before"` // by prompt kind
	After         *Method            `json:"after"`
	AfterPrompt   string             `json:"after_prompt"`
	Paired        *Paired            `json:"paired"`
	Others        []Other            `json:"others,omitempty"` // further decoders
	Trivial       *Trivial           `json:"trivial"`
	Reference     map[string]string  `json:"reference,omitempty"`
	Training      Training           `json:"training"`
	Seconds       Seconds            `json:"seconds"`
	PeakRSSMB     float64            `json:"peak_rss_mb"`
	EncodedImages int                `json:"encoded_images"` // images that went through the encoder in this run
	EncodedViews  int                `json:"encoded_views"`  // encoder passes: whole images and tiles
	CachedViews   int                `json:"cached_views"`   // views whose embedding was found on disk
	Started       time.Time          `json:"started"`
	Finished      time.Time          `json:"finished"`
	Command       string             `json:"command"`
}
