package checkpoints_test

import (
	"fmt"
	"os"
	"path/filepath"

	"samtune/checkpoints"
)

// Weights are written, opened without executing anything of the file, and held against what a network wants.
func ExampleOpen() {
	dir, err := os.MkdirTemp("", "weights")
	if err != nil {
		fmt.Println(err)
		return
	}
	defer os.RemoveAll(dir)
	path := filepath.Join(dir, "head.pth")
	layer := checkpoints.Info{Name: "head.weight", DType: "F32", Shape: []int64{1, 2}}
	if err := checkpoints.WritePTH(path, []checkpoints.Tensor{{Info: layer, Data: make([]byte, 8)}}); err != nil {
		fmt.Println(err)
		return
	}
	f, err := checkpoints.Open(path)
	if err != nil {
		fmt.Println(err)
		return
	}
	defer f.Close()
	values, err := f.Float32("head.weight")
	fmt.Println(values, err)
	layer.Shape = []int64{1, 3}
	fmt.Println(checkpoints.Match([]checkpoints.Info{layer}, f) != nil)
	// Output:
	// [0 0] <nil>
	// true
}
