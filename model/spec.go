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
	Stretch       bool        `toml:"stretch"`        // pictures are stretched to a square; otherwise padded to one
	EmbeddingSize int         `toml:"embedding_size"` // side of the embedding's grid
	Weights       WeightsSpec `toml:"weights"`
	Encoder       EncoderSpec `toml:"encoder"`
	Decoder       DecoderSpec `toml:"decoder"`
}

// WeightsSpec says which file holds the released weights and where its publisher has it.
type WeightsSpec struct {
	File   string `toml:"file"`
	SHA256 string `toml:"sha256"` // empty: the publisher gives none
	MD5    string `toml:"md5"`    // where there is no SHA-256
	Size   int64  `toml:"size"`   // bytes; 0: not known
	URL    string `toml:"url"`    // empty: see Source
	Source string `toml:"source"` // in words, where there is no URL
}

// EncoderSpec describes an image encoder of one of two kinds.
type EncoderSpec struct {
	Kind     string `toml:"kind"` // "vit" or "tinyvit"
	MLPRatio int    `toml:"mlp_ratio"`

	ViT     ViTSpec     `toml:"vit"`
	TinyViT TinyViTSpec `toml:"tinyvit"`
}

// ViTSpec describes SAM's own encoder: a plain vision transformer (Li et al., ViTDet, ECCV 2022).
type ViTSpec struct {
	Patch  int   `toml:"patch"`  // side of a patch, pixels
	Dim    int   `toml:"dim"`    // numbers in a cell
	Depth  int   `toml:"depth"`  // blocks
	Heads  int   `toml:"heads"`  // of attention
	Window int   `toml:"window"` // side of a window of attention, cells
	Global []int `toml:"global"` // blocks that attend to the whole grid instead
}

// TinyViTSpec describes a TinyViT (Wu et al., ECCV 2022) as LiteMedSAM and MobileSAM use it, stage by stage.
type TinyViTSpec struct {
	PatchStride int   `toml:"patch_stride"` // of the stem: 1 keeps the input's resolution
	EmbedDims   []int `toml:"embed_dims"`
	Depths      []int `toml:"depths"`
	Heads       []int `toml:"heads"`
	Windows     []int `toml:"windows"`
	Strides     []int `toml:"strides"`      // of the patch mergings
	ExpandRatio int   `toml:"expand_ratio"` // of the convolutional first stage
	Classes     int   `toml:"classes"`      // of a classification head that the file carries and nothing uses; 0: none
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

// Kinds of image encoders.
const (
	kindViT     = "vit"
	kindTinyViT = "tinyvit"
)

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
	t, v := s.Encoder.TinyViT, s.Encoder.ViT
	stages := len(t.EmbedDims)
	switch kind := s.Encoder.Kind; {
	case kind != kindViT && kind != kindTinyViT:
		return fmt.Errorf("model %s: encoder kind %q, want %s or %s", s.Name, kind, kindViT, kindTinyViT)
	case kind == kindTinyViT && (stages == 0 || len(t.Depths) != stages || len(t.Heads) != stages || len(t.Windows) != stages || len(t.Strides) != stages-1):
		return fmt.Errorf("model %s: embed_dims, depths, heads, windows must have one length and strides one less", s.Name)
	case kind == kindTinyViT && t.PatchStride != 1 && t.PatchStride != 4:
		return fmt.Errorf("model %s: patch_stride is %d, want 1 or 4", s.Name, t.PatchStride)
	case kind == kindViT && (v.Patch < 1 || v.Depth < 1 || v.Heads < 1 || v.Window < 1 || v.Dim%v.Heads != 0 || s.ImageSize != v.Patch*s.EmbeddingSize):
		return fmt.Errorf("model %s: patch, depth, heads and window must be positive, dim a multiple of heads and image_size patch times embedding_size", s.Name)
	case s.Normalise != "minmax" && s.Normalise != "sam":
		return fmt.Errorf("model %s: normalise %q, want minmax or sam", s.Name, s.Normalise)
	}
	return nil
}
