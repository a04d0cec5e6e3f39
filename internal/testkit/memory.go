package testkit

import (
	"os"
	"runtime/debug"
	"testing"

	"github.com/shirou/gopsutil/v4/process"
)

// Resident returns the bytes of memory that the test's process takes, without Go's garbage.
func Resident(t testing.TB) int64 {
	t.Helper()
	debug.FreeOSMemory()
	self, err := process.NewProcess(int32(os.Getpid()))
	if err != nil {
		t.Fatal(err)
	}
	info, err := self.MemoryInfo()
	if err != nil {
		t.Fatal(err)
	}
	return int64(info.RSS)
}
