// Package sweep runs one experiment many times: over benchmarks, decoders, numbers of shots and seeds. A plan is a file with a
// row for each run; engines only start `samtune sweep run` for a task of it, here or on a cluster's nodes.
package sweep

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/google/renameio/v2"

	"samtune/configs"
	"samtune/data"
	"samtune/experiment"
	"samtune/internal/tensor"
)

// Errors that a caller branches on; match them with errors.Is.
var (
	// ErrPlan says that a plan can't be made or used.
	ErrPlan = errors.New("invalid plan")
	// ErrOtherPlan says that a folder holds another plan than the one that would be written.
	ErrOtherPlan = errors.New("the folder holds another plan")
)

// Names of the files and folders in a sweep's folder.
const (
	PlanFile = "plan.toml"
	RunsDir  = "runs"
	LogsDir  = "logs"
)

// Plan is what a sweep does.
type Plan struct {
	Schema      int    `toml:"schema"` // 1
	Samtune     string `toml:"samtune"`
	Command     string `toml:"command"`
	Data        string `toml:"data"`         // folder that holds the data sets
	Hash        string `toml:"hash"`         // of the rows' hashes
	EncodeTasks int    `toml:"encode_tasks"` // into which the encoding is dealt out
	// EncodeThreads are the CPU threads of each; 0: those of the runs. The features do not depend on them.
	EncodeThreads int       `toml:"encode_threads,omitzero"`
	Runs          []Row     `toml:"run"`
	Settings      []Setting `toml:"setting"`
}

// Row is one run.
type Row struct {
	Index     int    `toml:"index" json:"index"`
	Setting   string `toml:"setting" json:"setting"`
	Benchmark string `toml:"benchmark" json:"benchmark"`
	Target    string `toml:"target" json:"target"`
	Model     string `toml:"model" json:"model"`
	Decoder   string `toml:"decoder" json:"decoder"`
	Shots     int    `toml:"shots" json:"shots"`
	Seed      int64  `toml:"seed" json:"seed"`
	Hash      string `toml:"hash" json:"hash"` // of all that decides the run's result
	Dir       string `toml:"dir" json:"dir"`   // run folder, from the sweep's
}

// Setting is all that runs share but the number of shots and the seed.
type Setting struct {
	Name   string      `toml:"name"`
	Config configs.Run `toml:"config"`
}

// Options say what a plan is made of.
type Options struct {
	Settings    []*configs.Run // one for each benchmark, target, model and decoder
	Shots       []int
	Seeds       []int64
	DataRoot    string
	EncodeTasks int
	Jobs        int    // runs that go side by side on a machine without GPUs; 0: as many as this one has cores and memory for
	Before      *Plan  // of which runs keep their number of CPU threads; nil: none
	Version     string // of samtune
	Command     string
	Progress    experiment.Progress
}

// New makes a plan: every number of shots with every seed, setting by setting. With one seed the pictures of fewer shots are
// among those of more. Numbers of shots that a benchmark has not the images for are left out with a note. To know the
// hashes all pictures are read.
func New(ctx context.Context, opt Options) (*Plan, error) {
	p := &Plan{Schema: 1, Samtune: opt.Version, Command: opt.Command, EncodeTasks: max(1, opt.EncodeTasks)}
	var err error
	if p.Data, err = absolute(opt.DataRoot); err != nil {
		return nil, err
	}
	for _, n := range opt.Shots {
		if n < 1 {
			return nil, fmt.Errorf("%w: shots is %d, want 1 or more", ErrPlan, n)
		}
	}
	for _, cfg := range opt.Settings {
		if err := p.add(ctx, cfg, opt); err != nil {
			return nil, err
		}
	}
	if len(p.Runs) == 0 {
		return nil, fmt.Errorf("%w: there is nothing to run: no number of shots of %v is within the images of a benchmark's pool", ErrPlan, opt.Shots)
	}
	seen := map[string]int{}
	h := sha256.New()
	for _, r := range p.Runs {
		if other, twice := seen[r.Hash]; twice {
			return nil, fmt.Errorf("%w: rows %d and %d are the same run: a number of shots, a seed or a setting is named twice", ErrPlan, other, r.Index)
		}
		seen[r.Hash] = r.Index
		fmt.Fprintln(h, r.Hash)
	}
	p.Hash = hex.EncodeToString(h.Sum(nil))
	return p, nil
}

// add adds the rows of a setting.
func (p *Plan) add(ctx context.Context, cfg *configs.Run, opt Options) (err error) {
	c := *cfg
	if c.Split != "" {
		return fmt.Errorf("%w: a sweep draws its own shots: leave out split = %q", ErrPlan, c.Split)
	}
	if c.Train.Device, err = tensor.Name(c.Train.Device); err != nil {
		return err
	}
	p.EncodeThreads = max(p.EncodeThreads, cmp.Or(c.Train.Threads, tasksCores(&c), runtime.NumCPU()))
	for _, path := range []*string{&c.Weights, &c.Cache.Dir} {
		if *path, err = absolute(*path); err != nil {
			return err
		}
	}
	d, err := data.Declaration(c.Benchmark)
	if err != nil {
		return err
	}
	name := fmt.Sprintf("%s-%s-%s-%s", d.Name, c.Target, c.Model, c.Decoder)
	if before := opt.Before.setting(name); before != nil && c.Train.Threads == 0 {
		c.Train.Threads = before.Config.Train.Threads
	}
	if c.Train.Threads == 0 { // so that every machine computes the same
		c.Train.Threads = threads(&c, len(opt.Shots)*len(opt.Seeds), opt.Jobs)
	}
	if file := d.File(); file != "" {
		c.Benchmark = file
	}
	var draws []experiment.Draw
	for _, n := range opt.Shots {
		for _, seed := range opt.Seeds {
			draws = append(draws, experiment.Draw{Shots: n, Seed: seed})
		}
	}
	kept, err := experiment.Identify(ctx, experiment.Options{Config: &c, DataRoot: p.Data, Progress: opt.Progress}, draws)
	if err != nil {
		return err
	}
	if out := leftOut(opt.Shots, kept); len(out) > 0 {
		opt.Progress.Note("plan", fmt.Sprintf("%s: no runs with %v shots: its pool has fewer images", name, out))
	}
	p.Settings = append(p.Settings, Setting{Name: name, Config: c})
	for _, k := range kept {
		p.Runs = append(p.Runs, Row{
			Index: len(p.Runs), Setting: name, Benchmark: d.Name, Target: c.Target, Model: c.Model, Decoder: c.Decoder,
			Shots: k.Shots, Seed: k.Seed, Hash: k.Hash,
			Dir: filepath.Join(RunsDir, fmt.Sprintf("%s-%s-%s-%dshot-seed%d-%s", d.Name, c.Target, c.Decoder, k.Shots, k.Seed, k.Hash[:12])),
		})
	}
	return nil
}

func leftOut(shots []int, kept []experiment.Draw) []int {
	var out []int
	for _, n := range shots {
		there := false
		for _, d := range kept {
			there = there || d.Shots == n
		}
		if !there {
			out = append(out, n)
		}
	}
	return out
}

// absolute is a path that means the same from any folder; empty stays empty.
func absolute(path string) (string, error) {
	if path == "" {
		return "", nil
	}
	return filepath.Abs(path)
}

// Tasks are the rows by which a plan is worked through: of rows that are fitted together the first stands for all.
func (p *Plan) Tasks() []int {
	var out []int
	seen := map[string]bool{}
	for _, r := range p.Runs {
		if p.together(r) && seen[r.Setting] {
			continue
		}
		seen[r.Setting] = true
		out = append(out, r.Index)
	}
	return out
}

// members are the rows that are done with a row, itself among them.
func (p *Plan) members(r Row) []Row {
	if !p.together(r) {
		return []Row{r}
	}
	return p.rowsOf(r.Setting)
}

// rowsOf are the rows of a setting.
func (p *Plan) rowsOf(setting string) []Row {
	var out []Row
	for _, r := range p.Runs {
		if r.Setting == setting {
			out = append(out, r)
		}
	}
	return out
}

func (p *Plan) together(r Row) bool { return experiment.Together(&p.setting(r.Setting).Config) }

// setting is that of a name; nil where the plan does not hold it, which check refuses of a row's.
func (p *Plan) setting(name string) *Setting {
	if p == nil {
		return nil
	}
	for i := range p.Settings {
		if p.Settings[i].Name == name {
			return &p.Settings[i]
		}
	}
	return nil
}

// Write writes the plan into the sweep's folder. Another plan that is there is only replaced where that is asked for: runs that
// are in both stay done.
func (p *Plan) Write(dir string, replace bool) error {
	old, err := Read(dir)
	switch {
	case err == nil && old.Hash == p.Hash:
		return nil
	case errors.Is(err, os.ErrNotExist):
	case err != nil && !replace:
		return err
	case !replace:
		return fmt.Errorf("%q: %w (%d runs, hash %.12s; this one: %d runs, %.12s): choose another folder with --out, or put this one in its place with --replace: runs that are in both stay done",
			dir, ErrOtherPlan, len(old.Runs), old.Hash, len(p.Runs), p.Hash)
	}
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(p); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	if err := renameio.WriteFile(filepath.Join(dir, PlanFile), b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("write plan: %w", err)
	}
	return nil
}

// Read reads the plan of a sweep's folder.
func Read(dir string) (*Plan, error) {
	path := filepath.Join(dir, PlanFile)
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read plan: %w", err)
	}
	var p Plan
	meta, err := toml.Decode(string(text), &p)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w: %w", path, ErrPlan, err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return nil, fmt.Errorf("read %q: %w: unknown key %q", path, ErrPlan, extra[0].String())
	}
	return &p, p.check(path)
}

// MaxEncodeTasks bounds the shares of the encoding.
const MaxEncodeTasks = 1000

// check refuses a plan that was changed by hand in a way that would lose or mix up runs.
func (p *Plan) check(path string) error {
	bad := func(format string, args ...any) error {
		return fmt.Errorf("read %q: %w: %s", path, ErrPlan, fmt.Sprintf(format, args...))
	}
	if p.Schema != 1 {
		return bad("its schema is %d, want 1", p.Schema)
	}
	if p.EncodeTasks < 1 || p.EncodeTasks > MaxEncodeTasks || len(p.Runs) == 0 {
		return bad("it has %d runs and %d encode_tasks, want 1 or more of both, and at most %d encode_tasks", len(p.Runs), p.EncodeTasks, MaxEncodeTasks)
	}
	h := sha256.New()
	for i, r := range p.Runs {
		switch {
		case r.Index != i:
			return bad("run %d has the index %d", i, r.Index)
		case p.setting(r.Setting) == nil:
			return bad("run %d is of the setting %q, which it does not hold", i, r.Setting)
		case !filepath.IsLocal(r.Dir) || !strings.HasPrefix(r.Dir, RunsDir) || len(r.Hash) < 12 || !strings.HasSuffix(r.Dir, r.Hash[:12]):
			return bad("the folder of run %d is %q, want one under %s that ends in its hash %.12s", i, r.Dir, RunsDir, r.Hash)
		}
		fmt.Fprintln(h, r.Hash)
	}
	if got := hex.EncodeToString(h.Sum(nil)); got != p.Hash {
		return bad("hash is %.12s, its runs give %.12s: make it again with samtune sweep plan", p.Hash, got)
	}
	return nil
}
