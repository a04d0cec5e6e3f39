package sweep

import (
	"runtime"

	"samtune/configs"
	"samtune/experiment"
	"samtune/internal/machine"
)

// runMemory is what a run has to itself, in bytes: with its features in the cache one takes up to 1.1 GB.
const runMemory = 2 << 30

// sideBySide is how many runs the machine has cores and memory for at a time.
func sideBySide() int {
	n := int64(runtime.NumCPU())
	if room, err := machine.ReadRoom(); err == nil { // else the cores alone say it
		n = min(n, room.Whole()/runMemory)
	}
	return int(max(1, n))
}

// threads is the number of CPU threads of a setting's runs that leaves it open: the cores that a cluster is asked for, else this machine's,
// shared by as many runs as go side by side; 0: as many as the machine serves. A step of a mask decoder takes hardly less time on two cores
// than on one, so that runs of one thread each, side by side, end sooner than one after the other on all cores. Runs that are fitted
// together are one process, which has all cores.
func threads(c *configs.Run, runs, jobs int) int {
	if n := tasksCores(c); n > 0 {
		return n
	}
	cores := runtime.NumCPU()
	if c.Train.Device != "cpu" || experiment.Together(c) {
		return cores
	}
	if jobs == 0 {
		jobs = min(runs, sideBySide())
	}
	return max(1, cores/jobs)
}

// tasksCores are the cores that a cluster is asked for; 0: none is said.
func tasksCores(c *configs.Run) int { return max(c.Engine.Slurm.CPUs, c.Engine.Kubernetes.CPUs) }

// cores is the number of the machine's cores that a task keeps busy; none where a user or the GPUs say how many tasks go side by side.
func (l *Local) cores(task int) int64 {
	all := runtime.NumCPU()
	if l.Jobs > 0 || len(l.GPUs) > 0 {
		return 0
	}
	train := &l.Plan.setting(l.Plan.Runs[task].Setting).Config.Train
	if train.Device != "cpu" || train.Threads == 0 {
		return int64(all)
	}
	return int64(min(train.Threads, all))
}
