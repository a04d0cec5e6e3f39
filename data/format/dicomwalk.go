package format

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/suyashkumar/dicom/pkg/tag"
)

// dicomWalk goes over the elements of a file without reading their values, up to the voxels.
type dicomWalk struct {
	r     io.ReaderAt
	size  int64
	order binary.ByteOrder

	header             []byte // a file of the elements that are of use
	pixels, pixelBytes int64  // where the voxels are
}

// The transfer syntaxes that are read (DICOM PS3.5, A).
const (
	implicitLittle = "1.2.840.10008.1.2"
	explicitLittle = "1.2.840.10008.1.2.1"
	explicitBig    = "1.2.840.10008.1.2.2"
)

const undefinedLength = 0xffffffff

// element is one at some place of the file.
type dicomElement struct {
	group, element uint16
	vr             string
	value          int64 // where it begins
	length         uint32
}

func (w *dicomWalk) element(at int64, explicit bool) (e dicomElement, err error) {
	b := make([]byte, 12)
	n, err := w.r.ReadAt(b, at)
	if n < len(b) && err != nil && !errors.Is(err, io.EOF) {
		return e, err
	}
	if n < 8 {
		return e, io.ErrUnexpectedEOF
	}
	e.group, e.element = w.order.Uint16(b), w.order.Uint16(b[2:])
	e.length, e.value = w.order.Uint32(b[4:]), at+8
	if explicit && e.group != 0xfffe { // items and delimiters have no type
		e.vr = string(b[4:6])
		switch e.vr {
		case "OB", "OD", "OF", "OL", "OV", "OW", "SQ", "SV", "UC", "UN", "UR", "UT", "UV":
			if n < 12 {
				return e, io.ErrUnexpectedEOF
			}
			e.length, e.value = w.order.Uint32(b[8:]), at+12
		default:
			e.length = uint32(w.order.Uint16(b[6:]))
		}
	}
	if e.length != undefinedLength && int64(e.length) > w.size-e.value {
		return e, fmt.Errorf("%w: element (%04x,%04x) claims %d bytes and %d are left: copy it again from where you have it",
			ErrCorrupt, e.group, e.element, e.length, w.size-e.value)
	}
	return e, nil
}

// ofUse are the elements that are read.
var ofUse = []tag.Tag{
	tag.TransferSyntaxUID, tag.SeriesInstanceUID, tag.SliceThickness, tag.SpacingBetweenSlices, tag.InstanceNumber, tag.ImagePositionPatient,
	tag.ImageOrientationPatient, tag.SamplesPerPixel, tag.PhotometricInterpretation, tag.NumberOfFrames, tag.Rows, tag.Columns, tag.PixelSpacing,
	tag.BitsAllocated, tag.BitsStored, tag.PixelRepresentation, tag.RescaleIntercept, tag.RescaleSlope,
}

// plainTypes are DICOM's types of texts and numbers whose length is a few bytes (PS3.5, 6.2), and the unknown one.
var plainTypes = strings.Fields("AE AS AT CS DA DS DT FD FL IS LO LT PN SH SL SS ST TM UI UL UN US")

// keep adds an element from byte at on to the header, where it is of use.
func (w *dicomWalk) keep(at int64, e dicomElement) error {
	t := tag.Tag{Group: e.group, Element: e.element}
	switch {
	case t == tag.SharedFunctionalGroupsSequence || t == tag.PerFrameFunctionalGroupsSequence:
		return fmt.Errorf("%w: enhanced DICOM, whose frames each say how they are scaled and where they lie: convert it with: dcm2niix -z y -f out in.dcm", ErrUnsupported)
	case t == tag.ModalityLUTSequence:
		return fmt.Errorf("%w: DICOM whose values go through a table (ModalityLUTSequence): write it with RescaleSlope and RescaleIntercept", ErrUnsupported)
	case !slices.Contains(ofUse, t):
		return nil
	case e.vr != "" && !slices.Contains(plainTypes, e.vr): // the library would look for its length elsewhere
		return fmt.Errorf("%w: element (%04x,%04x) has the type %q, want a text or a number", ErrCorrupt, e.group, e.element, e.vr)
	case e.length > 1<<10: // or it has no length
		return fmt.Errorf("%w: element (%04x,%04x) claims %d bytes", ErrCorrupt, e.group, e.element, e.length)
	}
	whole := make([]byte, e.value+int64(e.length)-at)
	if _, err := w.r.ReadAt(whole, at); err != nil {
		return err
	}
	w.header = append(w.header, whole...)
	return nil
}

func (w *dicomWalk) walk() error {
	w.order = binary.LittleEndian
	w.header = append(make([]byte, 128), "DICM"...)
	at, syntax := int64(132), ""
	for at < w.size {
		group := make([]byte, 2)
		if _, err := w.r.ReadAt(group, at); err != nil {
			return err
		}
		if w.order.Uint16(group) != 2 { // what follows may have another order of bytes, or be packed
			break
		}
		e, err := w.element(at, true)
		if err != nil {
			return err
		}
		if err := w.keep(at, e); err != nil {
			return err
		}
		if e.length == undefinedLength {
			return fmt.Errorf("%w: element (%04x,%04x) has no length", ErrCorrupt, e.group, e.element)
		}
		if at = e.value + int64(e.length); e.element == 0x10 {
			b := make([]byte, min(e.length, 64))
			if _, err := w.r.ReadAt(b, e.value); err != nil {
				return err
			}
			syntax = strings.Trim(string(b), " \x00")
		}
	}
	explicit := syntax != implicitLittle
	switch syntax {
	case implicitLittle, explicitLittle:
	case explicitBig:
		w.order = binary.BigEndian
	case "":
		return fmt.Errorf("%w: it does not tell its transfer syntax", ErrCorrupt)
	default:
		return fmt.Errorf("%w: DICOM with the transfer syntax %s, packed: unpack it with: gdcmconv --raw in.dcm out.dcm", ErrUnsupported, syntax)
	}
	for at < w.size {
		e, err := w.element(at, explicit)
		if err != nil {
			return err
		}
		if e.group == 2 {
			return fmt.Errorf("%w: element (%04x,%04x) lies outside of the file's head", ErrCorrupt, e.group, e.element)
		}
		if e.group == 0x7fe0 && e.element == 0x10 {
			if e.length == undefinedLength {
				return fmt.Errorf("%w: DICOM with packed voxels: unpack it with: gdcmconv --raw in.dcm out.dcm", ErrUnsupported)
			}
			if at > maxDICOMHeader {
				return fmt.Errorf("%w: its header has %d MiB", ErrUnsupported, at>>20)
			}
			w.pixels, w.pixelBytes = e.value, int64(e.length)
			return nil
		}
		if err := w.keep(at, e); err != nil {
			return err
		}
		if at, err = w.past(e, explicit, 0); err != nil {
			return err
		}
	}
	return fmt.Errorf("%w: DICOM without voxels", ErrUnsupported)
}

// Bounds of a header: its size, and how deep its sequences lie in each other.
const (
	maxDICOMHeader = 16 << 20
	maxDICOMDepth  = 16
)

// past returns where the next element begins.
func (w *dicomWalk) past(e dicomElement, explicit bool, depth int) (int64, error) {
	if e.length != undefinedLength {
		if e.vr == "SQ" || e.group == 0xfffe {
			return e.value + int64(e.length), w.inside(e.value, e.value+int64(e.length), explicit, depth)
		}
		return e.value + int64(e.length), nil
	}
	if depth > maxDICOMDepth {
		return 0, fmt.Errorf("%w: its sequences lie more than %d deep", ErrUnsupported, maxDICOMDepth)
	}
	explicit = explicit && e.vr != "UN"
	for at := e.value; ; {
		next, err := w.element(at, explicit)
		if err != nil {
			return 0, err
		}
		if next.group == 0xfffe && (next.element == 0xe00d || next.element == 0xe0dd) {
			return next.value, nil
		}
		if at, err = w.past(next, explicit, depth+1); err != nil {
			return 0, err
		}
	}
}

// inside checks the elements of a sequence of known length.
func (w *dicomWalk) inside(at, end int64, explicit bool, depth int) error {
	if depth > maxDICOMDepth {
		return fmt.Errorf("%w: its sequences lie more than %d deep", ErrUnsupported, maxDICOMDepth)
	}
	for at < end {
		e, err := w.element(at, explicit)
		if err != nil {
			return err
		}
		if at, err = w.past(e, explicit, depth+1); err != nil {
			return err
		}
	}
	return nil
}
