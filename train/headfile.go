package train

import (
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"math"

	"samtune/checkpoints"
	"samtune/eval"
	"samtune/model"
)

// Tensors of a head's file, all float32.
const (
	headWeight    = "head.weight"    // [features]
	headBias      = "head.bias"      // [1]
	headMean      = "head.mean"      // [features], over the training pictures
	headDeviation = "head.deviation" // [features], likewise

	contextWeight    = "context.weight" // [scales + line features], of the second stage where there is one
	contextBias      = "context.bias"   // [1]
	contextMean      = "context.mean"   // [scales + line features]
	contextDeviation = "context.deviation"
)

// headFacts is what a head's file says of it in its metadata, under "head", as JSON.
type headFacts struct {
	Features    []featureFacts `json:"features"`
	Mirrors     string         `json:"mirrors"`
	Standardise string         `json:"standardise"`
	Threshold   float64        `json:"threshold"` // 0: each picture's own, that which promises the highest Dice
	Ridge       float64        `json:"ridge"`
	LeftOut     eval.Float     `json:"left_out_dice"`
	Context     string         `json:"context"` // what the second stage reads; empty: there is none
}

// contextFacts says what a second stage reads.
const contextFacts = "logit of each scale, then for reaches of 3, 6, 10 and 15 pixels the highest mean of 12 lines and how far it is above the mean of all"

type featureFacts struct {
	Scale   int    `json:"scale"` // 1: the whole picture, n: n x n tiles
	Feature string `json:"feature"`
	Start   int    `json:"start"` // index of its first weight
	Count   int    `json:"count"`
}

const standardised = "each picture by its own mean and deviation inside the valid region"

// facts describes a head over a pyramid.
func (p Pyramid) facts(spec *model.Spec, head *Head) (*headFacts, error) {
	blocks, _, err := p.Blocks(spec)
	if err != nil {
		return nil, err
	}
	f := &headFacts{Mirrors: p.Mirrors, Standardise: standardised, Threshold: head.Threshold, Ridge: head.Ridge, LeftOut: head.LeftOut}
	if head.Context != nil {
		f.Context = contextFacts
	}
	for _, b := range blocks {
		f.Features = append(f.Features, featureFacts{b.Scale, b.Feature.Name, b.Start, b.Feature.Channels})
	}
	return f, nil
}

// tensors lists a head's numbers, by name.
func (head *Head) tensors() []checkpoints.Tensor {
	one := func(name string, values []float32) checkpoints.Tensor {
		raw := make([]byte, 0, 4*len(values))
		for _, v := range values {
			raw = binary.LittleEndian.AppendUint32(raw, math.Float32bits(v))
		}
		return checkpoints.Tensor{Info: checkpoints.Info{Name: name, DType: "F32", Shape: []int64{int64(len(values))}}, Data: raw}
	}
	out := []checkpoints.Tensor{
		one(headBias, []float32{head.Bias}), one(headDeviation, head.Deviation), one(headMean, head.Mean), one(headWeight, head.Weight),
	}
	if c := head.Context; c != nil {
		out = append(out, one(contextBias, []float32{c.Bias}), one(contextDeviation, c.Deviation), one(contextMean, c.Mean), one(contextWeight, c.Weight))
	}
	return out
}

// SaveHead keeps a head as the best checkpoint of a run: weights.safetensors with the weights, and in its
// metadata which feature each belongs to.
func SaveHead(store *checkpoints.Store, h *HeadFeatures, head *Head) error {
	facts, err := h.Pyramid.facts(h.Model.Spec, head)
	if err != nil {
		return err
	}
	text, err := json.Marshal(facts)
	if err != nil {
		return fmt.Errorf("save head: %w", err)
	}
	meta := map[string]string{"decoder": "linear", "model": h.Model.Spec.Name, "base_sha256": h.Model.SHA256, "head": string(text)}
	return store.Save(1, true, map[string]func(io.Writer) error{
		WeightsFile: func(w io.Writer) error { return checkpoints.EncodeSafetensors(w, meta, head.tensors()) },
	})
}

// LoadHead reads what SaveHead wrote and makes sure that it was fitted over the same features. The error wraps
// checkpoints.ErrCorrupt or checkpoints.ErrFormat where the file is to blame.
func LoadHead(h *HeadFeatures, path string) (*Head, error) {
	f, err := checkpoints.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	var facts headFacts
	text, ok := f.Metadata()["head"]
	if !ok {
		return nil, fmt.Errorf("read %q: %w: it holds no head", path, checkpoints.ErrFormat)
	}
	if err := json.Unmarshal([]byte(text), &facts); err != nil {
		return nil, fmt.Errorf("read %q: %w: what it says of its head: %w", path, checkpoints.ErrCorrupt, err)
	}
	head := &Head{Threshold: facts.Threshold, Ridge: facts.Ridge, LeftOut: facts.LeftOut}
	if facts.Context != "" {
		head.Context = &Context{}
	}
	want, err := h.Pyramid.facts(h.Model.Spec, head)
	if err != nil {
		return nil, err
	}
	if fmt.Sprint(facts) != fmt.Sprint(*want) {
		return nil, fmt.Errorf("read %q: its head was fitted over other features: %+v, here %+v: use it with the settings of its own run", path, facts.Features, want.Features)
	}
	var bias []float32
	last := want.Features[len(want.Features)-1]
	n := last.Start + last.Count
	values := []namedValues{{headWeight, &head.Weight, n}, {headBias, &bias, 1}, {headMean, &head.Mean, n}, {headDeviation, &head.Deviation, n}}
	if err := readValues(f, values); err != nil {
		return nil, err
	}
	head.Bias = bias[0]
	if c := head.Context; c != nil {
		n := len(h.Pyramid.Scales) + lineFeatures
		values := []namedValues{{contextWeight, &c.Weight, n}, {contextBias, &bias, 1}, {contextMean, &c.Mean, n}, {contextDeviation, &c.Deviation, n}}
		if err := readValues(f, values); err != nil {
			return nil, err
		}
		c.Bias = bias[0]
	}
	return head, nil
}

type namedValues struct {
	name  string
	to    *[]float32
	count int
}

func readValues(f *checkpoints.File, values []namedValues) (err error) {
	for _, v := range values {
		if *v.to, err = f.Float32(v.name); err != nil {
			return err
		}
		if len(*v.to) != v.count {
			return fmt.Errorf("read %q: %w: %s holds %d numbers, want %d", f.Path(), checkpoints.ErrCorrupt, v.name, len(*v.to), v.count)
		}
	}
	return nil
}
