package train

import "samtune/internal/tensor"

// held is what a GPU holds of the features: moments, fits, training and tests come back to them, and then neither read nor copy.
type held struct {
	dev     *tensor.Device
	tensors map[string]*tensor.Tensor // by file, in the cache's element type
	room    int64                     // bytes that it may still take
}

// roomOn is how many bytes of a GPU's memory may be held from now on for a purpose: a quarter of what is free. On a CPU it is 0.
func roomOn(s *tensor.Scope) int64 {
	g, err := s.GPU()
	if err != nil {
		return 0
	}
	return g.Free / 4
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
	size := tensor.Numel(t.Shape()) * t.DType().Size()
	if c.held.tensors[path] != nil || size > c.held.room {
		return
	}
	c.held.room -= size
	c.held.tensors[path] = s.Keep(t)
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
