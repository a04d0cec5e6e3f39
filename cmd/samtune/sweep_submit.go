package main

import (
	"context"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/spf13/cobra"

	"samtune/configs"
	"samtune/sweep"
)

// Engines that start a sweep's tasks beyond this machine.
const (
	engineSlurm      = "slurm"
	engineKubernetes = "kubernetes"
)

func (a *app) sweepSubmit() *cobra.Command {
	var engine, config string
	var set []string
	var dry bool
	c := &cobra.Command{
		Use:   "submit DIR",
		Short: "Hand what is left of a sweep to Slurm or Kubernetes",
		Long: "Slurm: two job arrays are submitted, one that encodes the images and one with a task for each run that waits for it.\n" +
			"Kubernetes: the manifests of two Indexed Jobs are written, and the commands that apply them are printed.\n" +
			"A task is samtune sweep run DIR --index I: any number of them work on the shared folder at a time. What is done is not submitted again.",
		Example: "  samtune sweep submit /lab/sweeps/drive --engine slurm\n  samtune sweep submit /lab/sweeps/drive --engine slurm --config cluster.toml --set engine.slurm.time=4:00:00 --dry-run",
		Args:    cobra.ExactArgs(1),
		RunE: func(c *cobra.Command, args []string) error {
			a.leaveDataToPlan(c)
			dir, err := filepath.Abs(args[0])
			if err != nil {
				return fmt.Errorf("find the sweep's folder: %w", err)
			}
			p, err := sweep.Read(dir)
			if err != nil {
				return err
			}
			settings, err := engineSettings(p.Settings[0].Config, config, set)
			if err != nil {
				return err
			}
			s := sweep.Submission{Dir: dir, Encode: p.EncodeTasks, Tasks: p.TasksLeft(dir)}
			if len(s.Tasks) == 0 {
				_, err := fmt.Fprintf(a.out, "all %d runs are done: there is nothing to submit\n", len(p.Runs))
				return err
			}
			switch engine {
			case engineSlurm:
				return a.submitSlurm(c.Context(), s, settings.Slurm, dry)
			case engineKubernetes:
				return a.submitKubernetes(s, p, settings.Kubernetes)
			}
			return fmt.Errorf("%w: --engine is %q, want %s or %s", errUsage, engine, engineSlurm, engineKubernetes)
		},
	}
	c.Flags().StringVar(&engine, "engine", "", "slurm or kubernetes")
	c.Flags().StringVar(&config, "config", "", "TOML file with [engine.slurm] or [engine.kubernetes], over what the plan says of it")
	c.Flags().StringArrayVar(&set, "set", nil, "a setting of the engine as key=value, as engine.slurm.partition=gpu; repeatable")
	c.Flags().BoolVar(&dry, "dry-run", false, "only write the batch scripts and print the commands that would submit them")
	return c
}

// engineSettings lays a file and single settings over what the plan says of engines. Nothing else can change here: a
// run's result is decided by the plan.
func engineSettings(cfg configs.Run, file string, set []string) (configs.Engine, error) {
	var layers []configs.Layer
	if file != "" {
		l, err := configs.FileLayer(file)
		if err != nil {
			return configs.Engine{}, err
		}
		layers = append(layers, l)
	}
	for _, assignment := range set {
		l, err := configs.SetLayer(assignment)
		if err != nil {
			return configs.Engine{}, err
		}
		layers = append(layers, l)
	}
	before, err := cfg.Hash()
	if err != nil {
		return configs.Engine{}, err
	}
	for _, l := range layers {
		if err := cfg.Apply(l); err != nil {
			return configs.Engine{}, err
		}
		if after, err := cfg.Hash(); err != nil || after != before {
			return configs.Engine{}, fmt.Errorf("%s: %w: only engine.slurm and engine.kubernetes can be set when a sweep is submitted: all else is in its plan", l.Name, configs.ErrConfig)
		}
	}
	return cfg.Engine, nil
}

// taskCommand is what does one task of the sweep, started by a program of this name. Without a data folder the plan's is taken.
func (a *app) taskCommand(program string, s sweep.Submission) (string, error) {
	args := []string{program, "sweep", "run", s.Dir}
	for _, f := range []struct{ name, folder string }{{"--data", a.data}, {"--cache", a.cache}} {
		if f.folder != "" {
			folder, err := filepath.Abs(f.folder)
			if err != nil {
				return "", fmt.Errorf("find the folder of %s: %w", f.name, err)
			}
			args = append(args, f.name, folder)
		}
	}
	return shellLine(args), nil
}

func (a *app) submitSlurm(ctx context.Context, s sweep.Submission, cfg configs.Slurm, dry bool) error {
	self, err := launcher()
	if err != nil {
		return err
	}
	if s.Command, err = a.taskCommand(self, s); err != nil {
		return err
	}
	if dry {
		commands, err := s.WriteSlurm(cfg)
		if err != nil {
			return err
		}
		for _, c := range commands {
			fmt.Fprintln(a.out, shellLine(c))
		}
		return nil
	}
	jobs, err := s.SubmitSlurm(ctx, cfg)
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "encode    job %s, %d tasks\ntrain     job %s, runs %s, after it\n", jobs.Encode, s.Encode, jobs.Train, jobs.Tasks)
	_, err = fmt.Fprintf(a.out, "logs      %s\nstatus    %s\n", filepath.Join(s.Dir, "slurm"), shellLine([]string{"samtune", "sweep", "status", s.Dir}))
	return err
}

func (a *app) submitKubernetes(s sweep.Submission, p *sweep.Plan, cfg configs.Kubernetes) error {
	var err error
	if s.Command, err = a.taskCommand("samtune", s); err != nil {
		return err
	}
	folders := map[string]string{"the folder of --cache": a.cache, "the folder of --data": a.data}
	if a.data == "" {
		folders["the plan's data folder"] = p.Data
	}
	for _, setting := range p.Settings {
		folders["the feature cache of "+setting.Name] = setting.Config.Cache.Dir
		folders["the weights file of "+setting.Name] = setting.Config.Weights
	}
	for what, path := range folders {
		if path == "" || cfg.Mount == "" {
			continue
		}
		if path, err = filepath.Abs(path); err != nil {
			return fmt.Errorf("find %s: %w", what, err)
		}
		if err := sweep.Below(cfg.Mount, what, path); err != nil {
			return err
		}
	}
	files, err := s.WriteKubernetes(cfg)
	if err != nil {
		return err
	}
	kubectl := func(words string, file string) {
		fmt.Fprintln(a.out, shellLine(append(append([]string{"kubectl"}, strings.Fields(words)...), file)))
	}
	kubectl("delete --ignore-not-found -f", filepath.Dir(files.Train))
	kubectl("apply -f", files.Encode)
	kubectl("wait --for=condition=Complete --timeout=24h -f", files.Encode)
	kubectl("apply -f", files.Train)
	return nil
}
