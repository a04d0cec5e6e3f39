package main

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/spf13/cobra"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
	"samtune/experiment"
	"samtune/internal/featurecache"
)

// runFlags are the flags of finetune and zeroshot.
type runFlags struct {
	config, benchmark, target, model, weights, precision, device, decoder, profile, split, out, runs string
	shots                                                                                            int
	seed                                                                                             int64
	compare, set                                                                                     []string
	again                                                                                            bool
}

func (a *app) finetune() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:     "finetune",
		Short:   "Fine-tune a decoder on a few images and compare with zero-shot",
		Example: "  samtune finetune\n  samtune finetune --benchmark drive --shots 5 --decoder fine --compare plain",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.execute(c, &f, experiment.Options{}) },
	}
	f.add(c)
	c.Flags().IntVar(&f.shots, "shots", 5, "annotated images that training may use")
	c.Flags().StringVar(&f.split, "split", "", "split file that says which cases are trained on and tested, in place of --benchmark, --target, --shots and --seed")
	c.Flags().StringVar(&f.decoder, "decoder", "", "plain, linear or fine; the default is the benchmark's")
	c.Flags().StringSliceVar(&f.compare, "compare", nil, "decoders that are fitted on the same shots and shown beside it, or none (default plain,linear)")
	return c
}

func (a *app) zeroshot() *cobra.Command {
	var f runFlags
	c := &cobra.Command{
		Use:     "zeroshot",
		Short:   "Segment the test images with the weights as released, prompt by prompt",
		Example: "  samtune zeroshot --benchmark drive",
		Args:    cobra.NoArgs,
		RunE:    func(c *cobra.Command, _ []string) error { return a.execute(c, &f, experiment.Options{ZeroShot: true}) },
	}
	f.add(c)
	return c
}

func (f *runFlags) add(c *cobra.Command) {
	f.addBenchmark(c)
	c.Flags().StringVar(&f.out, "out", "", "run folder; the default is one under --runs with the run's name")
	c.Flags().StringVar(&f.runs, "runs", defaultRuns, "folder of run folders")
	c.Flags().BoolVar(&f.again, "again", false, "repeat a run that is finished")
}

// addModel adds the flags that say which network it is.
func (f *runFlags) addModel(c *cobra.Command) {
	c.Flags().StringVar(&f.model, "model", "", "model: samtune weights list shows them (default: the one that --weights is of, or lite_medsam)")
	c.Flags().StringVar(&f.weights, "weights", "", "weights file instead of the model's released weights")
	addPrecision(c, &f.precision)
}

// addPrecision adds the flag of the image encoder's arithmetic.
func addPrecision(c *cobra.Command, precision *string) {
	c.Flags().StringVar(precision, "precision", "", "arithmetic of the frozen image encoder: float32, bfloat16 (bf16) or float16 (fp16) (default float32)")
}

// precisionOf is the name of an arithmetic that is given by that or by the short one.
func precisionOf(flag string) string {
	short := map[string]string{"": "float32", "fp32": "float32", "bf16": "bfloat16", "fp16": "float16"}
	return cmp.Or(short[flag], flag)
}

// addBenchmark adds the flags that say what is looked at and with which model.
func (f *runFlags) addBenchmark(c *cobra.Command) {
	c.Flags().StringVar(&f.config, "config", "", "TOML file with settings; flags and --set go before it")
	c.Flags().StringVar(&f.benchmark, "benchmark", "fundus", "data set: a name from samtune data list, or the TOML file of your own")
	c.Flags().StringVar(&f.target, "target", "", "which of the benchmark's structures; the default is its first")
	f.addModel(c)
	c.Flags().StringVar(&f.device, "device", "auto", "auto, cpu, cuda or cuda:N")
	c.Flags().Int64Var(&f.seed, "seed", 1, "seed of the draw of shots and of the training")
	c.Flags().StringVar(&f.profile, "profile", "", "settings that the benchmark declares beside its recipe, as fast")
	c.Flags().StringArrayVar(&f.set, "set", nil, "any setting as key=value, as train.lr=1e-4; repeatable")
}

// settings lays the layers over each other: defaults, the benchmark's recipe, the config file, flags, --set.
func (f *runFlags) settings(c *cobra.Command) (*configs.Run, error) {
	var layers []configs.Layer
	if f.config != "" {
		l, err := configs.FileLayer(f.config)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	var flags strings.Builder
	for name, value := range map[string]string{
		"benchmark": fmt.Sprintf("%q", f.benchmark), "target": fmt.Sprintf("%q", f.target), "decoder": fmt.Sprintf("%q", f.decoder),
		"compare": listText(f.compare), "model": fmt.Sprintf("%q", f.model), "weights": fmt.Sprintf("%q", f.weights), "precision": fmt.Sprintf("%q", precisionOf(f.precision)),
		"shots": fmt.Sprint(f.shots), "seed": fmt.Sprint(f.seed), "split": fmt.Sprintf("%q", f.split), "device": fmt.Sprintf("%q", f.device),
	} {
		if c.Flags().Changed(name) {
			if name == "device" {
				name = "train.device"
			}
			fmt.Fprintf(&flags, "%s = %s\n", name, value)
		}
	}
	layers = append(layers, configs.Layer{Name: "flags", Text: flags.String()})
	for _, assignment := range f.set {
		l, err := configs.SetLayer(assignment)
		if err != nil {
			return nil, err
		}
		layers = append(layers, l)
	}
	named, err := apply(layers) // once without the recipe, to learn which benchmark is meant
	if err != nil {
		return nil, err
	}
	if named.Split != "" { // what it decides may be said again in other words, which are compared later
		l, err := splitLayer(named.Split)
		if err != nil {
			return nil, err
		}
		layers = slices.Insert(layers, 0, l)
		if named, err = apply(layers); err != nil {
			return nil, err
		}
	}
	declared, err := data.Declaration(named.Benchmark)
	if err != nil {
		return nil, err
	}
	recipe, err := configs.MapLayer("recipe of "+declared.Name, declared.Recipe)
	if err != nil {
		return nil, err
	}
	base := []configs.Layer{recipe}
	if f.profile != "" {
		settings, ok := declared.Profiles[f.profile]
		if !ok {
			return nil, fmt.Errorf("%w: %s has no profile %q: it has %s", configs.ErrConfig, declared.Name, f.profile, known(declared.Profiles))
		}
		l, err := configs.MapLayer("profile "+f.profile+" of "+declared.Name, settings)
		if err != nil {
			return nil, err
		}
		base = append(base, l)
	}
	cfg, err := apply(append(base, layers...))
	if err != nil {
		return nil, err
	}
	if file := declared.File(); file != "" {
		cfg.Benchmark = file // found from other folders too
	}
	if cfg.Eval.NSDTolerance == 0 {
		cfg.Eval.NSDTolerance = declared.NSDTolerance
	}
	return cfg, nil
}

// apply lays layers over the defaults.
func apply(layers []configs.Layer) (*configs.Run, error) {
	cfg := configs.Default()
	for _, l := range layers {
		if err := cfg.Apply(l); err != nil {
			return nil, err
		}
	}
	return cfg, nil
}

// splitLayer is what a split file decides.
func splitLayer(path string) (configs.Layer, error) {
	s, err := data.ReadSplit(path)
	if err != nil {
		return configs.Layer{}, err
	}
	return configs.MapLayer("split "+path, map[string]any{"benchmark": s.Benchmark, "target": s.Target, "shots": s.Shots, "seed": s.Seed})
}

// known lists the names of profiles.
func known(profiles map[string]map[string]any) string {
	if len(profiles) == 0 {
		return "none"
	}
	return strings.Join(slices.Sorted(maps.Keys(profiles)), ", ")
}

// listText writes words as a list of TOML; the word none takes back those before it.
func listText(words []string) string { return quoted(words[slices.Index(words, "none")+1:]) }

// quoted writes words as a list of TOML.
func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(out, ", ") + "]"
}

// options turns the flags into what an experiment takes.
func (a *app) options(c *cobra.Command, f *runFlags) (*experiment.Options, error) {
	cfg, err := f.settings(c)
	if err != nil {
		return nil, err
	}
	if cfg.Model, cfg.Weights, err = a.modelAndWeights(cfg.Model, cfg.Weights); err != nil {
		return nil, err
	}
	cache, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	if cfg.Cache.Dir == "" {
		cfg.Cache.Dir = featurecache.In(cache)
	}
	for _, path := range []*string{&cfg.Weights, &cfg.Cache.Dir} { // a run may be repeated from another folder
		if *path, err = filepath.Abs(*path); err != nil {
			return nil, err
		}
	}
	return &experiment.Options{
		Config: cfg, DataRoot: a.data, Out: f.out, RunsDir: f.runs, Again: f.again,
		Command: commandLine(os.Args[1:]), Version: versionText(),
	}, nil
}

// commandLine writes the arguments so that a shell takes them again.
func commandLine(args []string) string { return shellLine(append([]string{"samtune"}, args...)) }

// shellLine writes words as a shell takes them.
func shellLine(words []string) string {
	line := make([]string, len(words))
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n\"'\\$`*?[]{}()<>|&;#~!") {
			w = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		line[i] = w
	}
	return strings.Join(line, " ")
}

// execute does a run of the kind that kind says and prints its table.
func (a *app) execute(c *cobra.Command, f *runFlags, kind experiment.Options) error {
	opt, err := a.options(c, f)
	if err != nil {
		return err
	}
	bar := newProgress(a.err, a.quiet)
	opt.ZeroShot, opt.Tuned, opt.Progress = kind.ZeroShot, kind.Tuned, bar
	results, dir, err := experiment.Execute(c.Context(), *opt)
	bar.close()
	if errors.Is(err, experiment.ErrFinished) {
		fmt.Fprintf(a.err, "finished run found: %s (use --again to repeat it)\n", dir)
		err = nil
	}
	if err != nil {
		return err
	}
	return a.show(results, dir)
}

// show prints a run's table and where its report is.
func (a *app) show(results *eval.Results, dir string) error {
	if err := report.Table(a.out, results); err != nil {
		return err
	}
	_, err := fmt.Fprintf(a.out, "report    %s\n", filepath.Join(dir, "report.html"))
	return err
}
