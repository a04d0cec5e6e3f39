package model

import (
	"fmt"

	"samtune/checkpoints"
)

// convBN lists a convolution without bias and the batch norm after it; in is the input channels per group.
func (p *params) convBN(name string, in, out, kernel int) {
	p.add(name+".c.weight", int64(out), int64(in), int64(kernel), int64(kernel))
	p.norm(name+".bn", out)
	p.add(name+".bn.running_mean", int64(out))
	p.add(name+".bn.running_var", int64(out))
	*p = append(*p, checkpoints.Info{Name: name + ".bn.num_batches_tracked", DType: "I64"})
}

// stage is one of TinyViT's stages: its grid has side x side cells; the first is convolutional.
type stage struct {
	name          string
	dim, side     int
	heads, window int
	depth         int
	stride        int // of the patch merging into the next stage; 0 in the last
}

// stemKernel is the side of the stem's two kernels: a stem that keeps the resolution looks at single pixels.
func (t TinyViTSpec) stemKernel() int {
	if t.PatchStride == 1 {
		return 1
	}
	return 3
}

func (sp *Spec) stages() []stage {
	e := sp.Encoder.TinyViT
	side := sp.ImageSize / e.PatchStride
	out := make([]stage, len(e.EmbedDims))
	for i := range out {
		out[i] = stage{
			name: fmt.Sprintf("%slayers.%d.", encoderPrefix, i), dim: e.EmbedDims[i], side: side,
			heads: e.Heads[i], window: e.Windows[i], depth: e.Depths[i],
		}
		if i < len(e.Strides) {
			out[i].stride = e.Strides[i]
			side /= e.Strides[i]
		}
	}
	return out
}

func (sp *Spec) tinyViTParams(p *params) {
	e := sp.Encoder.TinyViT
	stem := e.EmbedDims[0]
	p.convBN(encoderPrefix+"patch_embed.seq.0", 3, stem/2, e.stemKernel())
	p.convBN(encoderPrefix+"patch_embed.seq.2", stem/2, stem, e.stemKernel())
	stages := sp.stages()
	for i, st := range stages {
		for b := range st.depth {
			block := fmt.Sprintf("%sblocks.%d.", st.name, b)
			if i == 0 {
				hidden := st.dim * e.ExpandRatio
				p.convBN(block+"conv1", st.dim, hidden, 1)
				p.convBN(block+"conv2", 1, hidden, 3)
				p.convBN(block+"conv3", hidden, st.dim, 1)
				continue
			}
			p.add(block+"attn.attention_biases", int64(st.heads), int64(st.window*st.window))
			p.norm(block+"attn.norm", st.dim)
			p.linear(block+"attn.qkv", st.dim, 3*st.dim)
			p.linear(block+"attn.proj", st.dim, st.dim)
			p.norm(block+"mlp.norm", st.dim)
			p.linear(block+"mlp.fc1", st.dim, st.dim*sp.Encoder.MLPRatio)
			p.linear(block+"mlp.fc2", st.dim*sp.Encoder.MLPRatio, st.dim)
			p.convBN(block+"local_conv", 1, st.dim, 3)
		}
		if st.stride > 0 {
			next := stages[i+1].dim
			p.convBN(st.name+"downsample.conv1", st.dim, next, 1)
			p.convBN(st.name+"downsample.conv2", 1, next, 3)
			p.convBN(st.name+"downsample.conv3", next, next, 1)
		}
	}
	if n := e.Classes; n > 0 {
		last := stages[len(stages)-1].dim
		p.norm(encoderPrefix+"norm_head", last)
		p.linear(encoderPrefix+"head", last, n)
	}
}
