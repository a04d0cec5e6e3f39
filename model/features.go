package model

import (
	"fmt"
	"strings"
)

// Features that a model gives for a view of a picture, by name.
const (
	Pixels    = "pixels"    // [B, 3, side, side], the encoder's input itself
	Stage0    = "stage0"    // [B, 64, 256, 256] of LiteMedSAM: after the last block of layers.0
	Stage1    = "stage1"    // [B, 128, 128, 128] of LiteMedSAM: after the last block of layers.1
	Embedding = "embedding" // [B, dim, grid, grid], what SAM's decoder takes
)

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
	if len(sp.Encoder.EmbedDims) > 1 {
		for i, st := range sp.stages()[:2] {
			out = append(out, Feature{[]string{Stage0, Stage1}[i], st.dim, st.side})
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
