// Package segment finds masks with SAM: answers to prompts about a picture that was encoded once, and everything mode,
// which asks for itself, point by point.
package segment

import (
	"context"
	"fmt"
	"math"
	"sync"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/model"
)

// EverythingOptions are the settings of SAM's automatic mask generator (Kirillov et al., ICCV 2023; segment_anything 1.0).
// OfficialEverything returns the official values.
type EverythingOptions struct {
	PointsPerSide  int // points of the grid in a row and in a column
	PointsPerBatch int // points that are answered together: bounds the memory

	MinIoU          float64 // masks stay whose predicted IoU is larger; 0: all
	MinStability    float64 // and whose stability is at least this; 0: all
	StabilityOffset float64 // stability is the IoU of the masks at this threshold of the logits and at its negative
	BoxOverlap      float64 // of two masks of a crop whose boxes' IoU is larger the one with the lower predicted IoU goes

	CropLayers       int     // layer n repeats all on 2^n x 2^n overlapping crops; 0: the whole picture alone
	CropOverlap      float64 // share of the shorter side that neighbours of layer 1 overlap by; halved with each layer
	CropBoxOverlap   float64 // BoxOverlap between crops, where the mask of the larger crop goes
	CropPointsFactor int     // points in a row are divided by this with each layer

	MinRegion int // holes and islands of fewer pixels are removed; 0: none
}

// OfficialEverything are the official settings.
func OfficialEverything() EverythingOptions {
	return EverythingOptions{
		PointsPerSide: 32, PointsPerBatch: 64,
		MinIoU: 0.88, MinStability: 0.95, StabilityOffset: 1, BoxOverlap: 0.7,
		CropOverlap: 512.0 / 1500, CropBoxOverlap: 0.7, CropPointsFactor: 1,
	}
}

// maxPoints bounds the points of a grid in a row: one for each pixel of a network's input is the densest that says anything.
const maxPoints = 1024

// Check says what is wrong with the settings of a search.
func (o EverythingOptions) Check() error {
	switch {
	case o.PointsPerSide < 1 || o.PointsPerSide > maxPoints || o.PointsPerBatch < 1:
		return fmt.Errorf("%d points in a row, %d in a batch, want 1 to %d in a row and 1 or more in a batch", o.PointsPerSide, o.PointsPerBatch, maxPoints)
	case !isShare(o.MinIoU) || !isShare(o.MinStability) || !isShare(o.BoxOverlap) || !isShare(o.CropBoxOverlap):
		return fmt.Errorf("predicted IoU %g, stability %g, overlaps of boxes %g and %g: want 0 to 1", o.MinIoU, o.MinStability, o.BoxOverlap, o.CropBoxOverlap)
	case !(o.StabilityOffset >= 0):
		return fmt.Errorf("stability offset %g, want 0 or more", o.StabilityOffset)
	case o.CropLayers < 0 || o.CropLayers > 6:
		return fmt.Errorf("%d layers of crops, want 0 to 6", o.CropLayers)
	case !(o.CropOverlap >= 0 && o.CropOverlap < 1):
		return fmt.Errorf("crops overlap by %g, want 0 to less than 1", o.CropOverlap)
	case o.CropPointsFactor < 1:
		return fmt.Errorf("points are divided by %d from layer to layer, want 1 or more", o.CropPointsFactor)
	case o.MinRegion < 0:
		return fmt.Errorf("smallest region of %d pixels, want 0 or more", o.MinRegion)
	}
	return nil
}

func isShare(v float64) bool { return v >= 0 && v <= 1 }

// points is the grid's side in a layer of crops.
func (o EverythingOptions) points(layer int) int {
	return int(float64(o.PointsPerSide) / math.Pow(float64(o.CropPointsFactor), float64(layer)))
}

// Mask is one of the masks found, with the fields of the official generator's records.
type Mask struct {
	RLE          RLE          `json:"segmentation"`
	Area         int          `json:"area"` // pixels
	BBox         [4]int       `json:"bbox"` // x, y, width, height; as the official ones a column and a row less than the mask has
	PredictedIoU float32      `json:"predicted_iou"`
	Points       [][2]float64 `json:"point_coords"` // that it is the answer to, in the picture's pixels
	Stability    float32      `json:"stability_score"`
	CropBox      [4]int       `json:"crop_box"` // x, y, width, height
	box          Box
}

func (m *Mask) setRLE(r RLE) {
	m.RLE, m.Area, m.box = r, r.Area(), r.Box()
	m.BBox = [4]int{m.box.X0, m.box.Y0, m.box.X1 - m.box.X0, m.box.Y1 - m.box.Y0}
}

// Everything finds masks all over a picture, as SAM's automatic mask generator does: each point of a grid is asked for the
// masks that it could mean, those stay that SAM itself is sure of and that are stable, and of overlapping ones the best.
// The masks come in the official order: by falling predicted IoU, within crops. There may be none.
// progress (nil: none) is told after each batch how many of all points are answered. A context that ends stops it between batches.
func Everything(ctx context.Context, m *model.Model, img *data.Image, opt EverythingOptions, progress func(done, total int)) ([]Mask, error) {
	if err := opt.Check(); err != nil {
		return nil, fmt.Errorf("segment everything: %w", err)
	}
	parts := crops(img.Width, img.Height, opt.CropLayers, opt.CropOverlap)
	total, done := 0, 0
	for _, c := range parts {
		side := opt.points(c.layer)
		if side < 1 {
			return nil, fmt.Errorf("segment everything: %d points in a row leave none for layer %d of the crops", opt.PointsPerSide, c.layer)
		}
		total += side * side
	}
	var all []Mask
	for _, c := range parts {
		found, err := segmentCrop(ctx, m, img, c, opt, func(n int) {
			if done += n; progress != nil {
				progress(done, total)
			}
		})
		if err != nil {
			return nil, fmt.Errorf("segment everything: %w", err)
		}
		all = append(all, found...)
	}
	if len(parts) > 1 {
		all = suppressMasks(all, opt.CropBoxOverlap, func(i int) float32 {
			return 1 / float32(all[i].CropBox[2]*all[i].CropBox[3])
		})
	}
	if opt.MinRegion > 0 {
		all = clean(all, opt.MinRegion, max(opt.BoxOverlap, opt.CropBoxOverlap))
	}
	return all, nil
}

// segmentCrop is Everything for one crop, without what comes after the crops.
func segmentCrop(ctx context.Context, m *model.Model, img *data.Image, c layerCrop, opt EverythingOptions, answered func(n int)) ([]Mask, error) {
	a := asker{m: m, crop: c, geometry: m.Spec.Geometry(c.Rect), width: img.Width, height: img.Height, opt: opt}
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	err := m.Device().Run(func(s *tensor.Scope) error {
		features, err := m.Encode(s, img, []model.Geometry{a.geometry}, []string{model.Embedding})
		if err != nil {
			return err
		}
		a.embedding = s.Keep(features[model.Embedding])
		return nil
	})
	if err != nil {
		return nil, err
	}
	defer func() {
		// Freeing does not fail, and the closure has no error of its own.
		_ = m.Device().Run(func(*tensor.Scope) error { a.embedding.Drop(); return nil })
	}()
	var masks []Mask
	points := c.grid(opt.points(c.layer))
	for len(points) > 0 {
		if err := ctx.Err(); err != nil {
			return nil, err
		}
		n := min(opt.PointsPerBatch, len(points))
		found, err := a.ask(points[:n])
		if err != nil {
			return nil, err
		}
		masks, points = append(masks, found...), points[n:]
		answered(n)
	}
	return suppressMasks(masks, opt.BoxOverlap, func(i int) float32 { return masks[i].PredictedIoU }), nil
}

// asker answers points of one crop.
type asker struct {
	m             *model.Model
	crop          layerCrop
	geometry      model.Geometry
	width, height int            // of the picture
	embedding     *tensor.Tensor // [1, dim, grid, grid]
	opt           EverythingOptions
}

func (a *asker) ask(points [][2]float64) ([]Mask, error) {
	var out []Mask
	err := a.m.Device().Run(func(s *tensor.Scope) error {
		prompts := make([]model.Prompt, len(points))
		for i, p := range points {
			x, y := a.geometry.ToInput(p[0], p[1])
			prompts[i] = model.Prompt{Points: [][2]float32{{x, y}}, Labels: []int{1}}
		}
		encoded, err := a.m.EncodePrompts(s, prompts)
		if err != nil {
			return err
		}
		above := float32(a.opt.MinIoU)
		if above == 0 {
			above = float32(math.Inf(-1))
		}
		found, err := a.m.PredictAbove(s, a.embedding, encoded, above)
		if err != nil {
			return err
		}
		group := a.group()
		for first := 0; first < len(found.IoU); first += group {
			n := min(group, len(found.IoU)-first)
			logits := s.Float32s(a.columns(s, s.Narrow(found.Logits, 0, int64(first), int64(n))))
			for i, m := range a.stable(logits, n) {
				if m == nil {
					continue
				}
				m.PredictedIoU = found.IoU[first+i]
				m.Points = [][2]float64{points[found.Prompt[first+i]]}
				out = append(out, *m)
			}
		}
		return nil
	})
	return out, err
}

// restoreBytes bounds what masks take while they are brought to the crop's size.
const restoreBytes = 32 << 20

// group is how many masks are brought to the crop's size at once.
func (a *asker) group() int {
	side := a.geometry.Side
	return max(1, restoreBytes/4/max(side*side, a.crop.Width*a.crop.Height))
}

// columns brings logits [K, 4*grid, 4*grid] to the crop's pixels as the official postprocess_masks does, but column by column,
// as run lengths want them: [K, crop width, crop height]. They are turned while they are small. Geometry.Restore, whose matrix
// products have gradients, is slower.
func (a *asker) columns(s *tensor.Scope, logits *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		g := a.geometry
		x := s.Contiguous(s.Unsqueeze(s.Transpose(logits, 1, 2), 0))
		if side := int64(g.Side); x.Shape()[2] != side {
			x = s.UpsampleBilinear(x, side, side)
		}
		x = s.Narrow(s.Narrow(x, 2, 0, int64(g.Width)), 3, 0, int64(g.Height))
		return s.UpsampleBilinear(x, int64(g.Region.Width), int64(g.Region.Height))
	})
}

// stable returns those of n masks that are stable and not cut off by the crop's edge; nil stands for the others.
func (a *asker) stable(logits []float32, n int) []*Mask {
	out := make([]*Mask, n)
	size := len(logits) / n
	next := make(chan int, n)
	for i := range n {
		next <- i
	}
	close(next)
	var workers sync.WaitGroup
	for range a.m.Device().Threads() {
		workers.Go(func() {
			for i := range next {
				out[i] = a.mask(logits[i*size : (i+1)*size])
			}
		})
	}
	workers.Wait()
	return out
}

// mask is the mask of logits [crop width, crop height], or nil.
func (a *asker) mask(logits []float32) *Mask {
	stability := stability(logits, float32(a.opt.StabilityOffset))
	if a.opt.MinStability > 0 && !(stability >= float32(a.opt.MinStability)) {
		return nil
	}
	c := a.crop
	m := Mask{Stability: stability, CropBox: [4]int{c.X, c.Y, c.Width, c.Height}}
	m.setRLE(c.encode(logits, a.width, a.height))
	if c.cuts(m.box, a.width, a.height) {
		return nil
	}
	return &m
}

// stability is the IoU of the masks at the thresholds offset and -offset; 0 where both are empty.
func stability(logits []float32, offset float32) float32 {
	inner, outer := 0, 0
	for _, v := range logits {
		if v > -offset {
			outer++
			if v > offset {
				inner++
			}
		}
	}
	if outer == 0 {
		return 0
	}
	return float32(inner) / float32(outer)
}

// encode gives the run lengths, within the picture, of a crop's logits, which are its columns one after the other.
func (c layerCrop) encode(logits []float32, width, height int) RLE {
	var r runs
	r.add(false, c.X*height)
	for x := range c.Width {
		r.add(false, c.Y)
		column := logits[x*c.Height : (x+1)*c.Height]
		from := 0
		for y := 1; y <= len(column); y++ {
			if y == len(column) || (column[y] > 0) != (column[from] > 0) {
				r.add(column[from] > 0, y-from)
				from = y
			}
		}
		r.add(false, height-c.Y-c.Height)
	}
	r.add(false, (width-c.X-c.Width)*height)
	return r.finish(height, width)
}
