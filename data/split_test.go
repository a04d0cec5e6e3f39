package data

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
)

// cohort is a benchmark of cases that are made up, with the patient of each.
func cohort(pool, test int) *Benchmark {
	b := &Benchmark{Name: "cohort", Title: "Cohort", Layout: "made up", Targets: []string{"t"}}
	for i := range pool + test {
		c := Case{ID: fmt.Sprintf("c%02d", i), Patient: fmt.Sprintf("p%02d", i)}
		if i < pool {
			b.Pool = append(b.Pool, c)
		} else {
			b.Test = append(b.Test, c)
		}
	}
	return b
}

// contents are samples whose pixels follow from their number.
func contents(b *Benchmark) map[string]*Sample {
	out := map[string]*Sample{}
	for i, c := range append(append([]Case(nil), b.Pool...), b.Test...) {
		pix := make([]uint8, 12)
		pix[i%12] = uint8(i + 1)
		out[c.ID] = &Sample{ID: c.ID, Patient: c.Patient, Image: &Image{Width: 2, Height: 2, Pix: pix},
			Masks: map[string]*Mask{"t": {Width: 2, Height: 2, Pix: []uint8{uint8(i % 2), 1, 0, 0}}},
			Valid: &Mask{Width: 2, Height: 2, Pix: []uint8{1, 1, 1, 1}}}
	}
	return out
}

func entryIDs(lists ...[]Entry) map[string]bool {
	out := map[string]bool{}
	for _, list := range lists {
		for _, e := range list {
			out[e.ID] = true
		}
	}
	return out
}

func subset(a, b map[string]bool) bool {
	for id := range a {
		if !b[id] {
			return false
		}
	}
	return true
}

func draw(t *testing.T, b *Benchmark, shots int, seed int64) *Split {
	t.Helper()
	s, err := DrawShots(b, shots, seed)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestDrawShotsProperties(t *testing.T) {
	b := cohort(20, 12)
	inPool := map[string]bool{}
	for _, c := range b.Pool {
		inPool[c.ID] = true
	}
	for seed := int64(-50); seed < 200; seed++ {
		var before *Split
		for shots := 1; shots <= 20; shots++ {
			s := draw(t, b, shots, seed)
			all := entryIDs(s.Train, s.Validation)
			if len(all) != shots || len(s.Train)+len(s.Validation) != shots {
				t.Fatalf("seed %d: %d shots hold %d cases, %d entries", seed, shots, len(all), len(s.Train)+len(s.Validation))
			}
			if !subset(all, inPool) {
				t.Fatalf("seed %d: %d shots %v are not all of the pool", seed, shots, all)
			}
			held := 0
			if shots >= 3 {
				held = max(1, (2*shots+5)/10) // a fifth, rounded
			}
			if len(s.Validation) != held {
				t.Fatalf("seed %d: %d of %d shots are held out, want %d", seed, len(s.Validation), shots, held)
			}
			if len(s.Test) != 12 || s.Shots != shots || s.Seed != seed {
				t.Fatalf("seed %d: the split says %d shots of seed %d, %d tested", seed, s.Shots, s.Seed, len(s.Test))
			}
			if before != nil && !subset(entryIDs(before.Train, before.Validation), all) {
				t.Fatalf("seed %d: the cases of %d shots are not among those of %d", seed, shots-1, shots)
			}
			if before != nil && !subset(entryIDs(before.Validation), entryIDs(s.Validation)) {
				t.Fatalf("seed %d: cases held out of %d shots are trained on with %d", seed, shots-1, shots)
			}
			if again := draw(t, b, shots, seed); !reflect.DeepEqual(s, again) {
				t.Fatalf("seed %d: drawn twice, %d shots differ", seed, shots)
			}
			before = s
		}
	}
}

// TestPatientsAreHeldOutWhole draws from patients with several pictures each.
func TestPatientsAreHeldOutWhole(t *testing.T) {
	b := cohort(20, 12)
	for i := range b.Pool {
		b.Pool[i].Patient = fmt.Sprint("p", i/3)
	}
	for seed := range int64(200) {
		var before *Split
		for shots := 1; shots <= 20; shots++ {
			s := draw(t, b, shots, seed)
			patients := map[string]bool{}
			for _, e := range s.Train {
				patients[e.Patient] = true
			}
			for _, e := range s.Validation {
				if patients[e.Patient] = true; slices.ContainsFunc(s.Train, func(t Entry) bool { return t.Patient == e.Patient }) {
					t.Fatalf("seed %d, %d shots: patient %s is trained on and held out", seed, shots, e.Patient)
				}
			}
			if (len(s.Validation) > 0) != (len(patients) >= 3) {
				t.Fatalf("seed %d: %d of %d shots of %d patients are held out", seed, len(s.Validation), shots, len(patients))
			}
			if before != nil && !subset(entryIDs(before.Validation), entryIDs(s.Validation)) {
				t.Fatalf("seed %d: cases held out of %d shots are trained on with %d", seed, shots-1, shots)
			}
			before = s
		}
	}
}

// Each case is drawn equally often: of 20 cases and 4000 seeds each leads 200 times, give or take 5 standard
// deviations of a binomial (13.8).
func TestDrawShotsIsFair(t *testing.T) {
	b := cohort(20, 1)
	count := map[string]int{}
	for seed := range int64(4000) {
		count[draw(t, b, 1, seed).Train[0].ID]++
	}
	for _, c := range b.Pool {
		if n := count[c.ID]; n < 131 || n > 269 {
			t.Errorf("%s leads %d of 4000 draws, want about 200", c.ID, n)
		}
	}
}

// A split must stay what it was: when these change, splitRule must, too.
func TestDrawShotsGolden(t *testing.T) {
	if splitRule != 2 {
		t.Fatalf("rule is %d: note the draws of the new rule here", splitRule)
	}
	tests := []struct {
		shots             int
		seed              int64
		train, validation string
	}{
		{1, 1, "c12", ""},
		{5, 1, "c04 c07 c12 c18", "c16"},
		{5, 2, "c04 c09 c11 c15", "c08"},
		{8, -1, "c06 c09 c12 c16 c17 c19", "c15 c18"},
	}
	for _, tt := range tests {
		s := draw(t, cohort(20, 12), tt.shots, tt.seed)
		list := func(entries []Entry) string {
			var out []string
			for _, e := range entries {
				out = append(out, e.ID)
			}
			return strings.Join(out, " ")
		}
		if list(s.Train) != tt.train || list(s.Validation) != tt.validation {
			t.Errorf("%d shots of seed %d are %q and %q, want %q and %q", tt.shots, tt.seed, list(s.Train), list(s.Validation), tt.train, tt.validation)
		}
	}
}

func TestDrawShotsRefuses(t *testing.T) {
	b := cohort(5, 3)
	for _, shots := range []int{-1, 0, 6, 1 << 40} {
		if _, err := DrawShots(b, shots, 1); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), "want 1 to 5") {
			t.Errorf("%d shots: error is %v, want ErrInvalid with the range", shots, err)
		}
	}
	b.Pool[3].Patient = b.Test[1].Patient
	if _, err := DrawShots(b, 1, 1); !errors.Is(err, ErrLeak) || !strings.Contains(err.Error(), b.Pool[3].ID) || !strings.Contains(err.Error(), b.Test[1].ID) {
		t.Errorf("a patient on both sides: error is %v, want ErrLeak that names both cases", err)
	}
}

// inMemory loads samples that are in memory.
func inMemory(samples map[string]*Sample) Loader {
	return func(id string) (*Sample, error) { return samples[id], nil }
}

func filled(t testing.TB, shots int) (*Split, map[string]*Sample) {
	t.Helper()
	b := cohort(8, 4)
	samples := contents(b)
	s, err := DrawShots(b, shots, 3)
	if err != nil {
		t.Fatal(err)
	}
	s.Target = "t"
	if err := s.Fill(inMemory(samples)); err != nil {
		t.Fatal(err)
	}
	return s, samples
}

func TestSplitFile(t *testing.T) {
	for _, shots := range []int{1, 5, 8} {
		s, samples := filled(t, shots)
		path := filepath.Join(t.TempDir(), "split.toml")
		if err := WriteSplit(path, s); err != nil {
			t.Fatal(err)
		}
		got, err := ReadSplit(path)
		if err != nil {
			t.Fatal(err)
		}
		if !reflect.DeepEqual(got, s) {
			t.Errorf("%d shots came back as %+v, want %+v", shots, got, s)
		}
		if found := got.Check(cohort(8, 4), inMemory(samples)); len(found) > 0 {
			t.Error(found)
		}
		first, err := os.ReadFile(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := WriteSplit(path, got); err != nil {
			t.Fatal(err)
		}
		if second, err := os.ReadFile(path); err != nil || string(first) != string(second) {
			t.Errorf("written again the file differs (%v)", err)
		}
	}
}

func TestSplitFileFindsEveryFlippedByteAndEveryCut(t *testing.T) {
	s, _ := filled(t, 3)
	text, err := s.encode()
	if err != nil {
		t.Fatal(err)
	}
	for i := range text {
		for _, flip := range []byte{0x01, 0x20, 0xff} {
			changed := bytes.Clone(text)
			changed[i] ^= flip
			if _, err := parseSplit("split.toml", string(changed)); !errors.Is(err, ErrInvalid) {
				t.Errorf("byte %d, %q for %q: error %v, want ErrInvalid", i, changed[i], text[i], err)
			}
		}
		if _, err := parseSplit("split.toml", string(text[:i])); !errors.Is(err, ErrInvalid) {
			t.Errorf("cut after %d of %d bytes: error %v, want ErrInvalid", i, len(text), err)
		}
	}
	_, below, _ := strings.Cut(string(text), "\n")
	if got, err := parseSplit("split.toml", below); err != nil || !reflect.DeepEqual(got, s) {
		t.Errorf("without its first line: %v", err)
	}
}

func TestReadSplitRefuses(t *testing.T) {
	s, _ := filled(t, 5)
	path := filepath.Join(t.TempDir(), "split.toml")
	if err := WriteSplit(path, s); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	_, text, _ = bytes.Cut(text, []byte("\n")) // as by hand: without the hash of the file
	swap := func(old, new string) string {
		if !strings.Contains(string(text), old) {
			t.Fatalf("%q is not in the file", old)
		}
		return strings.Replace(string(text), old, new, 1)
	}
	hash := s.Test[0].ImageSHA256
	tests := []struct{ name, text, says string }{
		{"another case", swap(fmt.Sprintf("id = %q", s.Test[2].ID), `id = "c99"`), "the file was changed"},
		{"another patient", swap(fmt.Sprintf("patient = %q", s.Train[0].Patient), `patient = "p99"`), "the file was changed"},
		{"another hash", swap(hash, strings.Repeat("0", 64)), "the file was changed"},
		{"another list", swap("[[validation]]", "[[train]]"), ""},
		{"another rule", swap("rule = 2", "rule = 1"), "rule 1, want 2"},
		{"unknown key", swap("shots = 5", "shots = 5\nshot = 5"), `unknown key "shot"`},
		{"cut", string(text[:len(text)*2/3]), ""},
		{"no TOML", "<html>", ""},
		{"empty", "", "rule 0, want 2"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := os.WriteFile(path, []byte(tt.text), 0o644); err != nil {
				t.Fatal(err)
			}
			_, err := ReadSplit(path)
			if !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), tt.says) || !strings.Contains(err.Error(), path) {
				t.Errorf("error is %v, want ErrInvalid with %q and %q", err, tt.says, path)
			}
		})
	}
	if _, err := ReadSplit(filepath.Join(t.TempDir(), "none")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("error of a missing file is %v, want os.ErrNotExist", err)
	}
}

func TestWriteSplitLeavesNothingHalfWritten(t *testing.T) {
	s, _ := filled(t, 3)
	dir := filepath.Join(t.TempDir(), "none")
	if err := WriteSplit(filepath.Join(dir, "split.toml"), s); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("error is %v, want one that names %q", err, dir)
	}
}

func TestFillRefusesLeaks(t *testing.T) {
	for name, sides := range map[string]func(s *Split) (from, to string){
		"training to test":       func(s *Split) (string, string) { return s.Train[0].ID, s.Test[1].ID },
		"validation to test":     func(s *Split) (string, string) { return s.Validation[0].ID, s.Test[1].ID },
		"training to validation": func(s *Split) (string, string) { return s.Train[0].ID, s.Validation[0].ID },
	} {
		t.Run(name, func(t *testing.T) {
			split, samples := filled(t, 5)
			from, to := sides(split)
			copied := *samples[to]
			copied.Image = samples[from].Image // the mask stays another
			samples[to] = &copied
			err := split.Fill(inMemory(samples))
			if !errors.Is(err, ErrLeak) || !strings.Contains(err.Error(), from) || !strings.Contains(err.Error(), to) {
				t.Errorf("error is %v, want ErrLeak that names %s and %s", err, from, to)
			}
		})
	}
	split, samples := filled(t, 5)
	split.Target = "other"
	if err := split.Fill(inMemory(samples)); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), `"other"`) {
		t.Errorf("error of a missing target is %v, want ErrInvalid", err)
	}
}

// FuzzParseSplit looks for panics, and for splits that do not come back when they are written again.
func FuzzParseSplit(f *testing.F) {
	for _, shots := range []int{1, 3} {
		s, _ := filled(f, shots)
		text, err := s.encode()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	// Without cases the hash is always right, so that what the other keys hold is explored, too.
	empty := &Split{}
	f.Add(fmt.Sprintf("rule = %d\nshots = 3\nseed = -1\nbenchmark = \"a\"\ndata_sha256 = %q\n", splitRule, empty.hash()))
	f.Fuzz(func(t *testing.T, text string) {
		s, err := parseSplit("split.toml", text)
		if err != nil {
			if !errors.Is(err, ErrInvalid) {
				t.Fatalf("error of no kind: %v", err)
			}
			return
		}
		written, err := s.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := parseSplit("split.toml", string(written))
		if err != nil {
			t.Fatalf("what was read can't be read when written again: %v", err)
		}
		if again.hash() != s.hash() || again.Seed != s.Seed || again.Shots != s.Shots || again.Target != s.Target || again.Benchmark != s.Benchmark {
			t.Fatalf("came back as %+v, want %+v", again, s)
		}
	})
}
