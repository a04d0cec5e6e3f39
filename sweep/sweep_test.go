package sweep

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"samtune/configs"
	"samtune/experiment"
)

// planOf has a setting for each decoder, with runs of 1 and 3 shots and two seeds; what they are fitted on is not there.
func planOf(decoders ...string) *Plan {
	p := &Plan{Schema: 1, EncodeTasks: 2}
	h := sha256.New()
	for _, d := range decoders {
		cfg := configs.Default()
		cfg.Decoder, cfg.Compare = d, []string{}
		p.Settings = append(p.Settings, Setting{Name: d, Config: *cfg})
		for _, shots := range []int{1, 3} {
			for seed := range int64(2) {
				sum := sha256.Sum256([]byte(fmt.Sprint(d, shots, seed)))
				hash := hex.EncodeToString(sum[:])
				p.Runs = append(p.Runs, Row{Index: len(p.Runs), Setting: d, Benchmark: "fundus", Target: "vessels", Decoder: d, Shots: shots, Seed: seed + 1, Hash: hash,
					Dir: fmt.Sprintf("runs/%s-%dshot-seed%d-%s", d, shots, seed+1, hash[:12])})
				fmt.Fprintln(h, hash)
			}
		}
	}
	p.Hash = hex.EncodeToString(h.Sum(nil))
	return p
}

func TestTasksStandForWhatIsFittedTogether(t *testing.T) {
	p := planOf("plain", "linear", "fine")
	if got, want := p.Tasks(), []int{0, 1, 2, 3, 4, 8, 9, 10, 11}; !slices.Equal(got, want) {
		t.Errorf("tasks %v, want %v: the convex head's runs are one", got, want)
	}
	if got := p.members(p.Runs[6]); len(got) != 4 || got[0].Index != 4 {
		t.Errorf("run 6 is done with %v", got)
	}
	if got := p.members(p.Runs[9]); len(got) != 1 || got[0].Index != 9 {
		t.Errorf("run 9 is done with %v", got)
	}
}

func TestPlanFile(t *testing.T) {
	dir := t.TempDir()
	p := planOf("plain", "linear")
	if err := p.Write(dir, false); err != nil {
		t.Fatal(err)
	}
	got, err := Read(dir)
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, p) {
		t.Errorf("read %+v, wrote %+v", got, p)
	}
	if err := p.Write(dir, false); err != nil {
		t.Errorf("the same plan again: %v", err)
	}
	other := planOf("plain")
	if err := other.Write(dir, false); !errors.Is(err, ErrOtherPlan) || !strings.Contains(err.Error(), "--replace") {
		t.Errorf("another plan: %v", err)
	}
	if err := other.Write(dir, true); err != nil {
		t.Error(err)
	}
	if got, err = Read(dir); err != nil || got.Hash != other.Hash {
		t.Errorf("replaced: %v, %v", got, err)
	}
}

func TestPlansChangedByHandAreRefused(t *testing.T) {
	for name, c := range map[string]struct{ old, new, want string }{
		"a run's hash":              {`hash = "`, `hash = "0`, "hash"},
		"a row left out":            {"index = 1\n", "index = 2\n", "run 1 has the index 2"},
		"a folder elsewhere":        {`dir = "runs/`, `dir = "../`, "the folder of run 0"},
		"an unknown key":            {"schema = 1", "schema = 1\nfoo = 2", `unknown key "foo"`},
		"endless shares":            {"encode_tasks = ", "encode_tasks = 100000000", "encode_tasks, want 1 or more of both, and at most 1000"},
		"another schema":            {"schema = 1", "schema = 9", "its schema is 9"},
		"a setting that is missing": {`setting = "plain"`, `setting = "x"`, `of the setting "x"`},
		"no TOML":                   {"schema = 1", "schema 1", "line 1"},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := planOf("plain").Write(dir, false); err != nil {
				t.Fatal(err)
			}
			path := filepath.Join(dir, PlanFile)
			text, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(path, []byte(strings.Replace(string(text), c.old, c.new, 1)), 0o644); err != nil {
				t.Fatal(err)
			}
			if _, err := Read(dir); !errors.Is(err, ErrPlan) || !strings.Contains(err.Error(), c.want) || !strings.Contains(err.Error(), path) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
		})
	}
}

// quiet shows no progress.
type quiet struct{}

func (quiet) Note(string, string)                {}
func (quiet) Begin(string, int) experiment.Stage { return quiet{} }
func (quiet) Add(int, string)                    {}
func (quiet) End(string)                         {}

// stand stands in for the processes of a sweep: it notes what is started and finishes the runs, but for those that fail.
type stand struct {
	dir     string
	p       *Plan
	mu      sync.Mutex
	started []string
	fail    map[int]bool
	most    int // at a time
	now     int
	cut     func(task int) // called when a task begins
	gpus    []string       // that what is started was given
	on      map[string]int // processes on each of them now
	shared  bool           // two were on one
}

func (s *stand) start(ctx context.Context, gpu string, args []string, _ string) error {
	s.mu.Lock()
	s.started = append(s.started, strings.Join(args, " "))
	if s.on == nil {
		s.on = map[string]int{}
	}
	if s.on[gpu]++; gpu != "" && s.on[gpu] > 1 {
		s.shared = true
	}
	s.gpus = append(s.gpus, gpu)
	defer func() { s.mu.Lock(); s.on[gpu]--; s.mu.Unlock() }()
	if s.now++; s.now > s.most {
		s.most = s.now
	}
	s.mu.Unlock()
	defer func() { s.mu.Lock(); s.now--; s.mu.Unlock() }()
	if args[0] == "--encode" {
		return nil
	}
	task, err := strconv.Atoi(args[1])
	if err != nil {
		return err
	}
	if s.cut != nil {
		s.cut(task)
	}
	time.Sleep(5 * time.Millisecond)
	if err := ctx.Err(); err != nil {
		return err
	}
	if s.fail[task] {
		end, err := begin(s.dir, task)
		if err != nil {
			return err
		}
		return end(errors.New("no such luck"))
	}
	for _, r := range s.p.members(s.p.Runs[task]) {
		if err := os.MkdirAll(filepath.Join(s.dir, r.Dir), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(s.dir, r.Dir, experiment.ResultsFile), []byte("{}"), 0o644); err != nil {
			return err
		}
	}
	return nil
}

func TestLocalDoesOnlyWhatIsNotDone(t *testing.T) {
	dir, p := t.TempDir(), planOf("plain", "linear")
	s := &stand{dir: dir, p: p, fail: map[int]bool{2: true}}
	l := &Local{Dir: dir, Plan: p, Jobs: 3, Start: s.start, Progress: quiet{}}
	s.fail[2] = true
	failing := func(ctx context.Context, gpu string, args []string, log string) error {
		if err := s.start(ctx, gpu, args, log); err != nil || !s.fail[2] || args[1] != "2" {
			return err
		}
		return errors.New("exit status 1")
	}
	l.Start = failing
	err := l.Run(context.Background())
	var failures *Failures
	if !errors.As(err, &failures) || !slices.Equal(failures.Tasks, []int{2}) || !strings.Contains(err.Error(), "no such luck") || !strings.Contains(err.Error(), "1 of 5") {
		t.Fatalf("error %v, want that of run 2", err)
	}
	if s.most < 2 || s.most > 3 {
		t.Errorf("%d tasks at a time, want up to 3", s.most)
	}
	if st := Look(dir, p); st.Done != 7 || st.Failed != 1 || st.Running != 0 || st.Left != 0 || st.Rows[2].Error != "no such luck" || st.Rows[2].Attempts != 1 {
		t.Errorf("status %+v", st)
	}
	s.started, s.fail = nil, map[int]bool{}
	if err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if want := []string{"--encode --index 0", "--encode --index 1", "--index 2"}; !slices.Equal(s.started, want) {
		t.Errorf("the second call starts %q, want %q", s.started, want)
	}
	s.started = nil
	if err := l.Run(context.Background()); err != nil || len(s.started) > 0 {
		t.Errorf("a third call: %v, starts %q", err, s.started)
	}
}

func TestEachGPUHasAProcess(t *testing.T) {
	dir, p := t.TempDir(), planOf("plain", "linear")
	p.EncodeTasks = 4
	s := &stand{dir: dir, p: p}
	l := &Local{Dir: dir, Plan: p, GPUs: []string{"0", "GPU-5f"}, Start: s.start, Progress: quiet{}}
	if err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	slices.Sort(s.gpus)
	if got := slices.Compact(s.gpus); !slices.Equal(got, l.GPUs) || s.shared || s.most != 2 {
		t.Errorf("work is done on %q, %d processes at a time, two on one GPU: %v; want one process on each of %q", got, s.most, s.shared, l.GPUs)
	}
	if st := Look(dir, p); st.Done != len(p.Runs) {
		t.Errorf("status %+v", st)
	}
}

func TestInterruptedSweepGoesOn(t *testing.T) {
	dir, p := t.TempDir(), planOf("plain")
	ctx, cancel := context.WithCancel(context.Background())
	s := &stand{dir: dir, p: p, cut: func(task int) {
		if task == 1 {
			cancel()
		}
	}}
	l := &Local{Dir: dir, Plan: p, Start: s.start, Progress: quiet{}}
	if err := l.Run(ctx); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the interruption", err)
	}
	if st := Look(dir, p); st.Done != 1 || st.Failed != 0 {
		t.Errorf("status %+v: an interrupted run has not failed", st)
	}
	s.cut, s.started = nil, nil
	if err := l.Run(context.Background()); err != nil {
		t.Fatal(err)
	}
	if st := Look(dir, p); st.Done != 4 || slices.Contains(s.started, "--index 0") {
		t.Errorf("status %+v after %q", st, s.started)
	}
}

func TestStatusTellsRunningFromKilled(t *testing.T) {
	dir, p := t.TempDir(), planOf("plain")
	end, err := begin(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := begin(dir, 1); err != nil { // never ended: its process was killed
		t.Fatal(err)
	}
	past := time.Now().Add(-2 * stale)
	if err := os.Chtimes(statePath(dir, 1), past, past); err != nil {
		t.Fatal(err)
	}
	if s := Look(dir, p); s.Running != 1 || s.Rows[0].Status != StatusRunning || s.Rows[1].Status != StatusLeft || s.Seconds != nil {
		t.Errorf("status %+v", s)
	}
	if err := end(nil); err != nil {
		t.Fatal(err)
	}
	stood := &stand{dir: dir, p: p}
	if err := stood.start(context.Background(), "", []string{"--index", "0"}, ""); err != nil {
		t.Fatal(err)
	}
	// Task 0 took no time worth speaking of, so none is left: but now it can be told.
	if s := Look(dir, p); s.Running != 0 || s.Done != 1 || s.Left != 3 || s.Seconds == nil {
		t.Errorf("status %+v", s)
	}
}

func TestTaskThatWasAskedToEndHasNotFailed(t *testing.T) {
	dir, p := t.TempDir(), planOf("plain")
	end, err := begin(dir, 0)
	if err != nil {
		t.Fatal(err)
	}
	if err := end(fmt.Errorf("encode: %w", context.Canceled)); err != nil {
		t.Fatal(err)
	}
	if s := Look(dir, p); s.Failed != 0 || s.Left != 4 || s.Rows[0].Attempts != 1 {
		t.Errorf("status %+v", s)
	}
}

func TestTasksThatAreNotThere(t *testing.T) {
	p := planOf("plain")
	for _, index := range []int{-1, 4} {
		if err := RunTask(context.Background(), t.TempDir(), p, index, Env{Progress: quiet{}}); !errors.Is(err, ErrPlan) {
			t.Errorf("run %d: %v", index, err)
		}
	}
	for _, share := range []int{-1, 2} {
		if err := Encode(context.Background(), t.TempDir(), p, share, Env{Progress: quiet{}}); !errors.Is(err, ErrPlan) {
			t.Errorf("share %d: %v", share, err)
		}
	}
}
