package train

import (
	"samtune/internal/tensor"
)

// Loss is binary cross-entropy plus soft Dice of logits against a target of 0 and 1, both [B, 1, H, W],
// over the pixels where valid is 1: the mean cross-entropy, and for each picture of the batch
// 1 - (2 sum(p t) + 1) / (sum p + sum t + 1), averaged. It returns a scalar.
func Loss(s *tensor.Scope, logits, target, valid *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		inside := s.Mul(target, valid)
		entropy := s.Div(s.Sum(s.Mul(s.BCEWithLogits(logits, target), valid)), s.Sum(valid))
		p := s.Mul(s.Sigmoid(logits), valid)
		overlap := s.SumDims(s.Mul(p, inside), 1, 2, 3)
		total := s.Add(s.SumDims(p, 1, 2, 3), s.SumDims(inside, 1, 2, 3))
		dice := s.Div(s.AddScalar(s.MulScalar(overlap, 2), 1), s.AddScalar(total, 1))
		return s.Add(entropy, s.AddScalar(s.MulScalar(s.Mean(dice), -1), 1))
	})
}
