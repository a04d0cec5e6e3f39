package train

import (
	"testing"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
)

// discs is an asymmetric picture, 200 x 120, with two bright discs, and their mask.
func discs() *data.Sample {
	const w, h = 200, 120
	s := &data.Sample{ID: "discs", Image: &data.Image{Width: w, Height: h, Pix: make([]uint8, 3*w*h)}, Valid: data.FullMask(w, h)}
	truth := data.NewMask(w, h)
	for y := range h {
		for x := range w {
			v := uint8(40 + (x*7+y*13)%11)
			if (x-50)*(x-50)+(y-40)*(y-40) < 25*25 || (x-150)*(x-150)+(y-80)*(y-80) < 20*20 {
				v, truth.Pix[y*w+x] = 200, 1
			}
			for c := range 3 {
				s.Image.Pix[3*(y*w+x)+c] = v
			}
		}
	}
	s.Masks = map[string]*data.Mask{"discs": truth}
	return s
}

// TestPrompted asks with LiteMedSAM's real weights: a box for each disc finds both, a mask beside a box keeps the
// answer in its place, and clicks come nearer to the truth.
func TestPrompted(t *testing.T) {
	d := tensortest.CPU(t)
	m := lite(t, d)
	decoder, err := m.NewDecoder("plain", 0)
	if err != nil {
		t.Fatal(err)
	}
	p := &Predictor{Model: m, Decoder: decoder, Cache: &EmbeddingCache{Dir: t.TempDir(), DType: tensor.Float32, Batch: 1}, Threshold: 0.5}
	sample := discs()
	truth := sample.Masks["discs"]
	dice := func(prompt eval.Prompt) float64 {
		t.Helper()
		var seg *Segmentation
		err := d.Run(func(s *tensor.Scope) (err error) {
			seg, err = p.Prompted(s, sample, prompt)
			return err
		})
		if err != nil {
			t.Fatal(err)
		}
		v, err := eval.Dice(seg.Mask, truth, nil)
		if err != nil {
			t.Fatal(err)
		}
		return float64(v)
	}
	made := func(kind string, points int) eval.Prompt {
		t.Helper()
		prompts, err := eval.Prompts([]string{kind}, sample, "discs", eval.PromptOptions{Points: points})
		if err != nil {
			t.Fatal(err)
		}
		return prompts[0]
	}
	if v := dice(made(eval.PromptOracleComponentBoxes, 1)); v < 0.9 {
		t.Errorf("a box for each disc: Dice %.3f", v)
	}
	left := eval.Prompt{Box: &[4]float64{25, 15, 75, 65}}
	alone := dice(left)
	left.Mask = truth
	if with := dice(left); with < alone-0.02 || with == alone {
		t.Errorf("the truth as a mask beside a box: Dice %.4f, without it %.4f", with, alone)
	}
	one, six := dice(made(eval.PromptOracleClicks, 1)), dice(made(eval.PromptOracleClicks, 6))
	t.Logf("1 click: Dice %.3f, 6 clicks: %.3f", one, six)
	if six <= one {
		t.Errorf("six clicks give Dice %.3f, one gives %.3f", six, one)
	}
	// The oracle's choice is at least as good as any mask of its points: of a grid of one, the three of the centre.
	grid := func(points int) float64 { return dice(eval.Prompt{Grid: &eval.Grid{Points: points, Truth: truth}}) }
	centre := dice(eval.Prompt{Points: [][2]float64{{100, 60}}, Labels: []int{1}})
	if one := grid(1); one < centre {
		t.Errorf("the best mask of the centre has Dice %.3f, its own choice %.3f", one, centre)
	}
	four := grid(4)
	for _, y := range []float64{15, 45, 75, 105} { // the cells' centres
		for _, x := range []float64{25, 75, 125, 175} {
			if at := dice(eval.Prompt{Points: [][2]float64{{x, y}}, Labels: []int{1}}); at > four+1e-9 {
				t.Errorf("the point %g, %g gives Dice %.4f, the best of the grid %.4f", x, y, at, four)
			}
		}
	}
	t.Logf("grid of 4 x 4: Dice %.3f", four)
}
