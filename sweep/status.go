package sweep

import (
	"fmt"
	"time"
)

// What a row's run is.
const (
	StatusDone    = "done"
	StatusRunning = "running"
	StatusFailed  = "failed"
	StatusLeft    = "left"
)

// Status is how far a sweep is.
type Status struct {
	Done    int           `json:"done"`
	Running int           `json:"running"`
	Failed  int           `json:"failed"`
	Left    int           `json:"left"`
	Rows    []RowStatus   `json:"rows"`
	Time    time.Duration `json:"-"`         // that what is not done will take with as many tasks at a time as there are now
	Seconds *float64      `json:"time_left"` // the same; null where no task is done to tell by
}

// RowStatus is what one row's run is.
type RowStatus struct {
	Row
	Status   string    `json:"status"`
	Error    string    `json:"error,omitempty"`
	Host     string    `json:"host,omitempty"`
	Attempts int       `json:"attempts,omitempty"`
	Started  time.Time `json:"started,omitzero"`
	Ended    time.Time `json:"ended,omitzero"`
}

// Look says what became of every row.
func Look(dir string, p *Plan) *Status {
	s := &Status{}
	states := map[int]*RowStatus{}
	var took, rest []time.Duration
	running := 0
	of := map[string][]time.Duration{} // what tasks of a setting and number of shots took
	var left []Row
	for _, t := range p.Tasks() {
		st, sign := readState(dir, t)
		r := &RowStatus{Status: StatusLeft, Error: st.Error, Host: st.Host, Attempts: st.Attempts, Started: st.Started, Ended: st.Ended}
		for _, m := range p.members(p.Runs[t]) {
			states[m.Index] = r
		}
		switch {
		case p.allDone(dir, p.members(p.Runs[t])):
			if d := st.Ended.Sub(st.Started); !st.Ended.IsZero() {
				took = append(took, d)
				of[similar(p.Runs[t])] = append(of[similar(p.Runs[t])], d)
			}
			continue
		case st.running(sign):
			r.Status = StatusRunning
			running++
		case st.Failed:
			r.Status = StatusFailed
		}
		left = append(left, p.Runs[t])
	}
	for _, row := range p.Runs {
		r := *states[row.Index]
		r.Row = row
		if Done(dir, row) {
			r.Status, r.Error = StatusDone, ""
		}
		switch r.Status {
		case StatusDone:
			s.Done++
		case StatusRunning:
			s.Running++
		case StatusFailed:
			s.Failed++
		default:
			s.Left++
		}
		s.Rows = append(s.Rows, r)
	}
	for _, row := range left {
		like := of[similar(row)]
		if len(like) == 0 {
			like = took
		}
		if len(like) == 0 {
			return s
		}
		rest = append(rest, mean(like))
	}
	var sum time.Duration
	for _, d := range rest {
		sum += d
	}
	s.Time = sum / time.Duration(max(1, running))
	seconds := s.Time.Seconds()
	s.Seconds = &seconds
	return s
}

// similar names the tasks that take about as long.
func similar(r Row) string { return fmt.Sprint(r.Setting, " ", r.Shots) }

func mean(d []time.Duration) time.Duration {
	var sum time.Duration
	for _, v := range d {
		sum += v
	}
	return sum / time.Duration(len(d))
}
