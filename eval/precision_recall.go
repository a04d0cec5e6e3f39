package eval

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"sync"
)

// Histogram counts the valid pixels of segmentations by their predicted probability, those of the truth apart from the others:
// all that a precision-recall curve needs. Its bins are 1/32 wide in the logarithm of the odds p/(1-p), from -16 to 16, which
// is a width of under 0.8 % of probability in the middle and less towards 0 and 1, where the scores of structures that fill
// little of a picture crowd. Beyond the ends the outer bins count.
type Histogram struct {
	Inside  Counts `json:"inside"`
	Outside Counts `json:"outside"`
}

const (
	histogramBins = 1024
	binsPerLogit  = 32
)

// Counts are the counts of a histogram's bins, by rising probability. In JSON they are one text with spaces between.
type Counts []int

// MarshalText writes the counts with spaces between.
func (c Counts) MarshalText() ([]byte, error) {
	var b []byte
	for i, n := range c {
		if i > 0 {
			b = append(b, ' ')
		}
		b = strconv.AppendInt(b, int64(n), 10)
	}
	return b, nil
}

// UnmarshalText reads what MarshalText wrote.
func (c *Counts) UnmarshalText(text []byte) error {
	fields := strings.Fields(string(text))
	if len(fields) != histogramBins {
		return fmt.Errorf("a histogram has %d counts, want %d", len(fields), histogramBins)
	}
	*c = make(Counts, histogramBins)
	for i, f := range fields {
		n, err := strconv.Atoi(f)
		if err != nil || n < 0 {
			return fmt.Errorf("count %d of a histogram is %q", i+1, f)
		}
		(*c)[i] = n
	}
	return nil
}

// CountProbabilities makes the histogram of one segmentation that Score takes; nil where it has no probabilities.
func CountProbabilities(in Input) *Histogram {
	if in.Probability == nil || in.Truth == nil || len(in.Truth.Pix) != len(in.Probability) {
		return nil
	}
	h := &Histogram{Inside: make(Counts, histogramBins), Outside: make(Counts, histogramBins)}
	for i, p := range in.Probability {
		if in.Valid != nil && in.Valid.Pix[i] == 0 {
			continue
		}
		if in.Truth.Pix[i] == 1 {
			h.Inside[bin(p)]++
		} else {
			h.Outside[bin(p)]++
		}
	}
	return h
}

// bin is the place of a probability in a histogram. That of a pixel is nearly always known from the first bits of its probability; the
// logarithm is taken for the others alone, which lie beside an edge between bins or close to 1.
func bin(p float32) int {
	switch {
	case !(p > 0):
		return 0
	case p >= 1:
		return histogramBins - 1
	}
	bins := binsOfCells()
	cell := math.Float32bits(p) >> cellShift
	if bins[cell] == bins[cell+1] {
		return int(bins[cell])
	}
	return binByLogit(p)
}

func binByLogit(p float32) int {
	logit := math.Log(float64(p) / (1 - float64(p)))
	return int(math.Max(0, math.Min(histogramBins-1, math.Floor(logit*binsPerLogit)+histogramBins/2)))
}

// cellShift are the low bits of a float32 that are left out where probabilities are told apart by cells of neighbours.
const cellShift = 12

// binsOfCells are the bins of the lowest probability of each cell, and of 1 at the end. The bins of what lies in a cell are between
// its own and the next one's, as they rise with the probability.
var binsOfCells = sync.OnceValue(func() []uint16 {
	bins := make([]uint16, math.Float32bits(1)>>cellShift+1)
	for cell := range bins[1 : len(bins)-1] {
		bins[cell+1] = uint16(binByLogit(math.Float32frombits(uint32(cell+1) << cellShift)))
	}
	bins[len(bins)-1] = histogramBins - 1
	return bins
})

// Add adds the counts of another histogram; nil adds nothing.
func (h *Histogram) Add(o *Histogram) {
	if o == nil {
		return
	}
	if h.Inside == nil {
		h.Inside, h.Outside = make(Counts, histogramBins), make(Counts, histogramBins)
	}
	for i := range o.Inside {
		h.Inside[i] += o.Inside[i]
		h.Outside[i] += o.Outside[i]
	}
}

// OperatingPoint is precision and recall where all pixels of at least a probability are called inside.
type OperatingPoint struct{ Threshold, Precision, Recall float64 }

// PrecisionRecall returns the curve by falling threshold, a point for each bin that counts anything, and the average precision
// as scikit-learn's average_precision_score has it: precision weighted by the gain in recall, the pixels of a bin
// taken as of one probability. Without a pixel inside the truth there is no curve.
func (h *Histogram) PrecisionRecall() (curve []OperatingPoint, average Float) {
	positives := 0
	for _, n := range h.Inside {
		positives += n
	}
	if positives == 0 {
		return nil, Undefined
	}
	found, called := 0, 0
	for i := histogramBins - 1; i >= 0; i-- {
		if h.Inside[i]+h.Outside[i] == 0 {
			continue
		}
		found += h.Inside[i]
		called += h.Inside[i] + h.Outside[i]
		edge := 1 / (1 + math.Exp(-float64(i-histogramBins/2)/binsPerLogit))
		p := OperatingPoint{Threshold: edge, Precision: float64(found) / float64(called), Recall: float64(found) / float64(positives)}
		average += Float(p.Precision * float64(h.Inside[i]) / float64(positives))
		curve = append(curve, p)
	}
	return curve, average
}
