package main

import (
	"fmt"
	"runtime"
	"runtime/debug"

	"github.com/spf13/cobra"

	"samtune/internal/tensor"
)

// version and commit are set by the build.
var version, commit = "", ""

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "Print the version of samtune, its commit, and of what it runs with", Args: cobra.NoArgs,
		Example: "  samtune version",
		RunE: func(*cobra.Command, []string) error {
			_, err := fmt.Fprintf(a.out, "samtune %s, libtorch %s, gotch %s, %s, commit %s\n", versionText(), tensor.Version(), tensor.Gotch(), runtime.Version(), commitText())
			return err
		},
	}
}

func versionText() string {
	if version != "" {
		return version
	}
	if info, ok := debug.ReadBuildInfo(); ok && info.Main.Version != "" && info.Main.Version != "(devel)" {
		return info.Main.Version
	}
	return "0.1.0"
}

// commitText is the commit that the program was built from: as the build said, or as go build found it.
func commitText() string {
	if commit != "" {
		return commit
	}
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" {
				return s.Value
			}
		}
	}
	return "unknown"
}
