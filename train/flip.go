package train

import (
	"slices"

	"samtune/internal/tensor"
	"samtune/model"
)

// flip returns the dimensions of [B, C, H, W] along which the i-th view to be seen is mirrored: none of one that does
// not fill the network's input.
func (f *fit) flip(v View, i int) []int64 {
	if !f.job.Config.Flips || v.Geometry.Width != v.Geometry.Side || v.Geometry.Height != v.Geometry.Side {
		return nil
	}
	return flipAxes(f.job.Config.Seed, i)
}

// features returns what the decoder reads of a view, mirrored along axes. Late features are flipped. Where stages of the
// encoder follow, which never saw flipped features, they are those of the mirrored picture.
func (f *fit) features(s *tensor.Scope, v View, axes []int64) (map[string]*tensor.Tensor, error) {
	p := f.job.Predictor
	names := p.Decoder.Features()
	if slices.Contains(names, model.Merge0) {
		v.Geometry.Mirror = model.Mirror{X: slices.Contains(axes, 3), Y: slices.Contains(axes, 2)}
		return p.Cache.Load(s, p.Model, v, names)
	}
	features, err := p.Cache.Load(s, p.Model, v, names)
	if err != nil || len(axes) == 0 {
		return features, err
	}
	for name, t := range features {
		features[name] = s.Flip(t, axes...)
	}
	return features, nil
}
