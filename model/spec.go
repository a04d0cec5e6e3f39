// Package model is SAM: image encoder, prompt encoder and mask decoder, and the geometry between a
// picture and the network's input. It holds no training code. Parameter names are those of the
// official checkpoints.
package model

import (
	"errors"
	"fmt"
	"strings"

	"github.com/BurntSushi/toml"

	"samtune/configs"
)

// ErrUnknown says that no model or decoder has the given name.
var ErrUnknown = errors.New("unknown name")

// Spec holds the facts of one architecture, as its file under configs/models declares them.
type Spec struct {
	Name          string      `toml:"name"`
	Title         string      `toml:"title"`
	Citation      string      `toml:"citation"`
	Licence       string      `toml:"licence"`
	ImageSize     int         `toml:"image_size"`     // side of the encoder's input, pixels
	Normalise     string      `toml:"normalise"`      // "minmax" or "sam"
	EmbeddingSize int         `toml:"embedding_size"` // side of the embedding's grid
	Weights       WeightsSpec `toml:"weights"`
	Encoder       EncoderSpec `toml:"encoder"`
	Decoder       DecoderSpec `toml:"decoder"`
}

// WeightsSpec says which file holds the released weights.
type WeightsSpec struct {
	File   string `toml:"file"`
	SHA256 string `toml:"sha256"`
	Source string `toml:"source"`
}

// EncoderSpec describes a TinyViT image encoder (Wu et al., ECCV 2022) as LiteMedSAM and MobileSAM use it.
type EncoderSpec struct {
	Kind        string `toml:"kind"`
	PatchStride int    `toml:"patch_stride"`
	EmbedDims   []int  `toml:"embed_dims"`
	Depths      []int  `toml:"depths"`
	Heads       []int  `toml:"heads"`
	Windows     []int  `toml:"windows"`
	Strides     []int  `toml:"strides"`
	MLPRatio    int    `toml:"mlp_ratio"`
	ExpandRatio int    `toml:"expand_ratio"`
}

// DecoderSpec describes SAM's prompt encoder and mask decoder (Kirillov et al., ICCV 2023).
type DecoderSpec struct {
	Dim            int `toml:"dim"`
	Depth          int `toml:"depth"`
	MLPDim         int `toml:"mlp_dim"`
	Heads          int `toml:"heads"`
	Multimask      int `toml:"multimask"`
	IoUDepth       int `toml:"iou_depth"`
	IoUHidden      int `toml:"iou_hidden"`
	MaskInChannels int `toml:"mask_in_channels"`
}

// Names lists the models that are declared, in order.
func Names() []string { return configs.Names(configs.Models) }

// LookUp returns the model of that name; the error wraps ErrUnknown and lists those that there are.
func LookUp(name string) (*Spec, error) {
	file, text, err := configs.Declaration(configs.Models, name)
	if err != nil {
		return nil, fmt.Errorf("look up model %q: %w: there is %s", name, ErrUnknown, strings.Join(Names(), ", "))
	}
	var spec Spec
	meta, err := toml.Decode(text, &spec)
	if err != nil {
		return nil, fmt.Errorf("read %s: %w", file, err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return nil, fmt.Errorf("read %s: unknown key %q", file, extra[0].String())
	}
	return &spec, spec.check()
}

func (s *Spec) check() error {
	e := s.Encoder
	stages := len(e.EmbedDims)
	switch {
	case e.Kind != "tinyvit":
		return fmt.Errorf("model %s: encoder kind %q, want tinyvit", s.Name, e.Kind)
	case stages == 0 || len(e.Depths) != stages || len(e.Heads) != stages || len(e.Windows) != stages || len(e.Strides) != stages-1:
		return fmt.Errorf("model %s: embed_dims, depths, heads, windows must have one length and strides one less", s.Name)
	case s.Normalise != "minmax" && s.Normalise != "sam":
		return fmt.Errorf("model %s: normalise %q, want minmax or sam", s.Name, s.Normalise)
	}
	return nil
}
