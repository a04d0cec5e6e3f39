package tfevents

import (
	"bytes"
	"encoding/hex"
	"errors"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestMaskedChecksum compares with TensorBoard's own: tensorboard 2.21.0,
// compat/tensorflow_stub/pywrap_tensorflow.py, masked_crc32c.
func TestMaskedChecksum(t *testing.T) {
	for text, want := range map[string]uint32{"": 0xa282ead8, "123456789": 0xc78ab0e5, "samtune": 0xb4db4737} {
		if got := masked([]byte(text)); got != want {
			t.Errorf("%q: %#x, want %#x", text, got, want)
		}
	}
}

// sample writes a file with a value of each kind and returns its path and its picture.
func sample(t testing.TB) (path string, picture []byte) {
	t.Helper()
	var b bytes.Buffer
	if err := png.Encode(&b, image.NewRGBA(image.Rect(0, 0, 3, 2))); err != nil {
		t.Fatal(err)
	}
	path = filepath.Join(t.TempDir(), "events.out.tfevents.0")
	w, err := Create(path)
	if err != nil {
		t.Fatal(err)
	}
	shown, err := Picture("case", b.Bytes())
	if err != nil {
		t.Fatal(err)
	}
	if err := w.Add(0, Text("config", "shots = 5"), shown); err != nil {
		t.Fatal(err)
	}
	if err := w.Add(300, Scalar("loss", 0.5), Scalar("rate", -2)); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return path, b.Bytes()
}

func TestWhatIsWrittenIsReadBack(t *testing.T) {
	path, picture := sample(t)
	got, err := Read(path)
	if err != nil {
		t.Fatal(err)
	}
	want := []Event{
		{Version: "brain.Event:2"},
		{Values: []Shown{{Tag: "config", Text: "shots = 5"}, {Tag: "case", Picture: picture}}},
		{Step: 300, WallTime: 300, Values: []Shown{{Tag: "loss", Scalar: 0.5}, {Tag: "rate", Scalar: -2}}},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
}

// TestRecordsAreThoseOfTensorBoard compares with the bytes that tensorboard 2.21.0's RecordWriter writes of the same
// Events (bench/check_events.py --vector).
func TestRecordsAreThoseOfTensorBoard(t *testing.T) {
	got := record(appendBytes(event(0), eventFileVersion, []byte(version)))
	got = append(got, record(appendBytes(event(300), eventSummary, appendBytes(nil, summaryValue, Scalar("loss", 0.5))))...)
	if text := hex.EncodeToString(got); text != vector {
		t.Errorf("%s, want %s", text, vector)
	}
}

const vector = "0f000000000000006d532b091a0d627261696e2e4576656e743a32fc985129" +
	"1b000000000000001a0d9e13090000000000c0724010ac022a0d0a0b0a046c6f7373150000003f27554a2e"

func TestDamageIsFound(t *testing.T) {
	path, _ := sample(t)
	whole, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		flipped := bytes.Clone(whole)
		flipped[i] ^= 1
		for name, content := range map[string][]byte{"flipped byte": flipped, "cut": whole[:i]} {
			if err := os.WriteFile(path, content, 0o644); err != nil {
				t.Fatal(err)
			}
			events, err := Read(path)
			if name == "cut" && err == nil && len(events) < 3 { // between two records: an unfinished file
				continue
			}
			if !errors.Is(err, ErrFormat) {
				t.Errorf("%s at %d: error %v", name, i, err)
			}
		}
	}
}

func FuzzRead(f *testing.F) {
	f.Add(appendBytes(event(3), eventSummary, appendBytes(nil, summaryValue, Text("a", "b"))))
	f.Fuzz(func(t *testing.T, data []byte) {
		_, _ = parseEvent(data) // it must end, without a panic
	})
}
