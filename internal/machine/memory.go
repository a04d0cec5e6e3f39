// Package machine says what the machine that the program runs on has to offer.
package machine

import (
	"fmt"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/shirou/gopsutil/v4/mem"
)

// Memory returns the bytes that this process can still take without swapping: what the system has to give, or less where
// a control group, as of a container or a cluster's job, bounds it.
func Memory() (int64, error) {
	system, err := mem.VirtualMemory()
	if err != nil {
		return 0, fmt.Errorf("read the machine's free memory: %w", err)
	}
	free := int64(min(system.Available, 1<<62))
	limit, err := memlimit.FromCgroup()
	if err != nil || limit == 0 {
		return free, nil // no control group, or none that bounds memory
	}
	return min(free, int64(min(limit, 1<<62))), nil
}
