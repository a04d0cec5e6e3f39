package checkpoints

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"unicode/utf8"
)

const (
	maxHeader   = 100 << 20 // the bound that the safetensors format itself sets
	maxMetadata = 4 << 20   // bytes of __metadata__
	maxEntry    = 1 << 10   // bytes of a tensor's description
)

const metadataKey = "__metadata__"

type safetensorsEntry struct {
	DType   DType    `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
}

// decodeEntry decodes a tensor's description, which has just the three members of the format: JSON
// decoders take names in any case and twice, pad or cut arrays and read null as nothing.
func decodeEntry(text []byte) (e safetensorsEntry, err error) {
	if len(text) > maxEntry {
		return e, fmt.Errorf("%w: a description of %d bytes, more than %d", ErrUnsafe, len(text), maxEntry)
	}
	members, err := decodeObject(text, 3)
	if err != nil {
		return e, err
	}
	var shape []*int64
	var offsets []*int64
	for _, member := range []struct {
		name string
		to   any
	}{{"dtype", &e.DType}, {"shape", &shape}, {"data_offsets", &offsets}} {
		if err := json.Unmarshal(members[member.name], member.to); err != nil {
			return e, fmt.Errorf("%w: %s is missing or not as it should be", ErrCorrupt, member.name)
		}
	}
	if shape == nil || len(offsets) != 2 || slices.Contains(offsets, nil) || slices.Contains(shape, nil) {
		return e, fmt.Errorf("%w: want a shape and two data_offsets of whole numbers", ErrCorrupt)
	}
	e.Offsets = [2]int64{*offsets[0], *offsets[1]}
	e.Shape = make([]int64, len(shape))
	for i, d := range shape {
		e.Shape[i] = *d
	}
	return e, nil
}

// decodeMetadata decodes the texts beside the tensors.
func decodeMetadata(text []byte) (map[string]string, error) {
	if len(text) > maxMetadata {
		return nil, fmt.Errorf("%w: %d bytes, more than %d", ErrUnsafe, len(text), maxMetadata)
	}
	members, err := decodeObject(text, maxTensors)
	if err != nil {
		return nil, err
	}
	meta := make(map[string]string, len(members))
	for _, name := range slices.Sorted(maps.Keys(members)) {
		var value *string
		if err := json.Unmarshal(members[name], &value); err != nil || value == nil {
			return nil, fmt.Errorf("%w: %q is no text", ErrCorrupt, name)
		}
		meta[name] = *value
	}
	return meta, nil
}

// parseSafetensors reads the header: every tensor's bytes must lie within the file, fit its shape, and
// together cover the data without a gap or an overlap.
func (f *File) parseSafetensors(size int64) error {
	var prefix [8]byte
	if _, err := f.f.ReadAt(prefix[:], 0); err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	length := binary.LittleEndian.Uint64(prefix[:])
	if length > maxHeader || int64(length) > size-8 {
		return fmt.Errorf("%w: the header claims %d bytes of a file of %d", ErrCorrupt, length, size)
	}
	raw := make([]byte, length)
	if _, err := f.f.ReadAt(raw, 8); err != nil {
		return fmt.Errorf("%w: header: %w", ErrCorrupt, err)
	}
	if !utf8.Valid(raw) {
		return fmt.Errorf("%w: the header is not UTF-8", ErrCorrupt)
	}
	header, err := decodeObject(raw, maxTensors)
	if err != nil {
		return fmt.Errorf("header: %w", err)
	}
	if text, ok := header[metadataKey]; ok {
		if f.meta, err = decodeMetadata(text); err != nil {
			return fmt.Errorf("header: %s: %w", metadataKey, err)
		}
		delete(header, metadataKey)
	}
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(header))
	base := 8 + int64(length)
	for _, name := range slices.Sorted(maps.Keys(header)) {
		e, err := decodeEntry(header[name])
		if err != nil {
			return fmt.Errorf("header: tensor %q: %w", name, err)
		}
		info := Info{Name: name, DType: e.DType, Shape: e.Shape}
		want, err := info.bytes()
		if err != nil {
			return fmt.Errorf("%w: header: %w", ErrCorrupt, err)
		}
		from, to := e.Offsets[0], e.Offsets[1]
		if from < 0 || to < from || to > size-base || to-from != want {
			return fmt.Errorf("%w: header: tensor %q lies at %d to %d of %d data bytes and needs %d", ErrCorrupt, name, from, to, size-base, want)
		}
		spans = append(spans, span{from, to})
		f.entries[name] = entry{info: info, at: base + from, read: func(dst []byte) error {
			if _, err := f.f.ReadAt(dst, base+from); err != nil && len(dst) > 0 {
				return fmt.Errorf("%w: %w", ErrCorrupt, err)
			}
			return nil
		}}
	}
	sort.Slice(spans, func(i, j int) bool {
		return spans[i].from < spans[j].from || spans[i].from == spans[j].from && spans[i].to < spans[j].to
	})
	var at int64
	for _, s := range spans {
		if s.from != at {
			return fmt.Errorf("%w: header: the data has a gap or an overlap at byte %d", ErrCorrupt, min(at, s.from))
		}
		at = s.to
	}
	if at != size-base {
		return fmt.Errorf("%w: %d data bytes belong to no tensor", ErrCorrupt, size-base-at)
	}
	return nil
}

// decodeObject decodes a JSON object of at most limit members and refuses a name that stands twice, which
// JSON decoders let pass.
func decodeObject(raw []byte, limit int) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: not a JSON object", ErrCorrupt)
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: not JSON at byte %d", ErrCorrupt, d.InputOffset())
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w: %q: %w", ErrCorrupt, name, err)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%w: %q is there twice", ErrCorrupt, name)
		}
		if len(out) == limit {
			return nil, fmt.Errorf("%w: more than %d members", ErrUnsafe, limit)
		}
		out[name] = value
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, fmt.Errorf("%w: its JSON does not end", ErrCorrupt)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: there is text behind its JSON", ErrCorrupt)
	}
	return out, nil
}

// EncodeSafetensors writes tensors and texts in the safetensors format, ordered by name: the same tensors
// give the same bytes.
func EncodeSafetensors(w io.Writer, meta map[string]string, tensors []Tensor) error {
	sorted := append([]Tensor(nil), tensors...)
	sort.Slice(sorted, func(i, j int) bool { return sorted[i].Name < sorted[j].Name })
	var header bytes.Buffer
	header.WriteByte('{')
	item := func(name string, value any) error {
		k, err := json.Marshal(name)
		if err != nil {
			return err
		}
		v, err := json.Marshal(value)
		if err != nil {
			return err
		}
		if header.Len() > 1 {
			header.WriteByte(',')
		}
		header.Write(k)
		header.WriteByte(':')
		header.Write(v)
		return nil
	}
	for _, key := range slices.Sorted(maps.Keys(meta)) {
		if !utf8.ValidString(key) || !utf8.ValidString(meta[key]) {
			return fmt.Errorf("%s: %q is not UTF-8", metadataKey, key)
		}
	}
	if len(meta) > 0 {
		if err := item(metadataKey, meta); err != nil {
			return err
		}
	}
	var at int64
	for i, t := range sorted {
		size, err := t.bytes()
		switch {
		case err != nil:
			return err
		case size != int64(len(t.Data)):
			return fmt.Errorf("tensor %q has %d bytes, its shape %v of %s needs %d", t.Name, len(t.Data), t.Shape, t.DType, size)
		case t.Name == metadataKey || !utf8.ValidString(t.Name):
			return fmt.Errorf("%q is no name for a tensor", t.Name)
		case i > 0 && t.Name == sorted[i-1].Name:
			return fmt.Errorf("two tensors are called %q", t.Name)
		}
		shape := append([]int64{}, t.Shape...)
		if err := item(t.Name, safetensorsEntry{DType: t.DType, Shape: shape, Offsets: [2]int64{at, at + size}}); err != nil {
			return err
		}
		at += size
	}
	header.WriteByte('}')
	for header.Len()%8 != 0 {
		header.WriteByte(' ')
	}
	var prefix [8]byte
	binary.LittleEndian.PutUint64(prefix[:], uint64(header.Len()))
	if _, err := w.Write(prefix[:]); err != nil {
		return err
	}
	if _, err := w.Write(header.Bytes()); err != nil {
		return err
	}
	for _, t := range sorted {
		if _, err := w.Write(t.Data); err != nil {
			return err
		}
	}
	return nil
}

// WriteSafetensors writes tensors and texts to a file that appears whole or not at all.
func WriteSafetensors(path string, meta map[string]string, tensors []Tensor) error {
	return writeAtomic(path, true, func(w io.Writer) error { return EncodeSafetensors(w, meta, tensors) })
}

// CacheSafetensors is WriteSafetensors for what can be made again: the file also appears whole or not at
// all while the machine runs, but nothing waits for the disk. After a loss of power it may be damaged,
// so whoever reads it has to verify it.
func CacheSafetensors(path string, meta map[string]string, tensors []Tensor) error {
	return writeAtomic(path, false, func(w io.Writer) error { return EncodeSafetensors(w, meta, tensors) })
}

// writeAtomic writes a file under another name, brings it to disk where that is asked for, and renames it.
func writeAtomic(path string, sync bool, write func(io.Writer) error) (err error) {
	dir := filepath.Dir(path)
	f, err := os.CreateTemp(dir, "."+filepath.Base(path)+".tmp-")
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	defer func() {
		if err != nil {
			f.Close()
			os.Remove(f.Name())
			err = fmt.Errorf("write %q: %w", path, err)
		}
	}()
	if err := write(f); err != nil {
		return err
	}
	if err := f.Chmod(0o644); err != nil {
		return err
	}
	if sync {
		if err := f.Sync(); err != nil {
			return err
		}
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil || !sync {
		return err
	}
	return syncDir(dir)
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}
