package format

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"runtime/metrics"
	"strings"
	"testing"
)

// allocated is how many bytes this program has allocated so far.
func allocated() uint64 {
	sample := []metrics.Sample{{Name: "/gc/heap/allocs:bytes"}}
	metrics.Read(sample)
	return sample[0].Value.Uint64()
}

// bounded fails where reading a file of so many bytes allocates more than it may hold at once: all of it taken together, which
// is more than is held at any time. It also fails where an error is of no kind.
func bounded(t testing.TB, what string, size int, read func() error) {
	t.Helper()
	before := allocated()
	err := read()
	if used, most := allocated()-before, uint64(64<<20+4*size); used > most {
		t.Errorf("%s: %d bytes are allocated for a file of %d (%v)", what, used, size, err)
	}
	if err != nil && !errors.Is(err, ErrCorrupt) && !errors.Is(err, ErrUnsupported) {
		t.Errorf("%s: an error of no kind: %v", what, err)
	}
}

// readVolume reads a file, of several channels the first and the last.
func readVolume(path string) (v *Volume, values []float32, err error) {
	if v, err = OpenVolume(path); err != nil {
		return nil, nil, err
	}
	for c := 0; c < v.Channels; c += max(1, v.Channels-1) {
		planes := 0
		err := v.Planes(c, func(z int, voxels []float32) error {
			if z != planes || len(voxels) != v.Size[0]*v.Size[1] {
				return errors.New("a plane is not what the header says")
			}
			if planes++; len(values) < 1<<16 {
				values = append(values, voxels...)
			}
			return nil
		})
		if err == nil && planes != v.Size[2] {
			err = errors.New("planes are missing")
		}
		if err != nil {
			return nil, nil, err
		}
	}
	return v, values, nil
}

// fuzzVolumes looks for panics, errors of no kind and memory without bound in what is read of a file, from those vectors on
// whose name begins with one of the prefixes.
func fuzzVolumes(f *testing.F, prefixes ...string) {
	dir, list := vectors(f)
	for _, v := range list {
		for _, p := range prefixes {
			if strings.HasPrefix(v.File, p) && v.As == "volume" {
				b, err := os.ReadFile(filepath.Join(dir, v.File))
				if err != nil {
					f.Fatal(err)
				}
				f.Add(b)
			}
		}
	}
	path := filepath.Join(f.TempDir(), "volume")
	f.Fuzz(func(t *testing.T, file []byte) {
		if err := overwrite(path, file); err != nil {
			t.Fatal(err)
		}
		bounded(t, "volume", len(file), func() error { _, _, err := readVolume(path); return err })
	})
}

func FuzzNIfTI(f *testing.F)     { fuzzVolumes(f, "nifti/1_", "nifti/2_", "nifti/m", "nifti/s", "nifti/t") }
func FuzzMetaImage(f *testing.F) { fuzzVolumes(f, "meta/") }
func FuzzNumpy(f *testing.F)     { fuzzVolumes(f, "numpy/") }
func FuzzDICOM(f *testing.F)     { fuzzVolumes(f, "dicom/") }
func FuzzDeep(f *testing.F)      { fuzzVolumes(f, "png/", "pnm/", "tiff/") }

// FuzzDecode looks for panics, and for errors, pictures and memory that are not what Decode promises.
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
	dir, list := vectors(f)
	for _, v := range list {
		if v.As == "picture" {
			b, err := os.ReadFile(filepath.Join(dir, v.File))
			if err != nil {
				f.Fatal(err)
			}
			f.Add(b)
		}
	}
	f.Fuzz(func(t *testing.T, file []byte) {
		bounded(t, "picture", len(file), func() error {
			img, err := decode(bytes.NewReader(file))
			if err != nil {
				return err
			}
			s, err := open(bytes.NewReader(file))
			if err != nil {
				t.Fatal(err)
			}
			config, err := s.config()
			if b := img.Bounds(); err != nil || b.Dx() != config.Width || b.Dy() != config.Height || b.Empty() {
				t.Fatalf("picture is %v, the file claims %d x %d (%v)", b, config.Width, config.Height, err)
			}
			return nil
		})
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
