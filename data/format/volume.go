package format

import (
	"bufio"
	"bytes"
	"cmp"
	"compress/gzip"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
)

// Limits of what is read as a volume.
const (
	MaxPlane  = 1 << 26 // voxels of a plane
	MaxVoxels = 1 << 31 // voxels of a channel
)

// ErrStop, returned by a function that Planes calls, ends the reading without an error.
var ErrStop = errors.New("stop")

// Volume describes a file, or a series of files, that holds planes of voxels of any number type.
type Volume struct {
	Kind     string        // "NIfTI-1", "MetaImage", "npy", "DICOM", "PNG", ...
	Size     [3]int        // voxels along x, the fastest, y and z; a picture has one plane
	Channels int           // values of a voxel, as colours or points in time
	Spacing  [3]float64    // mm between voxels along x, y and z; 1 where Physical is false
	Affine   [3][4]float64 // from a voxel's indices to mm to the right, anterior and superior, where Oriented
	Physical bool          // the file says how far apart voxels are
	Guessed  bool          // but not planes, for which Spacing has 1
	Oriented bool          // the file says how they lie in the patient
	Inverted bool          // small values are bright (DICOM: MONOCHROME1)
	Names    []string      // the file of each plane, of a series

	path string
	read func(channel int, fn func(z int, voxels []float32) error) error
}

// Planes calls fn with each plane of a channel, in order: voxels in rows of Size[0], scaled as the file says (CT: Hounsfield
// units). The slice is used again for the next plane. fn may return ErrStop.
func (v *Volume) Planes(channel int, fn func(z int, voxels []float32) error) error {
	if channel < 0 || channel >= v.Channels {
		return fmt.Errorf("read %q: %w: channel %d of %d, from 0", v.path, ErrUnsupported, channel, v.Channels)
	}
	var own error // of fn, which says itself what is wrong
	err := v.read(channel, func(z int, voxels []float32) error {
		own = fn(z, voxels)
		return own
	})
	switch {
	case errors.Is(own, ErrStop):
		return nil
	case own != nil:
		return own
	case err != nil:
		return fmt.Errorf("read %q: %w", v.path, short(err))
	}
	return nil
}

// short calls a file that ends early damaged.
func short(err error) error {
	switch {
	case errors.Is(err, ErrCorrupt), errors.Is(err, ErrUnsupported), errors.Is(err, os.ErrNotExist), errors.Is(err, os.ErrPermission):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: it ends before its last voxel: copy it again from where you have it", ErrCorrupt)
	}
	return fmt.Errorf("%w: %w: copy it again from where you have it", ErrCorrupt, err)
}

// opener opens one kind of volume.
type opener struct {
	is   func(path string, head []byte) bool
	open func(path string, head []byte) (*Volume, error)
}

func openers() []opener {
	by := func(is func(head []byte) bool) func(string, []byte) bool {
		return func(_ string, head []byte) bool { return is(head) }
	}
	return []opener{
		{by(isNIfTI), openNIfTI}, {by(isAnalyze), refuseAnalyze}, {by(isMetaImage), openMetaImage}, {by(isNpy), openNpy}, {by(isNpz), openNpz}, {by(isDICOM), openDICOM}, {isDeep, openDeep},
	}
}

// headSize is how many first bytes of a file tell its kind.
const headSize = 1024

// IsVolume says whether a file holds more than pictures of 8 bits do: a volume, or 16 bits of grey. It is told by content.
func IsVolume(path string) (bool, error) {
	head, _, err := readHead(path)
	if err != nil {
		return false, err
	}
	for _, o := range openers() {
		if o.is(path, head) {
			return true, nil
		}
	}
	return false, nil
}

// OpenVolume reads the header of a NIfTI, MetaImage, npy, npz or DICOM file, or of a PNG, TIFF or PNM picture with 16 bits of grey.
// Its errors wrap ErrCorrupt or ErrUnsupported where the file is to blame.
func OpenVolume(path string) (*Volume, error) {
	head, broken, err := readHead(path)
	if err != nil {
		return nil, err
	}
	for _, o := range openers() {
		if !o.is(path, head) {
			continue
		}
		v, err := o.open(path, head)
		if err == nil {
			err = v.check()
		}
		if err != nil {
			return nil, fmt.Errorf("read %q: %w", path, short(err))
		}
		v.path = path
		return v, nil
	}
	if broken != nil {
		return nil, fmt.Errorf("read %q: %w: gzip: %w: copy it again from where you have it", path, ErrCorrupt, broken)
	}
	if sniff(head) != "" { // a damaged one, or one of 8 bits
		if err := notDeep(path); err != nil {
			return nil, fmt.Errorf("read %q: %w", path, err)
		}
	}
	return nil, fmt.Errorf("read %q: %w: it begins with % x: want NIfTI, MetaImage, npy, npz, DICOM, or a PNG, TIFF or PNM picture with 16 bits of grey",
		path, ErrUnsupported, head[:min(len(head), 8)])
}

// readHead returns a file's first bytes, unpacked, and what is wrong with the packing.
func readHead(path string) (head []byte, broken, err error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, nil, fmt.Errorf("read picture: %w", err)
	}
	defer f.Close()
	if head, err = io.ReadAll(io.LimitReader(f, headSize)); err != nil {
		return nil, nil, fmt.Errorf("read %q: %w", path, err)
	}
	if !bytes.HasPrefix(head, gzipMagic) {
		return head, nil, nil
	}
	z, broken := gzip.NewReader(io.MultiReader(bytes.NewReader(head), f))
	if broken != nil {
		return head, broken, nil
	}
	plain, broken := io.ReadAll(io.LimitReader(z, headSize))
	return plain, broken, nil
}

// check refuses sizes that are not read and completes what the file does not say.
func (v *Volume) check() error {
	planes, total := 1, 1
	for i, n := range v.Size {
		if n < 1 || n > MaxPlane {
			return fmt.Errorf("%w: it claims %v voxels along x, y and z", ErrCorrupt, v.Size)
		}
		if i < 2 {
			planes *= n
		}
		total *= n
	}
	switch {
	case planes > MaxPlane || total > MaxVoxels:
		return fmt.Errorf("%w: it claims %v voxels; at most %d in a plane and %d in all are read", ErrUnsupported, v.Size, MaxPlane, MaxVoxels)
	case v.Channels < 1 || v.Channels > 1<<16:
		return fmt.Errorf("%w: it claims %d values for each voxel", ErrCorrupt, v.Channels)
	}
	for _, s := range v.Spacing {
		if !(s > 0) || math.IsInf(s, 0) {
			v.Physical = false
		}
	}
	for _, row := range v.Affine {
		for _, e := range row {
			if math.IsNaN(e) || math.IsInf(e, 0) {
				v.Oriented = false
			}
		}
	}
	if !v.Physical {
		v.Spacing = [3]float64{1, 1, 1}
	}
	if !v.Oriented {
		v.Affine = [3][4]float64{}
	}
	return nil
}

// number is how a voxel is written down.
type number struct {
	bytes int // 1, 2, 4 or 8
	kind  byte
	order binary.ByteOrder
	bits  int // of an integer, the lowest, that count; 0: all
}

// The kinds of number.
const (
	unsigned = 'u'
	signed   = 'i'
	floating = 'f'
)

// decode turns the numbers of raw, stride bytes apart, into values; slope 0 leaves them as they are.
func (n number) decode(out []float32, raw []byte, stride int, slope, inter float64) {
	for i := range out {
		v := n.value(raw[i*stride:])
		if slope != 0 {
			v = v*slope + inter
		}
		out[i] = float32(v)
	}
}

// value reads the number that b begins with.
func (n number) value(b []byte) float64 {
	var u uint64
	switch n.bytes {
	case 1:
		u = uint64(b[0])
	case 2:
		u = uint64(n.order.Uint16(b))
	case 4:
		u = uint64(n.order.Uint32(b))
	default:
		u = n.order.Uint64(b)
	}
	if n.kind == floating {
		switch n.bytes {
		case 2:
			return half(uint16(u))
		case 4:
			return float64(math.Float32frombits(uint32(u)))
		}
		return math.Float64frombits(u)
	}
	above := 64 - cmp.Or(n.bits, 8*n.bytes) // bits that are not of the number
	if n.kind == signed {
		return float64(int64(u<<above) >> above)
	}
	return float64(u << above >> above)
}

// half is the value of an IEEE number of 16 bits.
func half(u uint16) float64 {
	sign := 1.0
	if u>>15 == 1 {
		sign = -1
	}
	exponent, fraction := int(u>>10&31), float64(u&1023)
	switch exponent {
	case 0:
		return sign * math.Ldexp(fraction, -24)
	case 31:
		if fraction != 0 {
			return math.NaN()
		}
		return math.Inf(int(sign))
	}
	return sign * math.Ldexp(1024+fraction, exponent-25)
}

// raw is how planes follow each other in a stream.
type raw struct {
	number
	size         [3]int
	together     int // values of one voxel that stand side by side
	slope, inter float64
}

// plane is the bytes of one.
func (l raw) plane() int64 {
	return int64(l.size[0]) * int64(l.size[1]) * int64(l.together) * int64(l.bytes)
}

// total is the bytes of all.
func (l raw) total() int64 { return l.plane() * int64(l.size[2]) }

// chunk is how many bytes of voxels are read at once, at least one voxel.
const chunk = 1 << 16

// planes reads planes from r, which is where the first of them begins. Channel is one of those that stand side by side.
func (l raw) planes(r io.Reader, channel int, fn func(z int, voxels []float32) error) error {
	voxel := l.together * l.bytes
	voxels := make([]float32, l.size[0]*l.size[1])
	step := min(len(voxels), max(1, chunk/voxel))
	buffer := make([]byte, step*voxel)
	for z := range l.size[2] {
		for rest := voxels; len(rest) > 0; {
			part := rest[:min(step, len(rest))]
			if _, err := io.ReadFull(r, buffer[:len(part)*voxel]); err != nil {
				return err
			}
			l.decode(part, buffer[channel*l.bytes:], voxel, l.slope, l.inter)
			rest = rest[len(part):]
		}
		if err := fn(z, voxels); err != nil {
			return err
		}
	}
	return nil
}

// room is the memory that a plane may take, beside four bytes for each of the file.
const room = 60 << 20

// fits refuses planes of a packed file, of so many bytes, that would take more memory than is meant for them. Planes that are
// not packed take four bytes for each byte of the file at most.
func (l raw) fits(file int64) error {
	if plane := 4 * int64(l.size[0]) * int64(l.size[1]); plane > room+4*file {
		return fmt.Errorf("%w: its planes of %d x %d voxels are packed into %d bytes: write it again without packing", ErrUnsupported, l.size[0], l.size[1], file)
	}
	return nil
}

// stream is a file from some byte on, unpacked where it is packed.
type stream struct {
	io.Reader
	file   *os.File
	size   int64 // of the file
	packed bool
}

// whole reads what is left of a packed file, whose checksum is at its end.
func (s *stream) whole() error {
	if !s.packed {
		return nil
	}
	_, err := io.Copy(io.Discard, s)
	return err
}

func (s *stream) Close() error { return s.file.Close() }

// openAt opens a file that must hold size bytes from offset on. Of a packed one only what no packing reaches is refused here.
func openAt(path string, offset, size int64) (*stream, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	s := &stream{file: f}
	if err := s.skip(offset, size); err != nil {
		f.Close()
		return nil, err
	}
	return s, nil
}

// mostPacked is how many bytes one byte of gzip can stand for.
const mostPacked = 1032

func (s *stream) skip(offset, size int64) error {
	info, err := s.file.Stat()
	if err != nil {
		return err
	}
	s.size = info.Size()
	has, magic := s.size, make([]byte, len(gzipMagic))
	if _, err := s.file.ReadAt(magic, 0); err != nil && !errors.Is(err, io.EOF) {
		return err
	}
	in := bufio.NewReaderSize(s.file, chunk/2)
	s.Reader = in
	if s.packed = bytes.Equal(magic, gzipMagic); s.packed {
		has *= mostPacked
		if s.Reader, err = gzip.NewReader(in); err != nil {
			return err
		}
	}
	if offset < 0 || size < 0 || offset > has || size > has-offset {
		return fmt.Errorf("%w: it claims %d bytes of voxels from byte %d on and has %d: copy it again from where you have it", ErrCorrupt, size, offset, s.size)
	}
	if s.packed {
		_, err = io.CopyN(io.Discard, s.Reader, offset)
		return err
	}
	_, err = s.file.Seek(offset, io.SeekStart)
	return err
}
