package sweep

import (
	"context"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"testing"

	"samtune/configs"
)

func TestThreads(t *testing.T) {
	cores, together := runtime.NumCPU(), sideBySide()
	for name, c := range map[string]struct {
		decoder, device  string
		runs, jobs, want int
		cluster          int // cores
	}{
		"many runs share the cores":     {"plain", "cpu", 100, 0, max(1, cores/together), 0},
		"one run has all":               {"plain", "cpu", 1, 0, cores, 0},
		"as many as were asked for":     {"plain", "cpu", 100, 2, max(1, cores/2), 0},
		"one after the other":           {"plain", "cpu", 100, 1, cores, 0},
		"more jobs than cores":          {"plain", "cpu", 100, 10 * cores, 1, 0},
		"the head's runs are one":       {"linear", "cpu", 100, 0, cores, 0},
		"a GPU's runs leave cores idle": {"plain", "cuda:0", 100, 0, cores, 0},
		"a cluster's tasks have theirs": {"plain", "cpu", 100, 0, 12, 12},
	} {
		cfg := configs.Default()
		cfg.Engine.Slurm.CPUs = c.cluster
		cfg.Decoder, cfg.Compare, cfg.Train.Device = c.decoder, []string{}, c.device
		if got := threads(cfg, c.runs, c.jobs); got != c.want {
			t.Errorf("%s: %d threads, want %d", name, got, c.want)
		}
	}
}

// TestPlansKeepTheirThreads: the same command with another number of jobs, or on another machine, goes on with the plan that is there.
func TestPlansKeepTheirThreads(t *testing.T) {
	cfg := small(t)
	cfg.Decoder = "plain"
	plan := func(threads, jobs int, before *Plan) *Plan {
		t.Helper()
		c := *cfg
		c.Train.Threads = threads
		p, err := New(t.Context(), Options{Settings: []*configs.Run{&c}, Shots: []int{1}, Seeds: []int64{1, 2}, Jobs: jobs, Before: before, Progress: &notes{}})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	first := plan(7, 0, nil)
	if again := plan(0, 1, first); again.Hash != first.Hash {
		t.Errorf("threads %d, before it %d", again.Settings[0].Config.Train.Threads, first.Settings[0].Config.Train.Threads)
	}
	if other := plan(3, 0, first); other.Settings[0].Config.Train.Threads != 3 || other.EncodeThreads != 3 || other.Hash == first.Hash {
		t.Errorf("threads that are asked for: %+v", other.Settings[0].Config.Train)
	}
	if p := plan(0, 0, nil); p.EncodeThreads != runtime.NumCPU() {
		t.Errorf("%d threads encode, want all cores", p.EncodeThreads)
	}
}

// TestTasksKeepTheCoresBusy runs tasks of one thread beside each other, and one of all cores alone.
func TestTasksKeepTheCoresBusy(t *testing.T) {
	cores := runtime.NumCPU()
	dir, p := t.TempDir(), planOf("plain", "linear", "fine")
	for i, threads := range []int{1, cores, cores + 5} {
		p.Settings[i].Config.Train.Device, p.Settings[i].Config.Train.Threads = "cpu", threads
	}
	var mu sync.Mutex
	busy, most := 0, 0
	s := &stand{dir: dir, p: p}
	l := &Local{Dir: dir, Plan: p, Progress: quiet{}}
	l.Start = func(ctx context.Context, gpu string, args []string, log string) error {
		if args[0] != "--index" {
			return s.start(ctx, gpu, args, log)
		}
		task, err := strconv.Atoi(args[1])
		if err != nil {
			return err
		}
		need := min(cores, p.setting(p.Runs[task].Setting).Config.Train.Threads)
		count := func(n int) {
			mu.Lock()
			defer mu.Unlock()
			busy += n
			most = max(most, busy)
		}
		count(need)
		defer count(-need)
		return s.start(ctx, gpu, args, log)
	}
	if err := l.Run(t.Context()); err != nil {
		t.Fatal(err)
	}
	if st := Look(dir, p); st.Done != len(p.Runs) || most != cores {
		t.Errorf("%d of %d runs are done, %d cores were asked for at once, want %d", st.Done, len(p.Runs), most, cores)
	}
	if want := min(4, sideBySide()); s.most < min(2, want) || s.most > want {
		t.Errorf("%d tasks at a time, want up to %d", s.most, want)
	}
	if !slices.Contains(s.started, "--index 0") {
		t.Errorf("started %q", s.started)
	}
}
