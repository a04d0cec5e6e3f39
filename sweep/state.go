package sweep

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"time"

	"github.com/google/renameio/v2"

	"samtune/experiment"
)

// stateDir holds a file for each task that was begun.
const stateDir = "state"

// state is what is known of a task beside its runs' results.
type state struct {
	Task     int       `json:"task"`
	Failed   bool      `json:"failed"`
	Error    string    `json:"error,omitempty"`
	Attempts int       `json:"attempts"`
	Host     string    `json:"host"`
	PID      int       `json:"pid"`
	Started  time.Time `json:"started"`
	Ended    time.Time `json:"ended,omitzero"`
}

// A task is called running as long as its file is touched every so often: locks are not seen from everywhere.
const (
	heartbeat = 5 * time.Second
	stale     = 30 * time.Second
)

func statePath(dir string, task int) string {
	return filepath.Join(dir, stateDir, fmt.Sprintf("%05d.json", task))
}

// readState returns what is known of a task and when it gave the last sign of life.
func readState(dir string, task int) (s state, sign time.Time) {
	path := statePath(dir, task)
	text, err := os.ReadFile(path)
	if err != nil || json.Unmarshal(text, &s) != nil { // not begun
		return state{Task: task}, sign
	}
	if info, err := os.Stat(path); err == nil {
		sign = info.ModTime()
	}
	return s, sign
}

func (s *state) running(sign time.Time) bool {
	return s.Attempts > 0 && s.Ended.IsZero() && time.Since(sign) < stale
}

func (s *state) write(dir string) error { return note(statePath(dir, s.Task), s) }

// note writes a file of the folder of states.
func note(path string, what any) error {
	text, err := json.Marshal(what)
	if err == nil {
		if err = os.MkdirAll(filepath.Dir(path), 0o755); err == nil {
			err = renameio.WriteFile(path, append(text, '\n'), 0o644)
		}
	}
	if err != nil {
		return fmt.Errorf("note what a task does: %w", err)
	}
	return nil
}

// begin notes that a task is running, until the function that it returns is called with how it ended.
func begin(dir string, task int) (func(error) error, error) {
	s, _ := readState(dir, task)
	host, err := os.Hostname()
	if err != nil {
		return nil, fmt.Errorf("note what a task does: %w", err)
	}
	s = state{Task: task, Attempts: s.Attempts + 1, Host: host, PID: os.Getpid(), Started: time.Now().UTC()}
	if err := s.write(dir); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		tick := time.NewTicker(heartbeat)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case now := <-tick.C:
				_ = os.Chtimes(statePath(dir, task), now, now) // it would only be called stale
			}
		}
	}()
	return func(failed error) error {
		stop()
		<-ended
		s.Ended = time.Now().UTC()
		if failed != nil && !errors.Is(failed, context.Canceled) { // one that was asked to end is left for another time
			s.Failed, s.Error = true, failed.Error()
		}
		return s.write(dir)
	}, nil
}

// Done says whether a row's run is finished.
func Done(dir string, r Row) bool {
	_, err := os.Stat(filepath.Join(dir, r.Dir, experiment.ResultsFile))
	return err == nil
}

func (p *Plan) allDone(dir string, rows []Row) bool {
	for _, r := range rows {
		if !Done(dir, r) {
			return false
		}
	}
	return true
}

// TasksLeft are the tasks of the plan that are not done, in order.
func (p *Plan) TasksLeft(dir string) []int {
	var out []int
	for _, t := range p.Tasks() {
		if !p.allDone(dir, p.members(p.Runs[t])) {
			out = append(out, t)
		}
	}
	return out
}
