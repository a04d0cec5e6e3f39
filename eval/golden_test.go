package eval

import (
	"encoding/hex"
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"testing"

	"samtune/data"
)

func readGolden(t *testing.T, name string, into any) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "testdata", "stats", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(text, into); err != nil {
		t.Fatal(err)
	}
}

func fromHex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func unpack(t *testing.T, bits string, width, height int) *data.Mask {
	t.Helper()
	m, b := data.NewMask(width, height), fromHex(t, bits)
	for i := range m.Pix {
		m.Pix[i] = b[i/8] >> (7 - i%8) & 1
	}
	return m
}

func near(a, b Float, tolerance float64) bool {
	if !a.Defined() || !b.Defined() {
		return a.Defined() == b.Defined()
	}
	return math.Abs(float64(a-b)) <= tolerance
}

func TestScoreAgreesWithLibrariesOnRandomMasks(t *testing.T) {
	var cases []struct {
		Width, Height                        int
		Spacing                              [2]float64
		Tolerance                            float64
		Pred, Truth, Valid, Skeleton, Levels string
		HD95, ASSD, ClDice, NSD, AUC         Float
	}
	readGolden(t, "metrics.json", &cases)
	if len(cases) != 200 {
		t.Fatalf("%d cases, want 200", len(cases))
	}
	for i, c := range cases {
		t.Run(strconv.Itoa(i), func(t *testing.T) {
			in := Input{
				Prediction: unpack(t, c.Pred, c.Width, c.Height), Truth: unpack(t, c.Truth, c.Width, c.Height),
				Valid: unpack(t, c.Valid, c.Width, c.Height), Spacing: c.Spacing, NSDTolerance: c.Tolerance,
			}
			for _, level := range fromHex(t, c.Levels) {
				in.Probability = append(in.Probability, float32(level))
			}
			got, err := Score(in)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range []struct {
				name      string
				got, want Float
			}{{"HD95", got.HD95, c.HD95}, {"ASSD", got.ASSD, c.ASSD}, {"clDice", got.ClDice, c.ClDice}, {"NSD", got.NSD, c.NSD}, {"AUC", got.AUC, c.AUC}} {
				if !near(m.got, m.want, 1e-10) {
					t.Errorf("%s is %v, want %v", m.name, m.got, m.want)
				}
			}
			want, skeleton := unpack(t, c.Skeleton, c.Width, c.Height), skeletonise(within(in.Prediction, in.Valid))
			for i := range want.Pix {
				if skeleton.Pix[i] != want.Pix[i] {
					t.Fatalf("skeleton at x %d, y %d is %d, want %d", i%c.Width, i/c.Width, skeleton.Pix[i], want.Pix[i])
				}
			}
		})
	}
}

func TestTestsAgreeWithSciPy(t *testing.T) {
	var golden struct {
		Wilcoxon []struct {
			Name        string
			Differences []float64
			P           float64
		}
		BCa []struct {
			Name      string
			Values    []float64
			Low, High float64
		}
	}
	readGolden(t, "tests.json", &golden)
	for _, c := range golden.Wilcoxon {
		t.Run("Wilcoxon "+c.Name, func(t *testing.T) {
			if p, test := wilcoxon(c.Differences); math.Abs(p-c.P) > 1e-12 {
				t.Errorf("p is %.17g (%s), want %.17g", p, test, c.P)
			}
		})
	}
	for _, c := range golden.BCa {
		t.Run("BCa "+c.Name, func(t *testing.T) {
			// SciPy's interval is not expanded; both are random, this side with an error below a hundredth
			// of the width.
			got := bootstrap(c.Values, 200_000, 1.959963984540054, newStream(1, ""))
			slack := 0.01 * (c.High - c.Low)
			if math.Abs(float64(got[0])-c.Low) > slack || math.Abs(float64(got[1])-c.High) > slack {
				t.Errorf("interval is %v, want %v to %v", got, c.Low, c.High)
			}
		})
	}
}
