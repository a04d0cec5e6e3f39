// Package doctor looks at all that samtune needs, finding by finding: what is there, what would fail later, and what to do about it.
package doctor

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"strings"
	"time"
)

// Level says how bad a finding is.
type Level string

// Levels.
const (
	OK      Level = "ok"      // what is merely absent is this too
	Warning Level = "warning" // works, but slower or otherwise than it could
	Problem Level = "problem" // would fail later
)

// Finding is what a check found.
type Finding struct {
	Check  string         `json:"check"`
	Level  Level          `json:"level"`
	Text   string         `json:"text"`             // lines for people
	Remedy string         `json:"remedy,omitempty"` // what to do; of every warning and problem
	Facts  map[string]any `json:"facts,omitempty"`  // the same for programs
}

// Check looks at one thing. It knows of no other, so that each is done whatever the others find.
type Check struct {
	Name   string
	Apart  bool   // it runs code that may end the program, so it is done in a process of its own
	Remedy string // for where it does not come to an end
	Run    func(ctx context.Context) []Finding
}

// Agrees is a check of a function that returns an error where something is wrong, and otherwise in words what is right.
func Agrees(name, remedy string, f func() (string, error)) Check {
	return Check{Name: name, Apart: true, Remedy: remedy, Run: func(context.Context) []Finding {
		fine, err := f()
		if err != nil {
			return []Finding{{Level: Problem, Text: err.Error(), Remedy: remedy}}
		}
		return []Finding{{Level: OK, Text: fine}}
	}}
}

// Report is what all checks found, in their order.
type Report struct {
	Findings []Finding `json:"findings"`
	Warnings int       `json:"warnings"`
	Problems int       `json:"problems"`
}

// Examine does checks one after the other until ctx ends. Those that are to run apart are done by apart, where it is not nil; each is
// told when one begins.
func Examine(ctx context.Context, checks []Check, apart func(ctx context.Context, name string) ([]Finding, error), each func(name string)) (*Report, error) {
	r := &Report{Findings: []Finding{}}
	for _, c := range checks {
		if err := ctx.Err(); err != nil {
			return r, err
		}
		each(c.Name)
		for _, f := range c.examine(ctx, apart) {
			f.Check = c.Name
			switch f.Level {
			case Warning:
				r.Warnings++
			case Problem:
				r.Problems++
			}
			r.Findings = append(r.Findings, f)
		}
	}
	return r, ctx.Err()
}

// examine makes a finding of a check that fails itself.
func (c *Check) examine(ctx context.Context, apart func(ctx context.Context, name string) ([]Finding, error)) (found []Finding) {
	failed := func(what any) []Finding {
		return []Finding{{Level: Problem, Text: fmt.Sprintf("the check did not come to its end: %v", what), Remedy: c.Remedy}}
	}
	defer func() {
		if r := recover(); r != nil {
			found = failed(r)
		}
	}()
	if !c.Apart || apart == nil {
		return c.Run(ctx)
	}
	found, err := apart(ctx, c.Name)
	if err != nil {
		return failed(err)
	}
	return found
}

// patience is how long a check in a process of its own may take.
const patience = 3 * time.Minute

// Apart does a check by a command that prints the report of it alone as JSON.
func Apart(ctx context.Context, command ...string) ([]Finding, error) {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	c := exec.CommandContext(ctx, command[0], command[1:]...)
	var out, errOut bytes.Buffer
	c.Stdout, c.Stderr = &out, &errOut
	failed := c.Run()
	var r Report
	if err := json.Unmarshal(out.Bytes(), &r); err == nil { // a problem that it found ends it with an error too
		return r.Findings, nil
	}
	switch {
	case ctx.Err() == context.DeadlineExceeded:
		return nil, fmt.Errorf("it took more than %v", patience)
	case ctx.Err() != nil:
		return nil, ctx.Err()
	case failed == nil:
		return nil, fmt.Errorf("%s printed no report", command[0])
	}
	said := strings.TrimSpace(errOut.String())
	if said, _, _ = strings.Cut(said, "\n"); said != "" {
		said = ": " + said
	}
	return nil, fmt.Errorf("its process ended with %w%s", failed, said)
}
