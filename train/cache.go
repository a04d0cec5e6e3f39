package train

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/internal/featurecache"
	"samtune/internal/tensor"
	"samtune/model"
)

// View is one region of one picture that goes through the encoder.
type View struct {
	Sample   *data.Sample
	Image    string // the picture's content hash
	Geometry model.Geometry
}

// EmbeddingCache keeps the frozen encoder's features on disk, one file for each view and feature, under a
// key of all that decides its content: the picture's pixels, the geometry, the weights, the element
// type, and the versions of encoder and libtorch. A file is verified whenever it is read; one that is
// damaged is computed again. So is what the budget left no place for.
type EmbeddingCache struct {
	Dir    string
	DType  tensor.DType // Float16, BFloat16 or Float32
	Batch  int          // views that go through the encoder at a time; 0: 8 on a GPU, on the CPU one for each thread as far as memory goes
	Budget int64        // bytes that Dir may hold; 0: no bound
	// Smaller is told that views went through the encoder that many at a time from now on, since more of them ran out of memory.
	Smaller func(batch int)

	Benchmark string // that files are made for, which they tell beside their content; may be empty

	Encoded  int // views that went through the encoder
	Found    int // views whose features were all on disk
	Damaged  int // files that did not verify and were computed again
	Homeless int // views that Fill left out because the budget had no place for them
	images   map[string]bool
	warming  sync.WaitGroup
	disk     *usage
	held     *held      // nil until a GPU holds some
	mu       sync.Mutex // of all that is counted or held, while several views are read or encoded
}

// Warm has a GPU choose its kernels for the batches to come while the caller does other things; Close waits for the end of that.
// What goes wrong here goes wrong again in Fill.
func (c *EmbeddingCache) Warm(m *model.Model) {
	if !m.Device().CUDA() {
		return
	}
	c.warming.Go(func() {
		_ = m.Device().Run(func(s *tensor.Scope) error {
			side := int64(m.Spec.ImageSize)
			_, err := m.EncodeInput(s, s.Zeros(tensor.Float32, int64(c.stack()), 3, side, side), []string{model.Embedding})
			return err
		})
	})
}

// stack is how many views go through the encoder at a time on a GPU. Batches of fewer are filled up: for each size kernels would be chosen
// anew, and the last digits of a view's features depend on it.
func (c *EmbeddingCache) stack() int { return cmp.Or(c.Batch, 8) }

// EncodedImages is how many different pictures went through the encoder.
func (c *EmbeddingCache) EncodedImages() int { return len(c.images) }

const cacheVersion = 2

// Key names what decides the content of a file of the cache, for use in the keys of what is made from it.
func (c *EmbeddingCache) Key(m *model.Model, v View, feature string) string {
	device := "cpu"
	if m.Device().CUDA() {
		device = "cuda 2" // since batches are filled up
	}
	encoder := ""
	if m.Precision != tensor.Float32 {
		encoder = " in " + m.Precision.String()
	}
	return strings.Join([]string{
		fmt.Sprintf("samtune features %d, encoder %d", cacheVersion, model.EncoderVersion) + encoder,
		"image " + v.Image, "normalise " + m.Spec.Normalise, "geometry " + v.Geometry.String(),
		"model " + m.Spec.Name, "weights " + m.SHA256, "dtype " + c.DType.String(),
		"libtorch " + tensor.Version(), "device " + device, "feature " + feature,
	}, "\n")
}

// path returns where the content of a key is kept.
func (c *EmbeddingCache) path(key string) string {
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(c.Dir, name[:2], name+".safetensors")
}

// bytes returns what features of one view take on disk, headers left out.
func (c *EmbeddingCache) bytes(m *model.Model, features []string) int64 {
	var n int64
	for _, name := range features {
		if f, err := m.Spec.Feature(name); err == nil { // an unknown one is refused where it is encoded
			n += int64(f.Channels) * int64(f.Side) * int64(f.Side) * c.DType.Size()
		}
	}
	return n
}

// has says whether all features of a view are on disk and undamaged.
func (c *EmbeddingCache) has(m *model.Model, w Want) (bool, error) {
	for _, name := range w.Features {
		err := c.read(c.path(c.Key(m, w.View, name)), name, c.element(), func([]int64, []byte) error { return nil })
		if c.lost(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// lost says whether an error of read means that the content has to be computed again.
func (c *EmbeddingCache) lost(err error) bool {
	if errors.Is(err, checkpoints.ErrCorrupt) || errors.Is(err, checkpoints.ErrFormat) {
		c.mu.Lock()
		defer c.mu.Unlock()
		c.Damaged++
		return true
	}
	return errors.Is(err, os.ErrNotExist)
}

// encode sends views, all with the same features, through the encoder together and returns the features of
// each in the cache's element type. A batch of fewer than full is filled up.
func (c *EmbeddingCache) encode(s *tensor.Scope, m *model.Model, wants []Want, full int) ([]map[string]*tensor.Tensor, error) {
	inputs := make([]*tensor.Tensor, len(wants), max(len(wants), full))
	for i, w := range wants {
		inputs[i] = m.Spec.Input(s, w.Sample.Image, w.Geometry)
	}
	for len(inputs) < full {
		inputs = append(inputs, inputs[0])
	}
	features, err := m.EncodeInput(s, s.Cat(0, inputs...), wants[0].Features)
	if err != nil {
		return nil, err
	}
	out := make([]map[string]*tensor.Tensor, len(wants))
	for i, w := range wants {
		out[i] = map[string]*tensor.Tensor{}
		for _, name := range w.Features {
			out[i][name] = s.ToDType(s.Narrow(features[name], 0, int64(i), 1), c.DType)
		}
	}
	c.count(wants)
	return out, nil
}

// count counts views that went through the encoder.
func (c *EmbeddingCache) count(wants []Want) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.images == nil {
		c.images = map[string]bool{}
	}
	for _, w := range wants {
		c.images[w.Image] = true
	}
	c.Encoded += len(wants)
}

func (c *EmbeddingCache) element() checkpoints.DType {
	switch c.DType {
	case tensor.Float16:
		return "F16"
	case tensor.BFloat16:
		return "BF16"
	}
	return "F32"
}

// write keeps one tensor.
func (c *EmbeddingCache) write(path, name string, dtype checkpoints.DType, shape []int64, data []byte) error {
	c.begin()
	t := checkpoints.Tensor{Info: checkpoints.Info{Name: name, DType: dtype, Shape: shape}, Data: data}
	err := featurecache.Write(path, c.Benchmark, t)
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("cache features: %w: free some space there, lower cache.budget_gb, or choose another folder with --cache: what is cached already is kept", err)
	}
	if err != nil {
		return fmt.Errorf("cache features: %w", err)
	}
	c.touch(path)
	return nil
}

// keep writes what was made from features, where the budget has a place for it.
func (c *EmbeddingCache) keep(path, name string, dtype checkpoints.DType, shape []int64, data []byte) error {
	place, err := c.reserve(int64(len(data)))
	if err != nil || !place {
		return err
	}
	return c.write(path, name, dtype, shape, data)
}

// read verifies what write kept and gives use its shape and bytes, which are memory-mapped.
func (c *EmbeddingCache) read(path, name string, dtype checkpoints.DType, use func(shape []int64, data []byte) error) error {
	c.begin()
	err := featurecache.Read(path, name, dtype, use)
	if err == nil {
		c.touch(path)
	}
	return err
}

// Load returns the features of a view as float32, each [1, C, H, W]. What is missing or damaged is computed
// again, and kept where the budget has a place for it.
func (c *EmbeddingCache) Load(s *tensor.Scope, m *model.Model, v View, features []string) (map[string]*tensor.Tensor, error) {
	out := make(map[string]*tensor.Tensor, len(features))
	var missing []string
	for _, name := range features {
		if name == model.Pixels {
			out[name] = m.Spec.Input(s, v.Sample.Image, v.Geometry)
			continue
		}
		t, err := c.loadOne(s, c.path(c.Key(m, v, name)), name)
		if c.lost(err) {
			missing = append(missing, name)
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("load features of %s: %w", v.Sample.ID, err)
		}
		out[name] = t
	}
	if len(missing) == 0 {
		return out, nil
	}
	var err error
	encoded := s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		var made []map[string]*tensor.Tensor
		if made, err = c.encode(s, m, []Want{{View: v, Features: missing}}, 1); err != nil {
			return nil
		}
		tensors := make([]*tensor.Tensor, len(missing))
		for i, name := range missing {
			half := made[0][name]
			if err = c.keep(c.path(c.Key(m, v, name)), name, c.element(), half.Shape(), s.Bytes(half)); err != nil {
				return nil
			}
			tensors[i] = s.Contiguous(s.ToDType(half, tensor.Float32))
		}
		return tensors
	})
	if err != nil {
		return nil, fmt.Errorf("load features of %s: %w", v.Sample.ID, err)
	}
	for i, name := range missing {
		out[name] = encoded[i]
	}
	return out, nil
}

// loadOne returns a tensor of the cache as float32: the one that a GPU holds, or what is read.
func (c *EmbeddingCache) loadOne(s *tensor.Scope, path, name string) (*tensor.Tensor, error) {
	if t := c.holding(path); t != nil {
		return s.ToDType(t, tensor.Float32), nil
	}
	var out *tensor.Tensor
	err := c.read(path, name, c.element(), func(shape []int64, data []byte) error {
		out = s.Block(func(s *tensor.Scope) *tensor.Tensor {
			t := s.Load(c.DType, shape, func(dst []byte) error { copy(dst, data); return nil })
			out := s.ToDType(t, tensor.Float32)
			c.hold(s, path, t)
			return out
		})
		return nil
	})
	return out, err
}
