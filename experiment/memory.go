package experiment

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"path/filepath"
	"strings"

	"samtune/data"
	"samtune/eval"
	"samtune/internal/featurecache"
	"samtune/model"
	"samtune/train"
)

// memoryVersion is part of every answer's key. It changes when the same question gets another answer for a reason other than the model's.
const memoryVersion = 2

// memory keeps what zero-shot prompts were answered with: runs that differ in shots or decoder ask the same again.
type memory struct {
	dir       string
	benchmark string
	forget    bool // only write
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
		fmt.Sprintf("samtune zero-shot %d, decoder %d", memoryVersion, model.DecoderVersion), r.cache.Key(r.model, train.Whole(r.model, s), model.Embedding),
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
	var a answer
	if m.forget || !featurecache.ReadAnswer(m.path(question), &a) || a.Width*a.Height != len(a.Mask) {
		return nil, false
	}
	return &a, true
}

// keep writes an answer down.
func (m memory) keep(question string, a *answer) error {
	if err := featurecache.WriteAnswer(m.path(question), m.benchmark, a); err != nil {
		return fmt.Errorf("keep a zero-shot mask: %w", err)
	}
	return nil
}
