package machine

import (
	"io/fs"
	"os"
	"path"
	"runtime"
	"strconv"
	"strings"

	gopsutil "github.com/shirou/gopsutil/v4/cpu"
	"golang.org/x/sys/cpu"
)

// Processor is what computes.
type Processor struct {
	Model    string   `json:"model"`    // empty where the system does not say
	Features []string `json:"features"` // instructions that make a difference here, as AVX2
	Cores    int      `json:"cores"`    // logical ones of the machine
	Usable   int      `json:"usable"`   // of these, those that the process may run on
	Limit    float64  `json:"limit"`    // cores' worth of time that the control group gives; 0: no bound
}

// ReadProcessor asks system and processor.
func ReadProcessor() Processor {
	p := Processor{Usable: runtime.NumCPU(), Cores: runtime.NumCPU(), Features: []string{}, Limit: processorLimit(os.DirFS("/"))}
	if n, err := gopsutil.Counts(true); err == nil && n > 0 {
		p.Cores = n
	}
	if info, err := gopsutil.Info(); err == nil && len(info) > 0 {
		p.Model = info[0].ModelName
	}
	for _, f := range []struct {
		name string
		has  bool
	}{
		{"AVX2", cpu.X86.HasAVX2}, {"FMA", cpu.X86.HasFMA}, {"AVX-512", cpu.X86.HasAVX512F && cpu.X86.HasAVX512BW && cpu.X86.HasAVX512DQ && cpu.X86.HasAVX512VL},
		{"AVX-512 bf16", cpu.X86.HasAVX512BF16}, {"AMX bf16", cpu.X86.HasAMXBF16},
	} {
		if f.has {
			p.Features = append(p.Features, f.name)
		}
	}
	return p
}

// processorLimit finds the least time that a control group of this process, or one above it, gives, in cores; 0 where none does.
func processorLimit(root fs.FS) float64 {
	groups, err := fs.ReadFile(root, "proc/self/cgroup")
	if err != nil {
		return 0
	}
	least := 0.0
	for _, line := range strings.Split(string(groups), "\n") {
		_, rest, _ := strings.Cut(line, ":")
		controllers, group, ok := strings.Cut(rest, ":")
		if !ok {
			continue
		}
		for ; ; group = path.Dir(group) {
			limit := 0.0
			switch {
			case controllers == "": // version 2
				limit = quota(root, path.Join("sys/fs/cgroup", group, "cpu.max"))
			case strings.Contains(","+controllers+",", ",cpu,"):
				dir := path.Join("sys/fs/cgroup/cpu", group)
				limit = quota(root, path.Join(dir, "cpu.cfs_quota_us"), path.Join(dir, "cpu.cfs_period_us"))
			}
			if limit > 0 && (least == 0 || limit < least) {
				least = limit
			}
			if group == "/" || group == "." {
				break
			}
		}
	}
	return least
}

// quota reads a time and the period in which a group may use it, in microseconds, from one file or two; 0 where there is no bound.
func quota(root fs.FS, files ...string) float64 {
	var numbers []float64
	for _, name := range files {
		text, err := fs.ReadFile(root, name)
		if err != nil {
			return 0
		}
		for _, word := range strings.Fields(string(text)) {
			n, err := strconv.ParseFloat(word, 64)
			if err != nil || n <= 0 { // "max", or -1
				return 0
			}
			numbers = append(numbers, n)
		}
	}
	if len(numbers) != 2 {
		return 0
	}
	return numbers[0] / numbers[1]
}
