package experiment

import (
	"bytes"
	"compress/flate"
	"fmt"
	"io"
	"path/filepath"
	"runtime"

	"golang.org/x/sync/errgroup"

	"samtune/data"
	"samtune/eval"
	"samtune/eval/report"
)

// held is what a run keeps of a method's segmentations until its report is written.
type held struct {
	masks     map[string]packedMask // by case
	histogram eval.Histogram
}

// packedMask is a mask in little memory.
type packedMask struct {
	width, height int
	packed        []byte
}

func packMask(m *data.Mask) packedMask {
	var b bytes.Buffer
	z, _ := flate.NewWriter(&b, flate.BestSpeed) // writing to memory does not fail
	_, _ = z.Write(m.Pix)
	_ = z.Close()
	return packedMask{m.Width, m.Height, bytes.Clone(b.Bytes())}
}

func (p packedMask) unpack() (*data.Mask, error) {
	m := data.NewMask(p.width, p.height)
	if _, err := io.ReadFull(flate.NewReader(bytes.NewReader(p.packed)), m.Pix); err != nil {
		return nil, fmt.Errorf("unpack mask: %w", err)
	}
	return m, nil
}

// counted returns the counts of a method's probabilities; nil where it gave none.
func (r *Run) counted(method string) *eval.Histogram {
	if h := r.held[method]; h != nil && h.histogram.Inside != nil {
		return &h.histogram
	}
	return nil
}

// mask returns a segmentation that was held, or nil.
func (r *Run) mask(method, id string) (*data.Mask, error) {
	h := r.held[method]
	if h == nil {
		return nil, nil
	}
	p, ok := h.masks[id]
	if !ok {
		return nil, nil
	}
	return p.unpack()
}

// inThreeDimensions adds to a method's summary what its volumes are worth in three dimensions.
func (r *Run) inThreeDimensions(method string, rows []eval.CaseResult, m *eval.Method) error {
	volumes, err := eval.ScoreVolumes(rows, r.pictures.get, r.target, r.results.NSDTolerance, func(id string) (*data.Mask, error) { return r.mask(method, id) })
	if err != nil {
		return err
	}
	r.wholes = append(r.wholes, volumes...)
	m.In3D = eval.SummariseVolumes(volumes, r.cfg.Seed)
	return nil
}

// write writes the run's files; results.json comes last and marks the run as finished.
func (r *Run) write() error {
	if err := eval.WriteCasesFile(filepath.Join(r.Dir, CasesFile), r.rows); err != nil {
		return err
	}
	if r.wholes != nil {
		if err := eval.WriteVolumesFile(filepath.Join(r.Dir, VolumesFile), r.wholes); err != nil {
			return err
		}
	}
	var named []report.CaseOverlay // best, median and worst
	var drawing errgroup.Group
	drawing.SetLimit(runtime.NumCPU())
	defer drawing.Wait() // also where a later case can't be looked at
	for _, o := range report.Pick(r.results, r.rows) {
		sample, err := r.pictures.get(o.Case)
		if err != nil {
			return err
		}
		o.Image, o.Truth, o.Valid = sample.Image, sample.Masks[r.target], sample.Valid
		if o.Before, err = r.mask(o.BeforeMethod, o.Case); err != nil {
			return err
		}
		if o.After, err = r.mask(eval.MethodAfter, o.Case); err != nil {
			return err
		}
		drawing.Go(func() error { return report.WriteOverlay(filepath.Join(r.Dir, OverlaysDir), o) })
		if o.Role != "" {
			named = append(named, o)
		}
	}
	if err := drawing.Wait(); err != nil {
		return err
	}
	if err := report.Write(r.Dir, report.In(r.Dir), r.results, r.rows); err != nil {
		return err
	}
	if err := r.writeEvents(named); err != nil {
		return err
	}
	return eval.WriteResults(filepath.Join(r.Dir, ResultsFile), r.results)
}
