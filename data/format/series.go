package format

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
)

// OpenSeries reads the headers of all DICOM files of a folder, which are the slices of one volume, in the order in which they lie
// in the patient; files that are no DICOM are passed over. Its errors wrap ErrCorrupt or ErrUnsupported.
func OpenSeries(dir string) (*Volume, error) {
	v, err := openSeries(dir)
	if err != nil {
		return nil, fmt.Errorf("read series %q: %w", dir, short(err))
	}
	v.path = dir
	return v, nil
}

func openSeries(dir string) (*Volume, error) {
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	var files []*dicomFile
	for _, e := range entries {
		path := filepath.Join(dir, e.Name())
		if info, err := os.Stat(path); err != nil || !info.Mode().IsRegular() || strings.EqualFold(e.Name(), "DICOMDIR") {
			continue
		}
		head, _, err := readHead(path)
		if err != nil {
			return nil, err
		}
		if !isDICOM(head) {
			if strings.EqualFold(filepath.Ext(path), ".dcm") { // without it the volume would be short of a slice
				return nil, fmt.Errorf("%w: %s is no DICOM file with a preamble: copy it again from where you have it", ErrCorrupt, e.Name())
			}
			continue
		}
		d, err := readDICOM(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", e.Name(), err)
		}
		files = append(files, d)
	}
	if len(files) == 0 {
		return nil, fmt.Errorf("%w: there is no DICOM file", ErrUnsupported)
	}
	step, err := order(files)
	if err != nil {
		return nil, err
	}
	first := files[0]
	v := &Volume{Kind: "DICOM", Size: [3]int{first.cols, first.rows, len(files)}, Channels: 1, Inverted: first.inverted}
	v.Physical = first.spacing[0] > 0 && first.spacing[1] > 0
	v.Spacing = [3]float64{first.spacing[1], first.spacing[0], max(first.between, 0)}
	if step != nil {
		v.Spacing[2] = norm(step)
	}
	if v.Spacing[2] == 0 {
		v.Spacing[2], v.Guessed = 1, true
	}
	if v.Oriented = v.Physical && first.direction != nil && first.position != nil; v.Oriented {
		if step == nil {
			n := first.normal()
			step = []float64{n[0] * v.Spacing[2], n[1] * v.Spacing[2], n[2] * v.Spacing[2]}
		}
		v.Affine = first.affine(step)
	}
	for _, f := range files {
		v.Names = append(v.Names, filepath.Base(f.path))
	}
	v.read = func(_ int, fn func(int, []float32) error) error {
		for z, f := range files {
			if err := f.planes(func(_ int, voxels []float32) error { return fn(z, voxels) }); err != nil {
				return fmt.Errorf("%s: %w", filepath.Base(f.path), err)
			}
		}
		return nil
	}
	return v, v.check()
}

// order sorts slices from below to above along the direction across them and returns the way from one to the next, in mm;
// nil where they do not tell where they lie and their numbers are what orders them.
func order(files []*dicomFile) (step []float64, err error) {
	first := files[0]
	name := func(d *dicomFile) string { return filepath.Base(d.path) }
	placed := 0
	for _, f := range files {
		switch {
		case f.frames != 1:
			return nil, fmt.Errorf("%w: %s holds %d frames: name that file itself", ErrUnsupported, name(f), f.frames)
		case f.rows != first.rows || f.cols != first.cols:
			return nil, fmt.Errorf("%w: %s is %d x %d and %s %d x %d: keep one series in a folder", ErrUnsupported, name(f), f.cols, f.rows, name(first), first.cols, first.rows)
		case f.inverted != first.inverted:
			return nil, fmt.Errorf("%w: small values are bright in one of %s and %s and dark in the other", ErrUnsupported, name(first), name(f))
		case f.series != first.series:
			return nil, fmt.Errorf("%w: %s and %s are of two series: keep one series in a folder", ErrUnsupported, name(first), name(f))
		case f.spacing != first.spacing:
			return nil, fmt.Errorf("%w: pixels of %s are %v mm apart and those of %s %v", ErrUnsupported, name(f), f.spacing, name(first), first.spacing)
		case f.direction != nil && first.direction != nil && far(f.direction, first.direction):
			return nil, fmt.Errorf("%w: %s and %s are cut in different directions", ErrUnsupported, name(first), name(f))
		}
		if f.position != nil && f.direction != nil {
			placed++
		}
	}
	if placed != len(files) {
		slices.SortStableFunc(files, func(a, b *dicomFile) int { return a.instance - b.instance })
		for i := 1; i < len(files); i++ {
			if files[i].instance == files[i-1].instance {
				return nil, fmt.Errorf("%w: %s and %s have neither a place nor numbers that differ: their order is not known", ErrUnsupported, name(files[i-1]), name(files[i]))
			}
		}
		return nil, nil
	}
	normal := first.normal()
	height := func(d *dicomFile) float64 {
		return normal[0]*d.position[0] + normal[1]*d.position[1] + normal[2]*d.position[2]
	}
	slices.SortStableFunc(files, func(a, b *dicomFile) int {
		switch d := height(a) - height(b); {
		case d < 0:
			return -1
		case d > 0:
			return 1
		}
		return 0
	})
	if len(files) == 1 {
		return nil, nil
	}
	last := files[len(files)-1]
	mean := (height(last) - height(files[0])) / float64(len(files)-1)
	for i := 1; i < len(files); i++ {
		if height(files[i])-height(files[i-1]) < 1e-3 {
			return nil, fmt.Errorf("%w: %s and %s lie in the same place: keep one of them", ErrUnsupported, name(files[i-1]), name(files[i]))
		}
	}
	for i := 1; i < len(files); i++ {
		gap := height(files[i]) - height(files[i-1])
		if math.Abs(gap-mean) > max(0.1*mean, 0.05) {
			return nil, fmt.Errorf("%w: %s and %s are %.4g mm apart, where slices are %.4g mm apart: one may be missing", ErrUnsupported, name(files[i-1]), name(files[i]), gap, mean)
		}
	}
	step = make([]float64, 3)
	for i := range step {
		step[i] = (last.position[i] - files[0].position[i]) / float64(len(files)-1)
	}
	return step, nil
}

func far(a, b []float64) bool {
	for i := range a {
		if math.Abs(a[i]-b[i]) > 1e-3 {
			return true
		}
	}
	return false
}

func norm(v []float64) float64 { return math.Hypot(math.Hypot(v[0], v[1]), v[2]) }
