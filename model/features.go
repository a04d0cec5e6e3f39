package model

import (
	"fmt"
	"strings"
)

// Features that a model gives for a view of a picture, by name; recipes name them, so those that stand for the same
// thing have one name in all models.
const (
	Pixels    = "pixels"    // [B, 3, side, side], the encoder's input itself
	Stage0    = "stage0"    // the finest: TinyViT after layers.0, [B, 64, 256, 256]; ViT after the patch embedding, [B, dim, grid, grid]
	Stage1    = "stage1"    // TinyViT after layers.1, [B, 128, 128, 128]; ViT after its first block that attends to the whole grid, [B, dim, grid, grid]
	Merge0    = "merge0"    // TinyViT alone: after the patch merging of layers.0, [B, 128, 128, 128], the input of its first attention
	Stage3    = "stage3"    // TinyViT alone: after layers.3, [B, 320, 64, 64], the neck's input
	Blocks    = "blocks"    // ViT alone: after its last block, [B, dim, grid, grid], the neck's input
	Embedding = "embedding" // [B, dim of the decoder, grid, grid], what SAM's mask decoder takes
)

// stageFeatures names what the stages of a TinyViT give at their end.
var stageFeatures = map[int]string{0: Stage0, 1: Stage1, 3: Stage3}

// neckInput is the feature that the encoder's neck makes the embedding from.
func (sp *Spec) neckInput() string {
	if sp.Encoder.Kind == kindViT {
		return Blocks
	}
	return Stage3
}

// attentionInput is the feature that the first block with attention works on.
func (sp *Spec) attentionInput() string {
	if sp.Encoder.Kind == kindViT {
		return Stage0
	}
	return Merge0
}

// Feature is one of a model's features: [B, Channels, Side, Side].
type Feature struct {
	Name     string
	Channels int
	Side     int
}

// Features lists what the model gives, from the pixels to what the decoder takes. The earlier ones hold what
// is thin, the later ones what is large.
func (sp *Spec) Features() []Feature {
	out := []Feature{{Pixels, 3, sp.ImageSize}}
	switch sp.Encoder.Kind {
	case kindViT:
		for _, name := range []string{Stage0, Stage1, Blocks} {
			if name != Stage1 || len(sp.Encoder.ViT.Global) > 0 {
				out = append(out, Feature{name, sp.Encoder.ViT.Dim, sp.EmbeddingSize})
			}
		}
	case kindTinyViT:
		for i, st := range sp.stages() {
			if i == 1 {
				out = append(out, Feature{Merge0, st.dim, st.side})
			}
			if name, given := stageFeatures[i]; given {
				out = append(out, Feature{name, st.dim, st.side})
			}
		}
	}
	return append(out, Feature{Embedding, sp.Decoder.Dim, sp.EmbeddingSize})
}

// Feature returns the feature of that name; the error wraps ErrUnknown and lists those that there are.
func (sp *Spec) Feature(name string) (Feature, error) {
	var names []string
	for _, f := range sp.Features() {
		if f.Name == name {
			return f, nil
		}
		names = append(names, f.Name)
	}
	return Feature{}, fmt.Errorf("feature %q: %w: %s has %s", name, ErrUnknown, sp.Title, strings.Join(names, ", "))
}
