package tensor

import lib "github.com/sugarme/gotch/libtch"

// Reshape returns a with another shape; one dimension may be -1.
func (s *Scope) Reshape(a *Tensor, shape ...int64) *Tensor {
	s.dims("reshape", shape)
	return s.made("reshape", func(o *lib.Ctensor) { lib.AtgReshape(o, a.c, shape, len(shape)) })
}

// Permute returns a with its dimensions in another order.
func (s *Scope) Permute(a *Tensor, dims ...int64) *Tensor {
	s.dims("permute", dims)
	return s.made("permute", func(o *lib.Ctensor) { lib.AtgPermute(o, a.c, dims, len(dims)) })
}

// Transpose swaps two dimensions.
func (s *Scope) Transpose(a *Tensor, d0, d1 int64) *Tensor {
	return s.made("transpose", func(o *lib.Ctensor) { lib.AtgTranspose(o, a.c, d0, d1) })
}

// Unsqueeze inserts a dimension of size 1.
func (s *Scope) Unsqueeze(a *Tensor, dim int64) *Tensor {
	return s.made("unsqueeze", func(o *lib.Ctensor) { lib.AtgUnsqueeze(o, a.c, dim) })
}

// Select returns the slice at index along dim, which is dropped.
func (s *Scope) Select(a *Tensor, dim, index int64) *Tensor {
	return s.made("select", func(o *lib.Ctensor) { lib.AtgSelect(o, a.c, dim, index) })
}

// Narrow returns length slices of a along dim from start on, as a view.
func (s *Scope) Narrow(a *Tensor, dim, start, length int64) *Tensor {
	return s.made("narrow", func(o *lib.Ctensor) { lib.AtgNarrow(o, a.c, dim, start, length) })
}

// Diagonal returns the diagonal of a matrix as a view.
func (s *Scope) Diagonal(a *Tensor) *Tensor {
	return s.made("diagonal", func(o *lib.Ctensor) { lib.AtgDiagonal(o, a.c, 0, 0, 1) })
}

// Stride returns every step-th slice of a along dim from start on, as a view.
func (s *Scope) Stride(a *Tensor, dim, start, step int64) *Tensor {
	return s.made("slice", func(o *lib.Ctensor) { lib.AtgSlice(o, a.c, dim, start, 0, 0, 1, step) })
}

// Expand repeats dimensions of size 1 without copying; -1 keeps a dimension.
func (s *Scope) Expand(a *Tensor, shape ...int64) *Tensor {
	s.dims("expand", shape)
	return s.made("expand", func(o *lib.Ctensor) { lib.AtgExpand(o, a.c, shape, len(shape), 0) })
}

// Contiguous returns a in row-major order.
func (s *Scope) Contiguous(a *Tensor) *Tensor {
	return s.made("contiguous", func(o *lib.Ctensor) { lib.AtgContiguous(o, a.c) })
}

// ChannelsLast returns a [B, C, H, W] laid out in memory as [B, H, W, C], which convolutions prefer.
func (s *Scope) ChannelsLast(a *Tensor) *Tensor {
	return s.Block(func(s *Scope) *Tensor {
		return s.Permute(s.Contiguous(s.Permute(a, 0, 2, 3, 1)), 0, 3, 1, 2)
	})
}

// Pad adds zeros at the bottom and the right of the last two dimensions.
func (s *Scope) Pad(a *Tensor, bottom, right int64) *Tensor {
	if bottom == 0 && right == 0 {
		return a
	}
	return s.made("constant_pad_nd", func(o *lib.Ctensor) {
		lib.AtgConstantPadNd(o, a.c, []int64{0, right, 0, bottom}, 4)
	})
}

// PadEdge repeats the rim of the last two dimensions of a [B, C, H, W] by width on all sides.
func (s *Scope) PadEdge(a *Tensor, width int64) *Tensor {
	return s.made("replication_pad2d", func(o *lib.Ctensor) {
		lib.AtgReplicationPad2d(o, a.c, []int64{width, width, width, width}, 4)
	})
}

// PadGrid adds zeros at the bottom and the right of the middle dimensions of a [B, H, W, C].
func (s *Scope) PadGrid(a *Tensor, bottom, right int64) *Tensor {
	if bottom == 0 && right == 0 {
		return a
	}
	return s.made("constant_pad_nd", func(o *lib.Ctensor) {
		lib.AtgConstantPadNd(o, a.c, []int64{0, 0, 0, right, 0, bottom}, 6)
	})
}

// IndexSelect gathers slices of a along dim; index is int64 [N].
func (s *Scope) IndexSelect(a *Tensor, dim int64, index *Tensor) *Tensor {
	return s.made("index_select", func(o *lib.Ctensor) { lib.AtgIndexSelect(o, a.c, dim, index.c) })
}

// Flip reverses the order along dims.
func (s *Scope) Flip(a *Tensor, dims ...int64) *Tensor {
	s.dims("flip", dims)
	return s.made("flip", func(o *lib.Ctensor) { lib.AtgFlip(o, a.c, dims, len(dims)) })
}
