package eval

import (
	"math"
	"math/rand/v2"
	"slices"
	"strconv"
	"strings"
	"testing"

	"samtune/data"

	"github.com/google/go-cmp/cmp"
)

var sameNaN = cmp.Comparer(func(a, b Float) bool { return near(a, b, 0) })

func randomMask(r *rand.Rand, width, height int, share float64) *data.Mask {
	m := data.NewMask(width, height)
	for i := range m.Pix {
		if r.Float64() < share {
			m.Pix[i] = 1
		}
	}
	return m
}

func score(t *testing.T, in Input) Scores {
	t.Helper()
	s, err := Score(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestScoreIsSymmetric(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for i := range 30 {
		a, b := randomMask(r, 23, 17, 0.3), randomMask(r, 23, 17, 0.5)
		ab := score(t, Input{Prediction: a, Truth: b, Spacing: [2]float64{2, 0.7}, NSDTolerance: 1})
		ba := score(t, Input{Prediction: b, Truth: a, Spacing: [2]float64{2, 0.7}, NSDTolerance: 1})
		for name, pair := range map[string][2]Float{
			"Dice": {ab.Dice, ba.Dice}, "IoU": {ab.IoU, ba.IoU}, "accuracy": {ab.Accuracy, ba.Accuracy},
			"clDice": {ab.ClDice, ba.ClDice}, "HD95": {ab.HD95, ba.HD95}, "ASSD": {ab.ASSD, ba.ASSD}, "NSD": {ab.NSD, ba.NSD},
		} {
			if !near(pair[0], pair[1], 1e-12) {
				t.Errorf("pair %d: %s is %v one way and %v the other", i, name, pair[0], pair[1])
			}
		}
	}
}

func TestScoreOfIdentity(t *testing.T) {
	m := randomMask(rand.New(rand.NewPCG(2, 2)), 31, 20, 0.4)
	got := score(t, Input{Prediction: m, Truth: m})
	n := m.Count()
	want := Scores{
		TP: n, TN: 31*20 - n, Dice: 1, IoU: 1, Sensitivity: 1, Specificity: 1, Accuracy: 1,
		AUC: Undefined, ClDice: 1, HD95: 0, ASSD: 0, NSD: 1,
	}
	if d := cmp.Diff(want, got, sameNaN); d != "" {
		t.Error(d)
	}
}

func TestScoreIgnoresTranslation(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 3))
	a, b := randomMask(r, 12, 9, 0.5), randomMask(r, 12, 9, 0.4)
	place := func(m *data.Mask, x, y int) *data.Mask {
		out := data.NewMask(40, 30)
		for i, v := range m.Pix {
			out.Pix[(y+i/m.Width)*40+x+i%m.Width] = v
		}
		return out
	}
	in := func(x, y int) Input {
		return Input{Prediction: place(a, x, y), Truth: place(b, x, y), Spacing: [2]float64{1.5, 1}, NSDTolerance: 1}
	}
	want := score(t, in(14, 10))
	for _, at := range [][2]int{{0, 0}, {28, 21}, {3, 17}} {
		if d := cmp.Diff(want, score(t, in(at[0], at[1])), sameNaN); d != "" {
			t.Errorf("moved to x %d, y %d: %s", at[0], at[1], d)
		}
	}
}

func TestScoreIgnoresWhatIsNotValid(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	in := Input{
		Prediction: randomMask(r, 20, 20, 0.4), Truth: randomMask(r, 20, 20, 0.4), Valid: randomMask(r, 20, 20, 0.8),
		Probability: make([]float32, 400), NSDTolerance: 1,
	}
	for i := range in.Probability {
		in.Probability[i] = r.Float32()
	}
	want := score(t, in)
	if n := want.TP + want.FP + want.FN + want.TN; n != in.Valid.Count() {
		t.Errorf("%d pixels counted, want the %d valid ones", n, in.Valid.Count())
	}
	for i, v := range in.Valid.Pix {
		if v == 0 {
			in.Prediction.Pix[i] ^= 1
			in.Truth.Pix[i] ^= uint8(r.IntN(2))
			in.Probability[i] = float32(math.NaN())
		}
	}
	if d := cmp.Diff(want, score(t, in), sameNaN); d != "" {
		t.Errorf("pixels outside the valid region count: %s", d)
	}
	in.Valid = data.NewMask(20, 20)
	none := score(t, in)
	u := Undefined
	if d := cmp.Diff(Scores{Dice: u, IoU: u, Sensitivity: u, Specificity: u, Accuracy: u, AUC: u, ClDice: u, HD95: u, ASSD: u, NSD: u}, none, sameNaN); d != "" {
		t.Errorf("without a valid pixel: %s", d)
	}
}

func TestScoreErrors(t *testing.T) {
	mask := func(w, h int) *data.Mask { return data.NewMask(w, h) }
	bad := mask(4, 3)
	bad.Pix[5] = 255
	for name, c := range map[string]struct {
		in   Input
		want string
	}{
		"no truth":         {Input{Prediction: mask(4, 3)}, "missing"},
		"prediction size":  {Input{Prediction: mask(3, 4), Truth: mask(4, 3)}, "prediction is 3 x 4, want 4 x 3"},
		"valid size":       {Input{Prediction: mask(4, 3), Truth: mask(4, 3), Valid: mask(4, 4)}, "valid region is 4 x 4, want 4 x 3"},
		"pixels":           {Input{Prediction: &data.Mask{Width: 4, Height: 3}, Truth: mask(4, 3)}, "prediction holds 0 pixels"},
		"grey":             {Input{Prediction: bad, Truth: mask(4, 3)}, "prediction is 255 at x 1, y 1"},
		"probability size": {Input{Prediction: mask(4, 3), Truth: mask(4, 3), Probability: make([]float32, 5)}, "probability holds 5"},
		"probability NaN": {Input{Prediction: mask(2, 1), Truth: mask(2, 1), Probability: []float32{0, float32(math.NaN())}},
			"probability is not a number at x 1, y 0"},
		"spacing":          {Input{Prediction: mask(4, 3), Truth: mask(4, 3), Spacing: [2]float64{1, 0}}, "spacing is 1 x 0"},
		"infinite spacing": {Input{Prediction: mask(4, 3), Truth: mask(4, 3), Spacing: [2]float64{1, math.Inf(1)}}, "spacing is 1 x +Inf"},
		"tolerance":        {Input{Prediction: mask(4, 3), Truth: mask(4, 3), NSDTolerance: -1}, "NSD tolerance is -1"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Score(c.in); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
}

func TestDistanceTransformAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	for i := range 120 {
		w, h := 1+r.IntN(30), 1+r.IntN(30)
		m := randomMask(r, w, h, []float64{0.005, 0.05, 0.5}[i%3])
		spacing := [2]float64{0.1 + 3*r.Float64(), 0.1 + 3*r.Float64()}
		got, ok := distanceTransform(m, spacing)
		if ok != (m.Count() > 0) {
			t.Fatalf("mask of %d pixels: ok is %v", m.Count(), ok)
		}
		if !ok {
			continue
		}
		for j := range m.Pix {
			want := math.Inf(1)
			for k, v := range m.Pix {
				if v == 1 {
					want = min(want, math.Hypot(float64(j/w-k/w)*spacing[0], float64(j%w-k%w)*spacing[1]))
				}
			}
			if math.Abs(got[j]-want) > 1e-12*(1+want) {
				t.Fatalf("mask %d, %d x %d, spacing %v: x %d, y %d is %g, want %g", i, w, h, spacing, j%w, j/w, got[j], want)
			}
		}
	}
}

func TestSkeleton(t *testing.T) {
	r := rand.New(rand.NewPCG(6, 6))
	for i := range 60 {
		m := randomMask(r, 1+r.IntN(200), 1+r.IntN(40), []float64{0.3, 0.7, 0.95, 1}[i%4])
		once := skeletonise(m)
		for j := range m.Pix {
			if once.Pix[j] > m.Pix[j] {
				t.Fatalf("mask %d: skeleton has a pixel that the mask lacks", i)
			}
		}
		if d := cmp.Diff(once, skeletonise(once)); d != "" {
			t.Fatalf("mask %d: thinning a skeleton changes it: %s", i, d)
		}
		if a, b := components(m), components(once); a != b {
			t.Fatalf("mask %d: %d objects became %d", i, a, b)
		}
	}
}

// components counts the 8-connected objects.
func components(m *data.Mask) int {
	left := append([]uint8(nil), m.Pix...)
	n := 0
	for i := range left {
		if left[i] == 0 {
			continue
		}
		n++
		left[i] = 0
		for stack := []int{i}; len(stack) > 0; {
			at := stack[len(stack)-1]
			stack = stack[:len(stack)-1]
			for y := max(at/m.Width-1, 0); y <= min(at/m.Width+1, m.Height-1); y++ {
				for x := max(at%m.Width-1, 0); x <= min(at%m.Width+1, m.Width-1); x++ {
					if j := y*m.Width + x; left[j] == 1 {
						left[j] = 0
						stack = append(stack, j)
					}
				}
			}
		}
	}
	return n
}

func TestAUCByPairs(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	for i := range 20 {
		in := Input{Prediction: data.NewMask(9, 8), Truth: randomMask(r, 9, 8, 0.4), Probability: make([]float32, 72)}
		for j := range in.Probability {
			in.Probability[j] = float32(r.IntN(7)-3) / 3
			if in.Probability[j] == 0 && j%2 == 0 {
				in.Probability[j] = float32(math.Copysign(0, -1))
			}
		}
		right, pairs := 0.0, 0.0
		for j, a := range in.Probability {
			for k, b := range in.Probability {
				if in.Truth.Pix[j] == 1 && in.Truth.Pix[k] == 0 {
					pairs++
					if a > b {
						right++
					} else if a == b {
						right += 0.5
					}
				}
			}
		}
		if got := score(t, in).AUC; !near(got, Float(right/pairs), 1e-12) {
			t.Errorf("image %d: AUC is %v, want %v", i, got, right/pairs)
		}
	}
}

func TestDiceIsScoresDice(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for i := range 10 {
		a, b, v := randomMask(r, 8, 5, 0.1), randomMask(r, 8, 5, 0.1), randomMask(r, 8, 5, float64(i)/9)
		got, err := Dice(a, b, v)
		if want := score(t, Input{Prediction: a, Truth: b, Valid: v}).Dice; err != nil || !near(got, want, 0) {
			t.Errorf("pair %d: %v (%v), want %v", i, got, err, want)
		}
	}
	if _, err := Dice(data.NewMask(2, 2), data.NewMask(3, 2), nil); err == nil {
		t.Error("masks of two sizes have no Dice")
	}
}

// vessels draws wavy lines of a few pixels' width, and the score that a network might give them.
func vessels(width, height, shift int) (*data.Mask, []float32) {
	m, p := data.NewMask(width, height), make([]float32, width*height)
	for i := range p {
		x, y := i%width, i/width
		wave := math.Sin(float64(x+shift)/35) * 20
		d := math.Abs(math.Mod(float64(y)+wave+float64(x)/3, 45) - 22)
		p[i] = float32(1 / (1 + math.Exp(d-3)))
		if d < 3 {
			m.Pix[i] = 1
		}
	}
	return m, p
}

func TestSorted(t *testing.T) {
	r := rand.New(rand.NewPCG(8, 8))
	for _, n := range []int{0, 1, 2, 1000, 100000} {
		keys := make([]uint64, n)
		for i := range keys {
			keys[i] = r.Uint64() >> (31 + r.IntN(20))
		}
		want := slices.Sorted(slices.Values(keys))
		if got := sorted(keys); !slices.Equal(got, want) {
			t.Errorf("%d numbers are not in order", n)
		}
	}
}

func BenchmarkScore(b *testing.B) {
	const w, h = 565, 584
	truth, _ := vessels(w, h, 0)
	thin, p := vessels(w, h, 2)
	all := data.NewMask(w, h)
	for i := range all.Pix {
		all.Pix[i] = 1
	}
	for name, in := range map[string]Input{
		"vessels":    {Prediction: thin, Truth: truth, Valid: all, Probability: p, NSDTolerance: 2},
		"everything": {Prediction: all, Truth: truth, Valid: all, Probability: p, NSDTolerance: 2},
		"noise":      {Prediction: randomMask(rand.New(rand.NewPCG(1, 1)), w, h, 0.5), Truth: truth, Probability: p, NSDTolerance: 2},
	} {
		b.Run(name+" "+strconv.Itoa(w)+"x"+strconv.Itoa(h), func(b *testing.B) {
			for b.Loop() {
				if _, err := Score(in); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// skeletonise returns a mask's skeleton, as large as the mask.
func skeletonise(m *data.Mask) *data.Mask {
	out := data.NewMask(m.Width, m.Height)
	skeleton := bitmapOf(m).skeleton()
	for y := range m.Height {
		for x := range m.Width {
			if skeleton.has(y, x) {
				out.Pix[y*m.Width+x] = 1
			}
		}
	}
	return out
}

// TestNearestInTallPictures counts the steps of a small lattice as those of one with more planes than 16 bits hold.
func TestNearestInTallPictures(t *testing.T) {
	r := rand.New(rand.NewPCG(7, 7))
	a, b := randomMask(r, 30, 40, 0.02), randomMask(r, 30, 40, 0.05)
	p, _ := newPair(a, b, [2]float64{1, 1.5})
	from, to := p.surface(p.pred), p.surface(p.truth)
	if d := cmp.Diff(p.nearest(from, to), nearest[uint32](&p.lattice, from, to)); d != "" {
		t.Error(d)
	}
}
