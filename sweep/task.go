package sweep

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"samtune/experiment"
)

// Env is what a task takes from where it runs.
type Env struct {
	DataRoot string // empty: the plan's
	Version  string
	Command  string
	Progress experiment.Progress
}

// options are those of a setting's runs.
func (p *Plan) options(setting *Setting, env Env) experiment.Options {
	cfg := setting.Config
	opt := experiment.Options{Config: &cfg, DataRoot: env.DataRoot, Wait: true, Version: env.Version, Command: env.Command, Progress: env.Progress}
	if opt.DataRoot == "" {
		opt.DataRoot = p.Data
	}
	return opt
}

func draws(dir string, rows []Row) []experiment.Draw {
	out := make([]experiment.Draw, len(rows))
	for i, r := range rows {
		out[i] = experiment.Draw{Shots: r.Shots, Seed: r.Seed, Hash: r.Hash, Dir: filepath.Join(dir, r.Dir)}
	}
	return out
}

// RunTask sees to it that a row's run is done, and with it those that are fitted together with it. What is done is left as it
// is; what another process does is waited for. How it went is noted in the sweep's folder.
func RunTask(ctx context.Context, dir string, p *Plan, index int, env Env) error {
	if index < 0 || index >= len(p.Runs) {
		return fmt.Errorf("%w: there is no run %d: they go from 0 to %d", ErrPlan, index, len(p.Runs)-1)
	}
	row := p.Runs[index]
	rows := p.members(row)
	if p.allDone(dir, rows) {
		return nil
	}
	end, err := begin(dir, rows[0].Index)
	if err != nil {
		return err
	}
	err = p.execute(ctx, dir, rows, env)
	if errors.Is(err, experiment.ErrFinished) { // by a process that was waited for
		err = nil
	}
	if noted := end(err); noted != nil {
		return errors.Join(err, noted)
	}
	return err
}

func (p *Plan) execute(ctx context.Context, dir string, rows []Row, env Env) error {
	opt, list := p.options(p.setting(rows[0].Setting), env), draws(dir, rows)
	if experiment.Together(opt.Config) {
		return experiment.ExecuteTogether(ctx, opt, list)
	}
	d := list[0]
	opt.Config.Shots, opt.Config.Seed, opt.Expect, opt.Out = d.Shots, d.Seed, d.Hash, d.Dir
	_, _, err := experiment.Execute(ctx, opt)
	return err
}

// Encode fills the feature cache with a share, from 0 to p.EncodeTasks-1, of what the plan's runs look at. Settings of one benchmark
// and model are looked at together, so that every view goes through the encoder once. What an earlier call of the same
// share encoded is added to what is noted.
func Encode(ctx context.Context, dir string, p *Plan, share int, env Env) error {
	if share < 0 || share >= p.EncodeTasks {
		return fmt.Errorf("%w: there is no share %d of the encoding: they go from 0 to %d", ErrPlan, share, p.EncodeTasks-1)
	}
	var order []string
	together := map[string][]int{} // settings that go through the encoder together
	for i, s := range p.Settings {
		c := s.Config
		key := fmt.Sprintf("%q %q %q %+v %s", c.Benchmark, c.Model, c.Weights, c.Cache, c.Train.Device)
		if together[key] == nil {
			order = append(order, key)
		}
		together[key] = append(together[key], i)
	}
	sum := readEncoded(dir, share)
	for _, key := range order {
		var settings []experiment.Options
		var of [][]experiment.Draw
		for _, i := range together[key] {
			o := p.options(&p.Settings[i], env)
			o.Config.Train.Threads = cmp.Or(p.EncodeThreads, o.Config.Train.Threads)
			settings = append(settings, o)
			of = append(of, draws(dir, p.rowsOf(p.Settings[i].Name)))
		}
		e, err := experiment.Encode(ctx, settings, of, share, p.EncodeTasks)
		if e != nil {
			sum.Images, sum.Views, sum.Seconds = sum.Images+e.Images, sum.Views+e.Views, sum.Seconds+e.Seconds
			sum.PeakRSSMB = max(sum.PeakRSSMB, e.PeakRSSMB)
			err = errors.Join(err, sum.write(dir, share))
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// encoded is what a share of the encoding has done so far.
type encoded struct{ experiment.Encoded }

func encodedPath(dir string, share int) string {
	return filepath.Join(dir, stateDir, fmt.Sprintf("encode-%03d.json", share))
}

func readEncoded(dir string, share int) (e encoded) {
	if text, err := os.ReadFile(encodedPath(dir, share)); err != nil || json.Unmarshal(text, &e) != nil { // not begun
		return encoded{}
	}
	return e
}

func (e encoded) write(dir string, share int) error { return note(encodedPath(dir, share), e) }
