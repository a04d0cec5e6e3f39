package train

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"math"
	"strings"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/model"
)

// moments are mean and standard deviation of each of a head's features over one picture's valid region:
// what the features are standardised with, so that neither brightness nor camera nor stain reaches the head.
type moments struct {
	mean, deviation []float32
}

// least is added to a standard deviation: a feature that is the same everywhere tells nothing.
const least = 1e-6

// standard returns the moments of a picture's features. They are kept beside the features.
func (h *HeadFeatures) standard(s *tensor.Scope, sample *data.Sample) (*moments, error) {
	path := h.Cache.path(h.key(sample, "moments 1", nil))
	_, n, err := h.Pyramid.Blocks(h.Model.Spec)
	if err != nil {
		return nil, err
	}
	var out *moments
	err = h.Cache.read(path, "moments", "F32", func(shape []int64, data []byte) error {
		if tensor.Numel(shape) != int64(2*n) {
			return fmt.Errorf("read %q: %d moments, want %d", path, tensor.Numel(shape), 2*n)
		}
		values := make([]float32, 2*n)
		for i := range values {
			values[i] = math.Float32frombits(binary.LittleEndian.Uint32(data[4*i:]))
		}
		out = &moments{values[:n], values[n:]}
		return nil
	})
	if err == nil || !h.Cache.lost(err) {
		return out, err
	}
	if out, err = h.moments(s, sample, n); err != nil {
		return nil, err
	}
	bytes := make([]byte, 0, 8*n)
	for _, v := range append(append([]float32(nil), out.mean...), out.deviation...) {
		bytes = binary.LittleEndian.AppendUint32(bytes, math.Float32bits(v))
	}
	return out, h.Cache.keep(path, "moments", "F32", []int64{2, int64(n)}, bytes)
}

// running adds up what moments are made of.
type running struct {
	sum, squares, total []float64
}

func newMoments(n int) *running {
	return &running{make([]float64, n), make([]float64, n), make([]float64, n)}
}

func (r *running) add(k int, value, weight float64) {
	r.sum[k] += weight * value
	r.squares[k] += weight * value * value
	r.total[k] += weight
}

func (r *running) result() *moments {
	n := len(r.sum)
	out := &moments{make([]float32, n), make([]float32, n)}
	for i := range n {
		if r.total[i] > 0 {
			mean := r.sum[i] / r.total[i]
			out.mean[i] = float32(mean)
			out.deviation[i] = float32(math.Sqrt(max(0, r.squares[i]/r.total[i]-mean*mean)))
		}
	}
	return out
}

// moments computes them from the features of every view, each cell weighed with the valid pixels that are
// interpolated from it.
func (h *HeadFeatures) moments(s *tensor.Scope, sample *data.Sample, n int) (*moments, error) {
	var sums [3]*tensor.Tensor // of features, of their squares and of the weights, each [n]
	for i := range sums {
		sums[i] = s.Zeros(tensor.Float64, int64(n))
	}
	err := h.visit(s, sample, func(s *tensor.Scope, v headView) {
		r := v.Geometry.Region
		inside := region(sample.Valid, r)
		weights := make([]float32, len(inside))
		for i, in := range inside {
			weights[i] = float32(in) * v.weights[i]
		}
		pixels := s.FromFloat32(weights, 1, 1, int64(r.Height), int64(r.Width))
		cells := map[int]*tensor.Tensor{}
		for _, b := range v.blocks {
			side := b.Feature.Side
			if cells[side] == nil {
				cells[side] = s.Reshape(v.Geometry.Gather(s, pixels, side), -1, 1)
			}
			f := s.Reshape(v.features[b.Feature.Name], int64(b.Feature.Channels), -1)
			for i, t := range []*tensor.Tensor{s.Matmul(f, cells[side]), s.Matmul(s.Mul(f, f), cells[side]), s.Sum(cells[side])} {
				part := s.Narrow(sums[i], 0, int64(b.Start), int64(b.Feature.Channels))
				s.AddInto(part, s.ToDType(s.Reshape(t, -1), tensor.Float64))
			}
		}
	})
	if err != nil {
		return nil, err
	}
	m := running{s.Float64s(sums[0]), s.Float64s(sums[1]), s.Float64s(sums[2])}
	return m.result(), nil
}

// Key names what decides values that are made from a picture's features.
func (h *HeadFeatures) key(sample *data.Sample, what string, more []string) string {
	parts := append([]string{what, "valid " + sample.Valid.Hash()}, more...)
	for _, w := range h.Pyramid.Wants(h.Model, sample) {
		for _, f := range w.Features {
			sum := sha256.Sum256([]byte(h.Cache.Key(h.Model, w.View, f)))
			parts = append(parts, hex.EncodeToString(sum[:]))
		}
	}
	return strings.Join(parts, "\n")
}

// HeadFeatures gives the features that a convex head reads.
type HeadFeatures struct {
	Model   *model.Model
	Cache   *EmbeddingCache
	Pyramid Pyramid
}

// headView is one view on its way through a head, with its share of the picture.
type headView struct {
	View
	blocks   []Block
	weights  []float32 // of the region's pixels: those of all views of a level add up to 1 at each pixel
	features map[string]*tensor.Tensor
}

// visit calls f with every view of a picture, its features loaded, in a scope of its own.
func (h *HeadFeatures) visit(s *tensor.Scope, sample *data.Sample, f func(s *tensor.Scope, v headView)) error {
	all, _, err := h.Pyramid.Blocks(h.Model.Spec)
	if err != nil {
		return err
	}
	for _, l := range h.Pyramid.levels(h.Model, sample) {
		var blocks []Block
		for _, b := range all {
			if b.Scale == l.scale {
				blocks = append(blocks, b)
			}
		}
		for i, weights := range l.weights() {
			views := l.tiles[i].views
			for k := range weights {
				weights[k] /= float32(len(views))
			}
			for _, v := range views {
				var failed error
				s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
					features, err := h.Cache.Load(s, h.Model, v, h.Pyramid.at(l.scale))
					if err != nil {
						failed = err
						return nil
					}
					f(s, headView{View: v, blocks: blocks, weights: weights, features: features})
					return nil
				})
				if failed != nil {
					return failed
				}
			}
		}
	}
	return nil
}
