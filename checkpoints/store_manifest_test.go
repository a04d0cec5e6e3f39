package checkpoints

import (
	"encoding/json"
	"io"
	"os"
	"testing"
)

// TestManifestSaysWhereACheckpointComesFrom saves three steps, the last after the store was opened again.
func TestManifestSaysWhereACheckpointComesFrom(t *testing.T) {
	dir := t.TempDir()
	files := map[string]func(io.Writer) error{"a": func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }}
	opt := StoreOptions{Identity: "run", Keep: 5, Versions: map[string]string{"samtune": "1", "libtorch": "2"}}
	open := func() *Store {
		t.Helper()
		s, err := OpenStore(dir, opt)
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	s := open()
	for _, step := range []int{3, 6} {
		if err := s.Save(step, false, files); err != nil {
			t.Fatal(err)
		}
	}
	s = open()
	if _, _, err := s.Latest(); err != nil {
		t.Fatal(err)
	}
	if err := s.Save(9, true, files); err != nil {
		t.Fatal(err)
	}
	for _, want := range []struct{ step, parent int }{{3, 0}, {6, 3}, {9, 6}} {
		c, err := s.verify([]string{3: "step-000003", 6: "step-000006", 9: "step-000009"}[want.step])
		if err != nil {
			t.Fatal(err)
		}
		text, err := c.ReadFile(manifestFile)
		if err != nil {
			t.Fatal(err)
		}
		var m Manifest
		if err := json.Unmarshal(text, &m); err != nil {
			t.Fatal(err)
		}
		if m.Parent != want.parent || m.Versions["libtorch"] != "2" || m.Identity != "run" || m.Step != want.step {
			t.Errorf("step %d: parent %d, versions %v, identity %q", m.Step, m.Parent, m.Versions, m.Identity)
		}
	}
}

// TestDamagedBestDoesNotPushOutTheOneBefore damages the weights of the newest best checkpoint, not its manifest.
func TestDamagedBestDoesNotPushOutTheOneBefore(t *testing.T) {
	files := map[string]func(io.Writer) error{"a": func(w io.Writer) error { _, err := w.Write([]byte("x")); return err }}
	s, err := OpenStore(t.TempDir(), StoreOptions{Keep: 2})
	if err != nil {
		t.Fatal(err)
	}
	save := func(step int, best bool) {
		t.Helper()
		if err := s.Save(step, best, files); err != nil {
			t.Fatal(err)
		}
	}
	save(1, true)
	save(2, true)
	c, err := s.Best()
	if err != nil || c.Step != 2 {
		t.Fatalf("best is %v, %v", c, err)
	}
	if err := os.WriteFile(c.Path("a"), []byte("y"), 0o644); err != nil {
		t.Fatal(err)
	}
	for step := 3; step < 7; step++ {
		save(step, false)
	}
	if c, err := s.Best(); err != nil || c.Step != 1 {
		t.Errorf("best is %v, %v: want step 1, the newest that is whole", c, err)
	}
}
