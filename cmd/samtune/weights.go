package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/experiment"
	"samtune/internal/fetch"
	"samtune/model"
)

func (a *app) weightsCommand() *cobra.Command {
	c := &cobra.Command{Use: "weights", Short: "Get, look at, verify and export model weights"}
	var url, name, out, decoder string
	var depth int
	get := &cobra.Command{
		Use: "get MODEL", Short: "Download a model's released weights and verify them", Args: cobra.ExactArgs(1),
		Long: "get brings a model's released weights into the cache, where the other commands find them. A download that was broken\n" +
			"off goes on where it was; a file with the wrong length or checksum never takes its place.",
		Example: "  samtune weights get sam_vit_b",
		RunE:    func(c *cobra.Command, args []string) error { return a.weightsGet(c, args[0], url) },
	}
	get.Flags().StringVar(&url, "url", "", "take the file from there, as from a mirror; its length and checksum stay those that are known")
	verify := &cobra.Command{
		Use: "verify FILE", Short: "Read every number of a weights file and say which model it is of", Args: cobra.ExactArgs(1),
		Example: "  samtune weights verify lite_medsam.pth",
		RunE:    func(_ *cobra.Command, args []string) error { return a.weightsVerify(args[0], name) },
	}
	verify.Flags().StringVar(&name, "model", "", "the model that it shall be of")
	show := &cobra.Command{
		Use: "show FILE", Short: "Show the tree of parameters of a weights file, or of a run's fine-tuned ones", Args: cobra.ExactArgs(1),
		Example: "  samtune weights show lite_medsam.pth --depth 2",
		RunE:    func(_ *cobra.Command, args []string) error { return a.weightsShow(args[0], depth) },
	}
	show.Flags().IntVar(&depth, "depth", 0, "levels to show; 0: all")
	export := &cobra.Command{
		Use: "export RUN", Short: "Write the model that a run fine-tuned, for Python: .pth in SAM's official layout, or .safetensors", Args: cobra.ExactArgs(1),
		Long: "export writes the released model with the run's mask decoder in its place, and with what was trained of the encoder. The\n" +
			"official Python code loads it with strict=True, and torch.load with weights_only=True.",
		Example: "  samtune weights export runs/kvasir_seg-5shot-seed1-0f7bef --out polyps.pth",
		RunE:    func(_ *cobra.Command, args []string) error { return a.weightsExport(args[0], name, out, decoder) },
	}
	export.Flags().StringVar(&out, "out", "", "file to write, .pth or .safetensors")
	export.Flags().StringVar(&decoder, "decoder", "", "which of the run's decoders; the default is its own")
	export.Flags().StringVar(&name, "weights", "", "weights file that the run was fine-tuned from, where it is not where it was")
	require(export, "out")
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the models, their released weights and whether these are here", Args: cobra.NoArgs,
			Example: "  samtune weights list",
			RunE:    func(*cobra.Command, []string) error { return a.weightsList() },
		}, get, verify, show, export)
	return c
}

func (a *app) weightsList() error {
	models, files := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0), tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(models, "NAME\tTITLE\tINPUT\tMIB\tLICENCE\tHERE")
	fmt.Fprintln(files, "\nFILE\tCHECKSUM\tFROM")
	for _, name := range model.Names() {
		spec, err := model.LookUp(name)
		if err != nil {
			return err
		}
		here, err := a.weightsPath(spec)
		if err != nil {
			here = "no: " + obtain(spec)
		}
		size, sum, from := "?", "SHA-256 "+spec.Weights.SHA256, spec.Weights.URL
		if spec.Weights.SHA256 == "" {
			sum = "MD5 " + spec.Weights.MD5
		}
		if spec.Weights.Size > 0 {
			size = fmt.Sprint(spec.Weights.Size >> 20)
		}
		if from == "" {
			from = spec.Weights.Source
		}
		fmt.Fprintf(models, "%s\t%s\t%d px\t%s\t%s\t%s\n", spec.Name, spec.Title, spec.ImageSize, size, spec.Licence, here)
		fmt.Fprintf(files, "%s\t%s\t%s\n", spec.Weights.File, sum, from)
	}
	if err := models.Flush(); err != nil {
		return err
	}
	return files.Flush()
}

// obtain is the command that brings a model's released weights.
func obtain(spec *model.Spec) string {
	if spec.Weights.URL == "" {
		return "make setup"
	}
	return "samtune weights get " + spec.Name
}

func (a *app) weightsGet(c *cobra.Command, name, url string) error {
	spec, err := model.LookUp(name)
	if err != nil {
		return err
	}
	dir, err := a.cacheDir()
	if err != nil {
		return err
	}
	source := fetch.Source{URL: spec.Weights.URL, Size: spec.Weights.Size, SHA256: spec.Weights.SHA256, MD5: spec.Weights.MD5}
	if url != "" {
		source.URL = url
	}
	if source.URL == "" {
		return fmt.Errorf("%s has no address of its own: its weights come from %s", spec.Title, spec.Weights.Source)
	}
	path := filepath.Join(dir, "weights", spec.Weights.File)
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	bar.Note("", fmt.Sprintf("%s  ·  %s  ·  %s", spec.Title, source.URL, spec.Licence))
	var open *stage
	mib := func(bytes int64) int { return int(bytes >> 20) }
	there, err := fetch.Get(c.Context(), path, source, fetch.Options{Progress: func(done, total int64) {
		if open == nil && total > 0 {
			open = bar.Begin("download", mib(total)).(*stage)
		}
		if open != nil {
			open.Add(max(0, mib(done)-open.done), "MiB")
		}
	}})
	if open != nil {
		open.End("MiB")
	}
	switch {
	case errors.Is(err, fetch.ErrWrong), errors.Is(err, fetch.ErrUnreachable), errors.Is(err, fetch.ErrSpace):
		return fmt.Errorf("get %s: %w", spec.Title, err)
	case err != nil:
		return err
	case there:
		fmt.Fprintf(a.out, "already there: %s, verified\n", path)
	default:
		fmt.Fprintf(a.out, "%s: verified by its checksum\n", path)
	}
	return nil
}

func (a *app) weightsExport(run, weights, out, decoder string) error {
	tuned, err := experiment.OpenTunedDecoder(run, decoder)
	if err != nil {
		return err
	}
	if weights == "" {
		weights = tuned.Config.Weights
	}
	said, err := experiment.Export(tuned, weights, out)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %s\n", out, said)
	return err
}
