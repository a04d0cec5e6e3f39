package checkpoints

import (
	"archive/zip"
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// Means and deviations are those that PyTorch computed from the same file.
func TestRealWeightsAsPyTorchReadsThem(t *testing.T) {
	path := os.Getenv("SAMTUNE_TEST_WEIGHTS")
	if path == "" {
		cache, err := os.UserCacheDir()
		if err != nil {
			t.Skip(err)
		}
		path = filepath.Join(cache, "samtune", "weights", "lite_medsam.pth")
	}
	if _, err := os.Stat(path); err != nil {
		t.Skipf("no LiteMedSAM weights: %v; set SAMTUNE_TEST_WEIGHTS", err)
	}
	f := mustOpen(t, path)
	list, err := os.Open(filepath.Join("..", "testdata", "parity", "lite_medsam_keys.txt"))
	if err != nil {
		t.Fatal(err)
	}
	defer list.Close()
	seen := 0
	for lines := bufio.NewScanner(list); lines.Scan(); {
		field := strings.Split(lines.Text(), "\t")
		if len(field) != 5 {
			t.Fatalf("line %q", lines.Text())
		}
		seen++
		info, ok := f.Info(field[0])
		if !ok {
			t.Errorf("%s is missing", field[0])
			continue
		}
		shape := strings.NewReplacer("(", "", ")", "", ",", "").Replace(field[1])
		if got := strings.Trim(fmt.Sprint(info.Shape), "[]"); got != shape {
			t.Errorf("%s: shape %s, want %s", field[0], got, shape)
		}
		if info.DType != "F32" {
			continue
		}
		values, err := f.Float32(field[0])
		if err != nil {
			t.Fatal(err)
		}
		var wantMean, wantStd, sum, square float64
		fmt.Sscanf(field[3], "mean=%g", &wantMean)
		fmt.Sscanf(field[4], "std=%g", &wantStd)
		for _, v := range values {
			sum += float64(v)
		}
		mean := sum / float64(len(values))
		for _, v := range values {
			square += (float64(v) - mean) * (float64(v) - mean)
		}
		if math.Abs(mean-wantMean) > 1e-5*max(math.Abs(wantMean), 1e-2) {
			t.Errorf("%s: mean %g, want %g", field[0], mean, wantMean)
		}
		if std := math.Sqrt(square / float64(len(values)-1)); len(values) > 1 && math.Abs(std-wantStd) > 1e-4*wantStd {
			t.Errorf("%s: deviation %g, want %g", field[0], std, wantStd)
		}
	}
	if got := len(f.Names()); got != seen || seen == 0 {
		t.Errorf("%d tensors, want %d", got, seen)
	}
}

func TestPTHViews(t *testing.T) {
	six := floats(0, 1, 2, 3, 4, 5)
	const float class = "torch FloatStorage"
	tests := []struct {
		name          string
		offset        int64
		shape, stride []int64
		want          []byte
	}{
		{"whole", 0, []int64{2, 3}, []int64{3, 1}, six},
		{"transposed", 0, []int64{3, 2}, []int64{1, 3}, floats(0, 3, 1, 4, 2, 5)},
		{"second row", 3, []int64{3}, []int64{1}, floats(3, 4, 5)},
		{"column", 1, []int64{2}, []int64{3}, floats(1, 4)},
		{"every other", 0, []int64{3}, []int64{2}, floats(0, 2, 4)},
		{"repeated element", 2, []int64{2, 2}, []int64{0, 0}, floats(2, 2, 2, 2)},
		{"scalar", 5, []int64{}, []int64{}, floats(5)},
		{"empty", 0, []int64{0, 3}, []int64{3, 1}, []byte{}},
		{"empty at the end", 6, []int64{0}, []int64{1}, []byte{}},
		{"channels last", 0, []int64{1, 3, 1, 2}, []int64{6, 1, 6, 3}, floats(0, 3, 1, 4, 2, 5)},
		{"one row of any stride", 0, []int64{1, 6}, []int64{99, 1}, six},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			f, err := openBytes(t, pth(t, dictOf(func(p *pickler) {
				p.text("all")
				p.tensor(float, "0", 6, 0, []int64{6}, []int64{1})
				p.text("x")
				p.tensor(float, "0", 6, test.offset, test.shape, test.stride)
			}), six))
			if err != nil {
				t.Fatal(err)
			}
			got, err := content(f)
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, got, []Tensor{{Info{"all", "F32", []int64{6}}, six}, {Info{"x", "F32", test.shape}, test.want}})
		})
	}
}

func TestPTHViewsThatExceedTheirStorage(t *testing.T) {
	const float class = "torch FloatStorage"
	for _, bad := range []struct {
		name          string
		offset        int64
		shape, stride []int64
		want          error
	}{
		{"offset behind the end", 6, []int64{1}, []int64{1}, ErrCorrupt},
		{"one too many", 1, []int64{2, 3}, []int64{3, 1}, ErrCorrupt},
		{"far stride", 0, []int64{2}, []int64{math.MaxInt64}, ErrCorrupt},
		{"far offset", math.MaxInt64, []int64{2}, []int64{1}, ErrCorrupt},
		{"huge by stride 0", 0, []int64{1 << 40}, []int64{0}, ErrUnsafe},
		{"size overflows", 0, []int64{1 << 40, 1 << 40}, []int64{0, 0}, ErrUnsafe},
		{"stride missing", 0, []int64{2, 3}, []int64{1}, ErrCorrupt},
		{"many dimensions", 0, make([]int64, 65), make([]int64, 65), ErrCorrupt},
	} {
		t.Run(bad.name, func(t *testing.T) {
			_, err := openBytes(t, pth(t, dictOf(func(p *pickler) {
				p.text("x")
				p.tensor(float, "0", 6, bad.offset, bad.shape, bad.stride)
			}), floats(0, 1, 2, 3, 4, 5)))
			if !errors.Is(err, bad.want) {
				t.Errorf("got %v, want %v", err, bad.want)
			}
		})
	}
}

func TestPTHNestedDictionariesGiveDottedNames(t *testing.T) {
	f, err := openBytes(t, pth(t, dictOf(func(p *pickler) {
		p.text("epoch")
		p.int(3)
		p.text("optimizer")
		p.op('}', '(')
		p.int(0)
		p.tensor("torch FloatStorage", "0", 1, 0, []int64{1}, []int64{1})
		p.op('u')
		p.text("model")
		p.global(orderedDict)
		p.op(')', 'R', '(')
		p.text("module.x")
		p.global(rebuildParameter)
		p.op('(')
		p.tensor("torch BFloat16Storage", "1", 2, 0, []int64{2}, []int64{1})
		p.op(0x88, '}', 't', 'R', 'u')
		p.op('}')
		p.text("_metadata")
		p.op('}', 's', 'b')
	}), floats(1), []byte{0x80, 0x3f, 0x00, 0xc0}))
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, f.Names(), []string{"model.module.x"})
	err = f.Rename(func(name string) string { return strings.TrimPrefix(name, "model.module.") })
	if err != nil {
		t.Fatal(err)
	}
	got, err := f.Float32("x")
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, got, []float32{1, -2})
	if err := f.Rename(func(string) string { return "" }); err != nil || len(f.Names()) != 0 {
		t.Errorf("%v, %v", f.Names(), err)
	}
}

func TestPTHRecordsThatAreRefused(t *testing.T) {
	index := dictOf(func(p *pickler) {
		p.text("x")
		p.tensor("torch FloatStorage", "0", 1, 0, []int64{1}, []int64{1})
	})
	data := record{"m/data/0", floats(1)}
	pkl := record{"m/data.pkl", index}
	tests := []struct {
		name    string
		records []record
		want    error
	}{
		{"path upwards", []record{pkl, data, {"../x", nil}}, ErrUnsafe},
		{"path upwards within", []record{pkl, data, {"m/../../x", nil}}, ErrUnsafe},
		{"absolute path", []record{pkl, data, {"/etc/passwd", nil}}, ErrUnsafe},
		{"backslash", []record{pkl, data, {`m\x`, nil}}, ErrUnsafe},
		{"NUL", []record{pkl, data, {"m/x\x00.pkl", nil}}, ErrUnsafe},
		{"no name", []record{pkl, data, {"", nil}}, ErrUnsafe},
		{"duplicate", []record{pkl, data, data}, ErrUnsafe},
		{"two indices", []record{pkl, data, {"n/data.pkl", index}}, ErrUnsafe},
		{"no index", []record{data}, ErrFormat},
		{"storage missing", []record{pkl}, ErrCorrupt},
		{"storage too short", []record{pkl, {"m/data/0", []byte{1, 2, 3}}}, ErrCorrupt},
		{"storage too long", []record{pkl, {"m/data/0", floats(1, 2)}}, ErrCorrupt},
		{"TorchScript", []record{pkl, data, {"m/constants.pkl", nil}}, ErrFormat},
		{"big endian", []record{pkl, data, {"m/byteorder", []byte("big")}}, ErrFormat},
		{"no tensor", []record{{"m/data.pkl", []byte("\x80\x02}.")}}, ErrFormat},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if _, err := openBytes(t, archiveOf(t, zip.Store, test.records...)); !errors.Is(err, test.want) {
				t.Errorf("got %v, want %v", err, test.want)
			}
		})
	}
	t.Run("deflated", func(t *testing.T) {
		bomb := archiveOf(t, zip.Deflate, pkl, record{"m/data/0", make([]byte, 16<<20)})
		if _, err := openBytes(t, bomb); !errors.Is(err, ErrFormat) {
			t.Errorf("got %v", err)
		}
	})
	// The directory claims 3 GB for a storage of 4 bytes: nothing of that size may be made.
	t.Run("claimed size", func(t *testing.T) {
		const claimed = 3 << 30
		index := dictOf(func(p *pickler) {
			p.text("x")
			p.tensor("torch FloatStorage", "0", claimed/4, 0, []int64{2, claimed / 8}, []int64{1, 2})
		})
		b := archiveOf(t, zip.Store, data, record{"m/data.pkl", index})
		entry := bytes.Index(b, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(b[entry+20:], claimed)
		binary.LittleEndian.PutUint32(b[entry+24:], claimed)
		if _, err := openBytes(t, b); !errors.Is(err, ErrCorrupt) {
			t.Errorf("got %v", err)
		}
	})
}

func TestFilesThatAreNoWeights(t *testing.T) {
	tests := []struct {
		name, content string
		want          error
		says          string
	}{
		{"empty", "", ErrCorrupt, "0 bytes"},
		{"short", "PK\x03", ErrCorrupt, "too short"},
		{"legacy torch.save", "\x80\x02\x8a\nl\xfc\x9cF\xf9 j\xa8P\x19.", ErrFormat, "weights_only=True"},
		{"cut zip", "PK\x03\x04\x00\x00\x00\x00\x00\x00\x00", ErrCorrupt, "get it again"},
		{"web page", "<!DOCTYPE html><html></html>", ErrFormat, "neither"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := openBytes(t, []byte(test.content))
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "weights") {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
		})
	}
	if _, err := Open(t.TempDir()); !errors.Is(err, ErrFormat) {
		t.Errorf("folder: %v", err)
	}
	if _, err := Open(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
}

func TestHalfPrecision(t *testing.T) {
	for h := range 1 << 16 {
		sign, e, m := 1.0, h>>10&31, float64(h&1023) // IEEE 754-2008, 3.4
		if h>>15 == 1 {
			sign = -1
		}
		want := sign * math.Ldexp(1+m/1024, e-15)
		switch {
		case e == 0:
			want = sign * math.Ldexp(m/1024, -14)
		case e == 31 && m == 0:
			want = math.Inf(int(sign))
		case e == 31:
			want = math.NaN()
		}
		got := halfToFloat(uint16(h))
		if math.IsNaN(want) != math.IsNaN(float64(got)) || !math.IsNaN(want) && float64(got) != want || math.Signbit(float64(got)) != (h>>15 == 1) {
			t.Fatalf("%04x: %v, want %v", h, got, want)
		}
	}
}
