package sweep

import (
	"context"
	"errors"
	"path/filepath"
	"strings"
	"testing"

	"samtune/configs"
	"samtune/eval"
	"samtune/experiment"
	"samtune/internal/testkit"
)

// notes keeps what is said of a sweep.
type notes struct{ lines []string }

func (n *notes) Note(stage, text string)            { n.lines = append(n.lines, stage+" "+text) }
func (n *notes) Begin(string, int) experiment.Stage { return n }
func (n *notes) Add(int, string)                    {}
func (n *notes) End(string)                         {}

// small are the settings of runs on four generated pictures that take seconds.
func small(t *testing.T) *configs.Run {
	t.Helper()
	cfg := configs.Default()
	cfg.Benchmark, cfg.Target, cfg.Model, cfg.Weights, cfg.Cache.Dir = testkit.Eyes(t, t.TempDir(), 2, 2), "vessels", "lite_medsam", testkit.LiteMedSAM(t), t.TempDir()
	cfg.Decoder, cfg.Compare = "linear", []string{}
	cfg.Head = configs.Head{Scales: []int{1}, Mirrors: "none", Features: []string{"pixels", "stage0"}, Whole: []string{}, Pixels: 1000, Ridges: []float64{1e-3}, Positive: 1, Threshold: 0.5}
	cfg.Eval.Prompts, cfg.Train.Device = []string{"box"}, "cpu"
	return cfg
}

// TestSweepFromPlanToStatistics plans runs on one and two pictures, encodes, does all of them, and collects.
func TestSweepFromPlanToStatistics(t *testing.T) {
	dir, said, ctx := t.TempDir(), &notes{}, t.Context()
	opt := Options{Settings: []*configs.Run{small(t)}, Shots: []int{1, 2, 3}, Seeds: []int64{1, 2}, Version: "test", Command: "samtune sweep", Progress: said}
	p, err := New(ctx, opt)
	if err != nil {
		t.Fatal(err)
	}
	if len(p.Runs) != 4 || len(said.lines) == 0 || !strings.Contains(strings.Join(said.lines, "\n"), "no runs with [3] shots") {
		t.Fatalf("%d runs, %q: want 1 and 2 shots with two seeds, and a word on 3", len(p.Runs), said.lines)
	}
	again, err := New(ctx, opt)
	if err != nil || again.Hash != p.Hash {
		t.Errorf("the same plan has another hash: %v", err)
	}
	if err := p.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	env := Env{Version: "test", Command: "samtune sweep run", Progress: said}
	if err := Encode(ctx, dir, p, 1, env); !errors.Is(err, ErrPlan) {
		t.Errorf("a share that is not there: %v", err)
	}
	if err := Encode(ctx, dir, p, 0, env); err != nil {
		t.Fatal(err)
	}
	for _, index := range []int{-1, 4} {
		if err := RunTask(ctx, dir, p, index, env); !errors.Is(err, ErrPlan) {
			t.Errorf("run %d: %v, want ErrPlan", index, err)
		}
	}
	s, err := Collect(dir, p, "test")
	if err != nil || s.Rows[0].Status != eval.SweepLeft || s.Totals.Images != 4 {
		t.Errorf("before it ran: %+v, %v: want 4 images encoded and nothing done", s, err)
	}
	for range 2 { // the second time there is nothing to do
		if err := RunTask(ctx, dir, p, 2, env); err != nil {
			t.Fatal(err)
		}
	}
	if s, err = Collect(dir, p, "test"); err != nil {
		t.Fatal(err)
	}
	for _, row := range s.Rows {
		if row.Status != eval.SweepDone || !(row.Dice > 0.3 && row.Dice < 1) {
			t.Errorf("%+v: want it done: runs of the head are done together", row)
		}
	}
	if two := s.Rows[2:]; two[0].Dice != two[1].Dice {
		t.Errorf("two draws of the same two pictures have Dice %v and %v", two[0].Dice, two[1].Dice)
	}
	if got, err := eval.ReadSweep(filepath.Join(dir, "sweep.json")); err != nil || got.Settings[0].Statistics == nil || len(got.Settings[0].Statistics.Shots) != 2 {
		t.Errorf("sweep.json: %v", err)
	}
}

// TestPlansThatAreRefused have settings that no sweep can have.
func TestPlansThatAreRefused(t *testing.T) {
	said := &notes{}
	for name, change := range map[string]func(*Options){
		"no shots":      func(o *Options) { o.Shots = []int{0} },
		"too many":      func(o *Options) { o.Shots = []int{9} },
		"twice":         func(o *Options) { o.Seeds = []int64{1, 1} },
		"its own split": func(o *Options) { o.Settings[0].Split = "split.toml" },
	} {
		t.Run(name, func(t *testing.T) {
			opt := Options{Settings: []*configs.Run{small(t)}, Shots: []int{1}, Seeds: []int64{1}, Progress: said}
			change(&opt)
			if _, err := New(context.Background(), opt); !errors.Is(err, ErrPlan) {
				t.Errorf("error %v, want ErrPlan", err)
			}
		})
	}
}
