package doctor

import (
	"cmp"
	"fmt"
	"path/filepath"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"

	"samtune/internal/selftest"
	"samtune/internal/tensor"
)

// oldest and newest are the libtorchs that gotch builds with, as release gives them.
const oldest, newest = 2_01, 2_11

func (o *Options) versions() []Finding {
	torch, gotch := tensor.Version(), tensor.Gotch()
	facts := map[string]any{"samtune": o.Samtune, "revision": o.Commit, "go": runtime.Version(), "gotch": gotch, "libtorch": torch,
		"system": runtime.GOOS + "/" + runtime.GOARCH}
	text := fmt.Sprintf("samtune %s, %s %s, gotch %s, libtorch %s", o.Samtune, runtime.Version(), facts["system"], gotch, torch)
	if v, known := release(torch); known && (v < oldest || v > newest) {
		return one(Warning, text+": samtune is tested with libtorch 2.1 to 2.11", anotherLibtorch, facts)
	}
	return one(OK, text, "", facts)
}

var releaseText = regexp.MustCompile(`^(\d+)\.(\d+)`)

// release is 100 times a version's first number and its second.
func release(version string) (n int, known bool) {
	m := releaseText.FindStringSubmatch(version)
	if m == nil {
		return 0, false
	}
	major, err := strconv.Atoi(m[1])
	minor, failed := strconv.Atoi(m[2])
	return 100*major + minor, err == nil && failed == nil
}

// torchLibraries are the libraries that make a difference, of all that a process loads.
var torchLibraries = regexp.MustCompile(`^lib(torch|c10|caffe2|gomp|omp|iomp|mkl|cu|nv)`)

func (o *Options) libtorch() []Finding {
	return libtorchFindings(tensor.Libraries(), tensor.ABI())
}

func libtorchFindings(libraries []string, abi string) []Finding {
	var shown, folders, openmp []string
	for _, path := range libraries {
		name := filepath.Base(path)
		if !torchLibraries.MatchString(name) {
			continue
		}
		shown = append(shown, path)
		if strings.HasPrefix(name, "libtorch") || strings.HasPrefix(name, "libc10") {
			folders = append(folders, filepath.Dir(path))
		}
		if strings.Contains(name, "omp") {
			openmp = append(openmp, path)
		}
	}
	slices.Sort(folders)
	folders = slices.Compact(folders)
	facts := map[string]any{"folders": folders, "abi": abi, "libraries": libraries}
	text := fmt.Sprintf("in %s, C++ ABI: %s; loaded:\n  %s", cmp.Or(strings.Join(folders, " and "), "an unknown folder"), abi, strings.Join(shown, "\n  "))
	switch {
	case len(folders) > 1:
		return one(Warning, text+"\nparts of different libtorchs are mixed", "unset LD_LIBRARY_PATH, or let it name the folder of one libtorch alone", facts)
	case len(openmp) > 1:
		return one(Warning, text+"\ntwo OpenMP libraries are loaded, whose threads stand in each other's way", "unset LD_PRELOAD and LD_LIBRARY_PATH", facts)
	}
	return one(OK, text, "", facts)
}

func (o *Options) devices() []Finding {
	found := one(OK, fmt.Sprintf("cpu: %d threads", runtime.NumCPU()), "", map[string]any{"device": "cpu"})
	n, reason := tensor.CUDA()
	for i := range n {
		found = append(found, gpu(fmt.Sprintf("cuda:%d", i)))
	}
	if n > 0 {
		return found
	}
	f := Finding{Level: OK, Text: "cuda: not used: " + reason, Facts: map[string]any{"device": "cuda", "reason": reason}}
	if driver, err := filepath.Glob("/proc/driver/nvidia/gpus/*"); err == nil && len(driver) > 0 {
		f.Level, f.Remedy = Warning, "there is a GPU: build with a libtorch that has CUDA (make build LIBTORCH=...), and in a container let it in (--gpus all)"
	}
	return append(found, f)
}

func gpu(name string) Finding {
	dev, err := tensor.Open(name, 0)
	if err != nil {
		return Finding{Level: Problem, Text: err.Error(), Remedy: anotherLibtorch, Facts: map[string]any{"device": name}}
	}
	defer dev.Close()
	g, err := dev.GPU()
	if err != nil {
		return Finding{Level: Warning, Text: err.Error(), Remedy: "nvidia-smi says whether the driver answers at all", Facts: map[string]any{"device": name}}
	}
	return Finding{Level: OK, Text: fmt.Sprintf("%s: %s, %.1f of %.1f GiB free", name, g.Name, float64(g.Free)/(1<<30), float64(g.Total)/(1<<30)),
		Facts: map[string]any{"device": name, "name": g.Name, "free_bytes": g.Free, "bytes": g.Total}}
}

// numbers does the self-test on the CPU, and on a GPU where there is one.
func (o *Options) numbers() []Finding {
	found := []Finding{o.numbersOn("cpu")}
	if n, _ := tensor.CUDA(); n > 0 {
		found = append(found, o.numbersOn("cuda"))
	}
	return found
}

func (o *Options) numbersOn(spec string) Finding {
	remedy := "results of this machine can't be trusted: " + anotherLibtorch
	dev, err := tensor.Open(spec, 0)
	if err != nil {
		return Finding{Level: Problem, Text: err.Error(), Remedy: remedy}
	}
	defer dev.Close()
	r, err := selftest.Run(dev, o.Vectors)
	facts := map[string]any{"device": dev.String(), "largest_differences": r}
	if err != nil {
		return Finding{Level: Problem, Text: fmt.Sprintf("%s: %v", dev, err), Remedy: remedy, Facts: facts}
	}
	return Finding{Level: OK, Facts: facts, Text: fmt.Sprintf("%s: a small SAM gives the official code's numbers: embedding to %.1g, logits to %.1g, loss to %.1g, gradient to %.1g",
		dev, r.Embedding, r.Logits, r.Loss, r.Gradient)}
}

func (o *Options) speed() []Finding {
	dev, err := tensor.Open("auto", 0)
	if err != nil {
		return one(Problem, err.Error(), anotherLibtorch, nil)
	}
	defer dev.Close()
	took, err := selftest.Step(dev)
	if err != nil {
		return one(Problem, err.Error(), anotherLibtorch, nil)
	}
	return one(OK, fmt.Sprintf("%.2f s for a training step of LiteMedSAM's mask decoder on one view (%s, %d threads)", took.Seconds(), dev, dev.Threads()), "",
		map[string]any{"seconds": took.Seconds(), "device": dev.String(), "threads": dev.Threads()})
}
