package tensor

import (
	"os"
	"path/filepath"
	"runtime/debug"
	"slices"
	"strings"
	"sync"
)

// Libraries lists the paths of the shared libraries that the process has loaded, in order; none where the system does not say.
func Libraries() []string {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return nil
	}
	var out []string
	for _, line := range strings.Split(string(b), "\n") {
		if i := strings.IndexByte(line, '/'); i >= 0 && strings.Contains(filepath.Base(line[i:]), ".so") {
			out = append(out, line[i:])
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// Folder returns the folder of the libtorch that is loaded, which may have come from LD_LIBRARY_PATH; empty where that can't be told.
func Folder() string {
	for _, path := range Libraries() {
		if filepath.Base(path) == "libc10.so" {
			return filepath.Dir(path)
		}
	}
	return ""
}

// Gotch returns the version of gotch that the program was built with, as "v0.9.1".
func Gotch() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, d := range info.Deps {
			if d.Path == "github.com/sugarme/gotch" {
				return d.Version
			}
		}
	}
	return "unknown"
}

// Version returns the version of the libtorch that is loaded, as "2.11.0+cu130", read from the version
// file beside it, or "unknown" where that file is missing.
var Version = sync.OnceValue(func() string {
	root := filepath.Dir(Folder())
	if b, err := os.ReadFile(filepath.Join(root, "build-version")); err == nil {
		return strings.TrimSpace(string(b))
	}
	b, err := os.ReadFile(filepath.Join(root, "version.py"))
	if err != nil {
		return "unknown"
	}
	for _, line := range strings.Split(string(b), "\n") {
		if v, ok := strings.CutPrefix(line, "__version__ = "); ok {
			return strings.Trim(v, "'\" ")
		}
	}
	return "unknown"
})
