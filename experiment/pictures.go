package experiment

import (
	"fmt"
	"slices"

	"samtune/data"
)

// pictureBytes bounds the pictures that stay in memory beside those that are trained on.
const pictureBytes = 64 << 20

// pictures are the cases of a benchmark, read when they are asked for. Those that a run trains on stay in memory, and of the others
// those that were looked at last, as far as budget goes: a test set may be larger than the memory.
type pictures struct {
	read   data.Loader
	budget int64

	stay   map[string]*data.Sample
	recent []*data.Sample // looked at last comes last
	bytes  int64          // of recent
	hashes map[string]string
}

func newPictures() *pictures {
	return &pictures{budget: pictureBytes, stay: map[string]*data.Sample{}, hashes: map[string]string{}}
}

// get returns a case; nil where the benchmark has none of that name.
func (p *pictures) get(id string) (*data.Sample, error) {
	if s := p.stay[id]; s != nil {
		return s, nil
	}
	if i := slices.IndexFunc(p.recent, func(s *data.Sample) bool { return s.ID == id }); i >= 0 {
		s := p.recent[i]
		p.recent = append(slices.Delete(p.recent, i, i+1), s)
		return s, nil
	}
	s, err := p.read(id)
	if err != nil || s == nil {
		return nil, err
	}
	hash := s.Image.Hash()
	if before, known := p.hashes[id]; known && before != hash {
		return nil, fmt.Errorf("case %s: its picture was changed while the run went on: let it be as it was, or run again with what it is now", id)
	}
	p.hashes[id] = hash
	p.recent = append(p.recent, s)
	p.bytes += sizeOf(s)
	for p.bytes > p.budget && len(p.recent) > 1 {
		p.bytes -= sizeOf(p.recent[0])
		p.recent = slices.Delete(p.recent, 0, 1)
	}
	return s, nil
}

// keep lets cases stay in memory.
func (p *pictures) keep(entries []data.Entry) error {
	for _, e := range entries {
		s, err := p.get(e.ID)
		if err != nil {
			return err
		}
		if s == nil {
			return fmt.Errorf("case %s: the benchmark has none of that name", e.ID)
		}
		p.stay[e.ID] = s
		if i := slices.Index(p.recent, s); i >= 0 {
			p.bytes -= sizeOf(s)
			p.recent = slices.Delete(p.recent, i, i+1)
		}
	}
	return nil
}

// sizeOf is the number of bytes of a case's pixels.
func sizeOf(s *data.Sample) int64 {
	n := len(s.Image.Pix) + len(s.Valid.Pix)
	for _, m := range s.Masks {
		n += len(m.Pix)
	}
	return int64(n)
}
