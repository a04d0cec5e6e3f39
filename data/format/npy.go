package format

import (
	"archive/zip"
	"bytes"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"strconv"
	"strings"
)

const npyMagic = "\x93NUMPY"

func isNpy(head []byte) bool { return bytes.HasPrefix(head, []byte(npyMagic)) }

// isNpz tells an archive of arrays by its first file's name.
func isNpz(head []byte) bool {
	if !bytes.HasPrefix(head, []byte("PK\x03\x04")) || len(head) < 30 {
		return false
	}
	name := head[30:min(len(head), 30+int(binary.LittleEndian.Uint16(head[26:])))]
	return bytes.HasSuffix(name, []byte(".npy"))
}

// npyHeader is most that the header of an array may take.
const npyHeader = 1 << 16

// The header is a Python dictionary with three known keys (numpy.lib.format).
var (
	npyDescr   = regexp.MustCompile(`['"]descr['"]\s*:\s*['"]([<>|=]?)([a-zA-Z])(\d*)['"]`)
	npyFortran = regexp.MustCompile(`['"]fortran_order['"]\s*:\s*(True|False)`)
	npyShape   = regexp.MustCompile(`['"]shape['"]\s*:\s*\(([^)]*)\)`)
)

// array is what an array's header says.
type array struct {
	raw
	fortran  bool
	channels int
	header   int64 // its bytes
}

func readNpyHeader(r io.Reader) (*array, error) {
	head := make([]byte, 10)
	if _, err := io.ReadFull(r, head); err != nil {
		return nil, err
	}
	if !isNpy(head) || head[6] < 1 || head[6] > 3 {
		return nil, fmt.Errorf("%w: it is no array of a version from 1 to 3", ErrCorrupt)
	}
	length, size := int(binary.LittleEndian.Uint16(head[8:])), 10
	if head[6] > 1 {
		more := make([]byte, 2)
		if _, err := io.ReadFull(r, more); err != nil {
			return nil, err
		}
		length, size = length|int(binary.LittleEndian.Uint16(more))<<16, 12
	}
	if length > npyHeader {
		return nil, fmt.Errorf("%w: its header claims %d bytes", ErrCorrupt, length)
	}
	text := make([]byte, length)
	if _, err := io.ReadFull(r, text); err != nil {
		return nil, err
	}
	a := &array{header: int64(size + length), channels: 1}
	return a, a.parse(string(text))
}

func (a *array) parse(text string) error {
	descr, fortran, shape := npyDescr.FindStringSubmatch(text), npyFortran.FindStringSubmatch(text), npyShape.FindStringSubmatch(text)
	if descr == nil || fortran == nil || shape == nil {
		return fmt.Errorf("%w: its header %.80q does not tell one number type, order and shape", ErrUnsupported, text)
	}
	a.order = binary.LittleEndian
	if descr[1] == ">" {
		a.order = binary.BigEndian
	}
	kinds := map[string]number{"b1": {bytes: 1, kind: unsigned}, "u1": {bytes: 1, kind: unsigned}, "i1": {bytes: 1, kind: signed}, "u2": {bytes: 2, kind: unsigned}, "i2": {bytes: 2, kind: signed}, "f2": {bytes: 2, kind: floating},
		"u4": {bytes: 4, kind: unsigned}, "i4": {bytes: 4, kind: signed}, "f4": {bytes: 4, kind: floating}, "u8": {bytes: 8, kind: unsigned}, "i8": {bytes: 8, kind: signed}, "f8": {bytes: 8, kind: floating}}
	n, ok := kinds[descr[2]+descr[3]]
	if !ok {
		return fmt.Errorf("%w: its numbers are of type %q: save it as integers or floats", ErrUnsupported, descr[2]+descr[3])
	}
	a.bytes, a.kind, a.fortran = n.bytes, n.kind, fortran[1] == "True"
	var dims []int
	for _, word := range strings.Split(shape[1], ",") {
		if word = strings.TrimSpace(word); word == "" {
			continue
		}
		n, err := strconv.Atoi(word)
		if err != nil || n < 1 || n > MaxPlane {
			return fmt.Errorf("%w: its shape is (%.60s)", ErrCorrupt, shape[1])
		}
		dims = append(dims, n)
	}
	a.together = 1
	if len(dims) == 4 && dims[3] <= 4 {
		a.together, a.channels, dims = dims[3], dims[3], dims[:3]
	}
	switch len(dims) {
	case 2:
		a.size = [3]int{dims[1], dims[0], 1}
	case 3:
		a.size = [3]int{dims[2], dims[1], dims[0]}
	default:
		return fmt.Errorf("%w: its shape is (%.60s), want (y, x), (z, y, x), or (z, y, x, channel) with up to 4 channels", ErrUnsupported, shape[1])
	}
	return nil
}

// volume is that of an array whose bytes open begins with. It is in a file of so many bytes, and holds at most so many more
// than its header.
func (a *array) volume(kind string, open func() (*stream, error), file, holds int64) (*Volume, error) {
	v := &Volume{Kind: kind, Size: a.size, Channels: a.channels, Spacing: [3]float64{1, 1, 1}}
	if err := v.check(); err != nil {
		return nil, err
	}
	if a.total() > holds {
		return nil, fmt.Errorf("%w: it claims %d bytes of numbers and holds %d: copy it again from where you have it", ErrCorrupt, a.total(), holds)
	}
	if a.fortran && a.total() > mostTurned+3*file {
		return nil, fmt.Errorf("%w: it is in Fortran's order and has %d MiB, packed: save it with numpy.ascontiguousarray", ErrUnsupported, a.total()>>20)
	}
	if holds > file {
		if err := a.fits(file); err != nil {
			return nil, err
		}
	}
	v.read = func(channel int, fn func(int, []float32) error) error {
		r, err := open()
		if err != nil {
			return err
		}
		defer r.Close()
		if _, err := io.CopyN(io.Discard, r, a.header); err != nil {
			return err
		}
		each := a.planes
		if a.fortran {
			each = a.turned
		}
		if err := each(r, channel, fn); err != nil {
			return err
		}
		return r.whole()
	}
	return v, nil
}

// mostTurned is the most bytes of a packed array in Fortran's order, which is held as a whole, beside three for each byte of its file.
const mostTurned = 48 << 20

// turned reads an array whose first index runs fastest.
func (a *array) turned(r io.Reader, channel int, fn func(z int, voxels []float32) error) error {
	all := make([]byte, a.total())
	if _, err := io.ReadFull(r, all); err != nil {
		return err
	}
	nx, ny, nz := a.size[0], a.size[1], a.size[2]
	row, plane := make([]float32, nx), make([]float32, nx*ny)
	for z := range nz {
		for y := range ny {
			// Element (z, y, x, channel) is at z + nz*(y + ny*(x + nx*channel)).
			from := a.bytes * (z + nz*(y+ny*nx*channel))
			a.decode(row, all[from:], a.bytes*nz*ny, 0, 0)
			copy(plane[y*nx:], row)
		}
		if err := fn(z, plane); err != nil {
			return err
		}
	}
	return nil
}

func openNpy(path string, _ []byte) (*Volume, error) {
	open := func() (*stream, error) { return openAt(path, 0, 0) }
	f, err := open()
	if err != nil {
		return nil, err
	}
	defer f.Close()
	a, err := readNpyHeader(f)
	if err != nil {
		return nil, err
	}
	holds := f.size - a.header
	if f.packed {
		holds = mostPacked * f.size
	}
	return a.volume("npy", open, f.size, holds)
}

// openNpz opens the only array of an archive.
func openNpz(path string, _ []byte) (*Volume, error) {
	open := func() (*stream, error) { return openEntry(path) }
	r, err := open()
	if err != nil {
		return nil, err
	}
	defer r.Close()
	a, err := readNpyHeader(r)
	if err != nil {
		return nil, err
	}
	return a.volume("npz", open, r.size, mostPacked*r.size)
}

// openEntry opens the only array of an archive, which is read up to where its checksum is.
func openEntry(path string) (*stream, error) {
	s, err := openAt(path, 0, 0)
	if err != nil {
		return nil, err
	}
	if s.Reader, err = s.entry(); err != nil {
		s.Close()
		return nil, err
	}
	s.packed = true
	return s, nil
}

func (s *stream) entry() (io.Reader, error) {
	z, err := zip.NewReader(s.file, s.size)
	if err != nil {
		return nil, err
	}
	var names []string
	var entry *zip.File
	for _, f := range z.File {
		if name, ok := strings.CutSuffix(f.Name, ".npy"); ok {
			names, entry = append(names, name), f
		}
	}
	if len(names) != 1 {
		return nil, fmt.Errorf("%w: it holds the arrays %s: save the one that is meant in a file of its own", ErrUnsupported, strings.Join(names, ", "))
	}
	return entry.Open()
}
