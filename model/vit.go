package model

import (
	"fmt"
	"slices"
	"strings"

	"samtune/internal/tensor"
)

// vit is SAM's own image encoder: a vision transformer whose blocks attend within windows, a few of them to the whole
// grid, with relative positions that are learned for rows and columns apart.
type vit struct {
	spec *Spec
	w    Weights
}

const (
	relPosH = ".attn.rel_pos_h"
	relPosW = ".attn.rel_pos_w"
)

func vitBlock(i int) string { return fmt.Sprintf("%sblocks.%d", encoderPrefix, i) }

func (sp *Spec) vitParams(p *params) {
	v := sp.Encoder.ViT
	p.add(encoderPrefix+"pos_embed", 1, int64(sp.EmbeddingSize), int64(sp.EmbeddingSize), int64(v.Dim))
	p.add(encoderPrefix+"patch_embed.proj.weight", int64(v.Dim), 3, int64(v.Patch), int64(v.Patch))
	p.add(encoderPrefix+"patch_embed.proj.bias", int64(v.Dim))
	for i := range v.Depth {
		block, side := vitBlock(i), v.Window
		if slices.Contains(v.Global, i) {
			side = sp.EmbeddingSize
		}
		p.norm(block+".norm1", v.Dim)
		p.add(block+relPosH, int64(2*side-1), int64(v.Dim/v.Heads))
		p.add(block+relPosW, int64(2*side-1), int64(v.Dim/v.Heads))
		p.linear(block+".attn.qkv", v.Dim, 3*v.Dim)
		p.linear(block+".attn.proj", v.Dim, v.Dim)
		p.norm(block+".norm2", v.Dim)
		p.linear(block+".mlp.lin1", v.Dim, v.Dim*sp.Encoder.MLPRatio)
		p.linear(block+".mlp.lin2", v.Dim*sp.Encoder.MLPRatio, v.Dim)
	}
}

// newViT makes the encoder from its official parameters, which it takes over.
func newViT(s *tensor.Scope, sp *Spec, raw Weights) *vit {
	v := &vit{spec: sp, w: Weights{}}
	for _, name := range raw.Names() {
		t := raw[name]
		switch {
		case strings.HasSuffix(name, relPosH), strings.HasSuffix(name, relPosW):
			v.w[name] = s.Keep(s.Block(func(s *tensor.Scope) *tensor.Tensor { return spreadPositions(s, t) }))
			t.Drop()
		case strings.HasPrefix(name, neckPrefix):
			v.w[name] = s.Keep(s.Block(func(s *tensor.Scope) *tensor.Tensor { return asMatrix(s, t) }))
			t.Drop()
		default:
			v.w[name] = t
		}
	}
	return v
}

// spreadPositions turns the learned relative positions of a row of n cells, [2n-1, width], into the matrices
// [n, width, n] that a query of each place is multiplied with: its part of the scores of keys of each place.
func spreadPositions(s *tensor.Scope, table *tensor.Tensor) *tensor.Tensor {
	d := table.Shape()
	n := (d[0] + 1) / 2
	index := make([]int64, 0, n*n)
	for q := range n {
		for k := range n {
			index = append(index, q-k+n-1)
		}
	}
	spread := s.Reshape(s.IndexSelect(table, 0, s.FromInt64(index, n*n)), n, n, d[1])
	return s.Contiguous(s.Transpose(spread, 1, 2))
}

func (v *vit) drop() { v.w.Drop() }

func (v *vit) weights() Weights { return v.w }

func (v *vit) parameter(s *tensor.Scope, name string) *tensor.Tensor { return v.w.get(s, name) }

func (v *vit) with(w Weights) imageEncoder { return &vit{spec: v.spec, w: v.w.With(w)} }

func (v *vit) encode(s *tensor.Scope, x *tensor.Tensor, want map[string]bool) map[string]*tensor.Tensor {
	out := map[string]*tensor.Tensor{}
	seen := func(name string, x *tensor.Tensor) (enough bool) {
		if want[name] {
			out[name] = s.Permute(x, 0, 3, 1, 2)
		}
		return len(out) == len(want)
	}
	x = s.Block(func(s *tensor.Scope) *tensor.Tensor {
		const patch = encoderPrefix + "patch_embed.proj"
		y := s.Conv2d(x, v.w.get(s, patch+".weight"), v.w.get(s, patch+".bias"), int64(v.spec.Encoder.ViT.Patch), 0, 1)
		return s.Contiguous(s.Add(s.Permute(y, 0, 2, 3, 1), v.w.get(s, encoderPrefix+"pos_embed")))
	})
	if !seen(Stage0, x) {
		v.blocks(s, x, seen)
	}
	return out
}

func (v *vit) embed(s *tensor.Scope, from string, x *tensor.Tensor) *tensor.Tensor {
	if from == Blocks {
		return neck(s, v.w, x)
	}
	return v.blocks(s, x, func(string, *tensor.Tensor) bool { return false })
}

// blocks runs all blocks and the neck on x [B, H, W, C]. It shows each feature to seen, stops when that has enough, and
// returns the embedding otherwise.
func (v *vit) blocks(s *tensor.Scope, x *tensor.Tensor, seen func(name string, x *tensor.Tensor) (enough bool)) *tensor.Tensor {
	facts := v.spec.Encoder.ViT
	for i := range facts.Depth {
		in := x
		x = s.Block(func(s *tensor.Scope) *tensor.Tensor { return v.block(s, i, in) })
		if i == facts.firstGlobal() && seen(Stage1, x) {
			return nil
		}
	}
	if seen(Blocks, x) {
		return nil
	}
	x = neck(s, v.w, x)
	seen(Embedding, x)
	return x
}

// firstGlobal is the first block that attends to the whole grid, -1 where none does.
func (v ViTSpec) firstGlobal() int {
	if len(v.Global) == 0 {
		return -1
	}
	return slices.Min(v.Global)
}

// block is attention and a perceptron, each after a norm and with a shortcut.
func (v *vit) block(s *tensor.Scope, i int, x *tensor.Tensor) *tensor.Tensor {
	name, d := vitBlock(i), x.Shape()
	y := s.Block(func(s *tensor.Scope) *tensor.Tensor {
		h := layerNorm(s, v.w, name+".norm1", x, 1e-6)
		if slices.Contains(v.spec.Encoder.ViT.Global, i) {
			return s.Reshape(v.attend(s, name, s.Reshape(h, d[0], d[1]*d[2], d[3]), d[1], d[2], attendBytes), d...)
		}
		window := int64(v.spec.Encoder.ViT.Window)
		parts, grid := partition(s, h, window)
		return unpartition(s, v.attend(s, name, parts, window, window, attendBytes), window, grid, d)
	})
	y = s.Add(y, x)
	h := gelu(s, linear(s, v.w, name+".mlp.lin1", layerNorm(s, v.w, name+".norm2", y, 1e-6)))
	h = linear(s, v.w, name+".mlp.lin2", h)
	s.AddInto(h, y)
	return h
}

// attendBytes is that limit in the encoder: the whole grid's scores take 67 MB a head at 1024 pixels.
const attendBytes = 96 << 20

// attend is multi-head attention with relative positions among the height x width cells of each of x [parts, N, C], for
// as many heads at a time as have their scores in limit bytes, one at least.
func (v *vit) attend(s *tensor.Scope, name string, x *tensor.Tensor, height, width, limit int64) *tensor.Tensor {
	d, heads := x.Shape(), int64(v.spec.Encoder.ViT.Heads)
	head := d[2] / heads
	qkv := s.Permute(s.Reshape(linear(s, v.w, name+".attn.qkv", x), d[0], d[1], 3, heads, head), 2, 0, 3, 1, 4)
	q, k, val := s.Select(qkv, 0, 0), s.Select(qkv, 0, 1), s.Select(qkv, 0, 2) // [parts, heads, N, head]
	rows, columns := v.w.get(s, name+relPosH), v.w.get(s, name+relPosW)
	step := max(1, limit/(4*d[0]*d[1]*d[1]))
	var out []*tensor.Tensor
	for first := int64(0); first < heads; first += step {
		n := min(step, heads-first)
		out = append(out, s.Block(func(s *tensor.Scope) *tensor.Tensor {
			q, k, val := s.Narrow(q, 1, first, n), s.Narrow(k, 1, first, n), s.Narrow(val, 1, first, n)
			return windowAttention(s, q, k, val, relativeBias(s, q, rows, columns, height, width))
		}))
	}
	y := out[0]
	if len(out) > 1 {
		y = s.Cat(1, out...)
	}
	return linear(s, v.w, name+".attn.proj", s.Reshape(s.Transpose(y, 1, 2), d...))
}

// relativeBias is what relative positions add to the scores of q [parts, heads, height*width, head]: a term for the row of
// the key and one for its column, [parts, heads, N, N].
func relativeBias(s *tensor.Scope, q, rows, columns *tensor.Tensor, height, width int64) *tensor.Tensor {
	d := q.Shape()
	n := d[0] * d[1]
	q = s.Reshape(q, n, height, width, d[3])
	byRow := s.Matmul(s.Reshape(s.Transpose(q, 0, 1), height, n*width, d[3]), rows) // [height, n*width, height]
	byRow = s.Transpose(s.Reshape(byRow, height, n, width, height), 0, 1)
	byColumn := s.Matmul(s.Reshape(s.Permute(q, 2, 0, 1, 3), width, n*height, d[3]), columns) // [width, n*height, width]
	byColumn = s.Permute(s.Reshape(byColumn, width, n, height, width), 1, 2, 0, 3)
	bias := s.Add(s.Unsqueeze(byRow, 4), s.Unsqueeze(byColumn, 3)) // [n, height, width, height, width]
	return s.Reshape(bias, d[0], d[1], d[2], d[2])
}
