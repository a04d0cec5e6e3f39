// Package tensor is the only package that imports gotch: a small tensor type over its libtch calls,
// without finalizers. Tensors live in a Scope and are freed when it closes, unless they are kept.
// All work of a Device runs on one locked OS thread, or on several that do equal parts side by side, because libtorch's errors,
// grad mode and thread count are thread-local.
package tensor

import (
	"errors"
	"fmt"
	"runtime"
	"strconv"
	"strings"
	"sync"
)

// Errors of Open and, ErrMemory, of Run; match them with errors.Is.
var (
	// ErrDevice says that the device asked for can't be used on this machine.
	ErrDevice = errors.New("device not available")
	// ErrMemory says that the device has no memory left for what an operation needs.
	ErrMemory = errors.New("out of memory")
	// ErrSpec says that a device was asked for by words that name none.
	ErrSpec = errors.New("unknown device")
)

// Device is where tensors live and work is done. Its Run calls are carried out one after the other on
// an OS thread of its own.
type Device struct {
	index   int // -1 for the CPU, else the CUDA device's number
	threads int
	jobs    chan job
	closed  sync.Once

	helpers int         // threads beside the device's own that Each has started
	parts   chan func() // what they do
}

type job struct {
	f    func(*Scope) error
	done chan error
}

// Open starts a device: "cpu", "cuda", "cuda:1", or "auto" (CUDA where it can be used, the CPU elsewhere).
// threads is the number of CPU threads that an operation may use, 0 for the number of logical cores.
// The error wraps ErrDevice and says in words why CUDA can't be used.
func Open(spec string, threads int) (*Device, error) {
	index, err := parse(spec)
	if err != nil {
		return nil, err
	}
	if threads < 0 {
		return nil, fmt.Errorf("%w: %d threads, want 1 or more, or 0 for one on each core", ErrSpec, threads)
	}
	if threads == 0 {
		threads = runtime.NumCPU()
	}
	d := &Device{index: index, threads: threads, jobs: make(chan job), parts: make(chan func())}
	go d.work()
	return d, nil
}

func parse(spec string) (int, error) {
	name, number, numbered := strings.Cut(spec, ":")
	switch {
	case spec == "cpu":
		return -1, nil
	case spec == "auto" || spec == "":
		if n, _ := CUDA(); n > 0 {
			return 0, nil
		}
		return -1, nil
	case name == "cuda":
		index := 0
		if numbered {
			i, err := strconv.Atoi(number)
			if err != nil || i < 0 {
				return 0, fmt.Errorf("%w %q: want auto, cpu, cuda or cuda:N", ErrSpec, spec)
			}
			index = i
		}
		n, reason := CUDA()
		if n == 0 {
			return 0, fmt.Errorf("open device %q: %w: %s", spec, ErrDevice, reason)
		}
		if index >= n {
			return 0, fmt.Errorf("open device %q: %w: this machine has %d CUDA devices, numbered from 0", spec, ErrDevice, n)
		}
		return index, nil
	}
	return 0, fmt.Errorf("%w %q: want auto, cpu, cuda or cuda:N", ErrSpec, spec)
}

// String names the device: "cpu" or "cuda:0".
func (d *Device) String() string {
	if d.index < 0 {
		return "cpu"
	}
	return fmt.Sprintf("cuda:%d", d.index)
}

// Name is the name that a device which is asked for by spec has on a machine that has it: what a plan for other machines calls
// it. "auto" is what this machine would take. The error wraps ErrSpec.
func Name(spec string) (string, error) {
	if index, err := parse(spec); err == nil {
		return (&Device{index: index}).String(), nil
	} else if !errors.Is(err, ErrDevice) {
		return "", err
	}
	if spec == "cuda" {
		return "cuda:0", nil
	}
	return spec, nil
}

// Threads is the number of CPU threads that an operation may use.
func (d *Device) Threads() int { return d.threads }

// CUDA says whether the device is a GPU.
func (d *Device) CUDA() bool { return d.index >= 0 }

// Computes returns nil where the device multiplies matrices of the element type: older libtorchs have no float16 on the CPU.
// The error wraps ErrDevice.
func (d *Device) Computes(dtype DType) error {
	err := d.Run(func(s *Scope) error {
		one := s.Zeros(dtype, 1, 1)
		s.Linear(one, one, s.Zeros(dtype, 1))
		return nil
	})
	if err != nil {
		return fmt.Errorf("%w: libtorch %s has no %s arithmetic on %s: choose another precision: %w", ErrDevice, Version(), dtype, d, err)
	}
	return nil
}

// Run calls f on the device's thread with a new scope and frees what f made and did not keep. A failure
// of libtorch anywhere inside ends f and becomes Run's error. Run must not be called from inside f:
// use the scope that f has.
func (d *Device) Run(f func(*Scope) error) error {
	j := job{f: f, done: make(chan error, 1)}
	d.jobs <- j
	return <-j.done
}

// Close ends the device's thread. Tensors that were kept must have been dropped before.
func (d *Device) Close() {
	d.closed.Do(func() { close(d.jobs) })
}

func (d *Device) work() {
	runtime.LockOSThread()
	defer close(d.parts)
	setThreads(d.threads)
	setGrad(false)
	for j := range d.jobs {
		j.done <- d.run(j.f)
	}
}

func (d *Device) run(f func(*Scope) error) (err error) {
	s := &Scope{dev: d}
	defer s.close()
	defer func() {
		if r := recover(); r != nil {
			failed, ok := r.(failure)
			if !ok {
				panic(r)
			}
			err = failed.err
		}
	}()
	return f(s)
}
