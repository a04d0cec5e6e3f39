package checkpoints

import (
	"fmt"
	"os"
	"runtime/debug"

	"golang.org/x/sys/unix"
)

// Mapped gives use a tensor's elements, row-major and little-endian, straight from the memory into which
// the system maps the file: nothing is copied, and what is not touched is not read. The elements must
// not be kept or changed. Of the formats that are read only safetensors has this; the error wraps
// ErrCorrupt where the file turns out shorter than it was when it was opened.
func (f *File) Mapped(name string, use func(elements []byte) error) (err error) {
	e, ok := f.entries[name]
	if !ok {
		return fmt.Errorf("read %q: there is no tensor %q", f.path, name)
	}
	size, err := e.info.bytes()
	if err != nil {
		return fmt.Errorf("read %q: %w", f.path, err)
	}
	if e.at == 0 {
		return fmt.Errorf("read %q: %w: only safetensors files can be mapped", f.path, ErrFormat)
	}
	if size == 0 {
		return use(nil)
	}
	skip := e.at % int64(os.Getpagesize())
	memory, err := unix.Mmap(int(f.f.Fd()), e.at-skip, int(skip+size), unix.PROT_READ, unix.MAP_SHARED)
	if err != nil {
		return fmt.Errorf("map %q: %w", f.path, err)
	}
	defer unix.Munmap(memory)
	// A page behind the end of a file that was cut meanwhile is a fault, which would end the program.
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if r := recover(); r != nil {
			if _, fault := r.(interface{ Addr() uintptr }); !fault {
				panic(r)
			}
			err = fmt.Errorf("read %q: tensor %q: %w: the file was cut while it was read", f.path, name, ErrCorrupt)
		}
	}()
	return use(memory[skip:])
}
