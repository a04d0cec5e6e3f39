package tensor

import (
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// loadedLibraries returns the process's memory map, a line for each mapped file.
func loadedLibraries() string {
	b, err := os.ReadFile("/proc/self/maps")
	if err != nil {
		return ""
	}
	return string(b)
}

// Version returns the version of the libtorch that is loaded, as "2.11.0+cu130", read from the version
// file beside it, or "unknown" where that file is missing.
var Version = sync.OnceValue(func() string {
	root := filepath.Dir(folderOfLoaded("libc10.so"))
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
