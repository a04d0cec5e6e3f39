package main

import (
	"os"
	"syscall"
)

// settings are read by libraries when they are loaded, before main begins, so that setting them takes a
// new start of the program.
var settings = []struct{ name, value string }{
	// Threads that wait for the next operation sleep: they would spin on the cores that others need.
	{"OMP_WAIT_POLICY", "passive"},
	// Beside libtorch's memory Go's own is small; half as much of it may be garbage as Go would let be.
	{"GOGC", "50"},
	// What one thread freed is of use to others only where they share an arena; libtorch asks for little often enough not to wait for it.
	{"MALLOC_ARENA_MAX", "2"},
}

// settle starts the program again with the settings that are not in the environment yet. Values that the
// user has set stay.
func settle() {
	changed := false
	for _, s := range settings {
		if _, set := os.LookupEnv(s.name); !set {
			os.Setenv(s.name, s.value)
			changed = true
		}
	}
	if !changed {
		return
	}
	self, err := os.Executable()
	if err != nil {
		return // it runs all the same, only slower on a busy machine
	}
	_ = syscall.Exec(self, os.Args, os.Environ()) // returns only where it failed: the same holds
}
