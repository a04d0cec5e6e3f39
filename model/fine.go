package model

import (
	"math"
	"sort"

	"samtune/checkpoints"
	"samtune/internal/tensor"
)

// fine corrects the logits of a convex head: with SAM's mask decoder, through a gate, and with light convolutions
// over the encoder's early features. Gate and last convolution start at zero, so that at first it changes
// nothing.
type fine struct {
	plain
	early []Feature
	prior int // channels of the prior
}

// Widths of the light convolutions.
const (
	finePrefix = "fine."
	fineIn     = 16 // channels that each early feature is brought to
	fineHidden = 24
)

func (f *fine) Name() string   { return "fine" }
func (f *fine) Corrects() bool { return true }

func (f *fine) Features() []string {
	out := []string{Embedding}
	for _, e := range f.early {
		out = append(out, e.Name)
	}
	return out
}

// own lists the parameters beside those of the mask decoder.
func (f *fine) own() []checkpoints.Info {
	var p params
	convolution := func(name string, in, out, kernel int64) {
		p.add(finePrefix+name+".weight", out, in, kernel, kernel)
		p.add(finePrefix+name+".bias", out)
	}
	in := int64(f.prior)
	for _, e := range f.early {
		if e.Name == Pixels {
			in += int64(e.Channels)
			continue
		}
		convolution("bring."+e.Name, int64(e.Channels), fineIn, 1)
		in += fineIn
	}
	convolution("conv.0", in, fineHidden, 3)
	convolution("conv.1", fineHidden, fineHidden, 3)
	convolution("conv.2", fineHidden, 1, 1)
	p.add(finePrefix+"gate", 1)
	return p
}

func (f *fine) Trainable() []checkpoints.Info {
	all := append(f.plain.Trainable(), f.own()...)
	sort.Slice(all, func(i, j int) bool { return all[i].Name < all[j].Name })
	return all
}

// Initial draws the convolutions' weights as He et al. (ICCV 2015) do, from a sequence of their names alone;
// biases, the last convolution and the gate are zero.
func (f *fine) Initial(s *tensor.Scope) Weights {
	w := Weights{}
	for _, info := range f.own() {
		values := make([]float32, tensor.Numel(info.Shape))
		if len(info.Shape) == 4 && info.Name != finePrefix+"conv.2.weight" {
			draw := sequence(info.Name)
			deviation := math.Sqrt(2 / float64(info.Shape[1]*info.Shape[2]*info.Shape[3]))
			for i := range values {
				values[i] = float32(draw.NormFloat64() * deviation)
			}
		}
		w[info.Name] = s.FromFloat32(values, info.Shape...)
	}
	return w
}

func (f *fine) Logits(s *tensor.Scope, w Weights, in Inputs) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		gated := s.Mul(f.plain.Logits(s, w, in), w.get(s, finePrefix+"gate"))
		side := gated.Shape()[2]
		parts := []*tensor.Tensor{resize(s, in.Prior, side, side)}
		for _, e := range f.early {
			x := unit(s, in.Features[e.Name])
			if e.Name != Pixels {
				name := finePrefix + "bring." + e.Name
				x = s.Conv2d(x, w.get(s, name+".weight"), w.get(s, name+".bias"), 1, 0, 1)
			}
			parts = append(parts, resize(s, x, side, side))
		}
		x := s.Cat(1, parts...)
		for _, layer := range []string{"conv.0", "conv.1"} {
			x = s.ReLU(s.Conv2d(x, w.get(s, finePrefix+layer+".weight"), w.get(s, finePrefix+layer+".bias"), 1, 1, 1))
		}
		x = s.Conv2d(x, w.get(s, finePrefix+"conv.2.weight"), w.get(s, finePrefix+"conv.2.bias"), 1, 0, 1)
		return s.Add(gated, x)
	})
}

// unit brings each channel of a feature [B, C, H, W] to mean 0 and deviation 1 over the view.
func unit(s *tensor.Scope, x *tensor.Tensor) *tensor.Tensor {
	return s.Block(func(s *tensor.Scope) *tensor.Tensor {
		d := x.Shape()
		flat := s.Reshape(x, d[0], d[1], -1)
		n := float64(d[2] * d[3])
		mean := s.MulScalar(s.Unsqueeze(s.SumDims(flat, 2), 2), 1/n)
		flat = s.Sub(flat, mean)
		variance := s.MulScalar(s.Unsqueeze(s.SumDims(s.Mul(flat, flat), 2), 2), 1/n)
		return s.Reshape(s.Div(flat, s.Sqrt(s.AddScalar(variance, 1e-6))), d...)
	})
}
