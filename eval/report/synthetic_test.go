package report

import (
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"sort"
	"time"

	"samtune/data"
	"samtune/eval"
)

// The runs below are made up: their shape and size are those of a run on 20 retinal images, their numbers
// are drawn from a seed.

var methodLevels = []struct {
	key, label string
	oracle     bool
	dice       float64
}{
	{"none", "no prompt", false, 0},
	{"box", "full-image box", false, 0.227},
	{"point", "centre point", false, 0.004},
	{"oracle_box", "box around the truth", true, 0.228},
	{"oracle_point", "10 points of the truth", true, 0.129},
	{"after", "fine-tuned on 5 images", false, 0.612},
}

func summarise(values []eval.Float, half float64) eval.Summary {
	s := eval.Summary{Mean: eval.Undefined, CI95: eval.Interval{eval.Undefined, eval.Undefined},
		SD: eval.Undefined, Median: eval.Undefined, Min: eval.Undefined, Max: eval.Undefined}
	var defined []float64
	for _, v := range values {
		if v.Defined() {
			defined = append(defined, float64(v))
		} else {
			s.Undefined++
		}
	}
	s.N = len(defined)
	if s.N == 0 {
		return s
	}
	sort.Float64s(defined)
	sum := 0.0
	for _, v := range defined {
		sum += v
	}
	mean := sum / float64(s.N)
	s.Mean, s.CI95 = eval.Float(mean), eval.Interval{eval.Float(mean - half), eval.Float(mean + half)}
	s.Min, s.Max, s.Median = eval.Float(defined[0]), eval.Float(defined[s.N-1]), eval.Float(defined[s.N/2])
	return s
}

func methodFrom(label string, oracle bool, rows []eval.CaseResult) *eval.Method {
	m := &eval.Method{Label: label, Oracle: oracle}
	column := func(of func(eval.Scores) eval.Float, half float64) eval.Summary {
		var values []eval.Float
		for _, r := range rows {
			values = append(values, of(r.Scores))
		}
		return summarise(values, half)
	}
	m.Dice = column(func(s eval.Scores) eval.Float { return s.Dice }, 0.014)
	m.IoU = column(func(s eval.Scores) eval.Float { return s.IoU }, 0.013)
	m.Sensitivity = column(func(s eval.Scores) eval.Float { return s.Sensitivity }, 0.02)
	m.Specificity = column(func(s eval.Scores) eval.Float { return s.Specificity }, 0.004)
	m.Accuracy = column(func(s eval.Scores) eval.Float { return s.Accuracy }, 0.003)
	m.AUC = column(func(s eval.Scores) eval.Float { return s.AUC }, 0.006)
	m.ClDice = column(func(s eval.Scores) eval.Float { return s.ClDice }, 0.018)
	m.HD95 = column(func(s eval.Scores) eval.Float { return s.HD95 }, 1.3)
	m.ASSD = column(func(s eval.Scores) eval.Float { return s.ASSD }, 0.2)
	m.NSD = column(func(s eval.Scores) eval.Float { return s.NSD }, 0.02)
	return m
}

// made is a run with what its folder holds.
type made struct {
	Results  *eval.Results
	Rows     []eval.CaseResult
	Log      []TrainPoint
	Config   string
	Overlays []CaseOverlay
}

// leave writes the files that a run leaves before its report.
func (m made) leave(dir string) error {
	if err := eval.WriteCasesFile(filepath.Join(dir, CasesFile), m.Rows); err != nil {
		return err
	}
	var log []byte
	for _, p := range m.Log {
		line, err := json.Marshal(p)
		if err != nil {
			return err
		}
		log = append(append(log, line...), '\n')
	}
	if err := os.WriteFile(filepath.Join(dir, TrainLogFile), log, 0o600); err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(dir, ConfigFile), []byte(m.Config), 0o600); err != nil {
		return err
	}
	for _, c := range m.Overlays {
		if err := WriteOverlay(filepath.Join(dir, OverlayDir), c); err != nil {
			return err
		}
	}
	return nil
}

// syntheticRun is a fine-tuning on 5 images, tested on 20, that worked; HD95 and ASSD of the empty "no
// prompt" predictions are not defined.
func syntheticRun() made {
	rng := rand.New(rand.NewPCG(7, 1))
	in := made{Results: &eval.Results{
		Schema: 1, Benchmark: "drive", Title: "DRIVE", Task: "retinal vessels", Target: "vessels",
		Layout:   "full copy: 20 training and 20 test images, masks of the field of view",
		Citation: "Staal et al., Ridge-based vessel segmentation in color images of the retina, IEEE TMI 23(4), 2004, https://doi.org/10.1109/TMI.2004.825627",
		Model:    "lite_medsam", ModelTitle: "LiteMedSAM", WeightsFile: "lite_medsam.pth",
		WeightsSHA256: "79d8c9dcb2b5f0a5cf5b6d5f4f0e3a2b1c0d9e8f7a6b5c4d3e2f1a0b9c8d7e6f",
		ConfigSHA256:  "3f9a12aa7c1de0b2c4455f6aa7b8c9d0e1f2031425364758697a8b9cadbecfd0",
		DataSHA256:    "c0ffee00a7b8c9d0e1f2031425364758697a8b9cadbecfd0e1f20314253647ab",
		Shots:         5, Seed: 1, Cases: 20, Unit: "px", NSDTolerance: 2, Device: "cpu", Threads: 2,
		Versions: map[string]string{"samtune": "0.1.0", "libtorch": "2.11.0", "go": "1.26.8"},
		Before:   map[string]*eval.Method{}, AfterPrompt: "none",
		Reference: map[string]string{"second human observer": "Dice 0.788 (20 cases, inside the field of view)"},
		Training: eval.Training{Decoder: "plain", Steps: 300, BestStep: 240, Validation: []string{"33_training"},
			TrainCases: []string{"22_training", "25_training", "36_training", "39_training"}, ResumedAt: []int{121},
			Parameters: 4058340, BestDice: 0.634},
		Seconds:   eval.Seconds{Setup: 2.6, Encode: 43.2, Train: 491.7, Evaluate: 61, Total: 598.5},
		PeakRSSMB: 1874.3, EncodedImages: 25, EncodedViews: 250, CachedViews: 12,
		Started:  time.Date(2026, 11, 23, 21, 4, 0, 0, time.UTC),
		Finished: time.Date(2026, 11, 23, 21, 14, 0, 0, time.UTC),
		Command:  "samtune finetune --benchmark drive --shots 5 --seed 1 --model lite_medsam",
	}, Config: "benchmark = \"drive\"\nshots = 5\nseed = 1\nsource = \"https://example.org/weights\"\n\n[train]\nlr = 1e-4\nsteps = 300\n"}

	r := in.Results
	byMethod := map[string][]eval.CaseResult{}
	for c := 1; c <= 20; c++ {
		ease := rng.NormFloat64() * 0.03
		for _, m := range methodLevels {
			row := syntheticRow(fmt.Sprintf("%02d_test", c), m.key, m.dice, ease, rng)
			byMethod[m.key] = append(byMethod[m.key], row)
			in.Rows = append(in.Rows, row)
		}
	}
	for _, m := range methodLevels {
		if m.key == "after" {
			r.After = methodFrom(m.label, m.oracle, byMethod[m.key])
			continue
		}
		r.Before[m.key] = methodFrom(m.label, m.oracle, byMethod[m.key])
	}
	difference := r.After.Dice.Mean - r.Before["box"].Dice.Mean
	r.Paired = &eval.Paired{Before: "box", Difference: difference, CI95: eval.Interval{difference - 0.014, difference + 0.014},
		P: 1.9073486328125e-06, Test: "Wilcoxon signed-rank test, two-sided, exact", N: 20, Wins: 20}
	everything := methodFrom("everything is foreground", false, []eval.CaseResult{syntheticRow("x", "trivial", 0.226, 0, rng)})
	r.Trivial = &eval.Trivial{Dice: everything.Dice.Mean, Method: *everything}
	r.Thickness = []float64{3, 5}
	for k, level := range []eval.Float{0.42, 0.6, 0.71} {
		r.After.ByThickness = append(r.After.ByThickness, summarise([]eval.Float{level, level + 0.02}, 0.02+0.01*float64(k)))
	}
	r.Before["box"].Histogram, r.After.Histogram = syntheticHistogram(0.4), syntheticHistogram(2.2)
	for step := 1; step <= 300; step++ {
		p := TrainPoint{Step: step, Loss: 0.45 + 1.1*math.Exp(-float64(step)/45) + 0.04*rng.NormFloat64(), LR: 1e-4}
		if step%20 == 0 {
			v := 0.634 - 0.3*math.Exp(-float64(step)/50) - 0.00002*math.Pow(float64(step-240), 2)/10
			p.ValDice = &v
		}
		in.Log = append(in.Log, p)
	}
	for i, c := range Pick(r, in.Rows) {
		if c.Role != "" || i < 3 { // few: drawing takes time
			addPictures(&c, 141, 146, uint64(i))
			in.Overlays = append(in.Overlays, c)
		}
	}
	return in
}

// allPictures are pictures of every case, of DRIVE's size.
func allPictures(m made) []CaseOverlay {
	cases := Pick(m.Results, m.Rows)
	for i := range cases {
		addPictures(&cases[i], 565, 584, uint64(i))
	}
	return cases
}

// syntheticHistogram is of scores whose log odds lie so far apart inside and outside.
func syntheticHistogram(apart float64) *eval.Histogram {
	rng := rand.New(rand.NewPCG(3, uint64(100*apart)))
	in := eval.Input{Truth: data.NewMask(4000, 1)}
	for i := range in.Truth.Pix {
		logit := rng.NormFloat64() - 2
		if i%9 == 0 {
			in.Truth.Pix[i] = 1
			logit += apart
		}
		in.Probability = append(in.Probability, float32(1/(1+math.Exp(-logit))))
	}
	return eval.CountProbabilities(in)
}

func syntheticRow(id, method string, level, ease float64, rng *rand.Rand) eval.CaseResult {
	clip := func(v float64) eval.Float { return eval.Float(math.Min(math.Max(v, 0), 1)) }
	s := eval.Scores{TP: 18000, FP: 9000, FN: 11000, TN: 190000}
	dice := 0.0
	if level > 0 {
		dice = float64(clip(level + ease*level + rng.NormFloat64()*0.008*level))
	}
	s.Dice, s.IoU = eval.Float(dice), eval.Float(dice/(2-dice))
	s.Sensitivity, s.Specificity = clip(dice+0.06), clip(0.93+dice/20)
	s.Accuracy, s.AUC = clip(0.86+dice/10), clip(0.5+dice/1.5)
	s.ClDice, s.NSD = clip(dice*1.02), clip(dice*1.15)
	s.HD95, s.ASSD = eval.Float(30-20*dice), eval.Float(6-5*dice)
	if dice == 0 {
		s.HD95, s.ASSD = eval.Undefined, eval.Undefined
	}
	return eval.CaseResult{Case: id, Patient: id, Method: method, Scores: s}
}

// addPictures draws a round field of view with branching lines of 1 to 5 pixels as truth, finds all of it and
// a disc more before, and most of it after.
func addPictures(c *CaseOverlay, w, h int, seed uint64) {
	rng := rand.New(rand.NewPCG(11, seed))
	img := &data.Image{Width: w, Height: h, Pix: make([]uint8, 3*w*h)}
	truth, valid, before, after := data.NewMask(w, h), data.NewMask(w, h), data.NewMask(w, h), data.NewMask(w, h)
	for i := range valid.Pix {
		dx, dy := float64(i%w-w/2)/float64(w/2), float64(i/w-h/2)/float64(h/2)
		if dx*dx+dy*dy < 0.95 {
			valid.Pix[i] = 1
			shade := 1 - 0.4*(dx*dx+dy*dy) + 0.03*rng.NormFloat64()
			img.Pix[3*i], img.Pix[3*i+1], img.Pix[3*i+2] = uint8(190*shade), uint8(105*shade), uint8(60*shade)
		}
	}
	for range 26 {
		x, y, angle, width := float64(w)*0.75, float64(h)*0.5, rng.Float64()*2*math.Pi, 1+4*rng.Float64()
		found := rng.Float64() < 0.7 || width > 3
		for range w {
			angle += rng.NormFloat64() * 0.06
			x, y = x+math.Cos(angle), y+math.Sin(angle)
			width = math.Max(1, width*0.997)
			for dy := -width / 2; dy < width/2; dy++ {
				for dx := -width / 2; dx < width/2; dx++ {
					px, py := int(x+dx), int(y+dy)
					if px < 0 || py < 0 || px >= w || py >= h || valid.Pix[py*w+px] == 0 {
						continue
					}
					truth.Pix[py*w+px] = 1
					for k := range 3 {
						img.Pix[3*(py*w+px)+k] = uint8(float64(60-10*k) * 0.9)
					}
					if found {
						after.Pix[py*w+px] = 1
					}
				}
			}
			if !found && rng.Float64() < 0.3 && int(x) > 0 && int(x) < w-1 && int(y) > 0 && int(y) < h-1 {
				after.Pix[(int(y)-1)*w+int(x)+1] = 1
			}
		}
	}
	copy(before.Pix, valid.Pix)
	c.Image, c.Truth, c.Valid, c.Before, c.After = img, truth, valid, before, after
}
