package main

import (
	"fmt"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/checkpoints"
	"samtune/model"
)

func (a *app) weightsCommand() *cobra.Command {
	c := &cobra.Command{Use: "weights", Short: "Look at model weights and verify them"}
	c.AddCommand(
		&cobra.Command{
			Use: "list", Short: "List the models and whether their weights are there", Args: cobra.NoArgs,
			Example: "  samtune weights list",
			RunE:    func(*cobra.Command, []string) error { return a.weightsList() },
		},
		&cobra.Command{
			Use: "show FILE", Short: "Show the parameters of a weights file with their shapes", Args: cobra.ExactArgs(1),
			Example: "  samtune weights show lite_medsam.pth",
			RunE:    func(_ *cobra.Command, args []string) error { return a.weightsShow(args[0]) },
		},
		&cobra.Command{
			Use: "verify FILE", Short: "Read every tensor of a weights file and check it against the models", Args: cobra.ExactArgs(1),
			Example: "  samtune weights verify lite_medsam.pth",
			RunE:    func(_ *cobra.Command, args []string) error { return a.weightsVerify(args[0]) },
		},
	)
	return c
}

func (a *app) weightsList() error {
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "NAME\tTITLE\tINPUT\tFILE\tSHA-256\tHERE")
	for _, name := range model.Names() {
		spec, err := model.LookUp(name)
		if err != nil {
			return err
		}
		here, err := a.weightsPath(spec)
		if err != nil {
			here = "not found: make setup"
		}
		fmt.Fprintf(w, "%s\t%s\t%d px\t%s\t%.12s\t%s\n", spec.Name, spec.Title, spec.ImageSize, spec.Weights.File, spec.Weights.SHA256, here)
	}
	return w.Flush()
}

func (a *app) weightsShow(path string) error {
	f, err := checkpoints.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	var total int64
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		n := int64(1)
		for _, d := range info.Shape {
			n *= d
		}
		total += n
		fmt.Fprintf(w, "%s\t%s\t%v\n", name, info.DType, info.Shape)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%d tensors, %d numbers\n", len(f.Names()), total)
	return nil
}

// weightsVerify reads everything, which verifies all checksums, and says which model the file is.
func (a *app) weightsVerify(path string) error {
	f, err := checkpoints.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	if err := f.Verify(); err != nil {
		return err
	}
	sum, err := f.SHA256()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: %d tensors read, SHA-256 %s\n", path, len(f.Names()), sum)
	var mismatch error
	for _, name := range model.Names() {
		spec, err := model.LookUp(name)
		if err != nil {
			return err
		}
		if mismatch = checkpoints.Match(spec.Params(), f); mismatch == nil {
			released := "other weights than the released ones"
			if sum == spec.Weights.SHA256 {
				released = "the released weights"
			}
			fmt.Fprintf(a.out, "it fits %s: %s\n", spec.Title, released)
			return nil
		}
	}
	return fmt.Errorf("it fits no model that samtune knows: %w", mismatch)
}
