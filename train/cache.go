package train

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"samtune/checkpoints"
	"samtune/data"
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
// damaged is computed again.
type EmbeddingCache struct {
	Dir   string
	DType tensor.DType // Float16 or Float32
	Batch int          // views that go through the encoder together; 0: 1 on the CPU, 8 on a GPU

	Encoded int // views that went through the encoder
	Found   int // views whose features were all on disk
	Damaged int // files that did not verify and were computed again
	images  map[string]bool
}

// EncodedImages is how many different pictures went through the encoder.
func (c *EmbeddingCache) EncodedImages() int { return len(c.images) }

const cacheVersion = 1

// path returns where a view's feature is kept.
func (c *EmbeddingCache) path(m *model.Model, v View, feature string) string {
	device := "cpu"
	if m.Device().CUDA() {
		device = "cuda"
	}
	key := strings.Join([]string{
		fmt.Sprintf("samtune features %d, encoder %d", cacheVersion, model.EncoderVersion),
		"image " + v.Image, "normalise " + m.Spec.Normalise, "geometry " + v.Geometry.String(),
		"model " + m.Spec.Name, "weights " + m.SHA256, "dtype " + c.DType.String(),
		"libtorch " + tensor.Version(), "device " + device, "feature " + feature,
	}, "\n")
	sum := sha256.Sum256([]byte(key))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(c.Dir, name[:2], name+".safetensors")
}

// Fill makes sure that the features of all views are on disk and calls done after each of them.
// It stops between two passes through the encoder when ctx ends.
func (c *EmbeddingCache) Fill(ctx context.Context, m *model.Model, views []View, features []string, done func()) error {
	batch := c.Batch
	if batch == 0 {
		batch = 1
		if m.Device().CUDA() {
			batch = 8
		}
	}
	var missing []View
	flush := func() error {
		if len(missing) == 0 {
			return nil
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		err := m.Device().Run(func(s *tensor.Scope) error { return c.encode(s, m, missing, features) })
		if err != nil {
			return err
		}
		for range missing {
			done()
		}
		missing = missing[:0]
		return nil
	}
	for _, v := range views {
		ok, err := c.has(m, v, features)
		if err != nil {
			return err
		}
		if ok {
			c.Found++
			done()
			continue
		}
		missing = append(missing, v)
		if len(missing) == batch {
			if err := flush(); err != nil {
				return err
			}
		}
	}
	return flush()
}

// has says whether all features of a view are on disk and undamaged.
func (c *EmbeddingCache) has(m *model.Model, v View, features []string) (bool, error) {
	for _, name := range features {
		_, _, err := c.read(c.path(m, v, name), name)
		if c.lost(err) {
			return false, nil
		}
		if err != nil {
			return false, err
		}
	}
	return true, nil
}

// lost says whether an error of read means that the features have to be computed again.
func (c *EmbeddingCache) lost(err error) bool {
	if errors.Is(err, checkpoints.ErrCorrupt) || errors.Is(err, checkpoints.ErrFormat) {
		c.Damaged++
		return true
	}
	return errors.Is(err, os.ErrNotExist)
}

func (c *EmbeddingCache) encode(s *tensor.Scope, m *model.Model, views []View, features []string) error {
	inputs := make([]*tensor.Tensor, len(views))
	for i, v := range views {
		inputs[i] = m.Spec.Input(s, v.Sample.Image, v.Geometry)
	}
	out, err := m.EncodeInput(s, s.Cat(0, inputs...), features)
	if err != nil {
		return err
	}
	for i, v := range views {
		for _, name := range features {
			one := s.ToDType(s.Narrow(out[name], 0, int64(i), 1), c.DType)
			if err := c.write(c.path(m, v, name), name, one.Shape(), s.Bytes(one)); err != nil {
				return err
			}
		}
		if c.images == nil {
			c.images = map[string]bool{}
		}
		c.images[v.Image] = true
		c.Encoded++
	}
	return nil
}

func (c *EmbeddingCache) element() checkpoints.DType {
	if c.DType == tensor.Float16 {
		return "F16"
	}
	return "F32"
}

func (c *EmbeddingCache) write(path, feature string, shape []int64, data []byte) error {
	sum := sha256.Sum256(data)
	meta := map[string]string{"sha256": hex.EncodeToString(sum[:])}
	err := os.MkdirAll(filepath.Dir(path), 0o755)
	if err == nil {
		info := checkpoints.Info{Name: feature, DType: c.element(), Shape: shape}
		err = checkpoints.WriteSafetensors(path, meta, []checkpoints.Tensor{{Info: info, Data: data}})
	}
	if errors.Is(err, syscall.ENOSPC) {
		return fmt.Errorf("cache features: %w: free some space there, or choose another folder with --cache: what is cached already is kept", err)
	}
	if err != nil {
		return fmt.Errorf("cache features: %w", err)
	}
	return nil
}

func (c *EmbeddingCache) read(path, feature string) (shape []int64, data []byte, err error) {
	f, err := checkpoints.Open(path)
	if err != nil {
		return nil, nil, err
	}
	defer f.Close()
	info, ok := f.Info(feature)
	if !ok || info.DType != c.element() {
		return nil, nil, fmt.Errorf("read %q: %w: it does not hold feature %s as %s", path, checkpoints.ErrCorrupt, feature, c.element())
	}
	data = make([]byte, tensor.Numel(info.Shape)*c.DType.Size())
	if err := f.ReadInto(feature, data); err != nil {
		return nil, nil, err
	}
	if sum := sha256.Sum256(data); hex.EncodeToString(sum[:]) != f.Metadata()["sha256"] {
		return nil, nil, fmt.Errorf("read %q: %w: the features differ from their hash", path, checkpoints.ErrCorrupt)
	}
	return info.Shape, data, nil
}

// Load returns the features of a view as float32, each [1, C, H, W]. What is missing or damaged is computed
// again.
func (c *EmbeddingCache) Load(s *tensor.Scope, m *model.Model, v View, features []string) (map[string]*tensor.Tensor, error) {
	out := make(map[string]*tensor.Tensor, len(features))
	for _, name := range features {
		path := c.path(m, v, name)
		shape, data, err := c.read(path, name)
		if c.lost(err) {
			if err := c.encode(s, m, []View{v}, features); err != nil {
				return nil, err
			}
			shape, data, err = c.read(path, name)
		}
		if err != nil {
			return nil, fmt.Errorf("load features of %s: %w", v.Sample.ID, err)
		}
		out[name] = s.Block(func(s *tensor.Scope) *tensor.Tensor {
			t := s.Load(c.DType, shape, func(dst []byte) error { copy(dst, data); return nil })
			return s.ToDType(t, tensor.Float32)
		})
	}
	return out, nil
}
