package experiment

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash/crc32"
	"runtime"
	"slices"
	"strings"
	"sync"
	"time"

	"samtune/checkpoints"
	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/train"
)

// Draw is one of many runs that share all settings but the number of shots and the seed.
type Draw struct {
	Shots int    `toml:"shots"`
	Seed  int64  `toml:"seed"`
	Hash  string `toml:"-"` // of all that decides its result; empty: not held against it
	Dir   string `toml:"-"` // run folder
}

// Together says whether the runs of a setting are fitted and scored together: those of the convex head alone are, since all
// draws can share every pass over the features.
func Together(cfg *configs.Run) bool {
	return cfg.Decoder == decoderLinear && !slices.ContainsFunc(cfg.Compare, func(name string) bool { return name != decoderLinear })
}

// together tells which runs are fitted in the same passes. Their results depend on that in the last digits.
func together(cfg *configs.Run, draws []Draw) string {
	if len(draws) == 0 || !Together(cfg) {
		return ""
	}
	h := sha256.New()
	for _, d := range draws {
		fmt.Fprintln(h, d.Shots, d.Seed)
	}
	return " together " + hex.EncodeToString(h.Sum(nil))
}

// Identify returns the draws that the benchmark has enough images for, with their hashes. It reads the pictures and the
// weights file and loads no model. opt.Config must name its device as tensor.Name does.
func Identify(ctx context.Context, opt Options, draws []Draw) ([]Draw, error) {
	base := newRun(opt)
	if _, err := base.openData(); err != nil {
		return nil, err
	}
	draws = slices.DeleteFunc(slices.Clone(draws), func(d Draw) bool { return d.Shots > len(base.bench.Pool) })
	f, err := checkpoints.Open(opt.Config.Weights)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	weights, err := f.SHA256()
	if err != nil {
		return nil, err
	}
	stage := opt.Progress.Begin("data", len(base.bench.Pool)+len(base.bench.Test))
	for _, c := range append(slices.Clone(base.bench.Pool), base.bench.Test...) {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		sample, err := c.Load()
		if err != nil {
			return nil, err
		}
		if base.entries[c.ID], err = data.EntryOf(sample, base.target); err != nil {
			return nil, err
		}
		stage.Add(1, "")
	}
	stage.End("images of " + base.bench.Title)
	base.along = draws
	for i, d := range draws {
		r := base.sibling(d)
		split, err := r.drawn()
		if err != nil {
			return nil, err
		}
		if err := split.FillFrom(r.entries); err != nil {
			return nil, err
		}
		r.split = split
		if err := r.identify(weights, opt.Config.Train.Device); err != nil {
			return nil, err
		}
		draws[i].Hash = r.hash
	}
	return draws, nil
}

// sibling is a run that shares data, model and cache with this one.
func (r *Run) sibling(d Draw) *Run {
	cfg := *r.cfg
	cfg.Shots, cfg.Seed = d.Shots, d.Seed
	opt := r.opt
	opt.Out, opt.Expect = d.Dir, d.Hash
	opt.Config = &cfg
	return &Run{
		opt: opt, cfg: &cfg, decl: r.decl, bench: r.bench, target: r.target, pictures: r.pictures, entries: r.entries, person: r.person,
		along: r.along, dev: r.dev, model: r.model, cache: r.cache, started: time.Now(),
	}
}

// Encoded counts what a call of Encode did.
type Encoded struct {
	Images    int     `json:"images"` // that went through the encoder
	Views     int     `json:"views"`
	Seconds   float64 `json:"seconds"`
	PeakRSSMB float64 `json:"peak_rss_mb"`
}

// Encode fills the feature cache with what runs of one benchmark and model will look at: for each setting with its draws, or
// without any with every case of the benchmark. Of the images only every of-th, by name, is taken, from number share on: so many
// processes can do the work.
func Encode(ctx context.Context, settings []Options, draws [][]Draw, share, of int) (*Encoded, error) {
	begin := func(opt Options) *Run {
		r := newRun(opt)
		r.pictures.budget = 0 // one picture after the other is looked at, for all of its views
		return r
	}
	first := begin(settings[0])
	defer first.close()
	if err := first.open(); err != nil {
		return nil, err
	}
	var wants []train.Want
	for i, opt := range settings {
		r := first
		if i > 0 {
			r = begin(opt)
			if _, err := r.openData(); err != nil {
				return nil, err
			}
			r.dev, r.model, r.cache = first.dev, first.model, first.cache
		}
		more, err := r.wantsOf(draws[i], func(id string) bool { return int(crc32.ChecksumIEEE([]byte(id))%uint32(of)) == share })
		if err != nil {
			return nil, err
		}
		wants = append(wants, more...)
	}
	seconds, err := first.fill(ctx, wants)
	return &Encoded{Images: first.cache.EncodedImages(), Views: first.cache.Encoded, Seconds: seconds, PeakRSSMB: peakRSS()}, err
}

// wantsOf lists the views that draws look at, or without any all of the benchmark's, of the cases that are asked for.
func (r *Run) wantsOf(draws []Draw, asked func(id string) bool) ([]train.Want, error) {
	drawn := map[string]bool{}
	for _, d := range draws {
		split, err := r.sibling(d).drawn()
		if err != nil {
			return nil, err
		}
		for _, id := range append(ids(split.Train), ids(split.Validation)...) {
			drawn[id] = true
		}
	}
	var wants []train.Want
	for i, c := range append(slices.Clone(r.bench.Test), r.bench.Pool...) {
		test := i < len(r.bench.Test)
		if !asked(c.ID) || !test && len(draws) > 0 && !drawn[c.ID] {
			continue
		}
		sample, err := r.pictures.get(c.ID)
		if err != nil {
			return nil, err
		}
		if test || len(draws) == 0 { // zero-shot looks at those
			wants = append(wants, r.whole(sample))
		}
		for _, name := range r.decoders() {
			more, err := r.views(name, sample)
			if err != nil {
				return nil, err
			}
			wants = append(wants, more...)
		}
	}
	return wants, nil
}

// ExecuteTogether does the runs of a setting for which Together holds: every picture's features are read once for all of
// them. Those that are finished are left as they are. Runs of other draws together give other last digits, so draws
// must be all that Identify was called with; those without a folder are fitted with the others and leave nothing.
func ExecuteTogether(ctx context.Context, opt Options, draws []Draw) error {
	base := newRun(opt)
	defer base.close()
	if err := base.open(); err != nil {
		return err
	}
	base.along = draws
	s := &set{Run: base}
	for _, d := range draws {
		r := base.sibling(d)
		if d.Dir == "" {
			if err := r.draw(); err != nil {
				return err
			}
			s.add(r, false)
			continue
		}
		defer r.unlock()
		err := r.setUp(ctx)
		if err != nil && !errors.Is(err, ErrFinished) {
			return err
		}
		base.person = r.person
		s.add(r, err == nil)
	}
	if !slices.Contains(s.wanted, true) {
		return nil
	}
	base.results = s.runs[slices.Index(s.wanted, true)].results
	base.announce()
	return s.execute(ctx)
}

// set is runs of the convex head under way.
type set struct {
	*Run
	runs   []*Run
	wanted []bool // by run: not finished yet
	tasks  []train.HeadTask
	task   []int // of each run: runs that draw the same pictures share one
	tests  []data.Entry
	scores map[int][]eval.CaseResult // by task
}

func (s *set) add(r *Run, wanted bool) {
	shots := r.shots()
	slices.SortFunc(shots, func(a, b *data.Sample) int { return strings.Compare(a.ID, b.ID) })
	i := slices.IndexFunc(s.tasks, func(t train.HeadTask) bool { return slices.Equal(t.Train, shots) })
	if i < 0 {
		i = len(s.tasks)
		s.tasks = append(s.tasks, train.HeadTask{Target: s.target, Train: shots})
	}
	s.runs, s.wanted, s.task = append(s.runs, r), append(s.wanted, wanted), append(s.task, i)
	s.tests = r.split.Test
}

func (s *set) execute(ctx context.Context) error {
	share := 1 / float64(len(s.runs)) // of a run, of times that are spent for all
	var wants []train.Want
	for i, r := range s.runs {
		more, err := r.wants(decoderLinear)
		if err != nil {
			return err
		}
		if i == 0 {
			whole, err := s.wholeTests(s.tests)
			if err != nil {
				return err
			}
			more = append(more, whole...)
		}
		wants = append(wants, more...)
	}
	encode, err := s.fill(ctx, wants)
	if err != nil {
		return err
	}
	h := s.headFeatures()
	began := time.Now()
	stage := s.opt.Progress.Begin("fit", 0)
	heads, err := train.FitHeads(ctx, h, s.headConfig(), s.tasks, func() { stage.Add(1, "") })
	if err != nil {
		stage.End("")
		return err
	}
	fit := time.Since(began).Seconds()
	stage.End(fmt.Sprintf("convex heads of %d different draws in %.1f s", len(heads), fit))
	began = time.Now()
	if err := s.score(ctx, h, heads); err != nil {
		return err
	}
	test := time.Since(began).Seconds()
	first := true
	for i, r := range s.runs {
		if !s.wanted[i] {
			continue
		}
		r.started = time.Now().Add(-time.Duration(share * (encode + fit + test) * float64(time.Second))) // its share of what was done for all
		if err := r.zeroShot(ctx); err != nil {
			return err
		}
		r.results.Seconds.Encode, r.results.Seconds.Train = share*encode, share*fit
		r.results.Seconds.Evaluate += share * test
		if err := r.headDone(h, heads[s.task[i]], s.scores[s.task[i]], share*fit); err != nil {
			return err
		}
		if !first { // what went through the encoder is counted once
			r.cache = &train.EmbeddingCache{}
		}
		first = false
		if err := r.finish(); err != nil {
			return err
		}
	}
	return nil
}

// score segments every test case with all heads in one pass over its features, and scores those of runs that are not
// finished: with fewer heads in a pass the others' last digits would not be the same.
func (s *set) score(ctx context.Context, h *train.HeadFeatures, heads []*train.Head) error {
	var which []int
	for i, t := range s.task {
		if s.wanted[i] && !slices.Contains(which, t) {
			which = append(which, t)
		}
	}
	s.scores = map[int][]eval.CaseResult{}
	stage := s.opt.Progress.Begin("test", len(s.tests))
	for _, e := range s.tests {
		if err := ctx.Err(); err != nil {
			return err
		}
		sample, err := s.pictures.get(e.ID)
		if err != nil {
			return err
		}
		var segs []*train.Segmentation
		err = s.dev.Run(func(scope *tensor.Scope) (err error) {
			segs, err = h.SegmentAll(scope, sample, heads)
			return err
		})
		if err != nil {
			return err
		}
		scored := make([]*train.Segmentation, len(which))
		for i, t := range which {
			scored[i] = segs[t]
		}
		rows, err := s.scoreAll(sample, scored)
		if err != nil {
			return err
		}
		for i, t := range which {
			s.scores[t] = append(s.scores[t], rows[i])
		}
		for i, r := range s.runs {
			if s.wanted[i] {
				seg := segs[s.task[i]]
				r.hold(eval.MethodAfter, sample, seg.Mask, r.histogram(sample, seg))
			}
		}
		stage.Add(1, sample.ID)
	}
	stage.End("")
	return nil
}

// scoreAll scores segmentations of one test case on all cores.
func (r *Run) scoreAll(sample *data.Sample, segs []*train.Segmentation) ([]eval.CaseResult, error) {
	rows, failed := make([]eval.CaseResult, len(segs)), make([]error, len(segs))
	var wg sync.WaitGroup
	for w := range runtime.NumCPU() {
		wg.Go(func() {
			for i := w; i < len(segs); i += runtime.NumCPU() {
				rows[i], failed[i] = r.scoreOne(eval.MethodAfter, sample, segs[i])
			}
		})
	}
	wg.Wait()
	return rows, errors.Join(failed...)
}

// headDone keeps a head that was fitted with others and what came of it.
func (r *Run) headDone(h *train.HeadFeatures, head *train.Head, rows []eval.CaseResult, seconds float64) error {
	store, err := r.store(decoderLinear)
	if err != nil {
		return err
	}
	if err := train.SaveHead(store, h, head); err != nil {
		return err
	}
	f := r.linear(h, head)
	f.training.TrainCases = append(ids(r.split.Train), ids(r.split.Validation)...)
	f.training.Seconds = seconds
	_, err = r.tested(f, eval.MethodAfter, rows)
	return err
}
