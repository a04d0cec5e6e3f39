package format

import (
	"bytes"
	"fmt"
	"math"
	"os"
	"strconv"
	"strings"

	"github.com/suyashkumar/dicom"
	"github.com/suyashkumar/dicom/pkg/tag"
)

func isDICOM(head []byte) bool { return len(head) >= 132 && string(head[128:132]) == "DICM" }

// dicomFile is what is read of one DICOM file.
type dicomFile struct {
	path         string
	rows, cols   int
	frames       int
	number       number
	slope, inter float64
	inverted     bool // MONOCHROME1: small values are bright
	pixels       int64
	series       string
	instance     int
	spacing      [2]float64 // between rows, between columns, in mm; 0 where it is not told
	between      float64    // slices
	position     []float64  // of the first voxel, mm to the left, back and up
	direction    []float64  // of rows and of columns
}

// readDICOM reads a file's header. The library is given the elements that are of use, once it is known that every length of
// the file's fits into it: it would otherwise set memory aside for what a damaged file claims. Voxels are read from the file,
// one frame after the other.
func readDICOM(path string) (d *dicomFile, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	defer func() {
		if p := recover(); p != nil { // the library panics at values of another type than their name's
			d, err = nil, fmt.Errorf("%w: %v", ErrCorrupt, p)
		}
	}()
	w := &dicomWalk{r: f, size: info.Size()}
	if err := w.walk(); err != nil {
		return nil, err
	}
	set, err := dicom.Parse(bytes.NewReader(w.header), int64(len(w.header)), nil, dicom.AllowMissingMetaElementGroupLength())
	if err != nil {
		return nil, fmt.Errorf("%w: its header: %w", ErrCorrupt, err)
	}
	d = &dicomFile{path: path, pixels: w.pixels}
	return d, d.parse(&set, w)
}

// dicomValues are an element's values as text or numbers; none where it is missing.
func dicomValues(set *dicom.Dataset, t tag.Tag) (words []string, numbers []float64) {
	e, err := set.FindElementByTag(t)
	if err != nil || e.Value == nil {
		return nil, nil
	}
	switch v := e.Value.GetValue().(type) {
	case []string:
		for _, s := range v {
			s = strings.Trim(s, " \x00")
			words = append(words, s)
			if n, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(n) && !math.IsInf(n, 0) {
				numbers = append(numbers, n)
			}
		}
	case []int:
		for _, n := range v {
			numbers = append(numbers, float64(n))
		}
	case []float64:
		numbers = v
	}
	return words, numbers
}

func (d *dicomFile) parse(set *dicom.Dataset, w *dicomWalk) error {
	whole := func(t tag.Tag, name string, least, most, otherwise int) (int, error) {
		_, n := dicomValues(set, t)
		if len(n) == 0 && otherwise >= 0 {
			return otherwise, nil
		}
		if len(n) == 0 || n[0] != math.Trunc(n[0]) || n[0] < float64(least) || n[0] > float64(most) {
			return 0, fmt.Errorf("%w: %s is %v, want %d to %d", ErrCorrupt, name, n, least, most)
		}
		return int(n[0]), nil
	}
	var allocated, stored, samples, sign int
	for _, field := range []struct {
		t                      tag.Tag
		name                   string
		least, most, otherwise int
		out                    *int
	}{
		{tag.Rows, "Rows", 1, MaxPlane, -1, &d.rows}, {tag.Columns, "Columns", 1, MaxPlane, -1, &d.cols},
		{tag.NumberOfFrames, "NumberOfFrames", 1, 1 << 16, 1, &d.frames}, {tag.BitsAllocated, "BitsAllocated", 1, 64, -1, &allocated},
		{tag.BitsStored, "BitsStored", 1, 64, 0, &stored}, {tag.SamplesPerPixel, "SamplesPerPixel", 1, 4, 1, &samples},
		{tag.PixelRepresentation, "PixelRepresentation", 0, 1, 0, &sign}, {tag.InstanceNumber, "InstanceNumber", -1 << 30, 1 << 30, 0, &d.instance},
	} {
		var err error
		if *field.out, err = whole(field.t, field.name, field.least, field.most, field.otherwise); err != nil {
			return err
		}
	}
	switch {
	case samples != 1:
		return fmt.Errorf("%w: a DICOM picture in colour: write its grey values, or PNG", ErrUnsupported)
	case allocated != 8 && allocated != 16 && allocated != 32:
		return fmt.Errorf("%w: %d bits for each voxel, want 8, 16 or 32", ErrUnsupported, allocated)
	case stored > allocated:
		return fmt.Errorf("%w: BitsStored is %d and BitsAllocated %d", ErrCorrupt, stored, allocated)
	}
	// The bits above those that are stored may hold overlays.
	d.number = number{bytes: allocated / 8, kind: unsigned, order: w.order, bits: stored}
	if sign == 1 {
		d.number.kind = signed
	}
	if need := int64(d.rows) * int64(d.cols) * int64(d.frames) * int64(d.number.bytes); need > w.pixelBytes {
		return fmt.Errorf("%w: it claims %d bytes of voxels and has %d: copy it again from where you have it", ErrCorrupt, need, w.pixelBytes)
	}
	words, _ := dicomValues(set, tag.PhotometricInterpretation)
	if d.inverted = len(words) > 0 && words[0] == "MONOCHROME1"; len(words) > 0 && !strings.HasPrefix(words[0], "MONOCHROME") {
		return fmt.Errorf("%w: a DICOM picture whose values are %s, want grey values: write those, or PNG", ErrUnsupported, words[0])
	}
	if words, _ = dicomValues(set, tag.SeriesInstanceUID); len(words) > 0 {
		d.series = words[0]
	}
	d.slope = 1
	if _, n := dicomValues(set, tag.RescaleSlope); len(n) > 0 && n[0] != 0 {
		d.slope = n[0]
	}
	if _, n := dicomValues(set, tag.RescaleIntercept); len(n) > 0 {
		d.inter = n[0]
	}
	if _, n := dicomValues(set, tag.PixelSpacing); len(n) == 2 {
		d.spacing = [2]float64{n[0], n[1]}
	}
	for _, t := range []tag.Tag{tag.SliceThickness, tag.SpacingBetweenSlices} {
		if _, n := dicomValues(set, t); len(n) > 0 {
			d.between = n[0]
		}
	}
	if _, n := dicomValues(set, tag.ImagePositionPatient); len(n) == 3 {
		d.position = n
	}
	if _, n := dicomValues(set, tag.ImageOrientationPatient); len(n) == 6 {
		d.direction = n
	}
	return nil
}

// planes reads the file's frames.
func (d *dicomFile) planes(fn func(frame int, voxels []float32) error) error {
	l := raw{number: d.number, size: [3]int{d.cols, d.rows, d.frames}, together: 1, slope: d.slope, inter: d.inter}
	s, err := openAt(d.path, d.pixels, l.total())
	if err != nil {
		return err
	}
	defer s.Close()
	return l.planes(s, 0, fn)
}

// affine is that of frames step apart, in mm along x, y and z. DICOM's millimetres go to the left and to the back.
func (d *dicomFile) affine(step []float64) (a [3][4]float64) {
	for row, sign := range []float64{-1, -1, 1} {
		a[row] = [4]float64{sign * d.direction[row] * d.spacing[1], sign * d.direction[3+row] * d.spacing[0], sign * step[row], sign * d.position[row]}
	}
	return a
}

// normal is the direction across slices.
func (d *dicomFile) normal() []float64 {
	x, y := d.direction[:3], d.direction[3:]
	return []float64{x[1]*y[2] - x[2]*y[1], x[2]*y[0] - x[0]*y[2], x[0]*y[1] - x[1]*y[0]}
}

func openDICOM(path string, _ []byte) (*Volume, error) {
	d, err := readDICOM(path)
	if err != nil {
		return nil, err
	}
	v := &Volume{Kind: "DICOM", Size: [3]int{d.cols, d.rows, d.frames}, Channels: 1, Inverted: d.inverted}
	v.Spacing = [3]float64{d.spacing[1], d.spacing[0], max(d.between, 0)}
	if v.Spacing[2] == 0 {
		v.Spacing[2], v.Guessed = 1, true
	}
	v.Physical = d.spacing[0] > 0 && d.spacing[1] > 0
	if v.Oriented = v.Physical && d.position != nil && d.direction != nil; v.Oriented {
		n := d.normal()
		v.Affine = d.affine([]float64{n[0] * v.Spacing[2], n[1] * v.Spacing[2], n[2] * v.Spacing[2]})
	}
	v.read = func(_ int, fn func(int, []float32) error) error { return d.planes(fn) }
	return v, nil
}
