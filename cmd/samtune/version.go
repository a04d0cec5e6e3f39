package main

import (
	"fmt"

	"github.com/spf13/cobra"

	"samtune/internal/tensor"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of samtune and of the libtorch that it runs with", Args: cobra.NoArgs,
		Example: "  samtune version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "samtune %s, libtorch %s\n", versionText(), tensor.Version())
			return err
		},
	}
}
