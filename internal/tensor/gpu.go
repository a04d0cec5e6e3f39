package tensor

/*
#define _GNU_SOURCE
#include <dlfcn.h>
#include <stddef.h>

// The driver's name of a GPU, and the runtime's memory of it. Both libraries are open when a GPU is, and nothing is linked with them.
static int gpu_name(int index, char *name, int length) {
	int (*f)(char *, int, int) = dlsym(RTLD_DEFAULT, "cuDeviceGetName");
	return f == NULL ? -1 : f(name, length, index);
}

static int gpu_memory(int index, size_t *free, size_t *total) {
	int (*choose)(int) = dlsym(RTLD_DEFAULT, "cudaSetDevice");
	int (*f)(size_t *, size_t *) = dlsym(RTLD_DEFAULT, "cudaMemGetInfo");
	if (choose == NULL || f == NULL)
		return -1;
	int code = choose(index);
	return code != 0 ? code : f(free, total);
}
*/
import "C"

import "fmt"

// GPU is what the driver says of a GPU.
type GPU struct {
	Name        string
	Free, Total int64 // bytes of its memory; what libtorch keeps for the next tensors is not free
}

// GPU asks the driver about the device. The error wraps ErrDevice where it is none, or does not say.
func (d *Device) GPU() (g GPU, err error) {
	err = d.Run(func(s *Scope) (err error) { g, err = s.GPU(); return err })
	return g, err
}

// GPU is Device.GPU inside of Run.
func (s *Scope) GPU() (g GPU, err error) {
	d := s.dev
	if !d.CUDA() {
		return g, fmt.Errorf("%w: %s is no GPU", ErrDevice, d)
	}
	var name [256]C.char
	var free, total C.size_t
	if code := C.gpu_name(C.int(d.index), &name[0], C.int(len(name))); code != 0 {
		return g, fmt.Errorf("%w: the driver does not name %s (code %d)", ErrDevice, d, code)
	}
	if code := C.gpu_memory(C.int(d.index), &free, &total); code != 0 {
		return g, fmt.Errorf("%w: the driver does not tell the memory of %s (code %d)", ErrDevice, d, code)
	}
	return GPU{C.GoString(&name[0]), int64(free), int64(total)}, nil
}
