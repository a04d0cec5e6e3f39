package eval

import (
	"encoding/json"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/data"
)

func probabilities(p []float64, truth []uint8) Input {
	in := Input{Truth: &data.Mask{Width: len(p), Height: 1, Pix: truth}}
	for _, v := range p {
		in.Probability = append(in.Probability, float32(v))
	}
	return in
}

// TestPrecisionRecall compares with scikit-learn's precision_recall_curve and average_precision_score. Where no two
// probabilities share a bin the curves are the same; elsewhere they differ by what a bin of 1/32 in log odds moves.
func TestPrecisionRecall(t *testing.T) {
	text, err := os.ReadFile(filepath.Join("..", "testdata", "stats", "precision_recall.json"))
	if err != nil {
		t.Fatal(err)
	}
	var golden struct {
		Cases []struct {
			Name        string       `json:"name"`
			Probability []float64    `json:"probability"`
			Truth       []int        `json:"truth"`
			Average     float64      `json:"average_precision"`
			Points      [][3]float64 `json:"points"`
		} `json:"cases"`
	}
	if err := json.Unmarshal(text, &golden); err != nil {
		t.Fatal(err)
	}
	exact := map[string]bool{"few values": true, "no skill": true}
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			truth := make([]uint8, len(c.Truth))
			for i, v := range c.Truth {
				truth[i] = uint8(v)
			}
			curve, average := CountProbabilities(probabilities(c.Probability, truth)).PrecisionRecall()
			slack, moved := 0.01, 1.02/binsPerLogit
			if exact[c.Name] {
				slack = 1e-12
			}
			if math.Abs(float64(average)-c.Average) > slack {
				t.Errorf("average precision is %v, want %v", average, c.Average)
			}
			for _, want := range c.Points {
				if !exact[c.Name] && math.Abs(logit(want[0])) > 15.9 { // the outer bins have no end
					continue
				}
				// The point of the bin that holds the threshold has at least the recall of the threshold and at most
				// that of one lower by a bin.
				best := math.Inf(1)
				for _, p := range curve {
					if math.Abs(logit(p.Threshold)-logit(want[0])) <= moved || exact[c.Name] {
						best = math.Min(best, math.Max(math.Abs(p.Precision-want[1]), math.Abs(p.Recall-want[2])))
					}
				}
				if limit := map[bool]float64{true: 1e-12, false: 0.03}[exact[c.Name]]; best > limit {
					t.Errorf("threshold %g: precision %g at recall %g is %g away from the curve", want[0], want[1], want[2], best)
				}
			}
		})
	}
}

func logit(p float64) float64 { return math.Log(p / (1 - p)) }

func TestHistogramCountsWhatIsValid(t *testing.T) {
	in := probabilities([]float64{0, 0.2, 0.2, 1, 0.7}, []uint8{0, 1, 0, 1, 1})
	in.Valid = &data.Mask{Width: 5, Height: 1, Pix: []uint8{1, 1, 1, 1, 0}}
	h := CountProbabilities(in)
	h.Add(nil)
	h.Add(CountProbabilities(in))
	sum := func(c Counts) (n int) {
		for _, v := range c {
			n += v
		}
		return n
	}
	if sum(h.Inside) != 4 || sum(h.Outside) != 4 || h.Inside[histogramBins-1] != 2 || h.Outside[0] != 2 {
		t.Errorf("inside %d, outside %d", sum(h.Inside), sum(h.Outside))
	}
	text, err := json.Marshal(h)
	if err != nil {
		t.Fatal(err)
	}
	var again Histogram
	if err := json.Unmarshal(text, &again); err != nil || sum(again.Inside) != 4 || again.Outside[0] != 2 {
		t.Errorf("%v: read back as %d inside", err, sum(again.Inside))
	}
	for _, bad := range []string{`{"inside": "1 2"}`, strings.Replace(string(text), "0 0", "0 -1", 1), strings.Replace(string(text), "0 0", "0 x", 1)} {
		if err := json.Unmarshal([]byte(bad), &again); err == nil {
			t.Errorf("%.40s was read", bad)
		}
	}
	if CountProbabilities(Input{Truth: in.Truth}) != nil {
		t.Error("a mask without probabilities has a histogram")
	}
	if _, average := CountProbabilities(probabilities([]float64{0.3}, []uint8{0})).PrecisionRecall(); average.Defined() {
		t.Error("without a pixel inside there is an average precision")
	}
}

// TestBinsByCells compares bins that are looked up with those by the logarithm: of probabilities all over the range, and of both sides of
// each edge between cells.
func TestBinsByCells(t *testing.T) {
	same := func(bits uint32) {
		if p := math.Float32frombits(bits); bin(p) != binByLogit(p) {
			t.Fatalf("probability %v is in bin %d, by its logarithm in %d", p, bin(p), binByLogit(p))
		}
	}
	for bits := uint32(1); bits < math.Float32bits(1); bits += 331 {
		same(bits)
	}
	for edge := uint32(1 << cellShift); edge < math.Float32bits(1); edge += 1 << cellShift {
		same(edge - 1)
		same(edge)
	}
}
