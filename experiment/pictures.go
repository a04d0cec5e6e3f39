package experiment

import (
	"fmt"
	"sync"

	"samtune/data"
)

// pictureBytes bounds the pictures that stay in memory beside those that are trained on.
const pictureBytes = 128 << 20

// pictures are the cases of a benchmark, read when they are asked for. Those that a run trains on stay in memory, and so do the first
// others, as far as budget goes, and the one that was read last: a test set may be larger than the memory. It is gone through from
// the first case to the last many times, so that what was read long ago is needed next.
type pictures struct {
	read   data.Loader
	budget int64

	mu     sync.Mutex
	stay   map[string]*data.Sample
	last   *data.Sample
	hashes map[string]string
}

func newPictures() *pictures {
	return &pictures{budget: pictureBytes, stay: map[string]*data.Sample{}, hashes: map[string]string{}}
}

// get returns a case; nil where the benchmark has none of that name. It may be called from several goroutines.
func (p *pictures) get(id string) (*data.Sample, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if s := p.stay[id]; s != nil {
		return s, nil
	}
	if p.last != nil && p.last.ID == id {
		return p.last, nil
	}
	s, err := p.read(id)
	if err != nil || s == nil {
		return nil, err
	}
	hash := s.Image.Hash()
	if before, known := p.hashes[id]; known && before != hash {
		return nil, fmt.Errorf("case %s: its picture was changed while the run went on: let it be as it was, or run again with what it is now", id)
	}
	p.hashes[id], p.last = hash, s
	if size := sizeOf(s); size <= p.budget {
		p.budget -= size
		p.stay[id] = s
	}
	return s, nil
}

// keep lets cases stay in memory, whatever the budget.
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
