package tensor

/*
#cgo LDFLAGS: -ldl
#define _GNU_SOURCE
#include <dlfcn.h>
#include <malloc.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

// Symbols of gotch's libtch that its Go package does not export, or exports wrongly.
int at_grad_set_enabled(int);
void at_set_num_threads(int);
int atc_cuda_device_count();
void samtune_repeatable();
void *at_data_ptr(void *);
void **atg_split_with_sizes(void *, int64_t *, int, int64_t);
void atg_gelu(void **, void *, const char *, int);
void atg_gelu_(void **, void *, const char *, int);

static const char *open_global(const char *name) {
	return dlopen(name, RTLD_NOW | RTLD_GLOBAL) ? NULL : dlerror();
}

// at::get_cpu_capability() puts a std::string where its caller says, the first word of which points to the text in both C++ ABIs; the
// function's name tells which of them it is.
static const char *cpu_capability(int *cxx11) {
#ifdef __x86_64__
	static void *text[4];
	void *f = dlsym(RTLD_DEFAULT, "_ZN2at18get_cpu_capabilityB5cxx11Ev");
	*cxx11 = f != NULL;
	if (f == NULL)
		f = dlsym(RTLD_DEFAULT, "_ZN2at18get_cpu_capabilityEv");
	if (f != NULL) {
		((void (*)(void **))f)(text);
		return text[0];
	}
#endif
	return NULL;
}
*/
import "C"

import (
	"path/filepath"
	"sync"
	"unsafe"

	lib "github.com/sugarme/gotch/libtch"
)

func setThreads(n int) { C.at_set_num_threads(C.int(n)) }

// setGrad switches autograd on this thread and returns the mode before.
func setGrad(on bool) bool {
	v := C.int(0)
	if on {
		v = 1
	}
	return C.at_grad_set_enabled(v) == 1
}

// gelu and geluInto are libtorch's exact GELU. Gotch's wrappers of operations that take a string never free the copy that they make of it.
func gelu(out *lib.Ctensor, t *Tensor) {
	C.atg_gelu((*unsafe.Pointer)(unsafe.Pointer(out)), unsafe.Pointer(t.c), exact, C.int(C.strlen(exact)))
}

func geluInto(out *lib.Ctensor, t *Tensor) {
	C.atg_gelu_((*unsafe.Pointer)(unsafe.Pointer(out)), unsafe.Pointer(t.c), exact, C.int(C.strlen(exact)))
}

var exact = C.CString("none") // the kind of approximation

// giveBack returns memory that was freed to the system: what one thread freed is of no use to the others otherwise.
func giveBack() { C.malloc_trim(0) }

func goString(p unsafe.Pointer) string {
	defer C.free(p)
	return C.GoString((*C.char)(p))
}

func dataPointer(t *Tensor) unsafe.Pointer { return C.at_data_ptr(unsafe.Pointer(t.c)) }

// splitSizes calls libtorch's split_with_sizes, whose result is an array that ends with a null handle.
func splitSizes(t *Tensor, sizes []int64, dim int64) []lib.Ctensor {
	array := C.atg_split_with_sizes(unsafe.Pointer(t.c), (*C.int64_t)(unsafe.Pointer(&sizes[0])), C.int(len(sizes)), C.int64_t(dim))
	if array == nil {
		return nil
	}
	defer C.free(unsafe.Pointer(array))
	handles := make([]lib.Ctensor, len(sizes))
	for i, h := range unsafe.Slice(array, len(sizes)) {
		handles[i] = lib.Ctensor(h)
	}
	return handles
}

// cpu is what libtorch says of the processor.
var cpu = sync.OnceValue(func() (found struct{ capability, abi string }) {
	var cxx11 C.int
	text := C.cpu_capability(&cxx11)
	if text == nil {
		return struct{ capability, abi string }{"unknown", "unknown"}
	}
	found.capability, found.abi = C.GoString(text), "old, _GLIBCXX_USE_CXX11_ABI=0"
	if cxx11 != 0 {
		found.abi = "new, _GLIBCXX_USE_CXX11_ABI=1"
	}
	return found
})

// Capability names the set of instructions that libtorch chose its kernels for on this processor, as "AVX2"; "unknown" where it does
// not say.
func Capability() string { return cpu().capability }

// ABI names the C++ ABI that the loaded libtorch was built with; "unknown" where it does not say.
func ABI() string { return cpu().abi }

var cuda struct {
	once    sync.Once
	devices int
	reason  string
}

// CUDA returns how many GPUs libtorch can use and, where that is none, the reason as a sentence.
// libtorch_cuda is opened at the first call and only where a driver is: it is large, and a program
// linked with it would not start elsewhere. libtorch looks for its CUDA part once, so nothing may ask
// it for CUDA before. Work on a GPU is then done so that it repeats bit for bit, and float32 is computed as float32.
func CUDA() (devices int, reason string) {
	cuda.once.Do(func() {
		if why := openGlobal("libcuda.so.1"); why != "" {
			cuda.reason = "no NVIDIA driver on this machine (" + why + ")"
			return
		}
		if why := openGlobal(besideLibtorch("libtorch_cuda.so")); why != "" {
			cuda.reason = "the driver is there, libtorch's CUDA library is not (" + why +
				"): make setup CUDA=1 fetches it, or set LIBTORCH to a libtorch with CUDA, as a Python environment's torch folder, and build again"
			return
		}
		C.samtune_repeatable()
		cuda.devices = int(C.atc_cuda_device_count())
		check("count CUDA devices")
		if cuda.devices == 0 {
			cuda.reason = "libtorch found no usable GPU (driver too old for this libtorch, or no device is visible)"
		}
	})
	return cuda.devices, cuda.reason
}

func openGlobal(name string) string {
	c := C.CString(name)
	defer C.free(unsafe.Pointer(c))
	if why := C.open_global(c); why != nil {
		return C.GoString(why)
	}
	return ""
}

// besideLibtorch returns name in the folder of the libtorch that is loaded, or the bare name where that can't be told.
func besideLibtorch(name string) string {
	if dir := Folder(); dir != "" {
		return filepath.Join(dir, name)
	}
	return name
}
