package eval

import (
	"bytes"
	"cmp"
	"encoding/csv"
	"fmt"
	"slices"
	"strconv"

	"samtune/data"
)

// Surfaces are the metrics of a volume's surfaces in three dimensions, undefined where Why says so and as those of a picture are.
type Surfaces struct {
	HD95 Float
	ASSD Float
	NSD  Float
	Why  string // nothing could be compared in three dimensions; empty: it could
}

// VolumeInput is the scored slices of a volume, in any order, and what a method made of them.
type VolumeInput struct {
	Slices       []*data.Sample
	Target       string
	Prediction   func(id string) (*data.Mask, error) // of a slice, of its size; asked for twice
	NSDTolerance float64                             // in the unit of the slices' spacing
}

// ScoreVolume compares the surfaces of a volume in three dimensions, with the spacing of its voxels: HD95 and ASSD are MedPy 0.5.2's hd95
// and assd, NSD is surface-distance 0.1's compute_surface_dice_at_tolerance. Only pixels of the slices' valid regions are inside.
// Where the slices are not all that hold the target, do not lie side by side or lie at a distance that is not known, it says so and
// has no values. The memory it takes goes by the box around what is inside: two bytes a voxel, six while distances are worked out.
func ScoreVolume(in VolumeInput) (Surfaces, error) {
	if len(in.Slices) == 0 {
		return Surfaces{}, fmt.Errorf("score volume: it has no slices")
	}
	sorted := slices.Clone(in.Slices)
	slices.SortFunc(sorted, func(a, b *data.Sample) int { return cmp.Compare(a.Slice, b.Slice) })
	none := Surfaces{HD95: Undefined, ASSD: Undefined, NSD: Undefined}
	if none.Why = notWhole(sorted, in.Target); none.Why != "" {
		return none, nil
	}
	first := sorted[0]
	p, err := newVolumePair(len(sorted), [3]float64{first.Between, first.Spacing[0], first.Spacing[1]}, func(k int) (pred, truth *data.Mask, err error) {
		s := sorted[k]
		one := Input{Truth: s.Masks[in.Target], Valid: s.Valid, Spacing: s.Spacing, NSDTolerance: in.NSDTolerance}
		if one.Prediction, err = in.Prediction(s.ID); err != nil {
			return nil, nil, err
		}
		if err := one.check(); err != nil {
			return nil, nil, fmt.Errorf("slice %s: %w", s.ID, err)
		}
		return within(one.Prediction, s.Valid), within(one.Truth, s.Valid), nil
	})
	if err != nil {
		return Surfaces{}, fmt.Errorf("score volume %s: %w", first.Volume, err)
	}
	if p == nil {
		return none, nil
	}
	out := Surfaces{NSD: p.surfaceDice(in.NSDTolerance)}
	out.HD95, out.ASSD = p.surfaceDistances()
	return out, nil
}

// notWhole says why slices, in their order, are not a part of a volume that has all of a target in it; empty where they are.
func notWhole(sorted []*data.Sample, target string) string {
	first, last := sorted[0], sorted[len(sorted)-1]
	if !(first.Between > 0) {
		return "the distance between slices is not known"
	}
	for k, s := range sorted {
		switch {
		case s.Slice != first.Slice+k:
			return "slices between them were not scored"
		case s.Between != first.Between || s.Spacing != first.Spacing:
			return "slices lie at different distances"
		}
	}
	switch extent, known := first.Extent[target]; {
	case !known:
		return "which slices hold the target is not known"
	case extent[0] < first.Slice || extent[1] > last.Slice:
		return "other slices hold the target too"
	}
	return ""
}

// newVolumePair puts the masks of so many slices, from one end of a volume to the other, on a lattice around what is inside of any; nil
// where nothing is. Each slice is asked for twice. All must have one size.
func newVolumePair(depth int, spacing [3]float64, slice func(k int) (pred, truth *data.Mask, err error)) (*pair, error) {
	var around box
	from, to, width, height := depth, 0, 0, 0
	for k := range depth {
		pred, truth, err := slice(k)
		if err != nil {
			return nil, err
		}
		if k == 0 {
			width, height = truth.Width, truth.Height
		}
		if truth.Width != width || truth.Height != height {
			return nil, fmt.Errorf("slice %d is %d x %d, want %d x %d as the first", k, truth.Width, truth.Height, width, height)
		}
		b, ok := boundingBox(pred, truth)
		if !ok {
			continue
		}
		if to == 0 {
			from, around = k, b
		}
		to = k + 1
		around = box{min(around.x0, b.x0), min(around.y0, b.y0), max(around.x1, b.x1), max(around.y1, b.y1)}
	}
	if to == 0 {
		return nil, nil
	}
	p := &pair{lattice: lattice{planes: to - from + 2, rows: around.y1 - around.y0 + 2, columns: padded(around), spacing: spacing}}
	p.pred, p.truth = p.solid(), p.solid()
	for k := from; k < to; k++ {
		pred, truth, err := slice(k)
		if err != nil {
			return nil, err
		}
		at := p.margin() + (k-from)*p.rows*p.columns
		copyRows(p.pred[at:], p.columns, pred, around)
		copyRows(p.truth[at:], p.columns, truth, around)
	}
	return p, nil
}

// VolumeResult is the row of one volume under one method.
type VolumeResult struct {
	Volume  string
	Patient string
	Method  string
	Slices  int   // that were scored
	Dice    Float // of their pixels together
	Surfaces
}

// ScoreVolumes compares the volumes that a method's rows are slices of in three dimensions, in the rows' order. The samples are by ID, and
// prediction is as in VolumeInput. Rows of pictures are passed over.
func ScoreVolumes(rows []CaseResult, sample func(id string) (*data.Sample, error), target string, tolerance float64, prediction func(id string) (*data.Mask, error)) ([]VolumeResult, error) {
	of := map[string][]string{}
	for _, row := range rows {
		of[row.Volume] = append(of[row.Volume], row.Case)
	}
	var out []VolumeResult
	for _, u := range units(rows) {
		if u.Volume == "" {
			continue
		}
		var slices []*data.Sample
		for _, id := range of[u.Volume] {
			s, err := sample(id)
			if err != nil {
				return nil, err
			}
			if s == nil {
				return nil, fmt.Errorf("score volume %s: its slice %s is missing", u.Volume, id)
			}
			slices = append(slices, s)
		}
		s, err := ScoreVolume(VolumeInput{Slices: slices, Target: target, Prediction: prediction, NSDTolerance: tolerance})
		if err != nil {
			return nil, err
		}
		out = append(out, VolumeResult{Volume: u.Volume, Patient: u.Patient, Method: u.Method, Slices: len(slices), Dice: u.Dice, Surfaces: s})
	}
	return out, nil
}

// In3D are the metrics of volumes in three dimensions, summarised over volumes.
type In3D struct {
	HD95    Summary `json:"hd95"`
	ASSD    Summary `json:"assd"`
	NSD     Summary `json:"nsd"`
	Without int     `json:"without"`       // volumes that could not be compared in three dimensions
	Why     string  `json:"why,omitempty"` // of the first of them
}

// SummariseVolumes summarises a method's volumes as MethodOf does its cases; nil where there are none.
func SummariseVolumes(rows []VolumeResult, seed int64) *In3D {
	if len(rows) == 0 {
		return nil
	}
	out := &In3D{}
	for _, row := range rows {
		if row.Why == "" {
			continue
		}
		if out.Without++; out.Why == "" {
			out.Why = row.Why
		}
	}
	for _, m := range []struct {
		name  string
		value func(*Surfaces) Float
		to    *Summary
	}{
		{"hd95", func(s *Surfaces) Float { return s.HD95 }, &out.HD95},
		{"assd", func(s *Surfaces) Float { return s.ASSD }, &out.ASSD},
		{"nsd", func(s *Surfaces) Float { return s.NSD }, &out.NSD},
	} {
		values := make([]float64, len(rows))
		for i := range rows {
			values[i] = float64(m.value(&rows[i].Surfaces))
		}
		*m.to = summarise(values, newStream(seed, m.name+" in 3d"))
	}
	return out
}

// WriteVolumesFile writes one line a volume and method under a header, in the order given, to a file that is replaced as a whole or
// not at all. Numbers are the shortest that read back the same; what is undefined is an empty cell.
func WriteVolumesFile(path string, rows []VolumeResult) error {
	var b bytes.Buffer
	out := csv.NewWriter(&b)
	out.Write([]string{"method", "volume", "patient", "slices", "dice", "hd95_3d", "assd_3d", "nsd_3d", "why_not_3d"}) // memory does not fail
	for _, row := range rows {
		record := []string{row.Method, row.Volume, row.Patient, strconv.Itoa(row.Slices)}
		for _, v := range []Float{row.Dice, row.HD95, row.ASSD, row.NSD} {
			record = append(record, cellOf(v))
		}
		out.Write(append(record, row.Why))
	}
	out.Flush()
	return writeFile(path, b.Bytes())
}
