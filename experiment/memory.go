package experiment

import (
	"bytes"
	"compress/gzip"
	"crypto/sha256"
	"encoding/gob"
	"encoding/hex"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"samtune/data"
	"samtune/eval"
	"samtune/model"
	"samtune/train"
)

// memoryVersion is part of every answer's key. It changes when the same question gets another answer.
const memoryVersion = 2

// memory keeps what zero-shot prompts were answered with: runs that differ in shots or decoder ask the same again.
type memory struct {
	dir    string
	forget bool // only write
}

// answer is a segmentation's score and mask, a pixel in each byte.
type answer struct {
	Scores        eval.Scores
	Width, Height int
	Mask          []uint8
	Histogram     *eval.Histogram // of its probabilities; nil where it has none
}

// question names all that decides how a prompt of a kind is answered and scored for a test case. The run's seed does so for
// prompts that are drawn, so that runs with other seeds do not ask the rest again.
func (r *Run) question(s *data.Sample, kind string) string {
	e := r.cfg.Eval
	drawn := ""
	if eval.PromptDrawn(kind) {
		drawn = fmt.Sprintf(" seed %d", r.cfg.Seed)
	}
	return strings.Join([]string{
		fmt.Sprintf("samtune zero-shot %d", memoryVersion), r.cache.Key(r.model, train.Whole(r.model, s), model.Embedding),
		"device " + r.dev.String(), "truth " + s.Masks[r.target].Hash(), "valid " + s.Valid.Hash(),
		fmt.Sprintf("spacing %v tolerance %v", s.Spacing, r.results.NSDTolerance),
		fmt.Sprintf("prompt %s points %d grid %d case %s target %s%s", kind, e.OraclePoints, e.GridPoints, s.ID, r.target, drawn),
	}, "\n")
}

func (m memory) path(question string) string {
	sum := sha256.Sum256([]byte(question))
	name := hex.EncodeToString(sum[:])
	return filepath.Join(m.dir, name[:2], name+".gob.gz")
}

// recall returns the answer that is kept, if a whole one is.
func (m memory) recall(question string) (*answer, bool) {
	if m.forget {
		return nil, false
	}
	f, err := os.Open(m.path(question))
	if err != nil {
		return nil, false
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		return nil, false
	}
	var a answer
	if err := gob.NewDecoder(z).Decode(&a); err != nil {
		return nil, false
	}
	if _, err := io.Copy(io.Discard, z); err != nil || a.Width*a.Height != len(a.Mask) { // to the end, where the checksum is
		return nil, false
	}
	return &a, true
}

// keep writes an answer down.
func (m memory) keep(question string, a *answer) error {
	var b bytes.Buffer
	z := gzip.NewWriter(&b)
	if err := gob.NewEncoder(z).Encode(a); err != nil {
		return fmt.Errorf("keep a zero-shot mask: %w", err)
	}
	if err := z.Close(); err != nil {
		return fmt.Errorf("keep a zero-shot mask: %w", err)
	}
	path := m.path(question)
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return fmt.Errorf("keep a zero-shot mask: %w", err)
	}
	if err := renameio.WriteFile(path, b.Bytes(), 0o644); err != nil {
		return fmt.Errorf("keep a zero-shot mask: %w", err)
	}
	return nil
}
