// Package configs holds the declarations of benchmarks and models that are part of the program, and the
// settings of a run.
package configs

import "embed"

// FS holds benchmarks/*.toml and models/*.toml.
//
//go:embed benchmarks/*.toml models/*.toml
var FS embed.FS
