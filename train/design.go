package train

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"math"
	"runtime"
	"slices"
	"sync"

	"samtune/data"
	"samtune/internal/tensor"
)

// Pixels of a picture that a head is fitted on.
type pixelSample struct {
	index  []int     // of pixels, block by block and rising within a block
	label  []float32 // 0 or 1
	weight []float32 // how many pixels of the picture each stands for, over the mean of that
	blocks [][2]int  // first and end of each block's pixels: the four quarters of the valid region
}

// rareShare is the least share of sampled pixels that either class gets, as far as the picture has them.
const rareShare = 0.1

// samplePixels chooses n of a picture's valid pixels, or all where there are not more. The choice is a
// function of the pixels' places alone: it has no seed. Where a class is rarer than rareShare more of its
// pixels are taken, and the weights make up for it.
func samplePixels(sample *data.Sample, truth *data.Mask, n int) *pixelSample {
	var classes [2][]int
	for i, v := range sample.Valid.Pix {
		if v == 1 {
			classes[truth.Pix[i]] = append(classes[truth.Pix[i]], i)
		}
	}
	total := len(classes[0]) + len(classes[1])
	take := [2]int{len(classes[0]), len(classes[1])}
	if total > n {
		share := float64(len(classes[1])) / float64(total)
		inside := int(math.Round(float64(n) * min(max(share, rareShare), 1-rareShare)))
		take[1] = min(len(classes[1]), max(inside, n-len(classes[0])))
		take[0] = min(len(classes[0]), n-take[1])
	}
	p := &pixelSample{}
	weight := map[int]float32{}
	count := float64(take[0] + take[1])
	for class, pixels := range classes {
		if take[class] == 0 {
			continue
		}
		w := float32(float64(len(pixels)) / float64(take[class]) * count / float64(total))
		slices.SortFunc(pixels, func(a, b int) int { return cmp.Compare(scatter(a), scatter(b)) })
		for _, i := range pixels[:take[class]] {
			weight[i] = w
			p.index = append(p.index, i)
		}
	}
	p.order(sample)
	for _, i := range p.index {
		p.label = append(p.label, float32(truth.Pix[i]))
		p.weight = append(p.weight, weight[i])
	}
	return p
}

// order sorts the pixels by quarters of the valid region's extent.
func (p *pixelSample) order(sample *data.Sample) {
	w := sample.Valid.Width
	x0, y0, x1, y1 := w, sample.Valid.Height, 0, 0
	for _, i := range p.index {
		x0, y0, x1, y1 = min(x0, i%w), min(y0, i/w), max(x1, i%w), max(y1, i/w)
	}
	quarter := func(i int) int {
		q := 0
		if 2*(i%w) > x0+x1 {
			q++
		}
		if 2*(i/w) > y0+y1 {
			q += 2
		}
		return q
	}
	slices.SortFunc(p.index, func(a, b int) int {
		return cmp.Or(cmp.Compare(quarter(a), quarter(b)), cmp.Compare(a, b))
	})
	at := 0
	for q := range 4 {
		end := at
		for end < len(p.index) && quarter(p.index[end]) == q {
			end++
		}
		if end > at {
			p.blocks = append(p.blocks, [2]int{at, end})
		}
		at = end
	}
}

// scatter is a fixed permutation of the whole numbers without visible order (SplitMix64's finaliser).
func scatter(i int) uint64 {
	z := uint64(i) + 0x9e3779b97f4a7c15
	z = (z ^ z>>30) * 0xbf58476d1ce4e5b9
	z = (z ^ z>>27) * 0x94d049bb133111eb
	return z ^ z>>31
}

// designImage is one picture's part of a fit: its sampled pixels' features lie in the cache.
type designImage struct {
	sample *data.Sample
	pixels *pixelSample
	path   string
}

// design makes sure that a picture's standardised features at the sampled pixels are in the cache: float16,
// [features+1, pixels], the last row 1.
func (h *HeadFeatures) design(s *tensor.Scope, sample *data.Sample, truth *data.Mask, pixels int) (*designImage, error) {
	d := &designImage{sample: sample, pixels: samplePixels(sample, truth, pixels)}
	d.path = h.Cache.path(h.key(sample, "design 1", []string{fmt.Sprintf("pixels %d", pixels), "truth " + truth.Hash()}))
	if len(d.pixels.index) == 0 {
		return nil, fmt.Errorf("fit: %s has no valid pixel", sample.ID)
	}
	err := h.Cache.read(d.path, "design", "F16", func([]int64, []byte) error { return nil })
	if err == nil || !h.Cache.lost(err) {
		return d, err
	}
	_, err = h.gather(s, d)
	return d, err
}

// gather computes a design's matrix, keeps it and returns its bytes.
func (h *HeadFeatures) gather(s *tensor.Scope, d *designImage) ([]byte, error) {
	moments, err := h.standard(s, d.sample)
	if err != nil {
		return nil, err
	}
	n, rows := len(d.pixels.index), len(moments.mean)
	x := make([]float32, rows*n)
	width := d.sample.Image.Width
	err = h.visit(s, d.sample, func(s *tensor.Scope, v headView) {
		r := v.Geometry.Region
		for _, b := range v.blocks {
			side := b.Feature.Side
			down, across := v.Geometry.Taps(side)
			var points []spot
			for at, i := range d.pixels.index {
				px, py := i%width-r.X, i/width-r.Y
				if px < 0 || py < 0 || px >= r.Width || py >= r.Height {
					continue
				}
				a, l := down[py], across[px]
				w := v.weights[py*r.Width+px]
				points = append(points, spot{at, [4]int{a.Low*side + l.Low, a.Low*side + l.High, a.High*side + l.Low, a.High*side + l.High},
					[4]float32{w * (1 - a.Weight) * (1 - l.Weight), w * (1 - a.Weight) * l.Weight, w * a.Weight * (1 - l.Weight), w * a.Weight * l.Weight}})
			}
			planes := s.Float32s(v.features[b.Feature.Name])
			parallel(b.Feature.Channels, func(c int) {
				plane := planes[c*side*side : (c+1)*side*side]
				row := x[(b.Start+c)*n : (b.Start+c+1)*n]
				for _, p := range points {
					row[p.at] += p.weight[0]*plane[p.cell[0]] + p.weight[1]*plane[p.cell[1]] + p.weight[2]*plane[p.cell[2]] + p.weight[3]*plane[p.cell[3]]
				}
			})
		}
	})
	if err != nil {
		return nil, err
	}
	parallel(rows, func(k int) {
		mean, scale := moments.mean[k], 1/(moments.deviation[k]+least)
		row := x[k*n : (k+1)*n]
		for i := range row {
			row[i] = (row[i] - mean) * scale
		}
	})
	var half []byte
	s.Block(func(s *tensor.Scope) *tensor.Tensor {
		t := s.ToDType(s.FromFloat32(x, int64(rows), int64(n)), tensor.Float16)
		half = s.Bytes(t)
		return t
	})
	for range n {
		half = binary.LittleEndian.AppendUint16(half, 0x3c00) // 1
	}
	return half, h.Cache.keep(d.path, "design", "F16", []int64{int64(rows + 1), int64(n)}, half)
}

// spot is where a sampled pixel lies on a feature's grid.
type spot struct {
	at     int
	cell   [4]int
	weight [4]float32
}

// parallel calls f with 0 to n-1, on every core. What f writes must not depend on the order.
func parallel(n int, f func(i int)) {
	var wg sync.WaitGroup
	workers := min(n, runtime.NumCPU())
	for w := range workers {
		wg.Go(func() {
			for i := w; i < n; i += workers {
				f(i)
			}
		})
	}
	wg.Wait()
}

// load returns the design's matrix as float32, [features+1, pixels]. One that is not in the cache any more is
// gathered again.
func (h *HeadFeatures) load(s *tensor.Scope, d *designImage) (*tensor.Tensor, error) {
	var out *tensor.Tensor
	use := func(shape []int64, data []byte) error {
		out = s.Block(func(s *tensor.Scope) *tensor.Tensor {
			return s.ToDType(s.Load(tensor.Float16, shape, func(dst []byte) error { copy(dst, data); return nil }), tensor.Float32)
		})
		return nil
	}
	err := h.Cache.read(d.path, "design", "F16", use)
	if err == nil || !h.Cache.lost(err) {
		return out, err
	}
	half, err := h.gather(s, d)
	if err != nil {
		return nil, err
	}
	n := int64(len(d.pixels.index))
	return out, use([]int64{int64(len(half)) / 2 / n, n}, half)
}
