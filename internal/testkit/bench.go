package testkit

import (
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"
)

// Setting returns what bench/run.py tells a benchmark by the environment variable SAMTUNE_BENCH_name, or otherwise.
func Setting(name, otherwise string) string {
	if v := os.Getenv("SAMTUNE_BENCH_" + name); v != "" {
		return v
	}
	return otherwise
}

// Number is Setting for a whole number.
func Number(t testing.TB, name string, otherwise int) int {
	t.Helper()
	n, err := strconv.Atoi(Setting(name, strconv.Itoa(otherwise)))
	if err != nil {
		t.Fatalf("SAMTUNE_BENCH_%s: %v", name, err)
	}
	return n
}

// Report prints the line that bench/run.py reads after a benchmark's loop: the seconds of an iteration, and values by which
// it sees that Python did the same work.
func Report(b *testing.B, values map[string]float64) {
	b.Helper()
	line, err := json.Marshal(map[string]any{"seconds": b.Elapsed().Seconds() / float64(b.N), "values": values})
	if err != nil {
		b.Fatal(err)
	}
	fmt.Printf("\nBENCH %s\n", line)
}
