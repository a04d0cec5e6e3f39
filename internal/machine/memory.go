// Package machine says what the machine that the program runs on has to offer.
package machine

import (
	"fmt"

	"github.com/KimMachineGun/automemlimit/memlimit"
	"github.com/shirou/gopsutil/v4/mem"
)

// Room is a machine's memory, in bytes.
type Room struct {
	Total     int64 `json:"total_bytes"`
	Available int64 `json:"available_bytes"` // without swapping
	Limit     int64 `json:"limit_bytes"`     // of the control group, as of a container or a cluster's job; 0: none
}

// Memory returns the bytes that this process can still take without swapping: what the system has to give, or less where
// a control group, as of a container or a cluster's job, bounds it.
func Memory() (int64, error) {
	room, err := ReadRoom()
	return room.Free(), err
}

// Free is what a process can still take.
func (r Room) Free() int64 {
	if r.Limit > 0 {
		return min(r.Available, r.Limit)
	}
	return r.Available
}

// Whole is what processes can take together where nothing else runs.
func (r Room) Whole() int64 {
	if r.Limit > 0 {
		return min(r.Total, r.Limit)
	}
	return r.Total
}

// ReadRoom asks the system for its memory.
func ReadRoom() (Room, error) {
	system, err := mem.VirtualMemory()
	if err != nil {
		return Room{}, fmt.Errorf("read the machine's free memory: %w", err)
	}
	room := Room{Total: bytes(system.Total), Available: bytes(system.Available)}
	if limit, err := memlimit.FromCgroup(); err == nil { // an error: no control group, or none that bounds memory
		room.Limit = bytes(limit)
	}
	return room, nil
}

func bytes(n uint64) int64 { return int64(min(n, 1<<62)) }
