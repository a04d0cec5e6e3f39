package train

import (
	"fmt"

	"samtune/internal/tensor"
)

// evaluate finds loss and gradient at the trial point of every problem, in one pass over the pictures.
func (c *convex) evaluate(problems []*problem) error {
	for _, p := range problems {
		p.trial.loss, p.trial.grad = 0, make([]float64, c.rows)
		for i, w := range p.trial.w[:c.rows-1] {
			p.trial.loss += p.ridge * w * w
			p.trial.grad[i] = 2 * p.ridge * w
		}
	}
	for image := range c.images {
		var here []*problem
		for _, p := range problems {
			if len(c.within(p, image)) > 0 {
				here = append(here, p)
			}
		}
		err := c.visit(image, len(here) > 0, func(s *tensor.Scope, x *tensor.Tensor) {
			for len(here) > 0 {
				n := 1
				for n < min(perPass, len(here)) && here[n].target == here[0].target && here[n].positive == here[0].positive {
					n++
				}
				c.gradients(s, x, image, here[:n])
				here = here[n:]
			}
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// visit calls f with a picture's matrix, thinned out to every stride-th pixel.
func (c *convex) visit(image int, wanted bool, f func(s *tensor.Scope, x *tensor.Tensor)) error {
	if err := c.ctx.Err(); err != nil {
		return err
	}
	if !wanted {
		return nil
	}
	err := c.dev.Run(func(s *tensor.Scope) error {
		x, err := c.matrix(s, image)
		if err != nil {
			return err
		}
		f(s, x)
		return nil
	})
	if err != nil {
		return fmt.Errorf("fit: %w", err)
	}
	if c.passed != nil {
		c.passed()
	}
	return nil
}

// matrix returns a picture's matrix at the stride, from memory where it is held.
func (c *convex) matrix(s *tensor.Scope, image int) (*tensor.Tensor, error) {
	at := hold{image, c.stride}
	if x := c.held[at]; x != nil {
		return x, nil
	}
	x, err := c.load(s, image)
	if err != nil {
		return nil, err
	}
	if c.stride > 1 {
		x = s.Contiguous(s.Stride(x, 1, 0, int64(c.stride)))
	}
	if c.held == nil {
		c.held, c.room = map[hold]*tensor.Tensor{}, max(heldBytes, roomOn(s))
	}
	if c.room.keep(s, x) {
		c.held[at] = x
	}
	return x, nil
}

// within lists a problem's groups in a picture.
func (c *convex) within(p *problem, image int) []int {
	var out []int
	for _, g := range p.groups {
		if c.groups[g].image == image {
			out = append(out, g)
		}
	}
	return out
}

// thin takes every stride-th value.
func (c *convex) thin(values []float32) []float32 {
	if c.stride == 1 {
		return values
	}
	out := make([]float32, 0, len(values)/c.stride+1)
	for i := 0; i < len(values); i += c.stride {
		out = append(out, values[i])
	}
	return out
}

// masses returns the weights of a picture's pixels in problems of one target and one positive weight,
// [problems, pixels], or [1, pixels] where all of them use all of the picture. They add up to each
// problem's mass over its pictures.
func (c *convex) masses(image int, problems []*problem) (m []float32, rows int) {
	labels := c.images[image].labels[problems[0].target]
	one := append([]float32(nil), c.images[image].weights...)
	for i, y := range labels {
		if y == 1 {
			one[i] *= float32(problems[0].positive)
		}
	}
	here := 0
	for _, g := range c.groups {
		if g.image == image {
			here++
		}
	}
	whole := true
	for _, p := range problems {
		whole = whole && len(c.within(p, image)) == here
	}
	if whole {
		return c.thin(one), 1
	}
	for _, p := range problems {
		row := make([]float32, len(one))
		for _, g := range c.within(p, image) {
			copy(row[c.groups[g].first:c.groups[g].last], one[c.groups[g].first:c.groups[g].last])
		}
		m = append(m, c.thin(row)...)
	}
	return m, len(problems)
}

// gradients adds one picture's part to loss and gradient of problems of one target.
func (c *convex) gradients(s *tensor.Scope, x *tensor.Tensor, image int, problems []*problem) {
	count, rows := int64(len(problems)), int64(c.rows)
	w := make([]float32, 0, count*rows)
	for _, p := range problems {
		for _, v := range p.trial.w {
			w = append(w, float32(v))
		}
	}
	m, maskRows := c.masses(image, problems)
	y := c.thin(c.images[image].labels[problems[0].target])
	n := int64(len(y))
	var losses, grads []float64
	s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		mass := s.FromFloat32(m, int64(maskRows), n)
		label := s.FromFloat32(y, 1, n)
		z := s.Matmul(s.FromFloat32(w, count, rows), x)
		p := s.Sigmoid(z)
		share := make([]float32, count)
		for i, pr := range problems {
			share[i] = float32(1 / pr.mass)
		}
		scale := s.FromFloat32(share, count, 1)
		loss := s.Mul(s.SumDims(s.Mul(s.BCEWithLogits(z, s.Expand(label, count, n)), mass), 1), s.Reshape(scale, -1))
		residual := s.Mul(s.Mul(s.Sub(p, label), mass), scale)
		if problems[0].dice > 0 {
			l, r := c.softDice(s, p, label, mass, problems)
			loss, residual = s.Add(loss, l), s.Add(residual, r)
		}
		losses = s.Float64s(loss)
		grads = s.Float64s(s.Matmul(residual, s.Transpose(x, 0, 1)))
		return nil
	})
	for i, p := range problems {
		p.trial.loss += losses[i]
		add(p.trial.grad, 1, grads[int64(i)*rows:int64(i+1)*rows])
	}
}

// softDice returns the part of dice (1 - soft Dice) of one picture in each problem's loss [problems], and its
// derivative by the logits [problems, pixels]. Soft Dice is that of the picture's pixels in the problem,
// averaged over its pictures, with one pixel's weight against an empty truth.
func (c *convex) softDice(s *tensor.Scope, p, label, mass *tensor.Tensor, problems []*problem) (loss, derivative *tensor.Tensor) {
	total := s.SumDims(mass, 1)
	unit := s.Div(mass, s.Reshape(total, -1, 1))
	smooth := 1 / float64(label.Shape()[1])
	inside := s.SumDims(s.Mul(s.Mul(p, label), unit), 1)
	both := s.AddScalar(s.SumDims(s.Mul(s.Add(p, label), unit), 1), smooth)
	dice := s.Div(s.AddScalar(s.MulScalar(inside, 2), smooth), both)
	factor := make([]float32, len(problems))
	for i, pr := range problems {
		images := map[int]bool{}
		for _, g := range pr.groups {
			images[c.groups[g].image] = true
		}
		factor[i] = float32(pr.dice / float64(len(images)))
	}
	f := s.FromFloat32(factor, int64(len(factor)))
	loss = s.Mul(s.AddScalar(s.MulScalar(dice, -1), 1), f)
	slope := s.Mul(s.Mul(p, s.AddScalar(s.MulScalar(p, -1), 1)), unit) // dp/dz, weighed
	by := s.Sub(s.Reshape(dice, -1, 1), s.MulScalar(label, 2))
	return loss, s.Mul(s.Mul(slope, by), s.Reshape(s.Div(f, both), -1, 1))
}

// hessians returns for each of the problem's groups the sum over its pixels of m p (1-p) x x^T at the problem's
// point, float64 [rows, rows], by group; those of other groups are nil. They are kept.
func (c *convex) hessians(p *problem) ([]*tensor.Tensor, error) {
	out := make([]*tensor.Tensor, len(c.groups))
	w := make([]float32, c.rows)
	for i, v := range p.w {
		w[i] = float32(v)
	}
	for image := range c.images {
		here := c.within(p, image)
		m, _ := c.masses(image, []*problem{p})
		err := c.visit(image, len(here) > 0, func(s *tensor.Scope, x *tensor.Tensor) {
			z := s.Matmul(s.FromFloat32(w, 1, int64(c.rows)), x)
			prob := s.Sigmoid(z)
			curve := s.Mul(s.Mul(prob, s.AddScalar(s.MulScalar(prob, -1), 1)), s.FromFloat32(m, 1, int64(len(m))))
			for _, g := range here {
				first, last := int64(roundUp(c.groups[g].first, c.stride)/c.stride), int64(roundUp(c.groups[g].last, c.stride)/c.stride)
				out[g] = s.Keep(c.square(s, s.Narrow(x, 1, first, last-first), s.Narrow(curve, 1, first, last-first)))
			}
		})
		if err != nil {
			c.freeAll(out)
			return nil, err
		}
	}
	return out, nil
}

// square returns x diag(m) x^T as float64: the upper blocks are multiplied, the lower ones copied.
func (c *convex) square(s *tensor.Scope, x, m *tensor.Tensor) *tensor.Tensor {
	const parts = 4
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		n := int64(c.rows)
		out := s.Zeros(tensor.Float64, n, n)
		for k := range int64(parts) {
			from, to := n*k/parts, n*(k+1)/parts
			if from == to {
				continue
			}
			s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
				weighed := s.Mul(s.Narrow(x, 0, from, to-from), m)
				block := s.ToDType(s.Matmul(weighed, s.Transpose(s.Narrow(x, 0, from, n-from), 0, 1)), tensor.Float64)
				s.CopyInto(s.Narrow(s.Narrow(out, 0, from, to-from), 1, from, n-from), block)
				s.CopyInto(s.Narrow(s.Narrow(out, 0, from, n-from), 1, from, to-from), s.Transpose(block, 0, 1))
				return nil
			})
		}
		return out
	})
}

// factor returns the Cholesky factor of a problem's Hessian, added up from those of its groups.
func (c *convex) factor(p *problem, hessians []*tensor.Tensor) (*tensor.Tensor, error) {
	var lower *tensor.Tensor
	err := c.dev.Run(func(s *tensor.Scope) error {
		n := int64(c.rows)
		sum := s.Zeros(tensor.Float64, n, n)
		for _, g := range p.groups {
			s.AddInto(sum, hessians[g])
		}
		s.ScaleInto(sum, 1/p.mass)
		penalty := make([]float64, c.rows)
		for i := range penalty {
			penalty[i] = 2*p.ridge + jitter
		}
		penalty[c.rows-1] = jitter
		s.AddInto(s.Diagonal(sum), s.FromFloat64(penalty, n))
		lower = s.Keep(s.Cholesky(sum))
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("fit: %w", err)
	}
	return lower, nil
}

// apply solves with a Cholesky factor.
func (c *convex) apply(lower *tensor.Tensor, b []float64) (x []float64, err error) {
	err = c.dev.Run(func(s *tensor.Scope) error {
		x = s.Float64s(s.CholeskySolve(s.FromFloat64(b, int64(len(b)), 1), lower))
		return nil
	})
	return x, err
}
