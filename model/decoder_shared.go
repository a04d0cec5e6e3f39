package model

import (
	"fmt"
	"math"

	"samtune/internal/tensor"
)

// Candidates are the ambiguous masks of many prompts for one image that the mask decoder itself believes in.
type Candidates struct {
	Logits *tensor.Tensor // [K, 4*grid, 4*grid]; nil where there are none
	IoU    []float32      // the decoder's estimate for each of the K
	Prompt []int          // which prompt each is an answer to, in order; the masks of a prompt in the decoder's order
}

// promptGroup is the number of prompts that go through the mask decoder together on a CPU: what they need then
// stays in its caches.
const promptGroup = 2

// PredictAbove is Predict with multimask for prompts of one image, embedding [1, dim, grid, grid], without masks
// among them. It returns those masks alone whose estimated IoU is larger than above; the others are never
// up-scaled. What the image contributes to the first layer is computed once for all prompts.
func (m *Model) PredictAbove(s *tensor.Scope, embedding *tensor.Tensor, prompt EncodedPrompts, above float32) (Candidates, error) {
	if n, d := embedding.Shape()[0], prompt.Dense.Shape()[0]; n != 1 || d != 1 || prompt.Sparse == nil {
		return Candidates{}, fmt.Errorf("predict for one image: want one embedding, prompts with points or boxes and without masks, got %d embeddings and %d masks", n, d)
	}
	group := int64(promptGroup)
	if s.Device().CUDA() {
		group = prompt.Batch
	}
	var out Candidates
	logits := s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		cross := m.Spec.shareImage(s, m.w, embedding, prompt.Dense, m.gridPE)
		var parts []*tensor.Tensor
		for first := int64(0); first < prompt.Batch; first += group {
			sparse := s.Narrow(prompt.Sparse, 0, first, min(group, prompt.Batch-first))
			parts = append(parts, s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
				return m.Spec.decodeAbove(s, m.w, cross, sparse, above, func(i int, iou float32) {
					out.Prompt = append(out.Prompt, int(first)+i)
					out.IoU = append(out.IoU, iou)
				})
			})...)
		}
		if len(parts) == 0 {
			return nil
		}
		return []*tensor.Tensor{s.Cat(0, parts...)}
	})
	if len(logits) > 0 {
		out.Logits = logits[0]
	}
	return out, nil
}

// decodeAbove runs a group of prompts, tells found which prompts of the group have masks above the bound, and
// returns the logits of these, [K, 4*grid, 4*grid], or nothing.
func (sp *Spec) decodeAbove(s *tensor.Scope, w Weights, cross *sharedImage, sparse *tensor.Tensor, above float32, found func(i int, iou float32)) []*tensor.Tensor {
	batch := sparse.Shape()[0]
	masks := int64(sp.Decoder.Multimask)
	hs, src := sp.transform(s, w, cross.image, cross.pe, sp.outputTokens(s, w, batch, sparse), cross)
	estimate := s.Float32s(s.Narrow(sp.estimateIoU(s, w, hs), 1, 1, masks))
	var prompts, wanted []int64 // prompts with a mask that is wanted; its number among all masks of these
	for i := range batch {
		kept := int64(len(prompts))
		for j, v := range estimate[i*masks : (i+1)*masks] {
			if v > above {
				wanted = append(wanted, kept*masks+int64(j))
				found(int(i), v)
			}
		}
		if len(wanted) > 0 && wanted[len(wanted)-1] >= kept*masks {
			prompts = append(prompts, i)
		}
	}
	if len(wanted) == 0 {
		return nil
	}
	if n := int64(len(prompts)); n < batch {
		rows := s.FromInt64(prompts, n)
		hs, src = s.IndexSelect(hs, 0, rows), s.IndexSelect(src, 0, rows)
	}
	logits := sp.upscale(s, w, src, sp.hyper(s, w, hs, 1, int(masks)))
	d := logits.Shape()
	logits = s.Reshape(logits, d[0]*d[1], d[2], d[3])
	if int64(len(wanted)) < d[0]*d[1] {
		logits = s.IndexSelect(logits, 0, s.FromInt64(wanted, int64(len(wanted))))
	}
	return []*tensor.Tensor{logits}
}

// sharedImage attends between the tokens of many prompts and their one image. In the first layer the image's
// tokens are the same for all prompts, so their projections are computed once. After it each prompt has its own,
// and there the products are taken in another order: a score q . (W x) is (q W) . x, and with T tokens in each of
// a few heads it is cheaper to project the tokens than the grid's thousands of cells. Without gradients.
type sharedImage struct {
	w         Weights
	heads     int64
	image, pe *tensor.Tensor // [1, N, dim]
	blocks    *tensor.Tensor // [heads, 1, inner], 1 where a number belongs to the head
	keys      *tensor.Tensor // the first layer's keys and values of the image for its tokens, [inner, N] and [N, inner]
	values    *tensor.Tensor
	queries   *tensor.Tensor // and its queries, [inner, N]
}

func (sp *Spec) shareImage(s *tensor.Scope, w Weights, embedding, dense, pe *tensor.Tensor) *sharedImage {
	const first = decoderPrefix + "transformer.layers.0."
	heads, inner := int64(sp.Decoder.Heads), int64(sp.Decoder.Dim/2)
	block := make([]float32, heads*inner)
	for i := range inner {
		block[i*heads/inner*inner+i] = 1
	}
	image := s.Add(imageTokens(s, embedding), dense)
	placed := s.Add(image, pe)
	flat := func(x *tensor.Tensor) *tensor.Tensor { return s.Select(x, 0, 0) }
	turned := func(x *tensor.Tensor) *tensor.Tensor { return s.Contiguous(s.Transpose(flat(x), 0, 1)) }
	return &sharedImage{
		w: w, heads: heads, image: image, pe: pe, blocks: s.FromFloat32(block, heads, 1, inner),
		keys:    turned(linear(s, w, first+"cross_attn_token_to_image.k_proj", placed)),
		values:  flat(linear(s, w, first+"cross_attn_token_to_image.v_proj", image)),
		queries: turned(linear(s, w, first+"cross_attn_image_to_token.q_proj", placed)),
	}
}

// spread writes x [B, T, inner] as [B, heads*T, inner]: each head's rows hold its own numbers and zeros.
func (a *sharedImage) spread(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	d := x.Shape()
	return s.Reshape(s.Mul(s.Unsqueeze(x, 1), a.blocks), d[0], a.heads*d[1], d[2])
}

// gather is the adjoint of spread.
func (a *sharedImage) gather(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	d := x.Shape()
	return s.SumDims(s.Mul(s.Reshape(x, d[0], a.heads, d[1]/a.heads, d[2]), a.blocks), 1)
}

func (a *sharedImage) scale() float64 {
	d := a.blocks.Shape()
	return 1 / math.Sqrt(float64(d[2]/d[0]))
}

func (a *sharedImage) tokensToImage(s *tensor.Scope, name string, q, placed, image *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		q := a.spread(s, s.MulScalar(linear(s, a.w, name+".q_proj", q), a.scale()))
		d := q.Shape()
		var out *tensor.Tensor
		if image == a.image {
			scores := s.Matmul(s.Reshape(q, d[0]*d[1], d[2]), a.keys)
			out = s.Reshape(s.Matmul(s.Softmax(scores, -1), a.values), d...)
		} else {
			// The bias of the keys is the same for all cells: softmax does not see it.
			q = s.Matmul(q, a.w.get(s, name+".k_proj.weight"))
			scores := s.Matmul(q, s.Transpose(placed, 1, 2))
			out = linear(s, a.w, name+".v_proj", s.Matmul(s.Softmax(scores, -1), image))
		}
		return linear(s, a.w, name+".out_proj", a.gather(s, out))
	})
}

func (a *sharedImage) imageToTokens(s *tensor.Scope, name string, placed, k, v, image *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		attention := s.Block(func(s *tensor.Scope) *tensor.Tensor {
			k := a.spread(s, s.MulScalar(linear(s, a.w, name+".k_proj", k), a.scale()))
			d := k.Shape()
			var scores *tensor.Tensor // [B, heads*T, N]
			if image == a.image {
				scores = s.Matmul(s.Reshape(k, d[0]*d[1], d[2]), a.queries)
			} else {
				bias := s.Matmul(k, s.Unsqueeze(a.w.get(s, name+".q_proj.bias"), 1))
				scores = s.AddMatmul(bias, s.Matmul(k, a.w.get(s, name+".q_proj.weight")), s.Transpose(placed, 1, 2))
			}
			scores = s.Softmax(s.Reshape(scores, d[0], a.heads, d[1]/a.heads, -1), 2)
			return s.Reshape(scores, d[0], d[1], -1)
		})
		v := s.Linear(a.spread(s, linear(s, a.w, name+".v_proj", v)), a.w.get(s, name+".out_proj.weight"), nil)
		return s.AddMatmul(s.Add(image, a.w.get(s, name+".out_proj.bias")), s.Transpose(attention, 1, 2), v)
	})
}
