// Package tensortest opens devices for tests.
package tensortest

import (
	"testing"

	"samtune/internal/tensor"
)

// CPU is a device of two threads on the CPU, closed when the test ends.
func CPU(t testing.TB) *tensor.Device {
	t.Helper()
	return Threads(t, 2)
}

// Threads is a device of so many threads on the CPU, closed when the test ends.
func Threads(t testing.TB, threads int) *tensor.Device {
	t.Helper()
	d, err := tensor.Open("cpu", threads)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}

// GPU is the machine's first GPU, closed when the test ends; a test is skipped where there is none.
func GPU(t testing.TB) *tensor.Device {
	t.Helper()
	n, reason := tensor.CUDA()
	if n == 0 {
		t.Skip("no GPU: " + reason)
	}
	d, err := tensor.Open("cuda", 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}
