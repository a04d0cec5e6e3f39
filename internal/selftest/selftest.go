// Package selftest computes what the official Python code has computed, with a SAM so small that its values are part of the
// program: whatever machine, processor and libtorch it runs on, these numbers have to come out.
package selftest

import (
	_ "embed"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"

	"golang.org/x/sys/unix"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/formula"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// ErrDiffers says that other numbers came out than the official code's.
var ErrDiffers = errors.New("other numbers than the official code's")

//go:embed vectors.safetensors
var vectors []byte

// Vectors returns what the official code computed (bench/make_selftest_vectors.py), as a safetensors file.
func Vectors() []byte { return slices.Clone(vectors) }

// Result is how far from the official code's values those of this machine are, at most.
type Result struct {
	Embedding float64 `json:"embedding"`
	Logits    float64 `json:"logits"`
	Loss      float64 `json:"loss"`
	Gradient  float64 `json:"gradient"`
}

// Tolerances. Between 1 and 2 threads values differ by 1.1e-5; on a GPU, convolutions have a mantissa of 10 bits.
const (
	toleranceCPU = 2e-4
	toleranceGPU = 2e-2
)

// tiny is the SAM of the vectors: 128 pixels, width 64, 4 blocks.
var tiny = &model.Spec{
	Name: "tiny", Title: "tiny SAM", ImageSize: 128, Normalise: "sam", EmbeddingSize: 8,
	Encoder: model.EncoderSpec{Kind: "vit", MLPRatio: 4, ViT: model.ViTSpec{Patch: 16, Dim: 64, Depth: 4, Heads: 4, Window: 4, Global: []int{1, 3}}},
	Decoder: model.DecoderSpec{Dim: 32, Depth: 2, MLPDim: 128, Heads: 8, Multimask: 3, IoUDepth: 3, IoUHidden: 32, MaskInChannels: 16},
}

// Run encodes a picture, prompts with boxes, and takes loss and gradient on a device, and compares with vectors as Vectors returns
// them. The error wraps ErrDiffers where a number is further off than the tolerance; the result is then what was measured.
func Run(dev *tensor.Device, vectors []byte) (r Result, err error) {
	stored, err := open(func(w io.Writer) error { _, err := w.Write(vectors); return err })
	if err != nil {
		return r, err
	}
	defer stored.Close()
	m, err := load(tiny.Params(), func(path string) (*model.Model, error) { return model.Load(dev, tiny, path) })
	if err != nil {
		return r, err
	}
	defer m.Close()
	err = dev.Run(func(s *tensor.Scope) error { return r.measure(s, m, stored) })
	if err != nil {
		return r, err
	}
	tolerance := toleranceCPU
	if dev.CUDA() {
		tolerance = toleranceGPU
	}
	for _, part := range []struct {
		name string
		off  float64
	}{{"the embedding", r.Embedding}, {"the logits", r.Logits}, {"the loss", r.Loss}, {"the gradient", r.Gradient}} {
		if !(part.off <= tolerance) {
			return r, fmt.Errorf("%w: %s is off by %.2g, %.0g may be", ErrDiffers, part.name, part.off, tolerance)
		}
	}
	return r, nil
}

func (r *Result) measure(s *tensor.Scope, m *model.Model, stored *checkpoints.File) error {
	pixels, err := stored.Bytes("image_u8") // [3, 97, 128]
	if err != nil {
		return err
	}
	img := &data.Image{Width: 128, Height: 97, Pix: make([]uint8, len(pixels))}
	plane := img.Width * img.Height
	for i, v := range pixels {
		img.Pix[i%plane*3+i/plane] = v
	}
	features, err := m.Encode(s, img, []model.Geometry{tiny.WholeImage(img.Width, img.Height)}, []string{model.Embedding})
	if err != nil {
		return err
	}
	if r.Embedding, err = off(s, features[model.Embedding], stored, "embedding"); err != nil {
		return err
	}
	boxes, err := stored.Float32("boxes") // [2, 4]
	if err != nil {
		return err
	}
	prompt, err := m.EncodePrompts(s, []model.Prompt{{Box: (*[4]float32)(boxes[:4])}, {Box: (*[4]float32)(boxes[4:])}})
	if err != nil {
		return err
	}
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		return err
	}
	opt, err := train.NewAdamW(s, decoder.Trainable(), m.Weights())
	if err != nil {
		return err
	}
	defer opt.Drop()
	mask, err := stored.Float32("target")
	if err != nil {
		return err
	}
	info, _ := stored.Info("target")
	target := s.FromFloat32(mask, info.Shape...)
	want, err := stored.Float32("losses") // of three steps, this being the first
	if err != nil {
		return err
	}
	logits, loss, grad := step(s, decoder, opt, model.Inputs{Features: features, Prompt: prompt}, target)
	r.Loss = math.Abs(loss - float64(want[0]))
	if r.Logits, err = off(s, logits, stored, "box.low_res.single"); err != nil {
		return err
	}
	for name, g := range opt.Views(s, grad) {
		d, err := off(s, g, stored, "grad."+name)
		if err != nil {
			return err
		}
		if !(d <= r.Gradient) { // what is no number stays
			r.Gradient = d
		}
	}
	return nil
}

// step takes loss and gradient.
func step(s *tensor.Scope, decoder model.Decoder, opt *train.AdamW, in model.Inputs, target *tensor.Tensor) (logits *tensor.Tensor, loss float64, grad *tensor.Tensor) {
	s.Grad(true, func() {
		logits = decoder.Logits(s, opt.Leaves(), in)
		l := train.DefaultLoss().Loss(s, logits, target, s.Full(1, target.Shape()...), nil)
		loss = s.Item(l)
		grad = opt.Gradient(s, l)
	})
	return logits, loss, grad
}

// off is the largest difference between a tensor and a stored one; infinite where one has what is no number.
func off(s *tensor.Scope, t *tensor.Tensor, stored *checkpoints.File, name string) (float64, error) {
	want, err := stored.Float32(name)
	if err != nil {
		return 0, err
	}
	got := s.Float32s(t)
	if len(got) != len(want) {
		return 0, fmt.Errorf("%w: %s has %d values, want %d", ErrDiffers, name, len(got), len(want))
	}
	largest := 0.0
	for i := range got {
		d := math.Abs(float64(got[i]) - float64(want[i]))
		if math.IsNaN(d) {
			return math.Inf(1), nil
		}
		largest = max(largest, d)
	}
	return largest, nil
}

// load makes a model of parameters with the formula's values.
func load(params []checkpoints.Info, load func(path string) (*model.Model, error)) (m *model.Model, err error) {
	err = inMemory(func(w io.Writer) error { return checkpoints.EncodeSafetensors(w, nil, formula.Weights(params)) }, func(path string) (err error) {
		m, err = load(path)
		return err
	})
	return m, err
}

// open opens a file of weights that is written to memory.
func open(write func(io.Writer) error) (f *checkpoints.File, err error) {
	err = inMemory(write, func(path string) (err error) {
		f, err = checkpoints.Open(path)
		return err
	})
	return f, err
}

// inMemory writes a file that needs no disk, and has it opened by its path.
func inMemory(write func(io.Writer) error, open func(path string) error) error {
	fd, err := unix.MemfdCreate("samtune", unix.MFD_CLOEXEC)
	if err != nil {
		return fmt.Errorf("make a file in memory: %w", err)
	}
	f := os.NewFile(uintptr(fd), "samtune")
	defer f.Close() // what was opened stays open
	if err := write(f); err != nil {
		return fmt.Errorf("write a file in memory: %w", err)
	}
	return open(fmt.Sprintf("/proc/self/fd/%d", fd))
}
