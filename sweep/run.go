package sweep

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/semaphore"

	"samtune/eval"
	"samtune/experiment"
)

// Local works through a plan on this machine.
type Local struct {
	Dir  string
	Plan *Plan
	Jobs int      // tasks at a time; 0: as many as keep the cores busy, or one on each GPU
	GPUs []string // of this machine, as CUDA_VISIBLE_DEVICES names them; tasks and the encoding are dealt out to them
	// Start runs `samtune sweep run DIR` with further arguments as a process of its own, which sees one GPU where gpu names one and
	// whose output goes to the file log. A task that runs out of memory then takes no other with it.
	Start    func(ctx context.Context, gpu string, args []string, log string) error
	Progress experiment.Progress
}

// Failures are the tasks of a sweep that failed; the others are done.
type Failures struct {
	Dir    string
	Tasks  []int
	Of     int
	Errors []error
}

func (f *Failures) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%d of %d tasks failed; the same command tries them again, their output is in %s", len(f.Tasks), f.Of, filepath.Join(f.Dir, LogsDir))
	for i, t := range f.Tasks {
		fmt.Fprintf(&b, "\n  run %d: %s", t, f.Errors[i])
	}
	return b.String()
}

// Run encodes what is to be encoded and then does every task that is not done, as many at a time as Jobs says. A task that fails does not stop
// the others: the error is then a *Failures. Killed at any moment and called again, it does what is not done.
func (l *Local) Run(ctx context.Context) error {
	p := l.Plan
	tasks := p.TasksLeft(l.Dir)
	done := len(p.Runs)
	for _, t := range tasks {
		done -= len(p.members(p.Runs[t]))
	}
	if len(tasks) == 0 {
		l.Progress.Note("sweep", fmt.Sprintf("all %d runs are done", len(p.Runs)))
		return nil
	}
	if done > 0 {
		l.Progress.Note("sweep", fmt.Sprintf("%d of %d runs are done already", done, len(p.Runs)))
	}
	if err := l.encode(ctx); err != nil {
		return err
	}
	stage := l.Progress.Begin("sweep", len(p.Runs))
	stage.Add(done, "")
	failed := &Failures{Dir: l.Dir, Of: len(p.Tasks())}
	var mu sync.Mutex
	jobs := cmp.Or(l.Jobs, len(l.GPUs), sideBySide())
	free := semaphore.NewWeighted(int64(runtime.NumCPU()))
	l.deal(ctx, tasks, jobs, func(gpu string, t int) {
		cores := l.cores(t)
		if free.Acquire(ctx, cores) != nil { // ctx ended
			return
		}
		defer free.Release(cores)
		began := time.Now()
		err := l.task(ctx, gpu, t)
		mu.Lock()
		defer mu.Unlock()
		if err != nil && ctx.Err() == nil {
			failed.Tasks, failed.Errors = append(failed.Tasks, t), append(failed.Errors, err)
		}
		l.line(stage, t, err, time.Since(began))
	})
	stage.End("runs")
	if err := ctx.Err(); err != nil {
		return err
	}
	if len(failed.Tasks) > 0 {
		return failed
	}
	return nil
}

// deal does what is numbered in tasks, so many jobs at a time, each of which keeps to one GPU. It starts nothing more when ctx ends.
func (l *Local) deal(ctx context.Context, tasks []int, jobs int, do func(gpu string, t int)) {
	next := make(chan int)
	var workers sync.WaitGroup
	for i := range min(jobs, len(tasks)) {
		gpu := ""
		if len(l.GPUs) > 0 {
			gpu = l.GPUs[i%len(l.GPUs)]
		}
		workers.Go(func() {
			for t := range next {
				do(gpu, t)
			}
		})
	}
	for _, t := range tasks {
		if ctx.Err() != nil {
			break
		}
		next <- t
	}
	close(next)
	workers.Wait()
}

// encode sends everything through the encoder before the first run, which so finds it in the cache.
func (l *Local) encode(ctx context.Context) error {
	stage := l.Progress.Begin("encode", l.Plan.EncodeTasks)
	var mu sync.Mutex
	var failed error
	views := 0
	l.deal(ctx, upTo(l.Plan.EncodeTasks), max(1, len(l.GPUs)), func(gpu string, share int) {
		before := readEncoded(l.Dir, share).Views
		log := filepath.Join(l.Dir, LogsDir, fmt.Sprintf("encode-%03d.log", share))
		err := l.Start(ctx, gpu, []string{"--encode", "--index", fmt.Sprint(share)}, log)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			failed = errors.Join(failed, fmt.Errorf("encode: %w", err))
			return
		}
		views += readEncoded(l.Dir, share).Views - before
		stage.Add(1, "")
	})
	if err := cmp.Or(ctx.Err(), failed); err != nil {
		return err
	}
	stage.End(fmt.Sprintf("shares of the encoding, %d views went through the encoder", views))
	return nil
}

// task does one task.
func (l *Local) task(ctx context.Context, gpu string, t int) error {
	err := l.Start(ctx, gpu, []string{"--index", fmt.Sprint(t)}, filepath.Join(l.Dir, LogsDir, fmt.Sprintf("%05d.log", t)))
	if err == nil || ctx.Err() != nil {
		return err
	}
	s, _ := readState(l.Dir, t)
	if s.Failed {
		return errors.New(s.Error)
	}
	// It was killed, or could not even begin: nobody but this process can note that.
	s.Task, s.Failed, s.Error, s.Attempts, s.Ended = t, true, err.Error(), max(1, s.Attempts), time.Now().UTC()
	return errors.Join(err, s.write(l.Dir))
}

// line says of a task that ended how it went.
func (l *Local) line(stage experiment.Stage, t int, failed error, took time.Duration) {
	members := l.Plan.members(l.Plan.Runs[t])
	for i, r := range members {
		what := fmt.Sprintf("%d  %s %s  %s  %d shots  seed %d", r.Index, r.Benchmark, r.Target, r.Decoder, r.Shots, r.Seed)
		results, err := eval.ReadResults(filepath.Join(l.Dir, r.Dir, experiment.ResultsFile))
		switch {
		case err == nil && results.After != nil && results.Paired != nil:
			what += fmt.Sprintf("  Dice %.3f (%+.3f on zero-shot)  %s", float64(results.After.Dice.Mean), float64(results.Paired.Difference), took.Round(time.Second))
		case failed != nil && i == 0:
			what += "  failed: " + firstLine(failed.Error())
		case failed != nil:
			continue
		}
		l.Progress.Note("run", what)
	}
	if failed == nil {
		stage.Add(len(members), "")
	}
}

func firstLine(s string) string {
	line, _, _ := strings.Cut(s, "\n")
	return line
}
