package experiment

import (
	"bytes"
	"context"
	"encoding/csv"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/train"
)

// CurvePoint is one draw of shots of a learning curve.
type CurvePoint struct {
	Shots       int         `json:"shots"`
	Seeds       []int64     `json:"seeds"` // more than one where they draw the same images
	Ridge       float64     `json:"ridge"`
	Threshold   float64     `json:"threshold"`
	LeftOutDice eval.Float  `json:"left_out_dice"`
	Method      eval.Method `json:"method"` // over the test cases
}

// CurveRow sums up the draws of one number of shots. SD, Min and Max are over draws, of their mean Dice.
type CurveRow struct {
	Shots       int        `json:"shots"`
	Draws       int        `json:"draws"` // different ones
	Dice        eval.Float `json:"dice"`
	SD          eval.Float `json:"sd"`
	Min         eval.Float `json:"min"`
	Max         eval.Float `json:"max"`
	Sensitivity eval.Float `json:"sensitivity"`
	AUC         eval.Float `json:"auc"`
	ClDice      eval.Float `json:"cldice"`
	LeftOut     eval.Float `json:"left_out_dice"`
}

// Curve is Dice over the number of shots, of the convex head.
type Curve struct {
	Schema     int               `json:"schema"` // 1
	Benchmark  string            `json:"benchmark"`
	Title      string            `json:"title"`
	Target     string            `json:"target"`
	Model      string            `json:"model"`
	Cases      int               `json:"cases"`
	Rows       []CurveRow        `json:"rows"`
	Points     []CurvePoint      `json:"points"`
	Reference  map[string]string `json:"reference,omitempty"`
	Seconds    eval.Seconds      `json:"seconds"`
	PeakRSSMB  float64           `json:"peak_rss_mb"`
	Device     string            `json:"device"`
	Threads    int               `json:"threads"`
	Versions   map[string]string `json:"versions"`
	ConfigHash string            `json:"config_sha256"`
	Command    string            `json:"command"`
}

// Files of a learning curve.
const (
	CurveFile      = "curve.json"
	CurveCasesFile = "curve.csv" // a line for each draw and test case
)

// LearningCurve fits the convex head on many draws of shots and scores each on all test cases. All draws
// share every pass over the features: of the shots when they are fitted, of the test cases when they
// are scored. It writes curve.json and curve.csv into opt.Out.
func LearningCurve(ctx context.Context, opt Options, shots []int, seeds []int64) (*Curve, error) {
	r := &Run{opt: opt, cfg: opt.Config, samples: map[string]*data.Sample{}, started: time.Now()}
	defer r.close()
	for _, n := range shots {
		if n < 1 {
			return nil, fmt.Errorf("%w: shots is %d, want 1 or more", configs.ErrConfig, n)
		}
	}
	r.cfg.Decoder, r.cfg.Compare, r.cfg.Shots = decoderLinear, []string{}, 1 // the last is not used
	if err := r.open(); err != nil {
		return nil, err
	}
	c := &curve{Run: r, out: &Curve{
		Schema: 1, Benchmark: r.bench.Name, Title: r.bench.Title, Target: r.target, Model: r.model.Spec.Name, Cases: len(r.bench.Test),
		Device: r.dev.String(), Threads: r.dev.Threads(), Command: opt.Command,
		Versions: map[string]string{"samtune": opt.Version, "libtorch": tensor.Version(), "go": runtime.Version()},
	}}
	if err := c.draw(shots, seeds); err != nil {
		return nil, err
	}
	var err error
	if c.out.ConfigHash, err = r.configHash(); err != nil {
		return nil, err
	}
	r.results = &eval.Results{NSDTolerance: r.cfg.Eval.NSDTolerance}
	if c.out.Reference, err = r.secondObserver(); err != nil {
		return nil, err
	}
	c.out.Seconds.Setup = time.Since(r.started).Seconds()
	if err := c.encode(ctx); err != nil {
		return nil, err
	}
	heads, err := c.fit(ctx)
	if err != nil {
		return nil, err
	}
	if err := c.score(ctx, heads); err != nil {
		return nil, err
	}
	c.sum()
	c.out.PeakRSSMB, c.out.Seconds.Total = peakRSS(), time.Since(r.started).Seconds()
	return c.out, c.write()
}

type curve struct {
	*Run
	out    *Curve
	tasks  []train.HeadTask
	tests  []*data.Sample
	scores [][]eval.CaseResult // by draw
}

// draw makes a task of every different draw and loads the pictures.
func (c *curve) draw(shots []int, seeds []int64) error {
	at := map[string]int{}
	load := func(cs data.Case) (*data.Sample, error) {
		if s := c.samples[cs.ID]; s != nil {
			return s, nil
		}
		s, err := cs.Load()
		if err == nil && s.Masks[c.target] == nil {
			err = fmt.Errorf("%w: case %s has no mask of %s", data.ErrInvalid, cs.ID, c.target)
		}
		c.samples[cs.ID] = s
		return s, err
	}
	pool := map[string]data.Case{}
	for _, cs := range c.bench.Pool {
		pool[cs.ID] = cs
	}
	for _, n := range shots {
		for _, seed := range seeds {
			split, err := data.DrawShots(c.bench, n, seed)
			if err != nil {
				return err
			}
			drawn := append(ids(split.Train), ids(split.Validation)...)
			slices.Sort(drawn)
			key := strings.Join(drawn, "\n")
			if i, ok := at[key]; ok {
				c.out.Points[i].Seeds = append(c.out.Points[i].Seeds, seed)
				continue
			}
			at[key] = len(c.tasks)
			task := train.HeadTask{Target: c.target}
			for _, id := range drawn {
				s, err := load(pool[id])
				if err != nil {
					return err
				}
				task.Train = append(task.Train, s)
			}
			c.tasks = append(c.tasks, task)
			c.out.Points = append(c.out.Points, CurvePoint{Shots: n, Seeds: []int64{seed}})
		}
	}
	for _, cs := range c.bench.Test {
		s, err := load(cs)
		if err != nil {
			return err
		}
		c.tests = append(c.tests, s)
	}
	return nil
}

func (c *curve) encode(ctx context.Context) error {
	var wants []train.Want
	seen := map[string]bool{}
	for _, t := range append(c.tasks, train.HeadTask{Train: c.tests}) {
		for _, s := range t.Train {
			if seen[s.ID] {
				continue
			}
			seen[s.ID] = true
			more, err := c.views(decoderLinear, s)
			if err != nil {
				return err
			}
			wants = append(wants, more...)
		}
	}
	var err error
	c.out.Seconds.Encode, err = c.fill(ctx, wants)
	return err
}

func (c *curve) fit(ctx context.Context) ([]*train.Head, error) {
	began := time.Now()
	stage := c.opt.Progress.Begin("fit", 0)
	heads, err := train.FitHeads(ctx, c.headFeatures(), c.headConfig(), c.tasks, func() { stage.Add(1, "") })
	c.out.Seconds.Train = time.Since(began).Seconds()
	if err != nil {
		stage.End("")
		return nil, err
	}
	stage.End(fmt.Sprintf("convex heads for %d draws in %.1f s", len(heads), c.out.Seconds.Train))
	for i, h := range heads {
		p := &c.out.Points[i]
		p.Ridge, p.Threshold, p.LeftOutDice = h.Ridge, h.Threshold, h.LeftOut
	}
	return heads, nil
}

// score segments every test case with all heads in one pass over its features.
func (c *curve) score(ctx context.Context, heads []*train.Head) error {
	began := time.Now()
	h := c.headFeatures()
	c.scores = make([][]eval.CaseResult, len(heads))
	stage := c.opt.Progress.Begin("test", len(c.tests))
	for _, sample := range c.tests {
		if err := ctx.Err(); err != nil {
			return err
		}
		var segs []*train.Segmentation
		err := c.dev.Run(func(s *tensor.Scope) (err error) {
			segs, err = h.SegmentAll(s, sample, heads)
			return err
		})
		if err != nil {
			return err
		}
		rows := make([]eval.CaseResult, len(heads))
		failed := make([]error, len(heads))
		var wg sync.WaitGroup
		for w := range runtime.NumCPU() {
			wg.Go(func() {
				for i := w; i < len(heads); i += runtime.NumCPU() {
					rows[i], failed[i] = c.scoreOne(eval.MethodAfter, sample, segs[i])
				}
			})
		}
		wg.Wait()
		for i := range heads {
			if failed[i] != nil {
				return failed[i]
			}
			c.scores[i] = append(c.scores[i], rows[i])
		}
		stage.Add(1, sample.ID)
	}
	stage.End("")
	c.out.Seconds.Evaluate = time.Since(began).Seconds()
	for i := range heads {
		c.out.Points[i].Method = *eval.MethodOf("convex head", false, c.scores[i], c.cfg.Seed)
	}
	return nil
}

// sum makes a row of each number of shots.
func (c *curve) sum() {
	for i, p := range c.out.Points {
		if i > 0 && p.Shots == c.out.Points[i-1].Shots {
			continue
		}
		row := CurveRow{Shots: p.Shots}
		over := func(value func(p *CurvePoint) eval.Float) eval.Summary {
			var values []float64
			for k := range c.out.Points {
				if c.out.Points[k].Shots == p.Shots {
					values = append(values, float64(value(&c.out.Points[k])))
				}
			}
			row.Draws = len(values)
			return eval.Summarise(values, c.cfg.Seed)
		}
		dice := over(func(p *CurvePoint) eval.Float { return p.Method.Dice.Mean })
		row.Dice, row.SD, row.Min, row.Max = dice.Mean, dice.SD, dice.Min, dice.Max
		row.Sensitivity = over(func(p *CurvePoint) eval.Float { return p.Method.Sensitivity.Mean }).Mean
		row.AUC = over(func(p *CurvePoint) eval.Float { return p.Method.AUC.Mean }).Mean
		row.ClDice = over(func(p *CurvePoint) eval.Float { return p.Method.ClDice.Mean }).Mean
		row.LeftOut = over(func(p *CurvePoint) eval.Float { return p.LeftOutDice }).Mean
		c.out.Rows = append(c.out.Rows, row)
	}
}

func (c *curve) write() error {
	if err := os.MkdirAll(c.opt.Out, 0o755); err != nil {
		return fmt.Errorf("make output folder: %w", err)
	}
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	w.Write([]string{"shots", "seed", "case", "dice", "sensitivity", "specificity", "auc", "cldice"}) // errors are kept for Flush
	cell := func(f eval.Float) string {
		if !f.Defined() {
			return ""
		}
		return strconv.FormatFloat(float64(f), 'g', -1, 64)
	}
	for i, p := range c.out.Points {
		for _, row := range c.scores[i] {
			w.Write([]string{strconv.Itoa(p.Shots), strconv.FormatInt(p.Seeds[0], 10), row.Case,
				cell(row.Dice), cell(row.Sensitivity), cell(row.Specificity), cell(row.AUC), cell(row.ClDice)})
		}
	}
	w.Flush()
	if err := w.Error(); err != nil {
		return fmt.Errorf("write curve: %w", err)
	}
	if err := writeFile(filepath.Join(c.opt.Out, CurveCasesFile), b.Bytes()); err != nil {
		return err
	}
	text, err := json.MarshalIndent(c.out, "", "  ")
	if err != nil {
		return fmt.Errorf("write curve: %w", err)
	}
	return writeFile(filepath.Join(c.opt.Out, CurveFile), append(text, '\n'))
}
