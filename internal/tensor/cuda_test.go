package tensor

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// asked is the environment variable that makes TestCUDAReason a program that prints what CUDA says.
const asked = "SAMTUNE_TEST_CUDA_REASON"

// TestCUDAReason asks for CUDA in processes of their own, each on a machine of another kind: libtorch looks for its CUDA part once.
func TestCUDAReason(t *testing.T) {
	if os.Getenv(asked) != "" {
		n, reason := CUDA()
		fmt.Printf("devices %d\nopened %v\nreason %s\n", n, strings.Contains(strings.Join(Libraries(), "\n"), "libtorch_cuda.so"), reason)
		return
	}
	if openGlobal("libcuda.so.1") == "" {
		t.Skip("this machine has an NVIDIA driver: its absence can't be tried")
	}
	if _, err := exec.LookPath("gcc"); err != nil {
		t.Skip("no gcc to make a stand-in for a driver with")
	}
	driver := t.TempDir() // with a libcuda.so.1 that can do nothing, as after an update whose kernel module is not loaded
	if out, err := exec.Command("gcc", "-shared", "-o", filepath.Join(driver, "libcuda.so.1"), "-xc", os.DevNull).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	beside := besideLibtorch("libtorch_cuda.so")
	_, err := os.Stat(beside)
	withCUDA := err == nil
	for _, c := range []struct {
		name      string
		folder    string
		opened    bool
		needsCUDA bool
		says      []string
	}{
		{"no driver", "", false, false, []string{"no NVIDIA driver", "libcuda.so.1"}},
		{"a driver, and a libtorch of the CPU alone", driver, false, false, []string{"libtorch_cuda.so", "make setup CUDA=1"}},
		{"a driver that can do nothing, and a libtorch with CUDA", driver, true, true, []string{"no usable GPU"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if c.folder != "" && c.needsCUDA != withCUDA {
				t.Skipf("%s: there: %v", beside, withCUDA)
			}
			cmd := exec.Command(os.Args[0], "-test.run", "^TestCUDAReason$")
			cmd.Env = append(os.Environ(), asked+"=1", "LD_LIBRARY_PATH="+c.folder+":"+os.Getenv("LD_LIBRARY_PATH"))
			out, err := cmd.CombinedOutput()
			if err != nil {
				t.Fatalf("%v: %s", err, out)
			}
			for _, want := range append(c.says, "devices 0", fmt.Sprintf("opened %v", c.opened)) {
				if !strings.Contains(string(out), want) {
					t.Errorf("it says\n%swant %q in it", out, want)
				}
			}
		})
	}
}

func TestMemoryErrors(t *testing.T) {
	d := open(t)
	err := d.Run(func(s *Scope) error { s.Zeros(Uint8, 1<<50); return nil })
	if !errors.Is(err, ErrMemory) {
		t.Fatalf("a petabyte: %v, want ErrMemory", err)
	}
	for message, memory := range map[string]bool{
		"CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has a total capacity of 79.11 GiB\nException raised from malloc": true,
		"CUDA error: CUBLAS_STATUS_ALLOC_FAILED when calling `cublasCreate(handle)`":                                            true,
		err.Error(): true,
		"The size of tensor a (3) must match the size of tensor b (4)": false,
	} {
		if got := errors.Is(torchError("add", message), ErrMemory); got != memory {
			t.Errorf("%q: ErrMemory %v, want %v", message, got, memory)
		}
	}
}
