package tensor

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
)

// byOperations is MultiHead as its single operations, after Vaswani et al.
func byOperations(s *Scope, heads int64, q, k, v *Tensor, onQ, onK, onV, onOut Projection) *Tensor {
	project := func(x *Tensor, p Projection) *Tensor { return s.Add(s.Matmul(x, s.Transpose(p.Weight, 0, 1)), p.Bias) }
	split := func(x *Tensor) *Tensor {
		d := x.Shape()
		return s.Permute(s.Reshape(x, d[0], d[1], heads, -1), 0, 2, 1, 3)
	}
	qh, kh, vh := split(project(q, onQ)), split(project(k, onK)), split(project(v, onV))
	width := qh.Shape()[3]
	scores := s.MulScalar(s.Matmul(qh, s.Transpose(kh, 2, 3)), 1/math.Sqrt(float64(width)))
	d := q.Shape()
	return project(s.Reshape(s.Permute(s.Matmul(s.Softmax(scores, -1), vh), 0, 2, 1, 3), d[0], d[1], -1), onOut)
}

// TestMultiHead holds attention, in each of the forms that it takes by the numbers of tokens, against single operations: its result and
// the gradients of all that goes into it, in double precision, also with one image that is shared by a batch.
func TestMultiHead(t *testing.T) {
	const batch, heads, dim, inner = 3, 4, 24, 16
	for _, c := range []struct {
		name   string
		nq, nk int64
	}{
		{"tokens to an image", 2, 150}, {"an image to tokens", 150, 2}, {"an image to one token", 150, 1},
		{"few to few", 3, 3}, {"many to many", 40, 50},
	} {
		for _, shared := range []bool{false, true} {
			t.Run(fmt.Sprint(c.name, ", shared ", shared), func(t *testing.T) {
				random := rand.New(rand.NewPCG(uint64(c.nq), uint64(c.nk)))
				if err := open(t).Run(func(s *Scope) error {
					var leaves []*Tensor
					leaf := func(shape ...int64) *Tensor {
						n := int64(1)
						for _, d := range shape {
							n *= d
						}
						values := make([]float64, n)
						for i := range values {
							values[i] = random.NormFloat64()
						}
						leaves = append(leaves, s.Leaf(s.FromFloat64(values, shape...)))
						return leaves[len(leaves)-1]
					}
					tokens := func(n int64) *Tensor {
						if shared && n > 2 {
							return s.Expand(leaf(1, n, dim), batch, -1, -1)
						}
						return leaf(batch, n, dim)
					}
					type form func(heads int64, q, k, v *Tensor, onQ, onK, onV, onOut Projection) *Tensor
					var results [][]float64
					s.Grad(true, func() {
						q, k, v := tokens(c.nq), tokens(c.nk), tokens(c.nk)
						onQ, onK, onV := Projection{leaf(inner, dim), leaf(inner)}, Projection{leaf(inner, dim), leaf(inner)}, Projection{leaf(inner, dim), leaf(inner)}
						onOut := Projection{leaf(dim, inner), leaf(dim)}
						// The loss depends on each number of the result in its own way.
						weights := make([]float64, batch*c.nq*dim)
						for i := range weights {
							weights[i] = random.NormFloat64()
						}
						loss := func(y *Tensor) *Tensor { return s.Sum(s.Mul(y, s.FromFloat64(weights, batch, c.nq, dim))) }
						for i, attend := range []form{s.MultiHead, func(heads int64, q, k, v *Tensor, onQ, onK, onV, onOut Projection) *Tensor {
							return byOperations(s, heads, q, k, v, onQ, onK, onV, onOut)
						}} {
							y := attend(heads, q, k, v, onQ, onK, onV, onOut)
							numbers := [][]float64{s.Float64s(y)}
							for _, g := range s.Backward(loss(y), leaves...) {
								numbers = append(numbers, s.Float64s(g))
							}
							for j, got := range numbers {
								if i == 0 {
									results = append(results, got)
								} else if !slices.EqualFunc(results[j], got, func(a, b float64) bool { return math.Abs(a-b) < 1e-10*(1+math.Abs(b)) }) {
									t.Errorf("number %d of the result and gradients differs from single operations'", j)
								}
							}
						}
					})
					return nil
				}); err != nil {
					t.Fatal(err)
				}
			})
		}
	}
}
