// Package testkit finds what tests of several packages compare with.
package testkit

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"

	"samtune/checkpoints"
)

// Vectors opens a file of values that the official Python code computed, from testdata/parity (its
// README.md says how), which lies above the folder of the test.
func Vectors(t testing.TB, name string) *checkpoints.File {
	t.Helper()
	f, err := checkpoints.Open(Path(t, name))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	return f
}

// Path returns the path of a file in testdata/parity.
func Path(t testing.TB, name string) string {
	t.Helper()
	dir, err := os.Getwd()
	if err != nil {
		t.Fatal(err)
	}
	for ; dir != filepath.Dir(dir); dir = filepath.Dir(dir) {
		path := filepath.Join(dir, "testdata", "parity", name)
		if _, err := os.Stat(path); err == nil {
			return path
		}
	}
	t.Fatalf("testdata/parity/%s is in no folder above this test", name)
	return ""
}

// Values returns a vector's elements as float32.
func Values(t testing.TB, f *checkpoints.File, name string) []float32 {
	t.Helper()
	v, err := f.Float32(name)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// Raw returns the bytes of a vector.
func Raw(t testing.TB, f *checkpoints.File, name string) []uint8 {
	t.Helper()
	n := Info(t, f, name).DType.Size()
	for _, d := range Info(t, f, name).Shape {
		n *= d
	}
	b := make([]byte, n)
	if err := f.ReadInto(name, b); err != nil {
		t.Fatal(err)
	}
	return b
}

// Info returns the type and shape of a vector that must be there.
func Info(t testing.TB, f *checkpoints.File, name string) checkpoints.Info {
	t.Helper()
	info, ok := f.Info(name)
	if !ok {
		t.Fatalf("there is no vector %q", name)
	}
	return info
}

// LiteMedSAM returns the path of LiteMedSAM's released weights, which make setup fetches, or skips the
// test where they are not. SAMTUNE_TEST_WEIGHTS names another place.
func LiteMedSAM(t testing.TB) string {
	t.Helper()
	path := os.Getenv("SAMTUNE_TEST_WEIGHTS")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip("no cache folder: ", err)
		}
		path = filepath.Join(cache, "samtune", "weights", "lite_medsam.pth")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skip("LiteMedSAM's weights are not there (make setup fetches them): ", err)
	}
	return path
}

// Eyes writes into a folder the declaration of a benchmark of generated photographs of the retina, so many in the pool and so many
// that are tested, and returns its path. The first pictures are those of the benchmark fundus.
func Eyes(t testing.TB, folder string, pool, test int) string {
	t.Helper()
	path := filepath.Join(folder, fmt.Sprintf("eyes_%d_%d.toml", pool, test))
	text := fmt.Sprintf("name = \"eyes\"\ntitle = \"Generated eyes\"\ntask = \"retinal vessels\"\ntargets = [\"vessels\"]\nengine = \"fundus\"\npool = %d\ntest = %d\n", pool, test)
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return path
}
