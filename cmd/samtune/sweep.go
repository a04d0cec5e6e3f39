package main

import (
	"cmp"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"samtune/configs"
	"samtune/data"
	"samtune/eval/report"
	"samtune/sweep"
)

// sweepFlags say what a sweep's plan is made of and how it is worked through here.
type sweepFlags struct {
	runFlags
	benchmarks, targets, decoders []string
	shots                         []int
	seeds, encodeTasks, jobs      int
	gpus                          []string // that the sweep is dealt out to
	replace                       bool
}

func (a *app) sweep() *cobra.Command {
	var f sweepFlags
	c := &cobra.Command{
		Use:   "sweep",
		Short: "Run one experiment over numbers of shots and seeds, and say how Dice grows with images",
		Long: "A sweep is a folder with a plan, a run for each of its rows, and the report over all of them. Without a sub-command the plan is\n" +
			"made, worked through on this machine, and collected; killed at any moment, the same command does what is not done.",
		Example: "  samtune sweep --benchmark drive --shots 1,3,5,10,20 --seeds 5\n  samtune sweep --benchmark fundus --decoders plain,linear --shots 1,5 --seeds 3 --jobs 2",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			if err := checkJobs(f.jobs); err != nil { // before a plan is made for them
				return err
			}
			p, err := a.makePlan(c, &f)
			if err != nil {
				return err
			}
			if err := a.runLocal(c.Context(), f.out, p, f.jobs, f.gpus); err != nil {
				return err
			}
			return a.collectSweep(f.out, p)
		},
	}
	f.add(c)
	addJobs(c, &f.jobs)
	c.AddCommand(a.sweepPlan(), a.sweepRun(), a.sweepStatus(), a.sweepCollect(), a.sweepSubmit())
	return c
}

func addJobs(c *cobra.Command, jobs *int) {
	c.Flags().IntVar(jobs, "jobs", 0, "tasks at a time on this machine; 0: as many as keep its cores busy, or one on each of its GPUs")
}

func checkJobs(jobs int) error { return within("jobs", jobs, 0, 1024) }

// add adds the flags of the plan.
func (f *sweepFlags) add(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "TOML file with settings; flags and --set go before it")
	c.Flags().StringSliceVar(&f.benchmarks, "benchmark", []string{"fundus"}, "data sets: samtune data list shows them")
	c.Flags().StringSliceVar(&f.targets, "target", nil, "which of their structures, or all; the default is each benchmark's first")
	c.Flags().StringSliceVar(&f.decoders, "decoders", []string{ownDecoder}, "plain, linear, fine; own: the benchmark's. Each has runs of its own")
	c.Flags().IntSliceVar(&f.shots, "shots", []int{1, 3, 5, 10, 20}, "numbers of annotated images")
	c.Flags().IntVar(&f.seeds, "seeds", 5, "draws of each number, with the seeds 1, 2, ...")
	f.addModel(c)
	c.Flags().StringVar(&f.device, "device", "auto", "auto, cpu, cuda or cuda:N, on the machines that the runs are done on")
	c.Flags().StringVar(&f.profile, "profile", "", "settings that the benchmark declares beside its recipe, as fast")
	c.Flags().StringArrayVar(&f.set, "set", nil, "any setting as key=value for every run; repeatable")
	c.Flags().StringVar(&f.out, "out", "", "the sweep's folder (default runs/sweep-BENCHMARK)")
	c.Flags().IntVar(&f.encodeTasks, "encode-tasks", 0, "shares into which the encoding is dealt out, for machines side by side; 0: one, or one for each GPU of this machine")
	c.Flags().BoolVar(&f.replace, "replace", false, "put the plan in the place of another one in the folder; runs that are in both stay done")
}

// makePlan makes the plan and writes it.
func (a *app) makePlan(c *cobra.Command, f *sweepFlags) (*sweep.Plan, error) {
	if err := cmp.Or(within("seeds", f.seeds, 1, 1000), within("encode-tasks", f.encodeTasks, 0, sweep.MaxEncodeTasks)); err != nil {
		return nil, err
	}
	if f.out == "" {
		names := make([]string, len(f.benchmarks))
		for i, b := range f.benchmarks {
			names[i] = strings.TrimSuffix(filepath.Base(b), ".toml")
		}
		f.out = filepath.Join(defaultRuns, "sweep-"+strings.Join(names, "-"))
	}
	settings, err := a.sweepSettings(c, f)
	if err != nil {
		return nil, err
	}
	f.gpus = gpusFor(settings[0].Train.Device)
	if f.encodeTasks == 0 {
		f.encodeTasks = max(1, len(f.gpus))
	}
	seeds := make([]int64, f.seeds)
	for i := range seeds {
		seeds[i] = int64(i) + 1
	}
	before, err := sweep.Read(f.out)
	if err != nil { // there is none, or one that is refused or replaced below
		before = nil
	}
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	p, err := sweep.New(c.Context(), sweep.Options{
		Settings: settings, Shots: f.shots, Seeds: seeds, DataRoot: a.data, EncodeTasks: f.encodeTasks, Jobs: f.jobs, Before: before,
		Version: versionText(), Command: commandLine(os.Args[1:]), Progress: bar,
	})
	if err != nil {
		return nil, err
	}
	return p, p.Write(f.out, f.replace)
}

// sweepSettings reads the settings of every benchmark, target and decoder.
func (a *app) sweepSettings(c *cobra.Command, f *sweepFlags) ([]*configs.Run, error) {
	var out []*configs.Run
	for _, benchmark := range f.benchmarks {
		d, err := data.Declaration(benchmark)
		if err != nil {
			return nil, err
		}
		targets := d.Targets[:1]
		if slices.Equal(f.targets, []string{"all"}) {
			targets = d.Targets
		} else if len(f.targets) > 0 {
			targets = f.targets
		}
		for _, target := range targets {
			for _, decoder := range f.decoders {
				if decoder == ownDecoder {
					decoder = recipeDecoder(d)
				}
				run := f.runFlags
				run.shots = 1 // the flag of that name is a list here
				run.set = append([]string{"benchmark=" + benchmark, "target=" + target, "decoder=" + decoder, "compare=[]"}, f.set...)
				opt, err := a.options(c, &run)
				if err != nil {
					return nil, err
				}
				out = append(out, opt.Config)
			}
		}
	}
	return out, nil
}

// collectSweep brings a sweep together and prints its table.
func (a *app) collectSweep(dir string, p *sweep.Plan) error {
	s, err := sweep.Collect(dir, p, versionText())
	if err != nil {
		return err
	}
	if err := report.SweepTable(a.out, s); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "report    %s\n", filepath.Join(dir, report.HTMLFile))
	return err
}

func (a *app) sweepPlan() *cobra.Command {
	var f sweepFlags
	c := &cobra.Command{
		Use:     "plan",
		Short:   "Write the plan: a row for each run, with the hash of all that decides its result",
		Example: "  samtune sweep plan --benchmark drive --shots 1,3,5,10,20 --seeds 5 --out runs/sweep-drive",
		Args:    cobra.NoArgs,
		RunE: func(c *cobra.Command, _ []string) error {
			p, err := a.makePlan(c, &f)
			if err != nil {
				return err
			}
			_, err = fmt.Fprintf(a.out, "plan      %s: %d runs in %d tasks\n", filepath.Join(f.out, sweep.PlanFile), len(p.Runs), len(p.Tasks()))
			return err
		},
	}
	f.add(c)
	return c
}

func (a *app) sweepRun() *cobra.Command {
	var index, jobs int
	var encode bool
	c := &cobra.Command{
		Use:   "run DIR",
		Short: "Work through a plan on this machine, or do one task of it",
		Long: "Without --index everything that is not done is done here, --jobs tasks at a time. With --index, or with the index of a Slurm array\n" +
			"or a Kubernetes Indexed Job in the environment, one task is done: any number of machines may do so at once over a shared folder.",
		Example: "  samtune sweep run runs/sweep-drive --jobs 2\n  samtune sweep run runs/sweep-drive --index 7",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			if err := checkJobs(jobs); err != nil {
				return err
			}
			a.leaveDataToPlan(c)
			p, err := sweep.Read(args[0])
			if err != nil {
				return err
			}
			one := c.Flags().Changed("index")
			if !one {
				if index, one, err = arrayIndex(); err != nil {
					return err
				}
			}
			if !one && !encode {
				device := p.Settings[0].Config.Train.Device
				if device == "cuda:0" { // what a plan calls a GPU of no number
					device = "cuda"
				}
				if err := a.runLocal(c.Context(), args[0], p, jobs, gpusFor(device)); err != nil {
					return err
				}
				return a.collectSweep(args[0], p)
			}
			bar := newProgress(a.err, a.quiet)
			defer bar.close()
			env := sweep.Env{DataRoot: a.data, Version: versionText(), Command: commandLine(os.Args[1:]), Progress: bar}
			switch {
			case !encode:
				return sweep.RunTask(c.Context(), args[0], p, index, env)
			case one:
				return sweep.Encode(c.Context(), args[0], p, index, env)
			}
			for share := range p.EncodeTasks {
				if err := sweep.Encode(c.Context(), args[0], p, share, env); err != nil {
					return err
				}
			}
			return nil
		},
	}
	c.Flags().IntVar(&index, "index", 0, "do one run of the plan, and what is fitted together with it")
	c.Flags().BoolVar(&encode, "encode", false, "fill the feature cache; with --index one share of it")
	addJobs(c, &jobs)
	return c
}

// arrayIndex is the index that Slurm or Kubernetes gives a task in the environment.
func arrayIndex() (index int, ok bool, err error) {
	for _, name := range []string{"SLURM_ARRAY_TASK_ID", "JOB_COMPLETION_INDEX"} {
		if text := os.Getenv(name); text != "" {
			if _, err := fmt.Sscanf(text, "%d", &index); err != nil {
				return 0, false, fmt.Errorf("%w: %s is %q, want a number", errUsage, name, text)
			}
			return index, true, nil
		}
	}
	return 0, false, nil
}

// leaveDataToPlan forgets $SAMTUNE_DATA: where --data was not given, a plan's own folder counts.
func (a *app) leaveDataToPlan(c *cobra.Command) {
	if !c.Flags().Changed("data") {
		a.data = ""
	}
}

// runLocal works through a plan with processes of this program, dealt out to GPUs where there are several.
func (a *app) runLocal(ctx context.Context, dir string, p *sweep.Plan, jobs int, gpus []string) error {
	self, err := program()
	if err != nil {
		return err
	}
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	l := &sweep.Local{Dir: dir, Plan: p, Jobs: jobs, GPUs: gpus, Progress: bar}
	l.Start = func(ctx context.Context, gpu string, args []string, log string) error {
		args = append([]string{"sweep", "run", dir}, args...)
		if a.data != "" {
			args = append(args, "--data", a.data)
		}
		return startSelf(ctx, self, gpu, args, log)
	}
	return l.Run(ctx)
}
