package eval

import (
	"math"
	"math/rand/v2"
	"strings"
	"testing"

	"samtune/data"

	"github.com/google/go-cmp/cmp"
)

// asymmetric is an image of 11 x 6 with a bar of 4 x 2 pixels right of and below its middle, and one pixel elsewhere.
func asymmetric() *data.Sample {
	truth := data.NewMask(11, 6)
	for y := 3; y < 5; y++ {
		for x := 6; x < 10; x++ {
			truth.Pix[y*11+x] = 1
		}
	}
	truth.Pix[0*11+2] = 1
	return sampleOf(truth)
}

func promptOf(t *testing.T, kind string, sample *data.Sample, opt PromptOptions) Prompt {
	t.Helper()
	p, err := Prompts([]string{kind}, sample, "lesion", opt)
	if err != nil {
		t.Fatal(err)
	}
	return p[0]
}

// TestEveryKindDependsOnSeedAndCaseAlone, and each fits its image.
func TestEveryKindDependsOnSeedAndCaseAlone(t *testing.T) {
	for _, kind := range PromptKinds() {
		for seed := range int64(20) {
			p := promptOf(t, kind, asymmetric(), PromptOptions{Points: 3, Seed: seed, Jitter: 0.4})
			if d := cmp.Diff(p, promptOf(t, kind, asymmetric(), PromptOptions{Points: 3, Seed: seed, Jitter: 0.4})); d != "" {
				t.Errorf("%s differs from itself: %s", kind, d)
			}
			for _, part := range append(p.Parts, p) {
				part.Parts = nil
				if err := part.Check(11, 6); err != nil && kind != PromptOracleComponentBoxes {
					t.Errorf("%s does not fit the image it was made for: %v", kind, err)
				}
			}
		}
	}
}

func TestRandomPointIsInTheValidRegion(t *testing.T) {
	sample := asymmetric()
	clear(sample.Valid.Pix)
	sample.Valid.Pix[1*11+9], sample.Valid.Pix[5*11+0] = 1, 1
	seen := map[[2]float64]bool{}
	for seed := range int64(40) {
		seen[promptOf(t, PromptRandomPoint, sample, PromptOptions{Seed: seed}).Points[0]] = true
	}
	if want := (map[[2]float64]bool{{9, 1}: true, {0, 5}: true}); !cmp.Equal(seen, want) {
		t.Errorf("points at %v, want x before y: %v", seen, want)
	}
}

func TestJitteredBox(t *testing.T) {
	seen := map[[4]float64]bool{}
	for seed := range int64(200) {
		b := *promptOf(t, PromptOracleJitter, asymmetric(), PromptOptions{Seed: seed, Jitter: 0.2}).Box // 2 pixels
		seen[b] = true
		for i, tight := range [4]float64{2, 0, 9, 4} {
			if d := b[i] - tight; d < -2 || d > 2 {
				t.Errorf("side %d is at %g, more than 2 from %g", i, b[i], tight)
			}
		}
		if b[0] < 0 || b[1] < 0 || b[2] > 10 || b[3] > 5 || b[0] >= b[2] || b[1] >= b[3] {
			t.Errorf("box %v is empty or not in the image", b)
		}
	}
	if len(seen) < 50 {
		t.Errorf("200 seeds make %d boxes", len(seen))
	}
	for _, jitter := range []float64{-0.1, 1.1, math.NaN()} {
		if _, err := Prompts([]string{PromptOracleJitter}, asymmetric(), "lesion", PromptOptions{Seed: 1, Jitter: jitter}); err == nil || !strings.Contains(err.Error(), "jitter") {
			t.Errorf("jitter %g: error %v, want one that names it", jitter, err)
		}
	}
}

func TestDeepest(t *testing.T) {
	for name, c := range map[string]struct {
		rows []string
		x, y float64
	}{
		"one pixel":              {[]string{"...", "..#"}, 2, 1},
		"a block":                {[]string{".....", ".###.", ".###.", ".###.", "....."}, 2, 2},
		"at the image's edge":    {[]string{"###..", "###..", "###.."}, 1, 1},
		"thick beside thin":      {[]string{"###....", "#######", "###...."}, 1, 1},
		"a ring is not its hole": {[]string{"#####", "#...#", "#...#", "#####"}, 0, 0},
	} {
		m := data.NewMask(len(c.rows[0]), len(c.rows))
		for y, row := range c.rows {
			for x, r := range row {
				if r == '#' {
					m.Pix[y*m.Width+x] = 1
				}
			}
		}
		if x, y := deepest(m); x != c.x || y != c.y {
			t.Errorf("%s: (%g, %g), want (%g, %g)", name, x, y, c.x, c.y)
		}
	}
}

func TestNextClick(t *testing.T) {
	sample := asymmetric()
	truth := sample.Masks["lesion"]
	x, y, label, ok := NextClick(data.NewMask(11, 6), truth, nil)
	if !ok || label != 1 || truth.Pix[int(y)*11+int(x)] != 1 || y < 3 {
		t.Errorf("first click at (%g, %g), label %d: want it in the larger part", x, y, label)
	}
	all := data.FullMask(11, 6)
	if x, y, label, ok = NextClick(all, truth, nil); !ok || label != 0 || truth.Pix[int(y)*11+int(x)] != 0 {
		t.Errorf("with too much: (%g, %g), label %d", x, y, label)
	}
	if _, _, _, ok = NextClick(truth, truth, nil); ok {
		t.Error("a click where nothing is wrong")
	}
	valid := data.NewMask(11, 6)
	valid.Pix[0*11+2] = 1
	if x, y, _, ok = NextClick(data.NewMask(11, 6), truth, valid); !ok || x != 2 || y != 0 {
		t.Errorf("(%g, %g): want the only pixel that counts, (2, 0)", x, y)
	}
}

// TestClicksCorrect: with a model that paints a disc around each click, every click leaves less to correct.
func TestClicksCorrect(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 6))
	for range 10 {
		truth := data.NewMask(40, 25)
		for range 4 {
			cx, cy, radius := r.IntN(40), r.IntN(25), 2+r.IntN(5)
			paint(truth, cx, cy, radius, 1)
		}
		var errors []int
		clicks := Clicks{N: 12, Truth: truth, Valid: data.FullMask(40, 25)}
		prompt, err := clicks.Click(func(p Prompt) (*data.Mask, error) {
			if err := p.Check(40, 25); err != nil {
				t.Fatal(err)
			}
			m := data.NewMask(40, 25)
			for i, pt := range p.Points { // each click sets what is right within 3 pixels of it
				for y := range 25 {
					for x := range 40 {
						if (float64(x)-pt[0])*(float64(x)-pt[0])+(float64(y)-pt[1])*(float64(y)-pt[1]) <= 9 && truth.Pix[y*40+x] == uint8(p.Labels[i]) {
							m.Pix[y*40+x] = uint8(p.Labels[i])
						}
					}
				}
			}
			wrong := 0
			for i := range m.Pix {
				if m.Pix[i] != truth.Pix[i] {
					wrong++
				}
			}
			errors = append(errors, wrong)
			return m, nil
		})
		if err != nil || len(prompt.Points) != len(errors) {
			t.Fatal(err)
		}
		for i := 1; i < len(errors); i++ {
			if errors[i] >= errors[i-1] {
				t.Errorf("click %d leaves %d pixels wrong, the one before it %d", i+1, errors[i], errors[i-1])
			}
		}
	}
}

func paint(m *data.Mask, cx, cy, radius int, value uint8) {
	for y := range m.Height {
		for x := range m.Width {
			if (x-cx)*(x-cx)+(y-cy)*(y-cy) <= radius*radius {
				m.Pix[y*m.Width+x] = value
			}
		}
	}
}
