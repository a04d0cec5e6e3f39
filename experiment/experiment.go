// Package experiment is one run of samtune: a benchmark's test cases segmented zero-shot and after
// fine-tuning on a few shots, compared case by case, and written down.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"time"

	"github.com/gofrs/flock"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// ErrFinished says that the run's folder already holds its results.
var ErrFinished = errors.New("finished run found")

// Progress shows how far a run is. Begin starts a stage of total parts (0: not countable) and returns
// what is called after each part with a remark and, at the end, what ends the stage.
type Progress interface {
	Note(stage, text string)
	Begin(stage string, total int) Stage
}

// Stage is one stage of a run under way.
type Stage interface {
	Add(n int, remark string)
	End(remark string)
}

// Options are where a run finds and leaves things; what decides its result is in its config.
type Options struct {
	Config   *configs.Run
	DataRoot string // folder that holds the data sets; may be empty for generated ones
	Out      string // run folder; empty: a folder under RunsDir named by the run
	RunsDir  string
	CacheDir string // folder of the feature cache where the config names none
	Weights  string // weights file where the config names none
	Again    bool   // repeat a finished run
	Fewer    bool   // take all shots that there are where these are fewer
	ZeroShot bool   // compare prompts only, without training
	Tuned    *Tuned // fine-tuned weights to test instead of training any
	Command  string // as typed, for the report
	Version  string // of samtune
	Progress Progress
}

// Run is a run that is set up: its data is checked and its folder is there.
type Run struct {
	Dir     string
	opt     Options
	cfg     *configs.Run
	decl    *data.Decl
	bench   *data.Benchmark
	target  string
	split   *data.Split
	samples map[string]*data.Sample // of the split's cases, by ID
	dev     *tensor.Device
	model   *model.Model
	hash    string // of all that decides the result
	config  string // hash of the settings alone
	cache   *train.EmbeddingCache
	prior   *train.Prior // the convex head of this run, for the decoder that corrects it
	results *eval.Results
	rows    []eval.CaseResult
	masks   map[string]map[string]*data.Mask // predictions by method and case, for the overlays
	lock    *flock.Flock
	started time.Time
}

// Execute does a run from start to end and returns its results and folder. With ErrFinished the results
// are those of the run that was found.
func Execute(ctx context.Context, opt Options) (*eval.Results, string, error) {
	r := &Run{opt: opt, cfg: opt.Config, samples: map[string]*data.Sample{}, started: time.Now()}
	defer r.close()
	if err := r.setUp(); err != nil {
		if errors.Is(err, ErrFinished) {
			results, failed := eval.ReadResults(filepath.Join(r.Dir, ResultsFile))
			if failed != nil {
				return nil, r.Dir, failed
			}
			return results, r.Dir, err
		}
		return nil, r.Dir, err
	}
	setup := time.Since(r.started)
	if err := r.encode(ctx); err != nil {
		return nil, r.Dir, err
	}
	if err := r.zeroShot(ctx); err != nil {
		return nil, r.Dir, err
	}
	switch {
	case opt.Tuned != nil:
		if err := r.testTuned(ctx); err != nil {
			return nil, r.Dir, err
		}
	case !opt.ZeroShot:
		if err := r.fineTune(ctx); err != nil {
			return nil, r.Dir, err
		}
	}
	r.results.Seconds.Setup = setup.Seconds()
	return r.results, r.Dir, r.finish()
}

// Names of the files in a run's folder.
const (
	ResultsFile    = "results.json"
	CasesFile      = "per_case.csv"
	SplitFile      = "split.toml"
	ConfigFile     = "config.toml"
	TrainLogFile   = "train.jsonl"
	CheckpointsDir = "checkpoints"
	OverlaysDir    = "overlays"
	BenchmarkFile  = "benchmark.toml" // a copy of the user's own declaration
)

// open finds the data and loads the model.
func (r *Run) open() error {
	cfg := r.cfg
	var err error
	if r.decl, err = data.Declaration(cfg.Benchmark); err != nil {
		return err
	}
	if r.target, err = pickTarget(r.decl, cfg.Target); err != nil {
		return err
	}
	cfg.Target = r.target
	if err := r.find(); err != nil {
		return err
	}
	if err := r.check(); err != nil {
		return err
	}
	spec, err := model.LookUp(cfg.Model)
	if err != nil {
		return err
	}
	if _, _, err := r.headFeatures().Pyramid.Blocks(spec); err != nil {
		return fmt.Errorf("%w: %w", configs.ErrConfig, err)
	}
	if r.dev, err = tensor.Open(cfg.Train.Device, cfg.Train.Threads); err != nil {
		return err
	}
	r.cache = &train.EmbeddingCache{Dir: cfg.Cache.Dir, Batch: cfg.Cache.Batch, DType: tensor.Float16, Budget: budget(cfg)}
	if cfg.Cache.DType == "float32" {
		r.cache.DType = tensor.Float32
	}
	r.model, err = model.Load(r.dev, spec, cfg.Weights)
	return err
}

// find finds the benchmark's cases. What is in which slice of a volume is kept beside the feature cache.
func (r *Run) find() (err error) {
	var stage Stage
	opt := data.Options{Root: r.opt.DataRoot, Target: r.target, Index: filepath.Join(r.cfg.Cache.Dir, "slices")}
	opt.Progress = func(done, of int) {
		if stage == nil {
			stage = r.opt.Progress.Begin("volumes", of)
		}
		stage.Add(1, "")
		if done == of {
			stage.End("")
		}
	}
	r.bench, err = r.decl.Open(opt)
	return err
}

// budget is the disk space that the cache may take, in bytes.
func budget(cfg *configs.Run) int64 { return int64(cfg.Cache.BudgetGB * 1e9) }

// setUp makes everything ready that can go wrong before the first minute of work.
func (r *Run) setUp() error {
	if err := r.open(); err != nil {
		return err
	}
	if err := r.draw(); err != nil {
		return err
	}
	if err := r.openDir(); err != nil {
		return err
	}
	reference, err := r.secondObserver()
	if err != nil {
		return err
	}
	cfg, bench, spec := r.cfg, r.bench, r.model.Spec
	r.opt.Progress.Note("", fmt.Sprintf("samtune %s  ·  %s (%s %s)  ·  %s, %d threads  ·  run %s",
		r.opt.Version, spec.Title, filepath.Base(cfg.Weights), r.model.SHA256[:8], r.dev, r.dev.Threads(), r.Dir))
	r.opt.Progress.Note("data", fmt.Sprintf("%s, %s  ·  %d shots (%d of them for validation), %d test images",
		bench.Title, bench.Layout, len(r.split.Train)+len(r.split.Validation), len(r.split.Validation), len(r.split.Test)))
	r.results = &eval.Results{
		Schema: 1, Benchmark: bench.Name, Title: bench.Title, Task: bench.Task, Target: r.target, Layout: bench.Layout,
		Citation: bench.Citation, Model: spec.Name, ModelTitle: spec.Title, WeightsFile: filepath.Base(cfg.Weights),
		WeightsSHA256: r.model.SHA256, ConfigSHA256: r.config, DataSHA256: r.split.DataSHA256, Shots: cfg.Shots, Seed: cfg.Seed,
		Cases: len(r.split.Test), Volumes: r.volumes(), Device: r.dev.String(), Threads: r.dev.Threads(),
		Reference: reference, NSDTolerance: cfg.Eval.NSDTolerance, Thickness: cfg.Eval.Thickness, Unit: r.samples[r.split.Test[0].ID].Unit,
		Versions: map[string]string{"samtune": r.opt.Version, "libtorch": tensor.Version(), "go": runtime.Version()},
		Before:   map[string]*eval.Method{}, Started: r.started.UTC().Truncate(time.Second), Command: r.opt.Command,
	}
	return nil
}

// volumes counts the volumes that the test cases are slices of.
func (r *Run) volumes() int {
	seen := map[string]bool{}
	for _, e := range r.split.Test {
		if v := r.samples[e.ID].Volume; v != "" {
			seen[v] = true
		}
	}
	return len(seen)
}

func pickTarget(d *data.Decl, name string) (string, error) {
	if name == "" {
		return d.Targets[0], nil
	}
	if !slices.Contains(d.Targets, name) {
		return "", fmt.Errorf("%w: benchmark %s has no target %q: it has %v", configs.ErrConfig, d.Name, name, d.Targets)
	}
	return name, nil
}

// check refuses settings that no part of the run would notice before it has worked for minutes.
func (r *Run) check() error {
	c := r.cfg
	bad := func(format string, args ...any) error {
		return fmt.Errorf("%w: "+format, append([]any{configs.ErrConfig}, args...)...)
	}
	switch {
	case c.Shots < 1:
		return bad("shots is %d, want 1 or more", c.Shots)
	case c.Views.Grid < 1 || (c.Views.Grid > 1 && c.Views.Tile != 0 && c.Views.Tile < 16) || c.Views.Feather < 0 || c.Views.MinValid < 0 || c.Views.MinValid > 1:
		return bad("views: grid %d, tile %d, feather %d, min_valid %g: want grid from 1, tiles from 16 pixels or 0, feather from 0, min_valid from 0 to 1",
			c.Views.Grid, c.Views.Tile, c.Views.Feather, c.Views.MinValid)
	case !(c.Eval.Threshold > 0 && c.Eval.Threshold < 1):
		return bad("eval.threshold is %g, want a probability between 0 and 1", c.Eval.Threshold)
	case c.Eval.GridPoints < 1 || c.Eval.GridPoints > 64:
		return bad("eval.everything_points is %d, want 1 to 64", c.Eval.GridPoints)
	case !slices.IsSorted(c.Eval.Thickness) || (len(c.Eval.Thickness) > 0 && !(c.Eval.Thickness[0] > 0)):
		return bad("eval.thickness is %v, want rising numbers above 0", c.Eval.Thickness)
	case c.Cache.DType != "float16" && c.Cache.DType != "float32":
		return bad("cache.dtype is %q, want float16 or float32", c.Cache.DType)
	case c.Cache.Batch < 0 || c.Cache.BudgetGB < 0:
		return bad("cache.batch is %d, cache.budget_gb %g: want 0 or more", c.Cache.Batch, c.Cache.BudgetGB)
	}
	for _, name := range r.decoders() {
		if !slices.Contains(decoderNames(), name) {
			return bad("decoder %q is unknown: there is %s", name, strings.Join(decoderNames(), ", "))
		}
	}
	if c.Train.Stopping != stopHoldout && c.Train.Stopping != stopLeaveOneOut {
		return bad("train.stopping is %q, want %s or %s", c.Train.Stopping, stopHoldout, stopLeaveOneOut)
	}
	if err := r.checkEncoder(); err != nil {
		return err
	}
	if !slices.Contains([]string{"none", "x", "xy"}, c.Head.Mirrors) {
		return bad("head.mirrors is %q, want none, x or xy", c.Head.Mirrors)
	}
	if err := (train.LossConfig(c.Train.Loss)).Check(); err != nil {
		return fmt.Errorf("%w: %w", configs.ErrConfig, err)
	}
	if err := r.headConfig().Check(); err != nil {
		return fmt.Errorf("%w: %w", configs.ErrConfig, err)
	}
	for _, p := range c.Eval.Prompts {
		if !slices.Contains(eval.PromptKinds(), p) {
			return bad("eval.prompts holds %q: there is %s", p, strings.Join(eval.PromptKinds(), ", "))
		}
	}
	if !slices.Contains(c.Eval.Prompts, c.Eval.Before) {
		return bad("eval.before is %q, which is not among eval.prompts %q", c.Eval.Before, c.Eval.Prompts)
	}
	return nil
}

// draw draws the shots, loads every case of the split and refuses one whose test images are trained on.
func (r *Run) draw() error {
	if n := len(r.bench.Pool); r.opt.Fewer && n > 0 {
		r.cfg.Shots = min(r.cfg.Shots, n)
	}
	split, err := data.DrawShots(r.bench, r.cfg.Shots, r.cfg.Seed)
	if err != nil {
		return err
	}
	split.Target = r.target
	cases := map[string]data.Case{}
	for _, c := range append(append([]data.Case(nil), r.bench.Pool...), r.bench.Test...) {
		cases[c.ID] = c
	}
	for _, entries := range [][]data.Entry{split.Train, split.Validation, split.Test} {
		for _, e := range entries {
			sample, err := cases[e.ID].Load()
			if err != nil {
				return err
			}
			if sample.Masks[r.target] == nil {
				return fmt.Errorf("%w: case %s has no mask of %s", data.ErrInvalid, e.ID, r.target)
			}
			r.samples[e.ID] = sample
		}
	}
	if err := split.Fill(r.samples); err != nil {
		return err
	}
	r.split = split
	if r.opt.Tuned != nil {
		return r.opt.Tuned.checkLeaks(split)
	}
	return nil
}

// secondObserver returns how well a second observer agrees with the first on the test cases, where the
// data has one for all of them: what a person reaches.
func (r *Run) secondObserver() (map[string]string, error) {
	var sum float64
	for _, c := range r.bench.Test {
		if c.Second == nil {
			return nil, nil
		}
		second, err := c.Second()
		if err != nil {
			return nil, err
		}
		sample := r.samples[c.ID]
		dice, err := eval.Dice(second, sample.Masks[r.target], sample.Valid)
		if err != nil {
			return nil, fmt.Errorf("second observer of %s: %w", c.ID, err)
		}
		sum += float64(dice)
	}
	n := len(r.bench.Test)
	return map[string]string{"second human observer": fmt.Sprintf("Dice %.3f, mean over the %d test images", sum/float64(n), n)}, nil
}

func (r *Run) list(entries []data.Entry) []*data.Sample {
	out := make([]*data.Sample, len(entries))
	for i, e := range entries {
		out[i] = r.samples[e.ID]
	}
	return out
}

// configHash is the hash of the settings, in which a user's own benchmark stands with what its file says and not with its path.
func (r *Run) configHash() (string, error) {
	cfg := *r.cfg
	var err error
	if cfg.Benchmark, err = r.decl.Identity(); err != nil {
		return "", err
	}
	return cfg.Hash()
}

// openDir finds or makes the run's folder. Its name, and what it holds, carries the hash of all that
// decides the result, so a folder of another run is never written into.
func (r *Run) openDir() error {
	var err error
	if r.config, err = r.configHash(); err != nil {
		return err
	}
	kind := "finetune"
	switch {
	case r.opt.ZeroShot:
		kind = "zeroshot"
	case r.opt.Tuned != nil:
		kind = "evaluate " + r.opt.Tuned.SHA256
	}
	r.hash = identity(r.config, r.split.DataSHA256, r.model.SHA256, r.dev.String(), kind)
	r.Dir = r.opt.Out
	if r.Dir == "" {
		name := fmt.Sprintf("%s-%dshot-seed%d-%s", r.bench.Name, r.cfg.Shots, r.cfg.Seed, r.hash[:6])
		if r.opt.ZeroShot || r.opt.Tuned != nil {
			verb, _, _ := strings.Cut(kind, " ")
			name = fmt.Sprintf("%s-%s-%s", r.bench.Name, verb, r.hash[:6])
		}
		r.Dir = filepath.Join(r.opt.RunsDir, name)
	}
	if err := os.MkdirAll(r.Dir, 0o755); err != nil {
		return fmt.Errorf("make run folder: %w", err)
	}
	return r.claim()
}

// finish writes results, table of cases, overlays and report; results.json comes last and marks the run
// as finished.
func (r *Run) finish() error {
	r.results.EncodedImages = r.cache.EncodedImages()
	r.results.EncodedViews, r.results.CachedViews = r.cache.Encoded, r.cache.Found
	r.results.PeakRSSMB = peakRSS()
	r.results.Finished = time.Now().UTC().Truncate(time.Second)
	r.results.Seconds.Total = time.Since(r.started).Seconds()
	return r.write()
}

func (r *Run) close() {
	if r.model != nil {
		r.model.Close()
	}
	if r.dev != nil {
		r.dev.Close()
	}
	if r.lock != nil {
		r.lock.Close() // the lock goes with the file
	}
}
