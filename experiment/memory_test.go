package experiment

import (
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"

	"samtune/data"
	"samtune/eval"
)

// TestMemory keeps an answer, damages its file at every tenth byte and cuts it: it is whole or not there.
func TestMemory(t *testing.T) {
	m := memory{dir: t.TempDir()}
	want := &answer{Scores: eval.Scores{TP: 3, Dice: 0.25, AUC: 0.5}, Width: 3, Height: 2, Mask: []uint8{0, 1, 1, 0, 0, 1}}
	if _, ok := m.recall("q"); ok {
		t.Error("an answer that nobody gave")
	}
	if err := m.keep("q", want); err != nil {
		t.Fatal(err)
	}
	if got, ok := m.recall("q"); !ok || !reflect.DeepEqual(got, want) {
		t.Errorf("%+v, want %+v", got, want)
	}
	if _, ok := m.recall("another"); ok {
		t.Error("the answer to another question")
	}
	if _, ok := (memory{dir: m.dir, forget: true}).recall("q"); ok {
		t.Error("it did not forget")
	}
	whole, err := os.ReadFile(m.path("q"))
	if err != nil {
		t.Fatal(err)
	}
	for i := range whole {
		if i >= 4 && i < 10 { // gzip's time and system mean nothing
			continue
		}
		for name, bad := range map[string][]byte{"cut": whole[:i], "damaged": append(append(append([]byte(nil), whole[:i]...), whole[i]^0x55), whole[i+1:]...)} {
			if err := os.WriteFile(m.path("q"), bad, 0o644); err != nil {
				t.Fatal(err)
			}
			if got, ok := m.recall("q"); ok && !reflect.DeepEqual(got, want) {
				t.Errorf("%s at byte %d of %s: %+v", name, i, filepath.Base(m.path("q")), got)
			}
		}
	}
}

// TestPackedMasks takes a mask that comes back as it was, in far fewer bytes than pixels.
func TestPackedMasks(t *testing.T) {
	m := data.NewMask(565, 584)
	for i := range m.Pix {
		if i%565 > 200 && i%565 < 208 || i%97 == 0 {
			m.Pix[i] = 1
		}
	}
	p := packMask(m)
	got, err := p.unpack()
	if err != nil || !slices.Equal(got.Pix, m.Pix) || got.Width != 565 || got.Height != 584 {
		t.Errorf("%v: another mask", err)
	}
	if len(p.packed) > len(m.Pix)/10 {
		t.Errorf("%d pixels take %d bytes", len(m.Pix), len(p.packed))
	}
	p.packed = p.packed[:len(p.packed)/2]
	if _, err := p.unpack(); err == nil {
		t.Error("half of a mask was unpacked")
	}
}
