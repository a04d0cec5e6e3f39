package main

import (
	"fmt"
	"io"
	"os"
	"sync"
	"time"

	"github.com/schollz/progressbar/v3"
	"golang.org/x/term"

	"samtune/experiment"
)

// progress shows a run's stages: a bar with the time left on a terminal, a line now and then elsewhere.
type progress struct {
	w        io.Writer
	quiet    bool
	terminal bool
	open     *stage
}

func newProgress(w io.Writer, quiet bool) *progress {
	return &progress{w: w, quiet: quiet, terminal: isTerminal(w)}
}

func isTerminal(w io.Writer) bool {
	f, ok := w.(*os.File)
	return ok && term.IsTerminal(int(f.Fd()))
}

// Note prints a line of a stage.
func (p *progress) Note(name, text string) {
	if p.quiet {
		return
	}
	if p.open != nil && p.open.bar != nil {
		_ = p.open.bar.Clear() // a bar that can't be drawn must not end a run
	}
	if name == "" {
		fmt.Fprintln(p.w, text)
		return
	}
	fmt.Fprintf(p.w, "%-9s %s\n", name, text)
}

// Begin starts a stage; a total of 0 is one that is not known.
func (p *progress) Begin(name string, total int) experiment.Stage {
	s := &stage{p: p, name: name, total: total, began: time.Now()}
	if p.quiet {
		return s
	}
	p.open = s
	if p.terminal {
		of := total
		if of == 0 {
			of = -1 // a spinner
		}
		s.bar = progressbar.NewOptions(of,
			progressbar.OptionSetWriter(p.w), progressbar.OptionSetDescription(fmt.Sprintf("%-9s", name)),
			progressbar.OptionSetWidth(24), progressbar.OptionShowCount(), progressbar.OptionSetPredictTime(true),
			progressbar.OptionThrottle(100*time.Millisecond), progressbar.OptionClearOnFinish(), progressbar.OptionSetElapsedTime(true),
			progressbar.OptionSetTheme(progressbar.Theme{Saucer: "█", SaucerHead: "█", SaucerPadding: "░", BarStart: " ", BarEnd: " "}))
	}
	return s
}

// close ends a bar that an error left open.
func (p *progress) close() {
	if p.open != nil && p.open.bar != nil {
		_ = p.open.bar.Exit()
	}
}

type stage struct {
	p       *progress
	name    string
	mu      sync.Mutex // of what follows, while parts are under way side by side
	total   int
	done    int
	began   time.Time
	printed time.Time
	bar     *progressbar.ProgressBar
}

// everySoOften is the time between the lines of a stage where there is no terminal.
const everySoOften = 15 * time.Second

func (s *stage) Add(n int, remark string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.done += n
	switch {
	case s.p.quiet:
	case s.bar != nil:
		if remark != "" {
			s.bar.Describe(fmt.Sprintf("%-9s %s", s.name, remark))
		}
		_ = s.bar.Add(n) // as above
	case time.Since(s.printed) < everySoOften || time.Since(s.began) < everySoOften:
	case s.total == 0:
		s.printed = time.Now()
		fmt.Fprintf(s.p.w, "%-9s %s  %s\n", s.name, remark, minutes(time.Since(s.began)))
	case s.done < s.total:
		s.printed = time.Now()
		left := time.Duration(float64(time.Since(s.began)) / float64(s.done) * float64(s.total-s.done))
		fmt.Fprintf(s.p.w, "%-9s %d/%d  %s  %s left\n", s.name, s.done, s.total, remark, minutes(left))
	}
}

func (s *stage) End(remark string) {
	if s.p.quiet {
		return
	}
	if s.bar != nil {
		_ = s.bar.Exit()
		_ = s.bar.Clear()
		s.bar = nil
	}
	s.p.open = nil
	count := ""
	if s.total > 0 {
		count = fmt.Sprintf("%d/%d  ", s.done, s.total)
	}
	fmt.Fprintf(s.p.w, "%-9s %s%s  %s\n", s.name, count, remark, minutes(time.Since(s.began)))
}

// minutes writes a duration as m:ss.
func minutes(d time.Duration) string {
	s := int(d.Round(time.Second).Seconds())
	return fmt.Sprintf("%d:%02d", s/60, s%60)
}
