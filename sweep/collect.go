package sweep

import (
	"fmt"
	"os"
	"path/filepath"

	"samtune/eval"
	"samtune/eval/report"
)

// statisticsSeed is that of the resamples in a sweep's statistics.
const statisticsSeed = 1

// Collect brings a sweep's runs together as they are now: their scores, the statistics over them, and what the encoding took. It writes
// sweep.json, the table and the report.
func Collect(dir string, p *Plan, version string) (*eval.Sweep, error) {
	config, err := os.ReadFile(filepath.Join(dir, PlanFile))
	if err != nil {
		return nil, fmt.Errorf("collect: %w", err)
	}
	s := &eval.Sweep{Command: p.Command, PlanHash: p.Hash, Config: string(config)}
	for _, r := range Look(dir, p).Rows {
		row := eval.SweepRow{
			Index: r.Index, Setting: r.Setting, Benchmark: r.Benchmark, Target: r.Target, Model: r.Model, Decoder: r.Decoder, Shots: r.Shots, Seed: r.Seed,
			Hash: r.Hash, Dir: r.Dir, Status: eval.SweepLeft, Error: r.Error,
		}
		switch r.Status {
		case StatusDone:
			row.Status = eval.SweepDone
		case StatusFailed:
			row.Status = eval.SweepFailed
		}
		s.Rows = append(s.Rows, row)
	}
	for share := range p.EncodeTasks {
		e := readEncoded(dir, share)
		s.Totals.Images += e.Images
		s.Totals.Views += e.Views
		s.Totals.Seconds += e.Seconds
		s.Totals.PeakRSSMB = max(s.Totals.PeakRSSMB, e.PeakRSSMB)
	}
	s.Collect(dir, statisticsSeed)
	if s.Versions == nil {
		s.Versions = map[string]string{"samtune": version}
	}
	return s, report.WriteSweep(dir, s)
}
