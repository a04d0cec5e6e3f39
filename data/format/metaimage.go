package format

import (
	"bytes"
	"compress/zlib"
	"encoding/binary"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// metaHeader is the most that a MetaImage's header may take.
const metaHeader = 1 << 16

func isMetaImage(head []byte) bool {
	head = bytes.TrimLeft(head, " \t\r\n")
	for _, key := range []string{"ObjectType", "NDims"} {
		if rest, ok := bytes.CutPrefix(head, []byte(key)); ok {
			return bytes.HasPrefix(bytes.TrimLeft(rest, " \t"), []byte("="))
		}
	}
	return false
}

// metaFields reads the lines of a header, up to the one that says where the voxels are, and where they begin if that is
// behind it.
func metaFields(path string) (fields map[string]string, after int64, err error) {
	f, err := openAt(path, 0, 0)
	if err != nil {
		return nil, 0, err
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, metaHeader))
	if err != nil {
		return nil, 0, err
	}
	fields = map[string]string{}
	for at := 0; at < len(text); {
		end := bytes.IndexByte(text[at:], '\n')
		next := at + end + 1
		if end < 0 {
			end, next = len(text)-at, len(text)
		}
		line := string(text[at : at+end])
		key, value, ok := strings.Cut(line, "=")
		key, value = strings.TrimSpace(key), strings.TrimSpace(value)
		if !ok && strings.TrimSpace(line) != "" {
			return nil, 0, fmt.Errorf("%w: its header holds %.40q, want name = value", ErrCorrupt, line)
		}
		fields[key] = value
		if at = next; key == "ElementDataFile" {
			return fields, int64(at), nil
		}
	}
	return nil, 0, fmt.Errorf("%w: its header does not say where the voxels are: ElementDataFile is missing", ErrCorrupt)
}

// metaNumbers reads a field of numbers.
func metaNumbers(fields map[string]string, want int, keys ...string) ([]float64, error) {
	for _, key := range keys {
		text, ok := fields[key]
		if !ok {
			continue
		}
		var out []float64
		for _, word := range strings.Fields(text) {
			n, err := strconv.ParseFloat(word, 64)
			if err != nil || math.IsNaN(n) || math.IsInf(n, 0) {
				return nil, fmt.Errorf("%w: %s holds %q, want numbers", ErrCorrupt, key, word)
			}
			out = append(out, n)
		}
		if len(out) != want {
			return nil, fmt.Errorf("%w: %s holds %d numbers, want %d", ErrCorrupt, key, len(out), want)
		}
		return out, nil
	}
	return nil, nil
}

func openMetaImage(path string, _ []byte) (*Volume, error) {
	fields, after, err := metaFields(path)
	if err != nil {
		return nil, err
	}
	dims, err := strconv.Atoi(fields["NDims"])
	if err != nil || dims < 2 || dims > 4 {
		return nil, fmt.Errorf("%w: NDims is %q, want 2 to 4", ErrCorrupt, fields["NDims"])
	}
	v := &Volume{Kind: "MetaImage", Channels: 1, Size: [3]int{1, 1, 1}, Physical: true, Oriented: dims == 3}
	sizes, err := metaNumbers(fields, dims, "DimSize")
	if err == nil && sizes == nil {
		err = fmt.Errorf("%w: DimSize is missing", ErrCorrupt)
	}
	if err != nil {
		return nil, err
	}
	frames := 1
	for i, n := range sizes {
		if n < 1 || n > MaxPlane || n != math.Trunc(n) {
			return nil, fmt.Errorf("%w: DimSize is %q", ErrCorrupt, fields["DimSize"])
		}
		if i < 3 {
			v.Size[i] = int(n)
		} else {
			frames = int(n)
		}
	}
	l := raw{size: v.Size, together: 1}
	if text, ok := fields["ElementNumberOfChannels"]; ok {
		if l.together, err = strconv.Atoi(text); err != nil || l.together < 1 || l.together > 1<<16 {
			return nil, fmt.Errorf("%w: ElementNumberOfChannels is %q", ErrCorrupt, text)
		}
	}
	if frames > 1 && l.together > 1 || frames > 1<<16 {
		return nil, fmt.Errorf("%w: it has both points in time and several values for each voxel: write one of them", ErrUnsupported)
	}
	v.Channels = frames * l.together
	if l.number, err = metaNumber(fields); err != nil {
		return nil, err
	}
	if err := v.metaSpace(fields, dims); err != nil {
		return nil, err
	}
	if err := v.check(); err != nil {
		return nil, err
	}
	open, err := metaData(path, fields, after, l, l.total()*int64(frames))
	if err != nil {
		return nil, err
	}
	s, err := open()
	if err != nil {
		return nil, err
	}
	s.Close()
	v.read = func(channel int, fn func(int, []float32) error) error {
		s, err := open()
		if err != nil {
			return err
		}
		defer s.Close()
		if frames > 1 {
			if _, err := io.CopyN(io.Discard, s, int64(channel)*l.total()); err != nil {
				return err
			}
			channel = 0
		}
		if err := l.planes(s, channel, fn); err != nil {
			return err
		}
		return s.whole()
	}
	return v, nil
}

// metaData returns what opens the voxels, of so many bytes, beside the header at path or after it.
func metaData(path string, fields map[string]string, offset int64, l raw, size int64) (func() (*stream, error), error) {
	file := fields["ElementDataFile"]
	switch {
	case strings.EqualFold(file, "LOCAL"):
		file = path
	case file == "LIST" || strings.HasPrefix(file, "LIST ") || strings.Contains(file, "%"):
		return nil, fmt.Errorf("%w: its planes are in files of their own: write it as one .mha file", ErrUnsupported)
	default:
		if file == "" || !filepath.IsLocal(filepath.FromSlash(file)) {
			return nil, fmt.Errorf("%w: ElementDataFile is %q, want a file beside the header", ErrUnsupported, file)
		}
		file, offset = filepath.Join(filepath.Dir(path), filepath.FromSlash(file)), 0
		if _, err := os.Stat(file); err != nil {
			return nil, fmt.Errorf("%w: ElementDataFile: %w", ErrCorrupt, err)
		}
	}
	header := int64(0)
	if text, ok := fields["HeaderSize"]; ok {
		var err error
		if header, err = strconv.ParseInt(text, 10, 64); err != nil || header < -1 || header > 1<<40 {
			return nil, fmt.Errorf("%w: HeaderSize is %q", ErrCorrupt, text)
		}
	}
	packed := strings.EqualFold(fields["CompressedData"], "True")
	if header == -1 && !packed { // the voxels are the file's end
		info, err := os.Stat(file)
		if err != nil {
			return nil, err
		}
		offset = info.Size() - size
	} else if header > 0 {
		offset += header
	}
	if !packed {
		return func() (*stream, error) { return openAt(file, offset, size) }, nil
	}
	return func() (*stream, error) {
		s, err := openAt(file, offset, 0)
		if err != nil {
			return nil, err
		}
		if size > mostPacked*s.size {
			err = fmt.Errorf("%w: it claims %d bytes of voxels and has %d, packed", ErrCorrupt, size, s.size)
		} else if err = l.fits(s.size); err == nil {
			s.packed = true
			s.Reader, err = zlib.NewReader(s.Reader)
		}
		if err != nil {
			s.Close()
			return nil, err
		}
		return s, nil
	}, nil
}

func metaNumber(fields map[string]string) (number, error) {
	n := number{order: binary.LittleEndian}
	if strings.EqualFold(fields["BinaryDataByteOrderMSB"], "True") || strings.EqualFold(fields["ElementByteOrderMSB"], "True") {
		n.order = binary.BigEndian
	}
	if strings.EqualFold(fields["BinaryData"], "False") {
		return n, fmt.Errorf("%w: its voxels are written as text: write it with BinaryData = True", ErrUnsupported)
	}
	known := map[string]number{
		"MET_UCHAR": {bytes: 1, kind: unsigned}, "MET_CHAR": {bytes: 1, kind: signed}, "MET_USHORT": {bytes: 2, kind: unsigned}, "MET_SHORT": {bytes: 2, kind: signed},
		"MET_UINT": {bytes: 4, kind: unsigned}, "MET_INT": {bytes: 4, kind: signed}, "MET_ULONG_LONG": {bytes: 8, kind: unsigned}, "MET_LONG_LONG": {bytes: 8, kind: signed},
		"MET_ULONG": {bytes: 4, kind: unsigned}, "MET_LONG": {bytes: 4, kind: signed}, "MET_FLOAT": {bytes: 4, kind: floating}, "MET_DOUBLE": {bytes: 8, kind: floating},
	}
	k, ok := known[fields["ElementType"]]
	if !ok {
		return n, fmt.Errorf("%w: ElementType is %q, want MET_UCHAR, MET_SHORT, MET_FLOAT or another single number", ErrUnsupported, fields["ElementType"])
	}
	n.bytes, n.kind = k.bytes, k.kind
	return n, nil
}

// metaSpace reads how voxels lie in the patient. MetaImage's millimetres go to the left and to the back.
func (v *Volume) metaSpace(fields map[string]string, dims int) error {
	v.Spacing = [3]float64{1, 1, 1}
	spacing, err := metaNumbers(fields, dims, "ElementSpacing", "ElementSize")
	if err != nil {
		return err
	}
	copy(v.Spacing[:], spacing)
	v.Physical = spacing != nil
	turn, err := metaNumbers(fields, dims*dims, "TransformMatrix", "Rotation", "Orientation")
	if err != nil {
		return err
	}
	offset, err := metaNumbers(fields, dims, "Offset", "Position", "Origin")
	if err != nil || dims != 3 {
		return err
	}
	if turn == nil {
		turn = []float64{1, 0, 0, 0, 1, 0, 0, 0, 1}
	}
	if offset == nil {
		offset = make([]float64, 3)
	}
	for row, sign := range []float64{-1, -1, 1} {
		for axis := range 3 { // each axis' direction is three numbers
			v.Affine[row][axis] = sign * turn[3*axis+row] * v.Spacing[axis]
		}
		v.Affine[row][3] = sign * offset[row]
	}
	return nil
}
