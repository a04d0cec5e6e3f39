package train

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"os"

	"github.com/google/renameio/v2"

	"samtune/eval"
)

// trainLog is train.jsonl: a Point a line.
type trainLog struct {
	path string
	file *os.File
	each func(Point) error // called for every line
}

// openLog opens the log to go on after step: lines of later steps, which an interrupted run left behind
// its last checkpoint, are dropped. Those before go to each, which may be nil.
func openLog(path string, step int, each func(Point) error) (*trainLog, error) {
	if each == nil {
		each = func(Point) error { return nil }
	}
	old, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return nil, fmt.Errorf("open training log: %w", err)
	}
	var kept bytes.Buffer
	lines := bufio.NewScanner(bytes.NewReader(old))
	for lines.Scan() {
		var p Point
		if json.Unmarshal(lines.Bytes(), &p) != nil || p.Step > step {
			break
		}
		kept.Write(lines.Bytes())
		kept.WriteByte('\n')
		if err := each(p); err != nil {
			return nil, err
		}
	}
	if err := renameio.WriteFile(path, kept.Bytes(), 0o644); err != nil {
		return nil, fmt.Errorf("open training log: %w", err)
	}
	file, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open training log: %w", err)
	}
	return &trainLog{path: path, file: file, each: each}, nil
}

func (l *trainLog) add(p Point) error {
	line, err := json.Marshal(p)
	if err == nil {
		_, err = l.file.Write(append(line, '\n'))
	}
	if err != nil {
		return fmt.Errorf("write training log %q: %w", l.path, err)
	}
	return l.each(p)
}

func (l *trainLog) close() { l.file.Close() }

// validation returns the Dice of each validation by its step, that of steps before an interruption included.
func (l *trainLog) validation() (map[int]eval.Float, error) {
	text, err := os.ReadFile(l.path)
	if err != nil {
		return nil, fmt.Errorf("read training log: %w", err)
	}
	out := map[int]eval.Float{}
	for line := range bytes.Lines(text) {
		var p Point
		if err := json.Unmarshal(line, &p); err != nil {
			return nil, fmt.Errorf("read training log %q: %w", l.path, err)
		}
		if p.ValDice != nil {
			out[p.Step] = eval.Float(*p.ValDice)
		}
	}
	return out, nil
}
