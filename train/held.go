package train

import "samtune/internal/tensor"

// held is what a GPU holds of the features: moments, fits, training and tests come back to them, and then neither read nor copy.
type held struct {
	dev     *tensor.Device
	tensors map[string]*tensor.Tensor // by file, in the cache's element type
	room    room
}

// room is how many bytes of tensors may still be held for a purpose.
type room int64

// roomOn is the room on a GPU for one purpose, a quarter of what is free. On a CPU it is 0.
func roomOn(s *tensor.Scope) room {
	g, err := s.GPU()
	if err != nil {
		return 0
	}
	return room(g.Free / 4)
}

// keep takes tensors out of their scope, where there is room for all of them, and says whether.
func (r *room) keep(s *tensor.Scope, tensors ...*tensor.Tensor) bool {
	var size room
	for _, t := range tensors {
		size += room(tensor.Numel(t.Shape()) * t.DType().Size())
	}
	if size > *r {
		return false
	}
	*r -= size
	for _, t := range tensors {
		s.Keep(t)
	}
	return true
}

// hold has a GPU hold the content of a file, as long as there is room. t is the scope's, and contiguous as one that is read.
func (c *EmbeddingCache) hold(s *tensor.Scope, path string, t *tensor.Tensor) {
	if !s.Device().CUDA() || c.DType == tensor.Float32 { // which would be handed out itself, where others are converted
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		c.held = &held{dev: s.Device(), tensors: map[string]*tensor.Tensor{}, room: roomOn(s)}
	}
	if c.held.tensors[path] == nil && c.held.room.keep(s, t) {
		c.held.tensors[path] = t
	}
}

// holding returns what a GPU holds of a file, nil where that is nothing.
func (c *EmbeddingCache) holding(path string) *tensor.Tensor {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.held == nil {
		return nil
	}
	return c.held.tensors[path]
}

// letGo frees what a GPU holds.
func (c *EmbeddingCache) letGo() {
	if c.held == nil {
		return
	}
	// Freeing does not fail, and the closure has no error of its own.
	_ = c.held.dev.Run(func(*tensor.Scope) error {
		for _, t := range c.held.tensors {
			t.Drop()
		}
		return nil
	})
	c.held = nil
}
