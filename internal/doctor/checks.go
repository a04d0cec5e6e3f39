package doctor

import (
	"context"

	"samtune/internal/machine"
	"samtune/internal/selftest"
	"samtune/model"
)

// Options say where samtune looks for things, and what it is told by the machine.
type Options struct {
	Samtune  string   // version
	Commit   string   // that the program was built from
	Cache    string   // folder of weights and features; empty: see CacheErr
	CacheErr error    // why there is none
	Data     string   // folder of the data sets; may be empty
	Work     string   // folder in which runs leave what they make
	Environ  []string // as os.Environ returns it
	Model    string   // that runs take where none is named
	Vectors  []byte   // for the self-test; nil: those that are part of the program

	Weights func(*model.Spec) ([]string, error) // paths at which a model's weights are looked for
	Obtain  func(*model.Spec) string            // command that brings them

	Machine Machine
}

// Machine is what checks ask the machine. Fields that are nil ask the real one.
type Machine struct {
	Processor func() machine.Processor
	Room      func() (machine.Room, error)
	Disk      func(folder string) (machine.Disk, error)
	Writable  func(folder string) error
}

// Names of the checks.
const (
	versions  = "versions"
	libtorch  = "libtorch"
	processor = "processor"
	threads   = "threads"
	memory    = "memory"
	disk      = "disk"
	devices   = "devices"
	weights   = "weights"
	dataSets  = "data"
	cache     = "cache"
	numbers   = "self-test"
	speed     = "speed"
)

// Checks lists what is looked at.
func Checks(opt Options) []Check {
	m := &opt.Machine
	if m.Processor == nil {
		m.Processor = machine.ReadProcessor
	}
	if m.Room == nil {
		m.Room = machine.ReadRoom
	}
	if m.Disk == nil {
		m.Disk = machine.ReadDisk
	}
	if m.Writable == nil {
		m.Writable = machine.Writable
	}
	if opt.Vectors == nil {
		opt.Vectors = selftest.Vectors()
	}
	plain := func(name string, run func() []Finding) Check {
		return Check{Name: name, Remedy: "this is a fault of samtune: report it, with this text",
			Run: func(context.Context) []Finding { return run() }}
	}
	apart := func(name string, run func() []Finding) Check {
		c := plain(name, run)
		c.Apart, c.Remedy = true, anotherLibtorch
		return c
	}
	return []Check{
		plain(versions, opt.versions), apart(libtorch, opt.libtorch), apart(processor, opt.processor), plain(threads, opt.threads),
		plain(memory, opt.memory), plain(disk, opt.disk), apart(devices, opt.devices), plain(weights, opt.weights), plain(dataSets, opt.dataSets),
		plain(cache, opt.cache), apart(numbers, opt.numbers), apart(speed, opt.speed),
	}
}

// anotherLibtorch is what to do where libtorch does not do what it should.
const anotherLibtorch = "remove the libtorch folder and fetch it again (make setup build), or build with another one (make build LIBTORCH=/path/to/torch)"

// one is a check's only finding.
func one(level Level, text, remedy string, facts map[string]any) []Finding {
	return []Finding{{Level: level, Text: text, Remedy: remedy, Facts: facts}}
}
