package data

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"os"
	"slices"
	"sort"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/google/renameio/v2"
)

// splitRule is the version of the rule by which shots are drawn. It changes when the same seed gives others.
const splitRule = 2

// Split says which cases a run trains on, chooses its best step by, and is tested on.
type Split struct {
	Benchmark  string  `toml:"benchmark"`
	Target     string  `toml:"target"`
	Layout     string  `toml:"layout"`
	Rule       int     `toml:"rule"` // version of the rule by which shots are drawn
	Shots      int     `toml:"shots"`
	Seed       int64   `toml:"seed"`
	DataSHA256 string  `toml:"data_sha256"` // of all hashes below
	Train      []Entry `toml:"train"`
	Validation []Entry `toml:"validation"` // held out of the shots; empty with fewer than 3 patients
	Test       []Entry `toml:"test"`
}

// Entry is a case of a split with the hashes of its decoded pixels.
type Entry struct {
	ID          string `toml:"id"`
	Patient     string `toml:"patient"`
	ImageSHA256 string `toml:"image_sha256"`
	MaskSHA256  string `toml:"mask_sha256"`  // of the target's mask
	ValidSHA256 string `toml:"valid_sha256"` // of the valid region
}

// DrawShots draws shots cases of the pool with a seed. Draws are nested: with one seed the cases of 3
// shots are among those of 5. From 3 shots on about a fifth of their patients is held out for validation, with all
// of their shots; with shots of fewer than 3 patients none is. The drawn order is such that those of fewer
// shots are held out with more shots too. Hashes are filled in by Fill.
func DrawShots(b *Benchmark, shots int, seed int64) (*Split, error) {
	if shots < 1 || shots > len(b.Pool) {
		return nil, fmt.Errorf("%w: draw %d shots of %s: want 1 to %d, the images of its training pool", ErrInvalid, shots, b.Title, len(b.Pool))
	}
	tested := map[string]string{}
	for _, c := range b.Test {
		tested[c.Patient] = c.ID
	}
	for _, c := range b.Pool {
		if id, both := tested[c.Patient]; both {
			return nil, fmt.Errorf("%w: patient %q has training case %s and test case %s", ErrLeak, c.Patient, c.ID, id)
		}
	}
	s := &Split{Benchmark: b.Name, Layout: b.Layout, Rule: splitRule, Shots: shots, Seed: seed}
	order := rand.New(rand.NewPCG(uint64(seed), 0x73686f7473)).Perm(len(b.Pool)) // the stream of shots
	patients := map[string]int{}                                                 // in the order in which they are drawn first
	for _, k := range order[:shots] {
		c := b.Pool[k]
		e := Entry{ID: c.ID, Patient: c.Patient}
		if _, seen := patients[c.Patient]; !seen {
			patients[c.Patient] = len(patients)
		}
		if heldOut(patients[c.Patient]) {
			s.Validation = append(s.Validation, e)
		} else {
			s.Train = append(s.Train, e)
		}
	}
	for _, c := range b.Test {
		s.Test = append(s.Test, Entry{ID: c.ID, Patient: c.Patient})
	}
	byID := func(list []Entry) { sort.Slice(list, func(i, j int) bool { return list[i].ID < list[j].ID }) }
	byID(s.Train)
	byID(s.Validation)
	return s, nil
}

// heldOut says whether the i-th drawn patient, from 0, is for validation: the third, and from then on every
// fifth (the eighth, the thirteenth).
func heldOut(i int) bool { return i%5 == 2 }

func (s *Split) lists() [][]Entry { return [][]Entry{s.Train, s.Validation, s.Test} }

// sides are the names of the lists.
func sides() []string { return []string{"training", "validation", "test"} }

// Loader returns a case's sample; nil where there is no such case.
type Loader func(id string) (*Sample, error)

// Loader loads a benchmark's cases.
func (b *Benchmark) Loader() Loader {
	cases := map[string]Case{}
	for _, c := range slices.Concat(b.Pool, b.Test) {
		cases[c.ID] = c
	}
	return func(id string) (*Sample, error) {
		c, here := cases[id]
		if !here {
			return nil, nil
		}
		return c.Load()
	}
}

// Draw is the split that a run with these settings trains and tests on. Each of its cases is loaded once.
func Draw(b *Benchmark, target string, shots int, seed int64, load Loader) (*Split, error) {
	s, err := DrawShots(b, shots, seed)
	if err != nil {
		return nil, err
	}
	s.Target = target
	return s, s.Fill(load)
}

// Fill notes the content of the split's cases and refuses a picture that is on two of its sides, told by
// its pixels whatever its name. The error wraps ErrLeak.
func (s *Split) Fill(load Loader) error {
	known := map[string]Entry{}
	for _, list := range s.lists() {
		for _, e := range list {
			sample, err := load(e.ID)
			if err != nil {
				return err
			}
			if err := s.note(&e, sample); err != nil {
				return err
			}
			known[e.ID] = e
		}
	}
	return s.FillFrom(known)
}

// FillFrom is Fill with entries, by case, that EntryOf made before.
func (s *Split) FillFrom(known map[string]Entry) error {
	for _, list := range s.lists() {
		for i, e := range list {
			var ok bool
			if list[i], ok = known[e.ID]; !ok {
				return fmt.Errorf("%w: split: case %s is not there", ErrInvalid, e.ID)
			}
		}
	}
	s.DataSHA256 = s.hash()
	seen := map[string]string{}
	for i, side := range sides() {
		list := s.lists()[i]
		for _, e := range list {
			if other, both := seen[e.ImageSHA256]; both {
				return fmt.Errorf("%w: %s case %s has the same pixels as %s: remove one of them", ErrLeak, side, e.ID, other)
			}
		}
		for _, e := range list {
			seen[e.ImageSHA256] = side + " case " + e.ID
		}
	}
	return nil
}

// EntryOf is a case's entry in a split of a target.
func EntryOf(sample *Sample, target string) (Entry, error) {
	e := Entry{ID: sample.ID, Patient: sample.Patient}
	return e, (&Split{Target: target}).note(&e, sample)
}

// note fills in the hashes of a case.
func (s *Split) note(e *Entry, sample *Sample) error {
	if sample == nil || sample.Masks[s.Target] == nil {
		return fmt.Errorf("%w: split: case %s is not there or has no mask of %q", ErrInvalid, e.ID, s.Target)
	}
	e.ImageSHA256, e.MaskSHA256, e.ValidSHA256 = sample.Image.Hash(), sample.Masks[s.Target].Hash(), sample.Valid.Hash()
	return nil
}

func (s *Split) hash() string {
	h := sha256.New()
	for _, list := range s.lists() {
		for _, e := range list {
			fmt.Fprintf(h, "%q %q %s %s %s\n", e.ID, e.Patient, e.ImageSHA256, e.MaskSHA256, e.ValidSHA256)
		}
		fmt.Fprintln(h)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// WriteSplit writes a split as TOML; the file appears whole or not at all.
func WriteSplit(path string, s *Split) error {
	text, err := s.encode()
	if err != nil {
		return fmt.Errorf("write split %q: %w", path, err)
	}
	if err := renameio.WriteFile(path, text, 0o644); err != nil {
		return fmt.Errorf("write split %q: %w", path, err)
	}
	return nil
}

func (s *Split) encode() ([]byte, error) {
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.Indent = ""
	err := e.Encode(s)
	return append([]byte(splitSum(b.Bytes())), b.Bytes()...), err
}

// splitSum is a split file's first line, which holds the hash of all that is below it.
func splitSum(below []byte) string { return fmt.Sprintf("sha256 = \"%x\"\n", sha256.Sum256(below)) }

// ReadSplit reads what WriteSplit wrote. Unknown keys, another rule and hashes that do not fit are refused
// with an error that wraps ErrInvalid.
func ReadSplit(path string) (*Split, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("%w: read split: %w", ErrInvalid, err)
	}
	return parseSplit(path, string(text))
}

func parseSplit(path, text string) (*Split, error) {
	var s Split
	if first, below, ok := strings.Cut(text, "\n"); ok && strings.HasPrefix(first, "sha256") {
		if first+"\n" != splitSum([]byte(below)) {
			return nil, fmt.Errorf("%w: read split %q: it is not as it was written, says its first line: get it again or, where you changed it on purpose, remove that line",
				ErrInvalid, path)
		}
		text = below
	}
	meta, err := toml.Decode(text, &s)
	if err != nil {
		return nil, fmt.Errorf("%w: read split %q: %w", ErrInvalid, path, err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return nil, fmt.Errorf("%w: read split %q: unknown key %q", ErrInvalid, path, extra[0].String())
	}
	if s.Rule != splitRule {
		return nil, fmt.Errorf("%w: read split %q: rule %d, want %d: it was written by another version of samtune", ErrInvalid, path, s.Rule, splitRule)
	}
	if got := s.hash(); got != s.DataSHA256 {
		return nil, fmt.Errorf("%w: read split %q: data_sha256 is %.12s, its entries give %.12s: the file was changed", ErrInvalid, path, s.DataSHA256, got)
	}
	return &s, nil
}
