// Package experiment is one run of samtune: a benchmark's test cases segmented zero-shot and after
// fine-tuning on a few shots, compared case by case, and written down.
package experiment

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/gofrs/flock"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
	"samtune/internal/featurecache"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// ErrFinished says that the run's folder already holds its results.
var ErrFinished = errors.New("finished run found")

// Progress shows how far a run is. Begin starts a stage of total parts (0: not countable) and returns
// what is called after each part with a remark, perhaps from several goroutines, and, at the end, what ends the stage.
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
	Expect   string // the run's hash as it was planned: another one is an error; empty: any
	Again    bool   // repeat a finished run
	Wait     bool   // wait for another samtune that works in the run folder
	Fewer    bool   // take all shots that there are where these are fewer
	ZeroShot bool   // compare prompts only, without training
	Tuned    *Tuned // fine-tuned weights to test instead of training any
	Command  string // as typed, for the report
	Version  string // of samtune
	Progress Progress
	repeats  *Record // the run that this one repeats
}

// Run is a run that is set up: its data is checked and its folder is there.
type Run struct {
	Dir      string
	opt      Options
	cfg      *configs.Run
	decl     *data.Decl
	bench    *data.Benchmark
	target   string
	split    *data.Split
	pictures *pictures // of the benchmark
	dev      *tensor.Device
	model    *model.Model
	hash     string // of all that decides the result
	config   string // hash of the settings alone
	cache    *train.EmbeddingCache
	prior    *train.Prior // the convex head of this run, for the decoder that corrects it
	results  *eval.Results
	along    []Draw                // that the convex head is fitted with, this run among them; empty: it is fitted alone
	entries  map[string]data.Entry // of cases whose pixels were hashed, by ID
	person   map[string]string     // what a second observer reaches; nil: not looked at yet
	rows     []eval.CaseResult
	wholes   []eval.VolumeResult // of the rows, where these are of slices
	held     map[string]*held    // of segmentations by method, for the report and for volumes
	mu       sync.Mutex          // of what test cases that are under way together share
	lock     *flock.Flock
	started  time.Time
}

// Execute does a run from start to end and returns its results and folder. With ErrFinished the results
// are those of the run that was found.
func Execute(ctx context.Context, opt Options) (*eval.Results, string, error) {
	r := newRun(opt)
	defer r.close()
	err := r.open()
	if err == nil {
		err = r.setUp(ctx)
	}
	if err == nil {
		r.announce()
	}
	if err != nil {
		if errors.Is(err, ErrFinished) {
			results, failed := eval.ReadResults(filepath.Join(r.Dir, ResultsFile))
			if failed != nil {
				return nil, r.Dir, failed
			}
			return results, r.Dir, err
		}
		return nil, r.Dir, err
	}
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
	return r.results, r.Dir, r.finish()
}

func newRun(opt Options) *Run {
	return &Run{opt: opt, cfg: opt.Config, pictures: newPictures(), entries: map[string]data.Entry{}, started: time.Now()}
}

// Names of the files in a run's folder.
const (
	ResultsFile    = report.ResultsFile
	CasesFile      = report.CasesFile
	VolumesFile    = report.VolumesFile
	SplitFile      = "split.toml"
	ConfigFile     = report.ConfigFile
	TrainLogFile   = report.TrainLogFile
	CheckpointsDir = "checkpoints"
	OverlaysDir    = report.OverlayDir
	EventsDir      = "events"         // TensorBoard's
	BenchmarkFile  = "benchmark.toml" // a copy of the user's own declaration
)

// open finds the data and loads the model.
func (r *Run) open() error {
	spec, err := r.openData()
	if err != nil {
		return err
	}
	cfg := r.cfg
	device, threads := cfg.Train.Device, cfg.Train.Threads
	if rec := r.opt.repeats; rec != nil {
		device, threads = rec.Device, rec.Results.Threads
	}
	if r.dev, err = tensor.Open(device, threads); err != nil {
		return err
	}
	if err := r.load(spec, cfg.Weights, cfg.Cache.Dir, r.bench.Name); err != nil {
		return err
	}
	r.cache.Warm(r.model)
	return nil
}

// load reads the model and sets the feature cache up for it; benchmark is what features are made for.
func (r *Run) load(spec *model.Spec, weights, features, benchmark string) error {
	precision, err := tensor.ParseDType(r.cfg.Precision)
	if err != nil {
		return fmt.Errorf("%w: precision: %w", configs.ErrConfig, err)
	}
	element := precision
	switch {
	case r.cfg.Cache.DType != "auto":
		if element, err = tensor.ParseDType(r.cfg.Cache.DType); err != nil {
			return fmt.Errorf("%w: cache.dtype: %w", configs.ErrConfig, err)
		}
	case precision == tensor.Float32:
		element = tensor.Float16 // the head and the decoder lose nothing by it that could be measured
	}
	r.cache = &train.EmbeddingCache{Dir: features, Batch: r.cfg.Cache.Batch, DType: element, Budget: budget(r.cfg), Benchmark: benchmark}
	if r.model, err = model.Load(r.dev, spec, weights); err != nil {
		return err
	}
	return r.model.SetPrecision(precision)
}

// openData finds the data and refuses settings that do not fit it or the model.
func (r *Run) openData() (*model.Spec, error) {
	cfg := r.cfg
	var err error
	if r.decl, err = data.Declaration(cfg.Benchmark); err != nil {
		return nil, err
	}
	if err := r.readSplit(r.decl); err != nil {
		return nil, err
	}
	if r.target, err = pickTarget(r.decl, cfg.Target); err != nil {
		return nil, err
	}
	cfg.Target = r.target
	if r.bench, err = r.decl.Open(DataOptions(r.opt.DataRoot, r.target, cfg.Cache.Dir, r.opt.Progress)); err != nil {
		return nil, err
	}
	r.pictures.read = r.bench.Loader()
	if err := r.check(); err != nil {
		return nil, err
	}
	spec, err := model.LookUp(cfg.Model)
	if err != nil {
		return nil, err
	}
	if _, _, err := r.headFeatures().Pyramid.Blocks(spec); err != nil {
		return nil, fmt.Errorf("%w: %w", configs.ErrConfig, err)
	}
	return spec, nil
}

// DataOptions say where a run finds the slices of volumes that its cases are. What is in which slice is kept beside the feature
// cache, of which features is the folder.
func DataOptions(root, target, features string, p Progress) data.Options {
	var stage Stage
	opt := data.Options{Root: root, Target: target, Index: featurecache.SlicesIn(features)}
	opt.Progress = func(done, of int) {
		if stage == nil {
			stage = p.Begin("volumes", of)
		}
		stage.Add(1, "")
		if done == of {
			stage.End("")
		}
	}
	return opt
}

// budget is the disk space that the cache may take, in bytes.
func budget(cfg *configs.Run) int64 { return int64(cfg.Cache.BudgetGB * 1e9) }

// setUp makes everything ready that can go wrong before the first minute of work.
func (r *Run) setUp(ctx context.Context) error {
	if err := r.draw(); err != nil {
		return err
	}
	if rec := r.opt.repeats; rec != nil {
		differs, err := rec.verify(r)
		for _, text := range differs {
			r.opt.Progress.Note("warning", text+": the bytes may differ for that alone")
		}
		if err != nil {
			return err
		}
	}
	if err := r.openDir(ctx); err != nil {
		return err
	}
	if err := r.secondObserver(); err != nil {
		return err
	}
	first, err := r.pictures.get(r.split.Test[0].ID)
	if err != nil {
		return err
	}
	cfg, bench, spec := r.cfg, r.bench, r.model.Spec
	r.results = &eval.Results{
		Schema: 1, Benchmark: bench.Name, Title: bench.Title, Task: bench.Task, Target: r.target, Layout: bench.Layout,
		Citation: bench.Citation, Model: spec.Name, ModelTitle: spec.Title, WeightsFile: filepath.Base(cfg.Weights),
		WeightsSHA256: r.model.SHA256, ConfigSHA256: r.config, DataSHA256: r.split.DataSHA256, Shots: cfg.Shots, Seed: cfg.Seed,
		Cases: len(r.split.Test), Volumes: r.volumes(), Device: r.dev.String(), Threads: r.dev.Threads(),
		Reference: r.person, NSDTolerance: cfg.Eval.NSDTolerance, Thickness: cfg.Eval.Thickness, Unit: first.Unit,
		Versions: map[string]string{"samtune": r.opt.Version, "libtorch": tensor.Version(), "go": runtime.Version()},
		Before:   map[string]*eval.Method{}, Started: r.started.UTC().Truncate(time.Second), Command: r.opt.Command,
	}
	r.results.Seconds.Setup = time.Since(r.started).Seconds()
	return nil
}

// announce says what is about to be done.
func (r *Run) announce() {
	first := fmt.Sprintf("samtune %s  ·  %s (%s %s)  ·  %s, %d threads", r.opt.Version, r.model.Spec.Title,
		filepath.Base(r.cfg.Weights), r.model.SHA256[:8], r.dev, r.dev.Threads())
	if r.split == nil { // many runs
		r.opt.Progress.Note("", first)
		r.opt.Progress.Note("data", fmt.Sprintf("%s, %s  ·  %d test images", r.bench.Title, r.bench.Layout, len(r.bench.Test)))
		return
	}
	r.opt.Progress.Note("", first+"  ·  run "+r.Dir)
	r.opt.Progress.Note("data", fmt.Sprintf("%s, %s  ·  %d shots (%d of them for validation), %d test images",
		r.bench.Title, r.bench.Layout, len(r.split.Train)+len(r.split.Validation), len(r.split.Validation), len(r.split.Test)))
}

// volumes counts the volumes that the test cases are slices of.
func (r *Run) volumes() int {
	tested := ids(r.split.Test)
	seen := map[string]bool{}
	for _, c := range slices.Concat(r.bench.Test, r.bench.Pool) {
		if c.Volume != "" && slices.Contains(tested, c.ID) {
			seen[c.Volume] = true
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
	if err := c.Check(); err != nil {
		return err
	}
	switch {
	case c.Views.Grid > 1 && c.Views.Tile != 0 && c.Views.Tile < 16:
		return bad("views.tile is %d, want 0, or 16 pixels or more", c.Views.Tile)
	case !slices.IsSorted(c.Eval.Thickness):
		return bad("eval.thickness is %v, want rising numbers", c.Eval.Thickness)
	}
	if err := r.checkEncoder(); err != nil {
		return err
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

// list returns cases that are trained on.
func (r *Run) list(entries []data.Entry) []*data.Sample {
	out := make([]*data.Sample, len(entries))
	for i, e := range entries {
		out[i] = r.pictures.stay[e.ID]
	}
	return out
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
	if r.cache != nil {
		r.cache.Close()
	}
	if r.model != nil {
		r.model.Close()
	}
	if r.dev != nil {
		r.dev.Close()
	}
	r.unlock()
}

// unlock lets other processes into the run's folder.
func (r *Run) unlock() {
	if r.lock != nil {
		r.lock.Close() // the lock goes with the file
	}
}
