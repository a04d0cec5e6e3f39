package model

import (
	"fmt"

	"samtune/internal/tensor"
)

const decoderPrefix = "mask_decoder."

func (sp *Spec) decoderParams(p *params) {
	d := sp.Decoder
	attention := func(name string, inner int) {
		for _, proj := range []string{"q_proj", "k_proj", "v_proj"} {
			p.linear(name+"."+proj, d.Dim, inner)
		}
		p.linear(name+".out_proj", inner, d.Dim)
	}
	transformer := decoderPrefix + "transformer."
	for i := range d.Depth {
		layer := fmt.Sprintf("%slayers.%d.", transformer, i)
		attention(layer+"self_attn", d.Dim)
		attention(layer+"cross_attn_token_to_image", d.Dim/2)
		attention(layer+"cross_attn_image_to_token", d.Dim/2)
		p.linear(layer+"mlp.lin1", d.Dim, d.MLPDim)
		p.linear(layer+"mlp.lin2", d.MLPDim, d.Dim)
		for n := 1; n <= 4; n++ {
			p.norm(fmt.Sprintf("%snorm%d", layer, n), d.Dim)
		}
	}
	attention(transformer+"final_attn_token_to_image", d.Dim/2)
	p.norm(transformer+"norm_final_attn", d.Dim)
	masks := d.Multimask + 1
	p.add(decoderPrefix+"iou_token.weight", 1, int64(d.Dim))
	p.add(decoderPrefix+"mask_tokens.weight", int64(masks), int64(d.Dim))
	up := decoderPrefix + "output_upscaling."
	p.add(up+"0.weight", int64(d.Dim), int64(d.Dim/4), 2, 2)
	p.add(up+"0.bias", int64(d.Dim/4))
	p.norm(up+"1", d.Dim/4)
	p.add(up+"3.weight", int64(d.Dim/4), int64(d.Dim/8), 2, 2)
	p.add(up+"3.bias", int64(d.Dim/8))
	head := func(name string, depth, hidden, out int) {
		in := d.Dim
		for i := range depth {
			o := hidden
			if i == depth-1 {
				o = out
			}
			p.linear(fmt.Sprintf("%s.layers.%d", name, i), in, o)
			in = o
		}
	}
	for i := range masks {
		head(fmt.Sprintf("%soutput_hypernetworks_mlps.%d", decoderPrefix, i), 3, d.Dim, d.Dim/8)
	}
	head(decoderPrefix+"iou_prediction_head", d.IoUDepth, d.IoUHidden, masks)
}

// decoderInput is what stays the same from one call of the mask decoder to the next.
type decoderInput struct {
	pe     *tensor.Tensor // [1, grid*grid, dim]
	prompt EncodedPrompts
}

// decoded is the mask decoder's output.
type decoded struct {
	logits *tensor.Tensor // [B, masks, 4*grid, 4*grid]
	iou    *tensor.Tensor // [B, multimask+1]; nil unless asked for
}

// decodeMasks follows the official MaskDecoder: embedding [1 or B, dim, grid, grid] is the image's,
// which of the output masks are wanted goes from first to last (0 is the single mask, 1 to 3 the
// ambiguous ones). Masks that are not wanted are not computed.
func (sp *Spec) decodeMasks(s *tensor.Scope, w Weights, embedding *tensor.Tensor, in decoderInput, first, last int, iou bool) decoded {
	batch := in.prompt.Batch
	tokens := sp.outputTokens(s, w, batch, in.prompt.Sparse)
	image := imageTokens(s, embedding, in.prompt.Dense)
	if image.Shape()[0] != batch {
		image = s.Expand(image, batch, -1, -1)
	}
	out := s.BlockN(func(s *tensor.Scope) []*tensor.Tensor {
		hs, src := sp.transform(s, w, image, in.pe, tokens)
		return []*tensor.Tensor{hs, src}
	})
	hs, src := out[0], out[1]
	result := decoded{logits: sp.upscale(s, w, src, sp.hyper(s, w, hs, first, last))}
	if iou {
		result.iou = sp.estimateIoU(s, w, hs)
	}
	return result
}

// outputTokens are the decoder's own tokens, IoU and masks, before those of the prompts; sparse may be nil.
func (sp *Spec) outputTokens(s *tensor.Scope, w Weights, batch int64, sparse *tensor.Tensor) *tensor.Tensor {
	queries := s.Cat(0, w.get(s, decoderPrefix+"iou_token.weight"), w.get(s, decoderPrefix+"mask_tokens.weight"))
	tokens := s.Expand(s.Unsqueeze(queries, 0), batch, -1, -1)
	if sparse != nil {
		tokens = s.Cat(1, tokens, sparse)
	}
	return tokens
}

// imageTokens writes an embedding [B, dim, grid, grid] as [B, grid*grid, dim] with the prompts' dense part, which broadcasts, added.
// What it returns is contiguous: the whole transformer goes over it cell by cell.
func imageTokens(s *tensor.Scope, embedding, dense *tensor.Tensor) *tensor.Tensor {
	d := embedding.Shape()
	return s.Contiguous(s.Add(s.Transpose(s.Reshape(embedding, d[0], d[1], -1), 1, 2), dense))
}

// hyper are the factors [B, M, dim/8] of the masks from first to last.
func (sp *Spec) hyper(s *tensor.Scope, w Weights, hs *tensor.Tensor, first, last int) *tensor.Tensor {
	out := make([]*tensor.Tensor, 0, last-first+1)
	for i := first; i <= last; i++ {
		name := fmt.Sprintf("%soutput_hypernetworks_mlps.%d", decoderPrefix, i)
		out = append(out, perceptron(s, w, name, 3, s.Select(hs, 1, int64(1+i))))
	}
	return s.Stack(1, out...)
}

// estimateIoU is the decoder's estimate for all its masks, [B, multimask+1].
func (sp *Spec) estimateIoU(s *tensor.Scope, w Weights, hs *tensor.Tensor) *tensor.Tensor {
	return perceptron(s, w, decoderPrefix+"iou_prediction_head", sp.Decoder.IoUDepth, s.Select(hs, 1, 0))
}

// upscale is output_upscaling and the product with the hypernetworks' outputs [B, M, dim/8]. Both
// transposed convolutions have kernel = stride, so they are linear layers on each pixel, norm and
// activation stay within a pixel, and the pixels are put in their places once, at the end, as logits:
// no large map is ever moved.
func (sp *Spec) upscale(s *tensor.Scope, w Weights, src, hyper *tensor.Tensor) *tensor.Tensor {
	const up = decoderPrefix + "output_upscaling."
	grid, ch := int64(sp.EmbeddingSize), int64(sp.Decoder.Dim)
	batch, masks := hyper.Shape()[0], hyper.Shape()[1]
	spread := func(x *tensor.Tensor, layer string) *tensor.Tensor {
		bias := w.get(s, up+layer+".bias")
		four := s.Reshape(s.Expand(s.Unsqueeze(bias, 0), 4, -1), -1)
		return s.Linear(x, spreadLinear(s, w.get(s, up+layer+".weight")), four)
	}
	x := s.Reshape(spread(src, "0"), batch, grid*grid*4, ch/4)
	x = gelu(s, layerNorm(s, w, up+"1", x, 1e-6))
	x = gelu(s, s.Reshape(spread(x, "3"), batch, grid*grid*16, ch/8))
	// In this order of factors the gradient that GELU gets is contiguous: libtorch 2.1's kernel is wrong on others.
	x = s.Matmul(x, s.Transpose(hyper, 1, 2)) // [B, grid*grid*16, M], the pixels as y, x, dy1, dx1, dy2, dx2
	x = s.Reshape(x, batch, grid, grid, 2, 2, 2, 2, masks)
	x = s.Permute(x, 0, 7, 1, 3, 5, 2, 4, 6)
	return s.Reshape(x, batch, masks, 4*grid, 4*grid)
}

// transform is the two-way transformer: image is [B, grid*grid, dim], pe broadcasts to it, tokens are [B, N, dim]. It returns both
// attended to each other.
func (sp *Spec) transform(s *tensor.Scope, w Weights, image, pe, tokens *tensor.Tensor) (hs, src *tensor.Tensor) {
	const prefix = decoderPrefix + "transformer."
	attend := func(s *tensor.Scope, name string, q, k, v *tensor.Tensor) *tensor.Tensor {
		return attention(s, w, name, int64(sp.Decoder.Heads), q, k, v)
	}
	norm := func(name string, x *tensor.Tensor) *tensor.Tensor { return layerNorm(s, w, name, x, 1e-5) }
	queries, keys := tokens, image
	keysPE := s.Add(keys, pe)
	for i := range sp.Decoder.Depth {
		layer := fmt.Sprintf("%slayers.%d.", prefix, i)
		if i == 0 { // the first layer attends without positions and without a shortcut
			queries = attend(s, layer+"self_attn", queries, queries, queries)
		} else {
			q := s.Add(queries, tokens)
			queries = s.Add(queries, attend(s, layer+"self_attn", q, q, queries))
		}
		queries = norm(layer+"norm1", queries)
		q := s.Add(queries, tokens)
		queries = norm(layer+"norm2", s.Add(queries, attend(s, layer+"cross_attn_token_to_image", q, keysPE, keys)))
		hidden := s.ReLU(linear(s, w, layer+"mlp.lin1", queries))
		queries = norm(layer+"norm3", s.Add(queries, linear(s, w, layer+"mlp.lin2", hidden)))
		q = s.Add(queries, tokens)
		keys = s.Block(func(s *tensor.Scope) *tensor.Tensor {
			sum := s.Add(keys, attend(s, layer+"cross_attn_image_to_token", keysPE, q, queries))
			return layerNorm(s, w, layer+"norm4", sum, 1e-5)
		})
		keysPE = s.Add(keys, pe)
	}
	q := s.Add(queries, tokens)
	queries = s.Add(queries, attend(s, prefix+"final_attn_token_to_image", q, keysPE, keys))
	return norm(prefix+"norm_final_attn", queries), keys
}

// attention is SAM's multi-head attention with its down-projection: q [B, Nq, dim], k and v [B, Nk, dim].
func attention(s *tensor.Scope, w Weights, name string, heads int64, q, k, v *tensor.Tensor) *tensor.Tensor {
	of := func(layer string) tensor.Projection {
		return tensor.Projection{Weight: w.get(s, name+"."+layer+".weight"), Bias: w.get(s, name+"."+layer+".bias")}
	}
	return s.MultiHead(heads, q, k, v, of("q_proj"), of("k_proj"), of("v_proj"), of("out_proj"))
}
