package train

import (
	"math"
	"testing"

	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

// TestABatchIsTheMeanOfItsViews takes loss and gradient of views of several sizes in one pass and one by one.
func TestABatchIsTheMeanOfItsViews(t *testing.T) {
	m := tiny(t, tensortest.CPU(t))
	j := tinyJob(t, m, t.TempDir(), t.TempDir())
	j.Config.Loss = LossConfig{BCE: 1, Positive: 2, Dice: 1, Focal: 0.5, Gamma: 2, Alpha: 0.3, Boundary: 0.1, Thinning: 1}
	f := &fit{dev: m.Device(), job: j, prompts: map[[2]int]model.EncodedPrompts{}}
	sizes := map[model.Rect]bool{}
	for _, s := range j.Train {
		for _, v := range j.Predictor.Tiling.Training(m, s) {
			f.views = append(f.views, v)
			sizes[model.Rect{Width: v.Geometry.Region.Width, Height: v.Geometry.Region.Height}] = true
		}
	}
	defer f.drop()
	if err := f.start(); err != nil {
		t.Fatal(err)
	}
	defer f.log.close()
	f.kept, f.room = map[keptView]example{}, 1<<16 // as on a GPU that has room for a few of the views
	places := []int{0, 1, 2, 3, 4, 5}
	t.Logf("%d views of %d sizes", len(f.views), len(sizes))
	if err := f.dev.Run(func(s *tensor.Scope) error {
		loss, grad, err := f.gradient(s, places)
		if err != nil {
			return err
		}
		var want float64
		sum := s.Zeros(tensor.Float32, int64(f.opt.Len()))
		for _, i := range places {
			l, g, err := f.gradient(s, []int{i})
			if err != nil {
				return err
			}
			want += l / float64(len(places))
			s.AddInto(sum, g)
		}
		s.ScaleInto(sum, 1/float64(len(places)))
		if n := len(f.kept); n == 0 || n >= len(places) {
			t.Errorf("%d views are held, want some of the %d", n, len(places))
		}
		if math.Abs(loss-want) > 1e-5*want {
			t.Errorf("loss %g in one pass, %g as a mean", loss, want)
		}
		if d := s.Item(s.Norm(s.Sub(grad, sum))) / s.Item(s.Norm(sum)); !(d < 1e-4) {
			t.Errorf("gradients differ by %g of their norm", d)
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
}
