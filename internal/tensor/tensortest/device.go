// Package tensortest opens devices for tests.
package tensortest

import (
	"testing"

	"samtune/internal/tensor"
)

// CPU is a device of two threads on the CPU, closed when the test ends.
func CPU(t testing.TB) *tensor.Device {
	t.Helper()
	d, err := tensor.Open("cpu", 2)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	return d
}
