package eval

import (
	"testing"

	"samtune/data"
	"samtune/internal/testkit"
)

// benchMasks makes a pair of masks of 1024 x 1024 pixels: a large round one, or many tubes a few pixels wide. bench/python_metrics.py
// draws the same.
func benchMasks(kind string) (a, b *data.Mask) {
	const side = 1024
	a, b = data.NewMask(side, side), data.NewMask(side, side)
	disc := func(m *data.Mask, y0, x0, radius int) {
		for i := range m.Pix {
			if y, x := i/side-y0, i%side-x0; y*y+x*x < radius*radius {
				m.Pix[i] = 1
			}
		}
	}
	tubes := func(m *data.Mask, shift, width int) {
		for i := range m.Pix {
			y, x := i/side, i%side+shift
			if (y+max(x%128-64, 64-x%128)/2+x/3)%45 < width {
				m.Pix[i] = 1
			}
		}
	}
	if kind == "tubes" {
		tubes(a, 0, 6)
		tubes(b, 3, 5)
		return a, b
	}
	disc(a, 500, 480, 300)
	disc(b, 510, 500, 310)
	return a, b
}

// benchVolume is slices of two ellipsoids in 64 x 256 x 256 voxels of 3 x 1 x 1 mm. bench/python_metrics.py makes the same.
func benchVolume() (a, b []*data.Mask) {
	const depth, side = 64, 256
	ball := func(z0, y0, x0, radius int) (out []*data.Mask) {
		for z := range depth {
			m := data.NewMask(side, side)
			for i := range m.Pix {
				if z, y, x := z-z0, i/side-y0, i%side-x0; 9*z*z+y*y+x*x < radius*radius {
					m.Pix[i] = 1
				}
			}
			out = append(out, m)
		}
		return out
	}
	return ball(32, 120, 128, 80), ball(31, 124, 126, 82)
}

// BenchmarkSurface measures each metric as Score does, from the masks on: the Go side of bench/run.py's case metrics. HD95 and ASSD
// come out of one call.
func BenchmarkSurface(b *testing.B) {
	measure := func(name string, metric func() Float) {
		b.Run(name, func(b *testing.B) {
			value := metric() // Python's libraries are not timed when they are first called either
			for b.Loop() {
				value = metric()
			}
			testkit.Report(b, map[string]float64{"value": float64(value)})
		})
	}
	surfaces := func(kind string, pair func() *pair) {
		measure(kind+"/hd95", func() Float { d, _ := pair().surfaceDistances(); return d })
		measure(kind+"/assd", func() Float { _, d := pair().surfaceDistances(); return d })
		measure(kind+"/nsd", func() Float { return pair().surfaceDice(2) })
	}
	for _, kind := range []string{"disc", "tubes"} {
		pred, truth := benchMasks(kind)
		surfaces(kind, func() *pair { p, _ := newPair(pred, truth, [2]float64{1, 1}); return p })
		measure(kind+"/cldice", func() Float { return clDice(pred, truth) })
	}
	pred, truth := benchVolume()
	surfaces("volume", func() *pair {
		p, _ := newVolumePair(len(pred), [3]float64{3, 1, 1}, func(k int) (a, b *data.Mask, err error) { return pred[k], truth[k], nil })
		return p
	})
}
