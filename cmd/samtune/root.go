package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"samtune/checkpoints"
	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/experiment"
	"samtune/internal/tensor"
	"samtune/internal/unpack"
	"samtune/model"
	"samtune/segment"
	"samtune/sweep"
)

// Exit codes.
const (
	exitFailed      = 1
	exitUsage       = 2
	exitData        = 3
	exitCorrupt     = 4
	exitInterrupted = 130
)

// errUsage marks errors of the command line itself.
var errUsage = errors.New("usage")

// app is what all commands share.
type app struct {
	out, err io.Writer
	quiet    bool
	cache    string // folder of features and weights
	data     string // folder of the data sets
}

// run executes one command line and returns the exit code.
func run(args []string, out, errOut io.Writer) int {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	a := &app{out: out, err: errOut}
	root := a.root()
	root.SetArgs(args)
	root.SetOut(out)
	root.SetErr(errOut)
	err := root.ExecuteContext(ctx)
	if err == nil {
		return 0
	}
	text := strings.TrimSuffix(err.Error(), "\n")
	if err == context.Canceled {
		text = "interrupted: the same command goes on from here"
	}
	fmt.Fprintln(errOut, "samtune:", text)
	return exitCode(err)
}

func exitCode(err error) int {
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	switch {
	case is(context.Canceled):
		return exitInterrupted
	case is(errUsage, configs.ErrConfig, sweep.ErrPlan, data.ErrUnknown, model.ErrUnknown, tensor.ErrSpec, segment.ErrPrompt):
		return exitUsage
	case is(data.ErrNotFound, data.ErrInvalid, data.ErrLeak, eval.ErrPromptFile, experiment.ErrChanged):
		return exitData
	case is(checkpoints.ErrCorrupt, checkpoints.ErrUnsafe, experiment.ErrDamaged, unpack.ErrCorrupt, unpack.ErrUnsafe):
		return exitCorrupt
	}
	return exitFailed
}

func (a *app) root() *cobra.Command {
	root := &cobra.Command{
		Use:   "samtune",
		Short: "Fine-tune SAM's mask decoder on a few annotated images and say honestly how much that helped",
		Long: "samtune loads SAM, freezes its image encoder, fine-tunes a decoder on 1 to 20 images and compares\n" +
			"zero-shot with fine-tuned Dice, case by case.",
		Example:       "  samtune finetune                       the whole job on generated fundus images\n  samtune finetune --benchmark drive --shots 5",
		Version:       versionText(),
		SilenceUsage:  true,
		SilenceErrors: true,
		Args:          cobra.ArbitraryArgs,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 {
				return c.Help()
			}
			hint := ""
			if close := c.SuggestionsFor(args[0]); len(close) > 0 {
				hint = fmt.Sprintf("; did you mean %q?", close[0])
			}
			return fmt.Errorf("%w: unknown command %q%s (samtune --help lists them)", errUsage, args[0], hint)
		},
		SuggestionsMinimumDistance: 2,
	}
	root.SetFlagErrorFunc(func(c *cobra.Command, err error) error {
		return fmt.Errorf("%w: %w (%s --help shows its flags)", errUsage, inWords(err), c.CommandPath())
	})
	f := root.PersistentFlags()
	f.StringVar(&a.data, "data", os.Getenv("SAMTUNE_DATA"), "folder that holds the data sets; the default is $SAMTUNE_DATA")
	f.StringVar(&a.cache, "cache", "", "folder for weights and cached features; the default is samtune in the user's cache folder")
	f.BoolVar(&a.quiet, "quiet", false, "show results and errors alone")
	root.AddCommand(a.finetune(), a.zeroshot(), a.sweep(), a.compare(), a.evaluate(), a.predict(), a.segment(), a.encode(), a.report(), a.repro(), a.dataCommand(), a.weightsCommand(),
		a.cacheCommand(), a.runsCommand(), a.doctor(), a.docs(), a.versionCommand())
	for _, c := range root.Commands() {
		refuseStrayWords(c)
	}
	return root
}

// within refuses a flag's value out of its bounds, with which no machine could do anything.
func within(flag string, value, low, high int) error {
	if value < low || value > high {
		return fmt.Errorf("%w: --%s is %d, want %d to %d", errUsage, flag, value, low, high)
	}
	return nil
}

// inWords says what a flag's value should be, where the flag's own error speaks of how it was parsed.
func inWords(err error) error {
	var bad *pflag.InvalidValueError
	if !errors.As(err, &bad) {
		return err
	}
	want, ok := map[string]string{
		"int": "a whole number", "int64": "a whole number", "float64": "a number", "bool": "true or false", "intSlice": "whole numbers with commas between them",
	}[bad.GetFlag().Value.Type()]
	if !ok {
		return err
	}
	return fmt.Errorf("--%s is %q, want %s", bad.GetFlag().Name, bad.GetValue(), want)
}

// refuseStrayWords makes wrong arguments a usage error with the command's own words.
func refuseStrayWords(c *cobra.Command) {
	if check := c.Args; check != nil {
		c.Args = func(c *cobra.Command, args []string) error {
			if err := check(c, args); err != nil {
				return fmt.Errorf("%w: %w\n  %s", errUsage, err, c.UseLine())
			}
			return nil
		}
	}
	for _, sub := range c.Commands() {
		refuseStrayWords(sub)
	}
}

// cacheDir is the folder of weights and features: --cache, or samtune in the user's cache folder.
func (a *app) cacheDir() (string, error) {
	if a.cache != "" {
		return a.cache, nil
	}
	dir, err := os.UserCacheDir()
	if err != nil {
		return "", fmt.Errorf("find the user's cache folder: %w: name one with --cache", err)
	}
	return filepath.Join(dir, "samtune"), nil
}

// defaultModel is the model whose weights make setup fetches.
const defaultModel = "lite_medsam"

// modelAndWeights completes what a user said of a model: the name of what a weights file is of, and the place of a
// model's released weights.
func (a *app) modelAndWeights(name, weights string) (string, string, error) {
	if name == "" && weights != "" {
		spec, err := model.RecogniseFile(weights)
		if err != nil {
			return "", "", err
		}
		return spec.Name, weights, nil
	}
	if name == "" {
		name = defaultModel
	}
	spec, err := model.LookUp(name)
	if err == nil && weights == "" {
		weights, err = a.weightsPath(spec)
	}
	return name, weights, err
}

// weightsPath is where make setup leaves a model's released weights.
func (a *app) weightsPath(spec *model.Spec) (string, error) {
	places, err := a.weightsPlaces(spec)
	if err != nil {
		return "", err
	}
	for _, path := range places {
		if exists(path) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%s's weights are not at %q: %s fetches them, or name a file with --weights", spec.Title, places[0], obtain(spec))
}

// weightsPlaces are the paths at which a model's released weights are looked for. --cache moves what samtune writes; weights that are
// only in the user's cache folder, or in the bundle that the program came in, are found there all the same.
func (a *app) weightsPlaces(spec *model.Spec) ([]string, error) {
	dir, err := a.cacheDir()
	if err != nil {
		return nil, err
	}
	places := []string{filepath.Join(dir, "weights", spec.Weights.File)}
	if user, err := os.UserCacheDir(); err == nil && a.cache != "" {
		places = append(places, filepath.Join(user, "samtune", "weights", spec.Weights.File))
	}
	if bundle, err := bundleFolder(); err == nil {
		places = append(places, filepath.Join(bundle, "weights", spec.Weights.File))
	}
	return places, nil
}

func exists(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}
