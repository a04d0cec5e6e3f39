// Package data finds benchmarks on disk, reads their images and masks, and draws the few annotated
// images ("shots") that a run trains on. It knows nothing of libtorch.
package data

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"slices"
	"sync/atomic"
)

// Errors that a caller branches on; match them with errors.Is.
var (
	// ErrNotFound says that a benchmark's files are not where they were looked for.
	ErrNotFound = errors.New("data not found")
	// ErrUnknown says that no benchmark has the given name.
	ErrUnknown = errors.New("unknown benchmark")
	// ErrInvalid says that a file was found and can't be used: damaged, of another size, without a class.
	ErrInvalid = errors.New("invalid data")
	// ErrLeak says that a picture or a patient would be on two sides of a split: a test case in training, say.
	ErrLeak = errors.New("leak between the sides of the split")
)

// Image is an 8-bit RGB picture: Pix holds Height rows of Width pixels of 3 bytes (R, G, B), without padding.
type Image struct {
	Width, Height int
	Pix           []uint8

	extremes atomic.Pointer[[2]uint8]
}

// Extremes returns the least and the largest of all values. They are looked for once: the pixels must not change from then on.
func (m *Image) Extremes() (low, high uint8) {
	found := m.extremes.Load()
	if found == nil {
		found = &[2]uint8{slices.Min(m.Pix), slices.Max(m.Pix)}
		m.extremes.Store(found)
	}
	return found[0], found[1]
}

// Mask is a binary map: Pix holds Height rows of Width bytes, each 0 (outside) or 1 (inside).
type Mask struct {
	Width, Height int
	Pix           []uint8
}

// NewMask returns an all-zero mask of the given size in pixels.
func NewMask(width, height int) *Mask {
	return &Mask{Width: width, Height: height, Pix: make([]uint8, width*height)}
}

// FullMask returns a mask of the given size with every pixel inside.
func FullMask(width, height int) *Mask {
	m := NewMask(width, height)
	for i := range m.Pix {
		m.Pix[i] = 1
	}
	return m
}

// Count returns the number of pixels inside the mask.
func (m *Mask) Count() int {
	n := 0
	for _, v := range m.Pix {
		n += int(v)
	}
	return n
}

// Hash returns the SHA-256 of the image's size and decoded pixels in hex: two files with the same
// pixels have the same hash, whatever their names and formats.
func (m *Image) Hash() string { return hashPixels(m.Width, m.Height, 3, m.Pix) }

// Hash returns the SHA-256 of the mask's size and pixels in hex.
func (m *Mask) Hash() string { return hashPixels(m.Width, m.Height, 1, m.Pix) }

func hashPixels(width, height, channels int, pix []uint8) string {
	h := sha256.New()
	var head [12]byte
	binary.LittleEndian.PutUint32(head[0:], uint32(width))
	binary.LittleEndian.PutUint32(head[4:], uint32(height))
	binary.LittleEndian.PutUint32(head[8:], uint32(channels))
	h.Write(head[:])
	h.Write(pix)
	return hex.EncodeToString(h.Sum(nil))
}

// Sample is one loaded case: its picture, one mask for each target, and the region that counts.
type Sample struct {
	ID      string
	Patient string // grouping key: cases of one patient are never on both sides of a split
	Volume  string // whose slice it is; empty for a picture of its own
	Image   *Image
	Masks   map[string]*Mask // by target name, each of the image's size
	Valid   *Mask            // the region that is trained on and scored (field of view); never nil
	Spacing [2]float64       // row and column spacing; 1, 1 in pixels where the data has no physical units
	Unit    string           // unit of Spacing: "px" or "mm"

	// Of a slice of a volume:
	Slice   int               // its number, from 0, along the axis across slices
	Between float64           // distance to the slices beside it, in Unit; 0 where it is not known
	Extent  map[string][2]int // numbers of the first and the last slice that hold each target, cases or not; last before first: none does
}

// Case is one image of a benchmark that has not been read yet.
type Case struct {
	ID      string
	Patient string
	Volume  string   // whose slice it is; empty for a picture of its own
	Files   []string // what Load reads, for error messages and listings; empty for generated cases
	Load    func() (*Sample, error)
	Second  func() (*Mask, error) // a second observer's mask of the first target; nil where there is none

	file   *fileCase // that it is of; nil for generated cases
	volume *volume   // whose slice it is; nil for a picture
}

// Benchmark is a data set that was found: where its cases may be used is already decided by Pool and Test.
type Benchmark struct {
	Name     string   // "drive"
	Title    string   // "DRIVE"
	Task     string   // "retinal vessels"
	Targets  []string // "vessels"
	Layout   string   // which of the official layouts was found, in words
	Root     string   // the folder that was read; empty for generated data
	Citation string   // how to cite it
	Licence  string   // terms as known
	Pool     []Case   // shots are drawn from these, ordered by ID
	Test     []Case   // scored, never trained on, ordered by ID

	decl       *Decl
	onePatient bool            // whose cases are on both sides, since there is no other
	files      map[string]bool // that its pictures and volumes were found in, whether or not they gave a case
}
