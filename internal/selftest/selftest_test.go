package selftest

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"strings"
	"testing"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/internal/testkit"
)

func TestRun(t *testing.T) {
	before := tensor.Live()
	r, err := Run(tensortest.CPU(t), Vectors())
	if err != nil {
		t.Errorf("%+v: %v", r, err)
	}
	t.Logf("%+v", r)
	if n := tensor.Live() - before; n != 0 {
		t.Errorf("%d tensors are left", n)
	}
}

// TestAlteredValuesAreFound changes one value at a time.
func TestAlteredValuesAreFound(t *testing.T) {
	d := tensortest.CPU(t)
	for _, name := range []string{"embedding", "box.low_res.single", "losses", "grad.mask_decoder.iou_token.weight", "image_u8", "boxes", "target"} {
		t.Run(name, func(t *testing.T) {
			altered := alter(t, name)
			if _, err := Run(d, altered); !errors.Is(err, ErrDiffers) {
				t.Errorf("error %v, want ErrDiffers", err)
			}
		})
	}
	for name, b := range map[string][]byte{"cut": vectors[:len(vectors)-4], "empty": nil} {
		if _, err := Run(d, b); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

// alter changes the first value of a stored tensor.
func alter(t testing.TB, name string) []byte {
	t.Helper()
	f, err := checkpoints.Open("vectors.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	var tensors []checkpoints.Tensor
	for _, n := range f.Names() {
		info, _ := f.Info(n)
		b, err := f.Bytes(n)
		if err != nil {
			t.Fatal(err)
		}
		switch {
		case n == name && info.DType == "U8":
			b[0] ^= 0x80
		case n == name:
			binary.LittleEndian.PutUint32(b, math.Float32bits(math.Float32frombits(binary.LittleEndian.Uint32(b))+1))
		}
		tensors = append(tensors, checkpoints.Tensor{Info: info, Data: b})
	}
	var out bytes.Buffer
	if err := checkpoints.EncodeSafetensors(&out, nil, tensors); err != nil {
		t.Fatal(err)
	}
	return out.Bytes()
}

// TestVectorsAreTheParityPacks compares what is part of the program with what it is part of.
func TestVectorsAreTheParityPacks(t *testing.T) {
	all := testkit.Vectors(t, "tiny.safetensors")
	f, err := checkpoints.Open("vectors.safetensors")
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	gradients := 0
	for _, n := range f.Names() {
		if !bytes.Equal(testkit.Raw(t, f, n), testkit.Raw(t, all, n)) {
			t.Errorf("%s differs", n)
		}
		if strings.HasPrefix(n, "grad.") {
			gradients++
		}
	}
	for _, n := range all.Names() {
		if strings.HasPrefix(n, "grad.") {
			gradients--
		}
	}
	if gradients != 0 {
		t.Errorf("%d gradients too few", -gradients)
	}
}

func TestStep(t *testing.T) {
	before := tensor.Live()
	took, err := Step(tensortest.CPU(t))
	if err != nil || took <= 0 {
		t.Errorf("%v, %v", took, err)
	}
	if n := tensor.Live() - before; n != 0 {
		t.Errorf("%d tensors are left", n)
	}
	t.Log(took)
}
