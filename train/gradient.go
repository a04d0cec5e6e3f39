package train

import (
	"slices"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
)

// example is a view as a step sees it.
type example struct {
	geometry        model.Geometry
	in              model.Inputs
	target, valid   *tensor.Tensor // [1, 1, height, width] of the region, as all that follow
	distance, prior *tensor.Tensor // nil where the loss or the decoder does not ask for it
}

// gradient returns loss and gradient of some of the views, each by its place in the order in which they are seen, in one pass.
func (f *fit) gradient(s *tensor.Scope, places []int) (loss float64, grad *tensor.Tensor, err error) {
	grad = s.Block(func(s *tensor.Scope) *tensor.Tensor {
		examples := make([]example, len(places))
		for k, i := range places {
			if examples[k], err = f.example(s, i); err != nil {
				return nil
			}
		}
		in := stacked(s, examples)
		var g *tensor.Tensor
		s.Grad(true, func() {
			l := f.loss(s, f.job.Predictor.Decoder.Logits(s, f.opt.Leaves(), in), examples)
			g = f.opt.Gradient(s, l)
			loss = s.Item(l)
		})
		return g
	})
	return loss, grad, err
}

// example makes the i-th view to be seen ready for the decoder and the loss.
func (f *fit) example(s *tensor.Scope, i int) (example, error) {
	view := pick(f.job.Config.Seed, len(f.views), i)
	return f.look(s, view, f.flip(f.views[view], i))
}

// flip returns the dimensions of [B, C, H, W] along which the i-th view to be seen is mirrored: none of one that does
// not fill the network's input.
func (f *fit) flip(v View, i int) []int64 {
	if !f.job.Config.Flips || v.Geometry.Width != v.Geometry.Side || v.Geometry.Height != v.Geometry.Side {
		return nil
	}
	return flipAxes(f.job.Config.Seed, i)
}

// keptView names a view of the training, mirrored where its features have to be those of the mirrored picture.
type keptView struct {
	view   int
	mirror model.Mirror
}

// look makes a view ready, mirrored along axes. Late features are flipped. Where stages of the encoder follow, which never saw flipped
// features, they are those of the mirrored picture.
func (f *fit) look(s *tensor.Scope, view int, axes []int64) (example, error) {
	key := keptView{view: view}
	early := slices.Contains(f.job.Predictor.Decoder.Features(), model.Merge0)
	if early {
		key.mirror = model.Mirror{X: slices.Contains(axes, 3), Y: slices.Contains(axes, 2)}
	}
	e, ok := f.kept[key]
	if !ok {
		var err error
		if e, err = f.read(s, f.views[view], key.mirror); err != nil {
			return e, err
		}
		f.keep(s, key, e)
	}
	if len(axes) == 0 {
		return e, nil
	}
	flipped := func(t *tensor.Tensor) *tensor.Tensor {
		if t == nil {
			return nil
		}
		return s.Flip(t, axes...)
	}
	e.target, e.valid, e.distance, e.prior, e.in.Prior = flipped(e.target), flipped(e.valid), flipped(e.distance), flipped(e.prior), flipped(e.in.Prior)
	if !early {
		features := map[string]*tensor.Tensor{}
		for name, t := range e.in.Features {
			features[name] = flipped(t)
		}
		e.in.Features = features
	}
	return e, nil
}

// read makes a view ready as it is, its features those of the mirrored picture where mirror says so.
func (f *fit) read(s *tensor.Scope, v View, mirror model.Mirror) (e example, err error) {
	p, g := f.job.Predictor, v.Geometry
	e.geometry = g
	if e.in.Prompt, err = f.prompt(s, g); err != nil {
		return e, err
	}
	if e.prior, e.in.Prior, err = p.prior(s, v); err != nil {
		return e, err
	}
	shape := []int64{1, 1, int64(g.Region.Height), int64(g.Region.Width)}
	e.target = s.ToDType(s.FromUint8(region(v.Sample.Masks[f.job.Target], g.Region), shape...), tensor.Float32)
	e.valid = s.ToDType(s.FromUint8(region(v.Sample.Valid, g.Region), shape...), tensor.Float32)
	e.distance = f.distance(s, v.Sample, g.Region)
	v.Geometry.Mirror = mirror
	e.in.Features, err = p.Cache.Load(s, p.Model, v, p.Decoder.Features())
	return e, err
}

// tensors are those of an example alone.
func (e example) tensors() []*tensor.Tensor {
	var out []*tensor.Tensor
	for _, t := range e.in.Features {
		out = append(out, t)
	}
	for _, t := range []*tensor.Tensor{e.target, e.valid, e.distance, e.prior, e.in.Prior} {
		if t != nil {
			out = append(out, t)
		}
	}
	return out
}

// keep has a GPU hold a view that was read, as long as there is room: a training comes back to each of its few views again and again.
func (f *fit) keep(s *tensor.Scope, key keptView, e example) {
	if f.room.keep(s, e.tensors()...) {
		f.kept[key] = e
	}
}

// joined is Cat over the first dimension of what each of the examples has, nil where they have none.
func joined(s *tensor.Scope, examples []example, of func(*example) *tensor.Tensor) *tensor.Tensor {
	first := of(&examples[0])
	if first == nil || len(examples) == 1 {
		return first
	}
	parts := make([]*tensor.Tensor, len(examples))
	for i := range examples {
		parts[i] = of(&examples[i])
	}
	return s.Cat(0, parts...)
}

// stacked are the inputs of all examples as one batch.
func stacked(s *tensor.Scope, examples []example) model.Inputs {
	in := model.Inputs{Features: map[string]*tensor.Tensor{}, Prior: joined(s, examples, func(e *example) *tensor.Tensor { return e.in.Prior })}
	for name := range examples[0].in.Features {
		in.Features[name] = joined(s, examples, func(e *example) *tensor.Tensor { return e.in.Features[name] })
	}
	in.Prompt = model.EncodedPrompts{Batch: int64(len(examples)), Dense: examples[0].in.Prompt.Dense, // that of a box alone is the same for all
		Sparse: joined(s, examples, func(e *example) *tensor.Tensor { return e.in.Prompt.Sparse })}
	return in
}

// loss is the mean loss of the examples by their low-resolution logits [B, 1, 4*grid, 4*grid]; neighbours of one size go through it together.
func (f *fit) loss(s *tensor.Scope, low *tensor.Tensor, examples []example) *tensor.Tensor {
	size := func(e example) model.Geometry {
		g := e.geometry
		g.Region.X, g.Region.Y = 0, 0
		return g
	}
	var sum *tensor.Tensor
	for from, end := 0, 0; from < len(examples); from = end {
		for end = from + 1; end < len(examples) && size(examples[end]) == size(examples[from]); end++ {
		}
		part := examples[from:end]
		logits := low
		if len(part) < len(examples) {
			logits = s.Narrow(low, 0, int64(from), int64(len(part)))
		}
		logits = part[0].geometry.Restore(s, logits)
		of := func(get func(*example) *tensor.Tensor) *tensor.Tensor { return joined(s, part, get) }
		if prior := of(func(e *example) *tensor.Tensor { return e.prior }); prior != nil {
			logits = s.Add(logits, prior)
		}
		l := f.job.Config.Loss.Loss(s, logits, of(func(e *example) *tensor.Tensor { return e.target }), of(func(e *example) *tensor.Tensor { return e.valid }),
			of(func(e *example) *tensor.Tensor { return e.distance }))
		if len(part) < len(examples) {
			l = s.MulScalar(l, float64(len(part))/float64(len(examples)))
		}
		if sum == nil {
			sum = l
		} else {
			sum = s.Add(sum, l)
		}
	}
	return sum
}

// distance returns the signed distance to the target's boundary in a region, [1, 1, height, width], and nil for a
// loss that doesn't ask for it.
func (f *fit) distance(s *tensor.Scope, sample *data.Sample, r model.Rect) *tensor.Tensor {
	if f.job.Config.Loss.Boundary == 0 {
		return nil
	}
	if f.distances[sample] == nil {
		if f.distances == nil {
			f.distances = map[*data.Sample][]float32{}
		}
		f.distances[sample] = eval.SignedDistance(sample.Masks[f.job.Target])
	}
	return s.FromFloat32(crop(f.distances[sample], sample.Image.Width, r), 1, 1, int64(r.Height), int64(r.Width))
}

// prompt returns the box around a view as the decoder takes it. It depends on the view's size within
// the input alone and is kept for the whole training.
func (f *fit) prompt(s *tensor.Scope, g model.Geometry) (model.EncodedPrompts, error) {
	size := [2]int{g.Width, g.Height}
	if kept, ok := f.prompts[size]; ok {
		return kept, nil
	}
	var failed error
	out := s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		p, err := f.job.Predictor.Model.EncodePrompts(s, []model.Prompt{g.FullBox()})
		if err != nil {
			failed = err
			return nil
		}
		return []*tensor.Tensor{p.Sparse, p.Dense}
	})
	if failed != nil {
		return model.EncodedPrompts{}, failed
	}
	kept := model.EncodedPrompts{Sparse: s.Keep(out[0]), Dense: s.Keep(out[1]), Batch: 1}
	f.prompts[size] = kept
	return kept, nil
}
