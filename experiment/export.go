package experiment

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"path/filepath"
	"sort"
	"strings"

	"samtune/checkpoints"
	"samtune/model"
)

// ErrExport says that what a run trained does not go into a file of SAM's weights.
var ErrExport = errors.New("not to be exported")

// Export writes the model that a run fine-tuned: the released weights, by their official names, with what the run trained in
// their place. The file's ending says how: .pth as torch.save writes SAM's state dictionary, or .safetensors. It returns in words what was
// written.
func Export(t *Tuned, released, out string) (string, error) {
	var write func(path string, meta map[string]string, tensors []checkpoints.Tensor) error
	switch strings.ToLower(filepath.Ext(out)) {
	case ".pth", ".pt":
		write = func(path string, _ map[string]string, tensors []checkpoints.Tensor) error {
			return checkpoints.WritePTH(path, tensors)
		}
	case ".safetensors":
		write = checkpoints.WriteSafetensors
	default:
		return "", fmt.Errorf("%w: %q has the ending %q, want .pth or .safetensors", ErrExport, out, filepath.Ext(out))
	}
	switch t.Config.Decoder {
	case decoderLinear:
		return exportHead(t, out)
	case decoderFine:
		return "", fmt.Errorf("%w: the fine decoder is SAM's mask decoder together with a convex head and convolutions, which SAM has no place for: "+
			"--decoder plain exports the run's mask decoder, if it fitted one", ErrExport)
	}
	spec, err := model.LookUp(t.Config.Model)
	if err != nil {
		return "", err
	}
	base, err := model.OpenWeights(released)
	if err != nil {
		return "", err
	}
	defer base.Close()
	if err := checkpoints.Match(spec.Params(), base); err != nil {
		return "", err
	}
	tuned, err := checkpoints.Open(t.Path)
	if err != nil {
		return "", err
	}
	defer tuned.Close()
	tensors, replaced, err := merge(base, tuned)
	if err != nil {
		return "", err
	}
	sum, err := base.SHA256()
	if err != nil {
		return "", err
	}
	meta := map[string]string{"format": "pt", "model": spec.Name, "released_sha256": sum, "tuned_sha256": t.SHA256,
		"run": filepath.Base(t.Dir), "benchmark": t.Config.Benchmark, "target": t.Config.Target}
	if err := write(out, meta, tensors); err != nil {
		return "", err
	}
	return fmt.Sprintf("%s with %d of its %d tensors fine-tuned", spec.Title, replaced, len(tensors)), nil
}

// exportHead writes a run's convex head, which is no part of SAM: its weights with, in the metadata, the features of the
// frozen encoder that they are for.
func exportHead(t *Tuned, out string) (string, error) {
	if strings.ToLower(filepath.Ext(out)) != ".safetensors" {
		return "", fmt.Errorf("%w: a convex head is no part of SAM and goes into a .safetensors file, which examples/apply_head.py applies in Python; "+
			"--decoder plain exports the run's mask decoder, if it fitted one", ErrExport)
	}
	f, err := checkpoints.Open(t.Path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	var tensors []checkpoints.Tensor
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		b, err := f.Bytes(name)
		if err != nil {
			return "", err
		}
		tensors = append(tensors, checkpoints.Tensor{Info: info, Data: b})
	}
	if err := checkpoints.WriteSafetensors(out, f.Metadata(), tensors); err != nil {
		return "", err
	}
	return fmt.Sprintf("a convex head of %d tensors, for examples/apply_head.py", len(tensors)), nil
}

// merge puts tuned tensors in the place of the released ones of their names, and adds low-rank updates to the weights that
// they are for.
func merge(base, tuned *checkpoints.File) (tensors []checkpoints.Tensor, replaced int, err error) {
	updates := map[string]bool{} // weights with a low-rank update
	unused := map[string]bool{}
	for _, n := range tuned.Names() {
		if weight, _, ok := model.LowRank(n); ok {
			updates[weight] = true
			continue
		}
		unused[n] = true
	}
	for _, name := range base.Names() {
		info, _ := base.Info(name)
		from := base
		if unused[name] {
			delete(unused, name)
			from = tuned
			replaced++
			info, _ = tuned.Info(name)
		}
		t := checkpoints.Tensor{Info: info}
		if updates[name] {
			delete(updates, name)
			replaced++
			t.DType = "F32"
			if t.Data, err = updated(base, tuned, name, info.Shape); err != nil {
				return nil, 0, err
			}
		} else if t.Data, err = from.Bytes(name); err != nil {
			return nil, 0, err
		}
		tensors = append(tensors, t)
	}
	for n := range updates {
		unused[n] = true
	}
	if len(unused) > 0 {
		var names []string
		for n := range unused {
			names = append(names, n)
		}
		sort.Strings(names)
		return nil, 0, fmt.Errorf("%w: the released model has no %s", ErrExport, strings.Join(names, ", "))
	}
	return tensors, replaced, nil
}

// updated is a released weight [out, in] with its low-rank update added, as float32.
func updated(base, tuned *checkpoints.File, name string, shape []int64) ([]byte, error) {
	values, err := base.Float32(name)
	if err != nil {
		return nil, err
	}
	nameA, nameB := model.LowRankNames(name)
	a, err := tuned.Float32(nameA) // [rank, in]
	if err != nil {
		return nil, err
	}
	b, err := tuned.Float32(nameB) // [out, rank]
	if err != nil {
		return nil, err
	}
	in := int(shape[1])
	rank := len(a) / in
	out := make([]byte, 0, 4*len(values))
	for i := range int(shape[0]) {
		for k := range in {
			sum := 0.0
			for r := range rank {
				sum += float64(b[i*rank+r]) * float64(a[r*in+k])
			}
			out = binary.LittleEndian.AppendUint32(out, math.Float32bits(values[i*in+k]+float32(sum)))
		}
	}
	return out, nil
}
