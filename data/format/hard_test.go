package format

import (
	"bytes"
	"encoding/binary"
	"flag"
	"fmt"
	"hash/crc32"
	"image/color"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"runtime/debug"
	"strings"
	"testing"
)

// every is how many changes of headers there are for one that is tried; all were tried once, without a failure.
var every = flag.Int("every", 5, "try every n-th change of a header; 1: all")

// hardened are the files, one of each kind and main variant, of which every cut and every change of the header is tried.
var hardened = []string{
	"nifti/1_int16_little.nii", "nifti/1_float64_big.nii", "nifti/2_uint8_little.nii", "nifti/2_scaled_big.nii", "nifti/1_qform.nii", "nifti/1_packed.nii.gz", "nifti/pair1.hdr",
	"meta/int16.mha", "meta/float32_packed.mha", "meta/int16_beside.mhd", "meta/time.mha",
	"numpy/int16_little.npy", "numpy/fortran_channels.npy", "numpy/plain.npz", "numpy/packed.npz",
	"dicom/explicit_signed.dcm", "dicom/implicit_rescaled.dcm", "dicom/big_frames.dcm",
	"png/rgb.png", "png/palette.png", "png/interlaced.png", "png/deep.png", "jpeg/grey.jpg", "jpeg/progressive.jpg", "gif/palette.gif",
	"bmp/bits.bmp", "bmp/palette.bmp", "bmp/rgb.bmp",
	"pnm/bits.pbm", "pnm/grey.pgm", "pnm/rgb.ppm", "pnm/bits_plain.pbm", "pnm/grey_plain.pgm", "pnm/rgb_plain.ppm", "pnm/grey.pgm.gz", "pnm/deep.pgm",
	"tiff/rgb_plain.tif", "tiff/rgb_lzw.tif", "tiff/grey_deflate_predictor.tif", "tiff/grey_packbits.tif", "tiff/tiles.tif", "tiff/palette.tif", "tiff/fax4.tif", "tiff/deep_lzw.tif",
}

// headerBytes is how many first bytes of a file are changed one by one. (What follows in these files is voxels.)
const headerBytes = 600

// attempt reads a file's bytes as what they are meant to be and says whether the values are those of the whole file.
type attempt func(file []byte) (same bool, err error)

// attemptOf makes the attempts on one of the files.
func attemptOf(dir string, v vector) attempt {
	if v.As == "picture" {
		return func(file []byte) (bool, error) {
			img, err := decode(bytes.NewReader(file))
			if err != nil {
				return false, err
			}
			b := img.Bounds()
			same := b.Dx() == v.Size[0] && b.Dy() == v.Size[1]
			for i := 0; same && i < v.Size[0]*v.Size[1]; i++ {
				c := color.NRGBAModel.Convert(img.At(b.Min.X+i%v.Size[0], b.Min.Y+i/v.Size[0])).(color.NRGBA)
				for k, got := range []uint8{c.R, c.G, c.B, c.A} {
					same = same && math.Abs(float64(got)-float64(v.want[4*i+k])) <= float64(v.Tolerance)
				}
			}
			return same, nil
		}
	}
	// The name stays as it is: a header finds its voxels by it.
	path := filepath.Join(dir, v.File)
	return func(file []byte) (bool, error) {
		if err := overwrite(path, file); err != nil {
			return false, err
		}
		vol, values, err := readVolume(path)
		if err != nil {
			return false, err
		}
		same := vol.Size == v.Size && vol.Channels == v.Channels
		plane := v.Size[0] * v.Size[1] * v.Size[2]
		for i := 0; same && i < plane; i++ {
			want := math.Float32frombits(binary.LittleEndian.Uint32(v.want[4*i:]))
			same = values[i] == want || values[i] != values[i] && want != want
		}
		return same, nil
	}
}

// overwrite changes a file in place, which costs a disk less than to write it anew.
func overwrite(path string, b []byte) error {
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := f.WriteAt(b, 0); err != nil {
		return err
	}
	return f.Truncate(int64(len(b)))
}

// changes calls try with a file whose header is changed at one place: each byte, each number of 2, 4 and 8 bytes at a place
// that such a number may have, and each number that is written as text.
func changes(kind string, file []byte, try func(what string, file []byte)) {
	step := func(size int) int {
		if kind == "tiff" || kind == "dicom" || kind == "bmp" { // numbers of 4 bytes may be at every other byte
			return 2
		}
		return size
	}
	n := min(len(file), headerBytes)
	put := func(what string, at int, b ...byte) {
		if at+len(b) > len(file) || bytes.Equal(file[at:at+len(b)], b) {
			return
		}
		changed := bytes.Clone(file)
		copy(changed[at:], b)
		try(fmt.Sprintf("%s at byte %d", what, at), changed)
	}
	for at := range n {
		for _, b := range []byte{0, 0xff, file[at] + 1, file[at] - 1, file[at] ^ 0x80} {
			put(fmt.Sprintf("%#02x", b), at, b)
		}
	}
	for _, size := range []int{2, 4, 8} {
		zero, ones := make([]byte, size), bytes.Repeat([]byte{0xff}, size)
		most, least := bytes.Clone(ones), bytes.Clone(zero)
		most[size-1], least[size-1] = 0x7f, 0x80
		huge := bytes.Clone(zero)
		huge[size-1] = 0x04
		for at := 0; at < n; at += step(size) {
			for what, b := range map[string][]byte{"0": zero, "-1": ones, "the most": most, "the least": least, "much": huge} {
				put(fmt.Sprintf("%s in %d bytes", what, size), at, b...)
				backwards := make([]byte, size)
				for i := range b {
					backwards[size-1-i] = b[i]
				}
				put(fmt.Sprintf("%s in %d bytes, the other order", what, size), at, backwards...)
			}
		}
	}
	for _, place := range regexp.MustCompile(`[0-9]+`).FindAllIndex(file[:n], -1) {
		for _, number := range []string{"0", "-1", "1", "65536", "16777216", "2147483647", "9223372036854775807", "99999999999999999999", "1e308", "nan", ""} {
			changed := append(append(bytes.Clone(file[:place[0]]), number...), file[place[1]:]...)
			try(fmt.Sprintf("%q at byte %d", number, place[0]), changed)
		}
	}
}

// repairPNG sets the checksums of a PNG's chunks.
func repairPNG(b []byte) []byte {
	for at := 8; at+12 <= len(b); {
		end := at + 8 + int(binary.BigEndian.Uint32(b[at:]))
		if end+4 > len(b) {
			break
		}
		binary.BigEndian.PutUint32(b[end:], crc32.ChecksumIEEE(b[at+4:end]))
		at = end + 4
	}
	return b
}

// TestHardness cuts files at every length and changes their headers everywhere: there is an error that says what the file is,
// or a picture or volume, and no more memory than 64 MB and four bytes for each of the file. A cut file never gives other
// values than the whole one.
func TestHardness(t *testing.T) {
	defer debug.SetGCPercent(debug.SetGCPercent(400))
	dir, list := vectors(t)
	byName := map[string]vector{}
	for _, v := range list {
		byName[v.File] = v
	}
	cuts, changed := map[string]int{}, map[string]int{}
	for _, name := range hardened {
		t.Run(name, func(t *testing.T) {
			v, ok := byName[name]
			if !ok {
				t.Fatal("there is no such file")
			}
			kind := filepath.Dir(name)
			file, err := os.ReadFile(filepath.Join(dir, name))
			if err != nil {
				t.Fatal(err)
			}
			read := attemptOf(dir, v)
			if same, err := read(file); err != nil || !same {
				t.Fatalf("the whole file: %v", err)
			}
			for n := range file {
				what := fmt.Sprintf("cut to %d bytes of %d", n, len(file))
				bounded(t, what, n, func() error {
					same, err := read(file[:n])
					plain := strings.Contains(name, "_plain.p") && n > len(file)-4 // the last number's last digits
					if err == nil && !same && !plain {
						t.Errorf("%s: other values and no error", what)
					}
					return err
				})
				cuts[kind]++
			}
			pack := func(b []byte) []byte { return b }
			if kind == "png" { // or the checksum of each chunk tells all
				pack = repairPNG
			}
			if strings.HasSuffix(name, ".gz") { // what is packed is changed
				plain, err := ungzip(file)
				if err != nil {
					t.Fatal(err)
				}
				file, pack = plain, func(b []byte) []byte { return packed(t, b) }
			}
			number := 0
			changes(kind, file, func(what string, b []byte) {
				if number++; number%*every != 0 {
					return
				}
				b = pack(b)
				bounded(t, what, len(b), func() error { _, err := read(b); return err })
				changed[kind]++
			})
		})
	}
	t.Logf("files cut, by reader: %v; headers changed: %v", cuts, changed)
}

// TestPackedPlanes refuses a small file whose one plane takes more memory than is meant for it.
func TestPackedPlanes(t *testing.T) {
	const side = 4200
	head := make([]byte, 352, 352+side*side)
	le := binary.LittleEndian
	le.PutUint32(head, 348)
	for i, n := range []uint16{2, side, side} {
		le.PutUint16(head[40+2*i:], n)
	}
	le.PutUint16(head[70:], 2)
	le.PutUint32(head[108:], math.Float32bits(352))
	copy(head[344:], "n+1\x00")
	file := packed(t, head[:cap(head)])
	path := filepath.Join(t.TempDir(), "zeros.nii.gz")
	if err := os.WriteFile(path, file, 0o600); err != nil {
		t.Fatal(err)
	}
	bounded(t, path, len(file), func() error {
		_, _, err := readVolume(path)
		if err == nil {
			t.Errorf("a plane of %d bytes is read from %d", 4*side*side, len(file))
		}
		return err
	})
}
