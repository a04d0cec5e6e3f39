package format

import (
	"bytes"
	"encoding/binary"
	"errors"
	"image"
	"image/color"
	"strings"
	"testing"

	"golang.org/x/image/tiff"
)

type byteOrder interface {
	binary.ByteOrder
	binary.AppendByteOrder
}

// page is a TIFF of one page, written field by field after TIFF 6.0, since no library writes the faulty
// files that are to be read.
type page struct {
	order         byteOrder // missing: little-endian
	width, height int
	samples       int // 1 grey, 3 RGB
	bits          int // missing: 8
	compression   int // missing: none
	predictor     int // 2: differences along the row
	planar        int
	rows          int // of a strip; missing: all
	strips        [][]byte
	next          uint32 // offset of the next page
}

func (p page) with(change func(p *page)) page {
	change(&p)
	return p
}

func (p page) file() []byte {
	order := p.order
	if order == nil {
		order = binary.LittleEndian
	}
	missing := func(v *int, d int) {
		if *v == 0 {
			*v = d
		}
	}
	missing(&p.bits, 8)
	missing(&p.compression, compressionNone)
	missing(&p.predictor, 1)
	missing(&p.planar, 1)
	missing(&p.rows, p.height)
	var offsets, counts, bits []uint32
	at := uint32(8)
	for _, s := range p.strips {
		offsets, counts = append(offsets, at), append(counts, uint32(len(s)))
		at += uint32(len(s))
	}
	for range p.samples {
		bits = append(bits, uint32(p.bits))
	}
	photometric := uint32(1) // black is zero
	if p.samples == 3 {
		photometric = 2
	}
	type field struct {
		tag, kind uint16
		values    []uint32
	}
	fields := []field{
		{tagWidth, typeLong, []uint32{uint32(p.width)}}, {tagHeight, typeLong, []uint32{uint32(p.height)}},
		{tagBits, typeShort, bits}, {tagCompression, typeShort, []uint32{uint32(p.compression)}}, {262, typeShort, []uint32{photometric}},
		{tagOffsets, typeLong, offsets}, {tagSamples, typeShort, []uint32{uint32(p.samples)}},
		{tagRowsPerStrip, typeLong, []uint32{uint32(p.rows)}}, {tagByteCounts, typeLong, counts},
		{tagPlanar, typeShort, []uint32{uint32(p.planar)}}, {317, typeShort, []uint32{uint32(p.predictor)}},
	}
	pack := func(f field) []byte {
		var b []byte
		for _, v := range f.values {
			if f.kind == typeShort {
				b = order.AppendUint16(b, uint16(v))
			} else {
				b = order.AppendUint32(b, v)
			}
		}
		return b
	}
	out := []byte("II*\x00")
	if order == byteOrder(binary.BigEndian) {
		out = []byte("MM\x00*")
	}
	out = order.AppendUint32(out, at)
	for _, s := range p.strips {
		out = append(out, s...)
	}
	out = order.AppendUint16(out, uint16(len(fields)))
	far := int(at) + 2 + 12*len(fields) + 4
	var tail []byte
	for _, f := range fields {
		out = order.AppendUint32(order.AppendUint16(order.AppendUint16(out, f.tag), f.kind), uint32(len(f.values)))
		value := pack(f)
		if len(value) > 4 {
			out = order.AppendUint32(out, uint32(far+len(tail)))
			tail = append(tail, value...)
			continue
		}
		out = append(append(out, value...), make([]byte, 4-len(value))...)
	}
	return append(order.AppendUint32(out, p.next), tail...)
}

// lzwStrip packs bytes as literal codes of 9 bits, which is LZW that any decoder reads, followed by the
// codes of end. The table is cleared before codes would get wider.
func lzwStrip(raw []byte, end ...uint16) []byte {
	codes := []uint16{256}
	for i, v := range raw {
		if i > 0 && i%200 == 0 {
			codes = append(codes, 256)
		}
		codes = append(codes, uint16(v))
	}
	var out []byte
	var hold uint32
	held := 0
	for _, c := range append(codes, end...) {
		hold = hold<<9 | uint32(c)
		for held += 9; held >= 8; held -= 8 {
			out = append(out, byte(hold>>(held-8)))
		}
	}
	if held > 0 {
		out = append(out, byte(hold<<(8-held)))
	}
	return out
}

const (
	endMark   = 257
	noSuchYet = 510 // a code that the table does not hold
)

func TestDecodeLZWWithBrokenEnd(t *testing.T) {
	const width, height, rows = 7, 5, 2
	for _, order := range []byteOrder{binary.LittleEndian, binary.BigEndian} {
		for _, samples := range []int{1, 3} {
			for name, end := range map[string][]uint16{"sound": {endMark}, "missing": nil, "wrong code": {noSuchYet}} {
				for _, predictor := range []int{1, 2} {
					t.Run(strings.Join([]string{order.String(), map[int]string{1: "grey", 3: "RGB"}[samples], name, map[int]string{1: "plain", 2: "differences"}[predictor]}, " "), func(t *testing.T) {
						raw := make([]byte, width*height*samples)
						for i := range raw {
							raw[i] = byte(53*i + i*i)
						}
						stored := bytes.Clone(raw)
						if predictor == 2 {
							row := width * samples
							for i := len(stored) - 1; i >= 0; i-- {
								if i%row >= samples {
									stored[i] -= stored[i-samples]
								}
							}
						}
						p := page{order: order, width: width, height: height, samples: samples, rows: rows, compression: compressionLZW, predictor: predictor}
						for first := 0; first < height; first += rows {
							p.strips = append(p.strips, lzwStrip(stored[first*width*samples:min(first+rows, height)*width*samples], end...))
						}
						file := p.file()
						if _, err := tiff.Decode(bytes.NewReader(file)); (err == nil) != (name == "sound") {
							t.Fatalf("the strict decoder says %v: the file is not the one that this test is about", err)
						}
						got, err := decode(bytes.NewReader(file))
						if err != nil {
							t.Fatal(err)
						}
						samePixels(t, got, plain(raw, width, height, samples))
					})
				}
			}
		}
	}
}

func plain(raw []byte, width, height, samples int) image.Image {
	m := image.NewRGBA(image.Rect(0, 0, width, height))
	for i := range width * height {
		c := color.RGBA{raw[i*samples], raw[i*samples], raw[i*samples], 255}
		if samples == 3 {
			c.G, c.B = raw[3*i+1], raw[3*i+2]
		}
		m.SetRGBA(i%width, i/width, c)
	}
	return m
}

// Only the end of a strip is read leniently: pixels that are missing are never made up.
func TestDecodeLZWWithMissingPixels(t *testing.T) {
	full := make([]byte, 12)
	tests := []struct {
		name  string
		strip []byte
		says  string
	}{
		{"ends early", lzwStrip(full[:11], endMark), "strip 0 holds 11 of its 12 bytes"},
		{"wrong code early", lzwStrip(full[:5], noSuchYet), "strip 0 holds 5 of its 12 bytes"},
		{"cut", lzwStrip(full)[:6], "of its 12 bytes"},
		{"empty", nil, "strip 0 holds 0 of its 12 bytes"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := page{width: 4, height: 3, samples: 1, compression: compressionLZW, strips: [][]byte{tt.strip}}
			_, err := decode(bytes.NewReader(p.file()))
			if !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), tt.says) {
				t.Errorf("error is %v, want ErrCorrupt with %q", err, tt.says)
			}
		})
	}
	t.Run("beyond the file", func(t *testing.T) {
		file := page{width: 4, height: 3, samples: 1, compression: compressionLZW, strips: [][]byte{lzwStrip(full)}}.file()
		d, err := openDirectory(file)
		if err != nil {
			t.Fatal(err)
		}
		d.set(file, tagByteCounts, 0, 1<<20)
		if _, err := unpackLZW(file); !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), "strip 0 lies at bytes 8 to") {
			t.Errorf("error is %v, want ErrCorrupt with the strip's place", err)
		}
	})
}
