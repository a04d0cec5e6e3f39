package format

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math"
	"os"
	"strings"
)

// NIfTI's two headers (nifti.nimh.nih.gov) hold the same in other places. Sizes are of the header alone.
const (
	nifti1Size = 348
	nifti2Size = 540
)

// niftiHeader reads numbers of a header.
type niftiHeader struct {
	b     []byte
	order binary.ByteOrder
	two   bool
}

func parseNIfTI(head []byte) (h niftiHeader, ok bool) {
	if len(head) < nifti1Size {
		return h, false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		switch order.Uint32(head) {
		case nifti1Size:
			magic := string(head[344:348])
			return niftiHeader{head, order, false}, magic == "n+1\x00" || magic == "ni1\x00"
		case nifti2Size:
			if len(head) < nifti2Size {
				return h, false
			}
			magic := string(head[4:8])
			return niftiHeader{head, order, true}, magic == "n+2\x00" || magic == "ni2\x00"
		}
	}
	return h, false
}

// isAnalyze tells the header of Analyze 7.5, NIfTI's forerunner, which does not say how a volume lies.
func isAnalyze(head []byte) bool {
	if len(head) < nifti1Size || isNIfTI(head) {
		return false
	}
	for _, order := range []binary.ByteOrder{binary.LittleEndian, binary.BigEndian} {
		if dims := order.Uint16(head[40:]); order.Uint32(head) == nifti1Size && dims >= 1 && dims <= 7 {
			return true
		}
	}
	return false
}

func refuseAnalyze(string, []byte) (*Volume, error) {
	return nil, fmt.Errorf("%w: Analyze 7.5, which does not say how the volume lies: convert it with: nib-convert in.hdr out.nii.gz", ErrUnsupported)
}

func isNIfTI(head []byte) bool { _, ok := parseNIfTI(head); return ok }

func (h niftiHeader) int16(at int) int   { return int(int16(h.order.Uint16(h.b[at:]))) }
func (h niftiHeader) int32(at int) int   { return int(int32(h.order.Uint32(h.b[at:]))) }
func (h niftiHeader) int64(at int) int64 { return int64(h.order.Uint64(h.b[at:])) }
func (h niftiHeader) f32(at int) float64 {
	return float64(math.Float32frombits(h.order.Uint32(h.b[at:])))
}
func (h niftiHeader) f64(at int) float64 { return math.Float64frombits(h.order.Uint64(h.b[at:])) }
func (h niftiHeader) float(one, two, i int) float64 {
	if h.two {
		return h.f64(two + 8*i)
	}
	return h.f32(one + 4*i)
}

func (h niftiHeader) code(one, two int) int {
	if h.two {
		return h.int32(two)
	}
	return h.int16(one)
}

func (h niftiHeader) dim(i int) int64 {
	if h.two {
		return h.int64(16 + 8*i)
	}
	return int64(h.int16(40 + 2*i))
}

func (h niftiHeader) pixdim(i int) float64 { return h.float(76, 104, i) }

// separate says whether the voxels are in a file of their own.
func (h niftiHeader) separate() bool {
	return bytes.HasPrefix(h.b[344:], []byte("ni1\x00")) && !h.two || h.two && bytes.HasPrefix(h.b[4:], []byte("ni2\x00"))
}

func openNIfTI(path string, head []byte) (*Volume, error) {
	h, _ := parseNIfTI(head)
	v := &Volume{Kind: "NIfTI-1", Channels: 1, Size: [3]int{1, 1, 1}}
	if h.two {
		v.Kind = "NIfTI-2"
	}
	dims := h.dim(0)
	if dims < 1 || dims > 7 {
		return nil, fmt.Errorf("%w: dim[0] is %d, want 1 to 7", ErrCorrupt, dims)
	}
	for i := 1; i <= int(dims); i++ {
		n := h.dim(i)
		if n < 1 || n > MaxPlane {
			return nil, fmt.Errorf("%w: dim[%d] is %d, want 1 to %d", ErrCorrupt, i, n, MaxPlane)
		}
		if i <= 3 {
			v.Size[i-1] = int(n)
		} else if v.Channels *= int(n); v.Channels > 1<<16 {
			return nil, fmt.Errorf("%w: it claims more than %d values for each voxel", ErrCorrupt, 1<<16)
		}
	}
	l := raw{size: v.Size, together: 1}
	var err error
	if l.number, err = niftiNumber(h.int16(map[bool]int{false: 70, true: 12}[h.two]), h.order); err != nil {
		return nil, err
	}
	// A slope of 0, or one that is no number, means that there is none.
	l.slope, l.inter = h.float(112, 176, 0), h.float(116, 184, 0)
	if l.slope == 0 || math.IsNaN(l.slope) || math.IsInf(l.slope, 0) || math.IsNaN(l.inter) || math.IsInf(l.inter, 0) {
		l.slope, l.inter = 0, 0
	}
	offset := h.f32(108)
	if h.two {
		offset = float64(h.int64(168))
	}
	data, least := path, float64(nifti1Size)
	if h.two {
		least = nifti2Size
	}
	if h.separate() {
		least = 0
		if data, err = niftiImage(path); err != nil {
			return nil, err
		}
	}
	if !(offset >= least) || offset > 1<<40 {
		return nil, fmt.Errorf("%w: its voxels would begin at byte %g, want %g or more", ErrCorrupt, offset, least)
	}
	v.space(h)
	if err := v.check(); err != nil { // before sizes are multiplied
		return nil, err
	}
	all := l.total() * int64(v.Channels)
	s, err := openAt(data, int64(offset), all)
	if err != nil {
		return nil, err
	}
	s.Close()
	if s.packed {
		if err := l.fits(s.size); err != nil {
			return nil, err
		}
	}
	v.read = func(channel int, fn func(int, []float32) error) error {
		s, err := openAt(data, int64(offset)+int64(channel)*l.total(), l.total())
		if err != nil {
			return err
		}
		defer s.Close()
		if err := l.planes(s, 0, fn); err != nil {
			return err
		}
		return s.whole()
	}
	return v, nil
}

// niftiImage finds the file with the voxels of a header in a file of its own.
func niftiImage(header string) (string, error) {
	base := strings.TrimSuffix(strings.TrimSuffix(header, ".gz"), ".hdr")
	for _, path := range []string{base + ".img", base + ".img.gz"} {
		if _, err := os.Stat(path); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: it is a header alone and %s.img is not beside it", ErrCorrupt, base)
}

func niftiNumber(code int, order binary.ByteOrder) (number, error) {
	known := map[int]number{
		2: {bytes: 1, kind: unsigned}, 4: {bytes: 2, kind: signed}, 8: {bytes: 4, kind: signed}, 16: {bytes: 4, kind: floating}, 64: {bytes: 8, kind: floating},
		256: {bytes: 1, kind: signed}, 512: {bytes: 2, kind: unsigned}, 768: {bytes: 4, kind: unsigned}, 1024: {bytes: 8, kind: signed}, 1280: {bytes: 8, kind: unsigned},
	}
	if n, ok := known[code]; ok {
		n.order = order
		return n, nil
	}
	if name, ok := map[int]string{1: "bits", 32: "complex numbers", 128: "colours", 1536: "numbers of 128 bits", 1792: "complex numbers",
		2048: "complex numbers", 2304: "colours"}[code]; ok {
		return number{}, fmt.Errorf("%w: its voxels are %s (type %d): write it again with one number for each voxel", ErrUnsupported, name, code)
	}
	return number{}, fmt.Errorf("%w: its voxels have the type %d, which there is not", ErrCorrupt, code)
}

// space reads how voxels lie in the patient: by the affine matrix, else by the quaternion, in millimetres.
func (v *Volume) space(h niftiHeader) {
	unit := niftiUnit(int(h.b[123]) & 7)
	if h.two {
		unit = niftiUnit(h.int32(500) & 7)
	}
	v.Spacing = [3]float64{1, 1, 1}
	for i := range min(3, int(h.dim(0))) {
		v.Spacing[i] = math.Abs(h.pixdim(i+1)) * unit
	}
	v.Physical = true
	switch {
	case h.code(254, 348) > 0:
		for row := range 3 {
			for column := range 4 {
				v.Affine[row][column] = h.float(280, 400, 4*row+column) * unit
			}
		}
		v.Oriented = true
		for i := range 3 { // where pixdim says nothing the columns' lengths do
			if !(v.Spacing[i] > 0) {
				v.Spacing[i] = math.Hypot(math.Hypot(v.Affine[0][i], v.Affine[1][i]), v.Affine[2][i])
			}
		}
	case h.code(252, 344) > 0:
		b, c, d := h.float(256, 352, 0), h.float(256, 352, 1), h.float(256, 352, 2)
		a := math.Sqrt(max(0, 1-b*b-c*c-d*d))
		turn := [3][3]float64{
			{a*a + b*b - c*c - d*d, 2 * (b*c - a*d), 2 * (b*d + a*c)},
			{2 * (b*c + a*d), a*a + c*c - b*b - d*d, 2 * (c*d - a*b)},
			{2 * (b*d - a*c), 2 * (c*d + a*b), a*a + d*d - b*b - c*c},
		}
		scale := v.Spacing
		if h.pixdim(0) < 0 {
			scale[2] = -scale[2]
		}
		for row := range 3 {
			for column := range 3 {
				v.Affine[row][column] = turn[row][column] * scale[column]
			}
			v.Affine[row][3] = h.float(268, 376, row) * unit
		}
		v.Oriented = true
	}
}

// niftiUnit is how many mm a file's unit of length has.
func niftiUnit(code int) float64 {
	switch code {
	case 1:
		return 1000
	case 3:
		return 0.001
	}
	return 1
}
