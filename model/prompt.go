package model

import (
	"fmt"
	"math"

	"samtune/internal/tensor"
)

// Prompt tells the decoder what to segment, in pixels of the encoder's input: points with labels
// (1 foreground, 0 background), a box x0, y0, x1, y1, a mask of logits, or nothing.
type Prompt struct {
	Points [][2]float32
	Labels []int
	Box    *[4]float32
	Mask   *tensor.Tensor // [1, 1, 4*grid, 4*grid], float32
}

// EncodedPrompts are a batch of prompts as the mask decoder takes them.
type EncodedPrompts struct {
	Sparse *tensor.Tensor // [B, N, dim]; nil where no prompt has a point or a box
	Dense  *tensor.Tensor // [1 or B, grid*grid or 1, dim], added to the embedding's tokens
	Batch  int64
}

const promptPrefix = "prompt_encoder."

func (sp *Spec) promptParams(p *params) {
	dim, ch := sp.Decoder.Dim, sp.Decoder.MaskInChannels
	p.add(promptPrefix+"pe_layer.positional_encoding_gaussian_matrix", 2, int64(dim/2))
	for i := range 4 {
		p.add(fmt.Sprintf("%spoint_embeddings.%d.weight", promptPrefix, i), 1, int64(dim))
	}
	p.add(promptPrefix+"not_a_point_embed.weight", 1, int64(dim))
	p.add(promptPrefix+"no_mask_embed.weight", 1, int64(dim))
	down := promptPrefix + "mask_downscaling."
	p.add(down+"0.weight", int64(ch/4), 1, 2, 2)
	p.add(down+"0.bias", int64(ch/4))
	p.norm(down+"1", ch/4)
	p.add(down+"3.weight", int64(ch), int64(ch/4), 2, 2)
	p.add(down+"3.bias", int64(ch))
	p.norm(down+"4", ch)
	p.add(down+"6.weight", int64(dim), int64(ch), 1, 1)
	p.add(down+"6.bias", int64(dim))
}

// positions encodes coordinates in 0..1, [..., 2] as x, y, by random Fourier features: [..., dim].
func positions(s *tensor.Scope, w Weights, coords *tensor.Tensor) *tensor.Tensor {
	c := s.AddScalar(s.MulScalar(coords, 2), -1)
	c = s.Matmul(c, w.get(s, promptPrefix+"pe_layer.positional_encoding_gaussian_matrix"))
	c = s.MulScalar(c, 2*math.Pi)
	return s.Cat(-1, s.Sin(c), s.Cos(c))
}

// gridPositions encodes the centres of the embedding's cells: [1, grid*grid, dim].
func (sp *Spec) gridPositions(s *tensor.Scope, w Weights) *tensor.Tensor {
	n := sp.EmbeddingSize
	coords := make([]float32, 0, 2*n*n)
	for y := range n {
		for x := range n {
			coords = append(coords, (float32(x)+0.5)/float32(n), (float32(y)+0.5)/float32(n))
		}
	}
	return positions(s, w, s.FromFloat32(coords, 1, int64(n*n), 2))
}

// Rows of the table that a prompt token's learned part is taken from.
const (
	rowNotAPoint = iota
	rowBackground
	rowForeground
	rowTopLeft
	rowBottomRight
)

// encodePrompts follows the official PromptEncoder. All prompts must be of one form: the same number
// of points, all or none with a box, all or none with a mask.
func (sp *Spec) encodePrompts(s *tensor.Scope, w Weights, prompts []Prompt) (EncodedPrompts, error) {
	if len(prompts) == 0 {
		return EncodedPrompts{}, fmt.Errorf("encode prompts: none given")
	}
	first := prompts[0]
	var coords, keep []float32
	var rows []int64
	token := func(x, y float32, row int64) {
		size := float32(sp.ImageSize)
		coords = append(coords, (x+0.5)/size, (y+0.5)/size)
		rows = append(rows, row)
		if row == rowNotAPoint {
			keep = append(keep, 0) // its position counts for nothing
		} else {
			keep = append(keep, 1)
		}
	}
	for i, p := range prompts {
		if len(p.Points) != len(p.Labels) {
			return EncodedPrompts{}, fmt.Errorf("encode prompt %d: %d points and %d labels", i, len(p.Points), len(p.Labels))
		}
		if len(p.Points) != len(first.Points) || (p.Box == nil) != (first.Box == nil) || (p.Mask == nil) != (first.Mask == nil) {
			return EncodedPrompts{}, fmt.Errorf("encode prompt %d: it is not of the form of the first of its batch", i)
		}
		for j, pt := range p.Points {
			switch p.Labels[j] {
			case 0:
				token(pt[0], pt[1], rowBackground)
			case 1:
				token(pt[0], pt[1], rowForeground)
			default:
				return EncodedPrompts{}, fmt.Errorf("encode prompt %d: point %d has label %d, want 0 or 1", i, j, p.Labels[j])
			}
		}
		if len(p.Points) > 0 && p.Box == nil {
			token(0, 0, rowNotAPoint)
		}
		if p.Box != nil {
			token(p.Box[0], p.Box[1], rowTopLeft)
			token(p.Box[2], p.Box[3], rowBottomRight)
		}
	}
	batch := int64(len(prompts))
	out := EncodedPrompts{Batch: batch}
	if n := int64(len(rows)) / batch; n > 0 {
		table := s.Cat(0, w.get(s, promptPrefix+"not_a_point_embed.weight"),
			w.get(s, promptPrefix+"point_embeddings.0.weight"), w.get(s, promptPrefix+"point_embeddings.1.weight"),
			w.get(s, promptPrefix+"point_embeddings.2.weight"), w.get(s, promptPrefix+"point_embeddings.3.weight"))
		pe := positions(s, w, s.FromFloat32(coords, batch, n, 2))
		pe = s.Mul(pe, s.FromFloat32(keep, batch, n, 1))
		learned := s.Reshape(s.IndexSelect(table, 0, s.FromInt64(rows, batch*n)), batch, n, -1)
		out.Sparse = s.Add(pe, learned)
	}
	if first.Mask == nil {
		out.Dense = s.Reshape(w.get(s, promptPrefix+"no_mask_embed.weight"), 1, 1, -1)
		return out, nil
	}
	masks := make([]*tensor.Tensor, len(prompts))
	for i, p := range prompts {
		masks[i] = p.Mask
	}
	out.Dense = sp.encodeMasks(s, w, s.Cat(0, masks...))
	return out, nil
}

// encodeMasks brings mask logits [B, 1, 4*grid, 4*grid] to the embedding's grid: [B, grid*grid, dim].
func (sp *Spec) encodeMasks(s *tensor.Scope, w Weights, masks *tensor.Tensor) *tensor.Tensor {
	const down = promptPrefix + "mask_downscaling."
	x := s.Permute(masks, 0, 2, 3, 1)
	for _, layer := range []struct{ conv, norm string }{{"0", "1"}, {"3", "4"}} {
		kernel := patchLinear(s, w.get(s, down+layer.conv+".weight"))
		x = s.Linear(patches(s, x), kernel, w.get(s, down+layer.conv+".bias"))
		x = s.GELU(layerNorm(s, w, down+layer.norm, x, 1e-6))
	}
	kernel := w.get(s, down+"6.weight")
	x = s.Linear(x, s.Reshape(kernel, kernel.Shape()[0], -1), w.get(s, down+"6.bias"))
	d := x.Shape()
	return s.Reshape(x, d[0], d[1]*d[2], d[3])
}
