package format

import (
	"bytes"
	"errors"
	"testing"
)

// fuzzPixels bounds what a fuzzed file may claim, since decoders make the picture before they fill it.
const fuzzPixels = 1 << 16

// FuzzDecode looks for panics, and for errors and pictures that are not what Decode promises.
func FuzzDecode(f *testing.F) {
	for _, p := range pictures(f) {
		f.Add(p.file)
	}
	for _, p := range []page{
		{width: 4, height: 3, samples: 1, compression: compressionLZW, strips: [][]byte{lzwStrip(make([]byte, 12))}},
		{width: 2, height: 2, samples: 3, rows: 1, compression: compressionLZW, predictor: 2, strips: [][]byte{lzwStrip(make([]byte, 6)), lzwStrip(make([]byte, 6), noSuchYet)}},
	} {
		f.Add(p.file())
	}
	for _, text := range []string{"P1 3 2\n1 0 1 0 1 0\n", "P2 2 1 9\n1 #c\n9", "P3 1 1 255 1 2 3\n", "P4 3 2\n\xa0\x40", "P5 1 1 255\n\x00", "P6 1 1 255\n\x01\x02\x03"} {
		f.Add([]byte(text))
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		kind := sniff(file)
		if kind == "" {
			return
		}
		config, configErr := decodeConfig(kind, bytes.NewReader(file))
		if configErr == nil && config.Height > 0 && config.Width > fuzzPixels/config.Height {
			return
		}
		img, err := decode(bytes.NewReader(file))
		if err != nil {
			if !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		if b := img.Bounds(); configErr != nil || b.Dx() != config.Width || b.Dy() != config.Height || b.Empty() {
			t.Fatalf("picture is %v, the file claims %d x %d (%v)", b, config.Width, config.Height, configErr)
		}
	})
}

// FuzzUnpackLZW looks for panics in the lenient reader, to which only refused files come otherwise.
func FuzzUnpackLZW(f *testing.F) {
	f.Add(page{width: 4, height: 3, samples: 1, compression: compressionLZW, strips: [][]byte{lzwStrip(make([]byte, 12))}}.file())
	f.Add(page{width: 4, height: 3, samples: 3, rows: 1, compression: compressionLZW, strips: [][]byte{lzwStrip(make([]byte, 12)), lzwStrip(make([]byte, 12)), nil}}.file())
	f.Fuzz(func(t *testing.T, file []byte) {
		plain, err := unpackLZW(file)
		switch {
		case err == nil && len(plain) < len(file):
			t.Fatalf("%d bytes unpack to %d", len(file), len(plain))
		case err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) && !errors.Is(err, errNotLZW):
			t.Fatalf("error of no kind: %v", err)
		}
	})
}
