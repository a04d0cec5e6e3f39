package checkpoints

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sort"
)

// maxHeader is the bound that the safetensors format itself sets.
const maxHeader = 100 << 20

type safetensorsEntry struct {
	DType   DType    `json:"dtype"`
	Shape   []int64  `json:"shape"`
	Offsets [2]int64 `json:"data_offsets"`
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
	header, err := decodeHeader(raw)
	if err != nil {
		return err
	}
	if text, ok := header["__metadata__"]; ok {
		if err := json.Unmarshal(text, &f.meta); err != nil {
			return fmt.Errorf("%w: header: __metadata__: %w", ErrCorrupt, err)
		}
		delete(header, "__metadata__")
	}
	type span struct{ from, to int64 }
	spans := make([]span, 0, len(header))
	base := 8 + int64(length)
	for name, text := range header {
		var e safetensorsEntry
		d := json.NewDecoder(bytes.NewReader(text))
		d.DisallowUnknownFields()
		if err := d.Decode(&e); err != nil {
			return fmt.Errorf("%w: header: tensor %q: %w", ErrCorrupt, name, err)
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
		f.entries[name] = entry{info: info, read: func(dst []byte) error {
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

// decodeHeader decodes the header's object and refuses a name that stands twice, which JSON decoders let pass.
func decodeHeader(raw []byte) (map[string]json.RawMessage, error) {
	out := map[string]json.RawMessage{}
	d := json.NewDecoder(bytes.NewReader(raw))
	if t, err := d.Token(); err != nil || t != json.Delim('{') {
		return nil, fmt.Errorf("%w: the header is no JSON object", ErrCorrupt)
	}
	for d.More() {
		t, err := d.Token()
		name, ok := t.(string)
		if err != nil || !ok {
			return nil, fmt.Errorf("%w: header: not JSON at byte %d", ErrCorrupt, d.InputOffset())
		}
		var value json.RawMessage
		if err := d.Decode(&value); err != nil {
			return nil, fmt.Errorf("%w: header: %q: %w", ErrCorrupt, name, err)
		}
		if _, twice := out[name]; twice {
			return nil, fmt.Errorf("%w: header: %q is there twice", ErrCorrupt, name)
		}
		out[name] = value
	}
	if t, err := d.Token(); err != nil || t != json.Delim('}') {
		return nil, fmt.Errorf("%w: the header's JSON does not end", ErrCorrupt)
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fmt.Errorf("%w: the header has text behind its JSON", ErrCorrupt)
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
	if len(meta) > 0 {
		if err := item("__metadata__", meta); err != nil {
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
		case t.Name == "__metadata__" || (i > 0 && t.Name == sorted[i-1].Name):
			return fmt.Errorf("tensor name %q can't be used (twice)", t.Name)
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
	return writeAtomic(path, func(w io.Writer) error { return EncodeSafetensors(w, meta, tensors) })
}

// writeAtomic writes a file under another name, brings it to disk and renames it.
func writeAtomic(path string, write func(io.Writer) error) (err error) {
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
	if err := f.Sync(); err != nil {
		return err
	}
	if err := f.Close(); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
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
