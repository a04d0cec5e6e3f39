package train

import (
	"cmp"
	"math"
	"slices"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/model"
)

// gridBatch is how many points of a grid are asked at once, and gridBest how many of all masks are looked at in the picture's own
// pixels: which of them is best can hardly be told otherwise.
const (
	gridBatch = 16
	gridBest  = 5
)

// found is a mask of a grid's point.
type foundMask struct {
	dice   float64 // by the cells of the logits
	logits []float32
}

// grid segments a picture as an oracle would that has seen all masks which the points of a grid give, three each, without any filter:
// it takes the one of highest Dice.
func (p *Predictor) grid(s *tensor.Scope, sample *data.Sample, g *eval.Grid) (*Segmentation, error) {
	v := Whole(p.Model, sample)
	features, err := p.Cache.Load(s, p.Model, v, []string{model.Embedding})
	if err != nil {
		return nil, err
	}
	width, height := sample.Image.Width, sample.Image.Height
	cells := 4 * p.Model.Spec.EmbeddingSize
	cover := newCover(g, v.Geometry, width, cells)
	var prompts []model.Prompt
	for i := range g.Points * g.Points { // as the official generator places them
		x := (float64(i%g.Points) + 0.5) / float64(g.Points) * float64(width)
		y := (float64(i/g.Points) + 0.5) / float64(g.Points) * float64(height)
		px, py := v.Geometry.ToInput(x, y)
		prompts = append(prompts, model.Prompt{Points: [][2]float32{{px, py}}, Labels: []int{1}})
	}
	var best []foundMask
	for some := range slices.Chunk(prompts, gridBatch) {
		var failed error
		s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
			encoded, err := p.Model.EncodePrompts(s, some)
			if err != nil {
				failed = err
				return nil
			}
			answers, err := p.Model.PredictAbove(s, features[model.Embedding], encoded, float32(math.Inf(-1)))
			if err != nil {
				failed = err
				return nil
			}
			size := cells * cells
			logits := s.Float32s(answers.Logits)
			for k := range len(answers.IoU) {
				own := logits[k*size : (k+1)*size]
				best = append(best, foundMask{cover.dice(own), own})
			}
			return nil
		})
		if failed != nil {
			return nil, failed
		}
		slices.SortStableFunc(best, func(a, b foundMask) int { return cmp.Compare(b.dice, a.dice) })
		best = best[:min(gridBest, len(best))]
		for i := range best {
			best[i].logits = slices.Clone(best[i].logits) // the others' memory can go
		}
	}
	var out *Segmentation
	top := math.Inf(-1)
	for _, f := range best {
		var whole []float32
		s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
			whole = s.Float32s(v.Geometry.Restore(s, s.FromFloat32(f.logits, 1, 1, int64(cells), int64(cells))))
			return nil
		})
		seg := threshold(sigmoid(whole), width, height, 0.5)
		dice, err := eval.Dice(seg.Mask, g.Truth, g.Valid)
		if err != nil {
			return nil, err
		}
		if float64(dice) > top || out == nil {
			top, out = float64(dice), seg
		}
	}
	return out, nil
}

// cover counts the picture's pixels under each cell of a decoder's logits: those that count, and those of the truth among them.
type cover struct {
	valid, truth []float64
	all          float64 // of the truth
}

func newCover(g *eval.Grid, geometry model.Geometry, width, cells int) *cover {
	c := &cover{valid: make([]float64, cells*cells), truth: make([]float64, cells*cells)}
	across := float64(geometry.Width) / float64(geometry.Region.Width) * float64(cells) / float64(geometry.Side)
	down := float64(geometry.Height) / float64(geometry.Region.Height) * float64(cells) / float64(geometry.Side)
	for i, inside := range g.Truth.Pix {
		if g.Valid != nil && g.Valid.Pix[i] == 0 {
			continue
		}
		cell := min(cells-1, int((float64(i/width)+0.5)*down))*cells + min(cells-1, int((float64(i%width)+0.5)*across))
		c.valid[cell]++
		c.truth[cell] += float64(inside)
		c.all += float64(inside)
	}
	return c
}

func (c *cover) dice(logits []float32) float64 {
	hit, predicted := 0.0, 0.0
	for i, v := range logits {
		if v > 0 {
			hit += c.truth[i]
			predicted += c.valid[i]
		}
	}
	return 2 * hit / max(predicted+c.all, 1)
}
