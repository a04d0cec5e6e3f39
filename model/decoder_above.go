package model

import (
	"fmt"

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
// up-scaled.
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
		image := imageTokens(s, embedding, prompt.Dense)
		var parts []*tensor.Tensor
		for first := int64(0); first < prompt.Batch; first += group {
			sparse := s.Narrow(prompt.Sparse, 0, first, min(group, prompt.Batch-first))
			parts = append(parts, s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
				return m.Spec.decodeAbove(s, m.w, image, m.gridPE, sparse, above, func(i int, iou float32) {
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

// decodeAbove runs a group of prompts for one image, both as tokens, tells found which prompts of the group have masks above the
// bound, and returns the logits of these, [K, 4*grid, 4*grid], or nothing.
func (sp *Spec) decodeAbove(s *tensor.Scope, w Weights, image, pe, sparse *tensor.Tensor, above float32, found func(i int, iou float32)) []*tensor.Tensor {
	batch := sparse.Shape()[0]
	masks := int64(sp.Decoder.Multimask)
	hs, src := sp.transform(s, w, s.Expand(image, batch, -1, -1), pe, sp.outputTokens(s, w, batch, sparse))
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
