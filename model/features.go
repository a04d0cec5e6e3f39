package model

import (
	"fmt"
	"strings"
)

// Features that a model gives for a view of a picture, by name.
const (
	Pixels    = "pixels"    // [B, 3, side, side], the encoder's input itself
	Stage0    = "stage0"    // [B, 64, 256, 256] of LiteMedSAM: after the last block of layers.0
	Merge0    = "merge0"    // [B, 128, 128, 128] of LiteMedSAM: after the patch merging of layers.0, the input of layers.1
	Stage1    = "stage1"    // [B, 128, 128, 128] of LiteMedSAM: after the last block of layers.1
	Stage3    = "stage3"    // [B, 320, 64, 64] of LiteMedSAM: after the last block of layers.3, the neck's input
	Embedding = "embedding" // [B, dim, grid, grid], what SAM's decoder takes
)

// stageFeatures names what the encoder's stages give at their end.
var stageFeatures = map[int]string{0: Stage0, 1: Stage1, 3: Stage3}

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
	if len(sp.Encoder.TinyViT.EmbedDims) > 0 {
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
