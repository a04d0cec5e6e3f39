package model

import (
	"fmt"
	"strings"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/machine"
	"samtune/internal/tensor"
)

// EncoderVersion is part of every key under which features are cached. It changes when the encoder or
// its input would come out differently for the same picture and weights.
const EncoderVersion = 1

// DecoderVersion is the same of the prompt encoder and the mask decoder, for what is kept of their masks.
const DecoderVersion = 2

// Model is SAM with its weights on a device.
type Model struct {
	Spec      *Spec
	SHA256    string       // of the weights file
	File      string       // the weights file's path
	Precision tensor.DType // of the image encoder's arithmetic
	dev       *tensor.Device
	enc       imageEncoder
	w         Weights        // prompt encoder and mask decoder
	gridPE    *tensor.Tensor // [1, grid*grid, dim]
}

// OpenDevice opens what models compute on: "auto", "cpu", "cuda" or "cuda:1", with a number of CPU threads, 0 for one on each core.
// It serves programs beside samtune, which can't import the tensor layer.
func OpenDevice(name string, threads int) (*tensor.Device, error) {
	return tensor.Open(name, threads)
}

// Load reads a model's weights. Every parameter must be there with its shape and nothing else: all
// names that differ are listed in one error.
func Load(dev *tensor.Device, spec *Spec, path string) (*Model, error) {
	if err := spec.fits(dev, machine.Memory); err != nil {
		return nil, fmt.Errorf("load %s from %q: %w", spec.Title, path, err)
	}
	return loadModel(dev, spec, path, func(s *tensor.Scope, m *Model, f *checkpoints.File) error {
		if err := checkpoints.Match(spec.Params(), f); err != nil {
			return instead(f, err)
		}
		raw, err := loadWeights(s, f, encoderPrefix)
		if err != nil {
			return err
		}
		m.enc = newEncoder(s, spec, raw)
		return nil
	})
}

// instead adds to a mismatch which other model the file fits.
func instead(f *checkpoints.File, mismatch error) error {
	fitting, err := Recognise(f)
	if err != nil {
		return mismatch // of the model that was asked for
	}
	names := make([]string, len(fitting))
	for i, spec := range fitting {
		names[i] = spec.Name
	}
	return fmt.Errorf("it is of another model, %s: %w", strings.Join(names, " or "), mismatch)
}

// LoadDecoder reads the prompt encoder and the mask decoder alone: enough to work from cached features,
// in a fraction of the memory. Encoding with such a model is an error.
func LoadDecoder(dev *tensor.Device, spec *Spec, path string) (*Model, error) {
	return loadModel(dev, spec, path, func(*tensor.Scope, *Model, *checkpoints.File) error { return nil })
}

func loadModel(dev *tensor.Device, spec *Spec, path string, encoder func(*tensor.Scope, *Model, *checkpoints.File) error) (*Model, error) {
	f, err := OpenWeights(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	sum, err := f.SHA256()
	if err != nil {
		return nil, err
	}
	m := &Model{Spec: spec, SHA256: sum, File: path, Precision: tensor.Float32, dev: dev}
	err = dev.Run(func(s *tensor.Scope) error {
		if err := encoder(s, m, f); err != nil {
			return err
		}
		decoder, err := loadWeights(s, f, decoderPrefix)
		if err != nil {
			return err
		}
		m.w = decoder
		prompt, err := loadWeights(s, f, promptPrefix)
		if err != nil {
			return err
		}
		m.w = decoder.With(prompt)
		m.gridPE = s.Keep(s.Block(func(s *tensor.Scope) *tensor.Tensor { return spec.gridPositions(s, m.w) }))
		return nil
	})
	if err != nil {
		m.Close()
		return nil, fmt.Errorf("load %s from %q: %w", spec.Title, path, err)
	}
	return m, nil
}

// SetPrecision lets the image encoder compute in another element type: BFloat16 or Float16 take half the memory and, on a GPU, a
// fraction of the time. Prompt encoder and mask decoder stay in float32, and features come out as float32. The encoder's
// parameters are rounded for good. The error wraps tensor.ErrDevice where the device has no arithmetic of the type.
func (m *Model) SetPrecision(dtype tensor.DType) error {
	if m.enc == nil {
		return fmt.Errorf("set the encoder's precision: %s was loaded without its image encoder", m.Spec.Title)
	}
	if dtype == m.Precision {
		return nil
	}
	if err := m.dev.Computes(dtype); err != nil {
		return err
	}
	err := m.dev.Run(func(s *tensor.Scope) error { m.enc.weights().convert(s, dtype); return nil })
	if err != nil {
		return fmt.Errorf("set the encoder's precision: %w", err)
	}
	m.Precision = dtype
	return nil
}

// Close frees the weights.
func (m *Model) Close() {
	// The error is that of the closure, which has none: freeing does not fail.
	_ = m.dev.Run(func(*tensor.Scope) error {
		if m.enc != nil {
			m.enc.drop()
		}
		m.w.Drop()
		if m.gridPE != nil {
			m.gridPE.Drop()
		}
		return nil
	})
}

// Device is where the model's weights are.
func (m *Model) Device() *tensor.Device { return m.dev }

// Weights are the parameters of the prompt encoder and the mask decoder as they were loaded. They stay
// the model's.
func (m *Model) Weights() Weights { return m.w }

// Encode runs the image encoder over regions of one picture, all with inputs of one size, and returns
// the wanted features, each [regions, C, H, W], float32.
func (m *Model) Encode(s *tensor.Scope, img *data.Image, regions []Geometry, want []string) (map[string]*tensor.Tensor, error) {
	inputs := make([]*tensor.Tensor, len(regions))
	for i, g := range regions {
		inputs[i] = m.Spec.Input(s, img, g)
	}
	return m.EncodeInput(s, s.Cat(0, inputs...), want)
}

// EncodeInput runs the image encoder on [B, 3, side, side], as Spec.Input makes it, and returns the wanted features as float32.
func (m *Model) EncodeInput(s *tensor.Scope, x *tensor.Tensor, want []string) (map[string]*tensor.Tensor, error) {
	if m.enc == nil {
		return nil, fmt.Errorf("encode: %s was loaded without its image encoder", m.Spec.Title)
	}
	side := int64(m.Spec.ImageSize)
	if d := x.Shape(); len(d) != 4 || d[1] != 3 || d[2] != side || d[3] != side {
		return nil, fmt.Errorf("encode: input has shape %v, want [B 3 %d %d]", d, side, side)
	}
	wanted := map[string]bool{}
	for _, name := range want {
		if _, err := m.Spec.Feature(name); err != nil {
			return nil, fmt.Errorf("encode: %w", err)
		}
		wanted[name] = true
	}
	out := map[string]*tensor.Tensor{}
	if wanted[Pixels] {
		delete(wanted, Pixels)
		out[Pixels] = x
	}
	if len(wanted) > 0 {
		for name, t := range m.enc.encode(s, s.ToDType(x, m.Precision), wanted) {
			out[name] = s.ToDType(t, tensor.Float32)
		}
	}
	return out, nil
}

// EncodePrompts turns prompts of one form into what a decoder takes.
func (m *Model) EncodePrompts(s *tensor.Scope, prompts []Prompt) (EncodedPrompts, error) {
	return m.Spec.encodePrompts(s, m.w, prompts)
}

// Predict is SAM as released: logits [B, M, 4*grid, 4*grid] of the single mask (multimask false, M = 1) or
// of the ambiguous ones, and the mask decoder's own estimate of their IoU [B, M].
func (m *Model) Predict(s *tensor.Scope, embedding *tensor.Tensor, prompt EncodedPrompts, multimask bool) (logits, iou *tensor.Tensor) {
	first, last := 0, 0
	if multimask {
		first, last = 1, m.Spec.Decoder.Multimask
	}
	out := s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		d := m.Spec.decodeMasks(s, m.w, embedding, decoderInput{pe: m.gridPE, prompt: prompt}, first, last, true)
		return []*tensor.Tensor{d.logits, s.Narrow(d.iou, 1, int64(first), int64(last-first+1))}
	})
	return out[0], out[1]
}
