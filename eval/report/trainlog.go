package report

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"sort"
)

// TrainPoint is a line of train.jsonl: one optimiser step.
type TrainPoint struct {
	Step    int      `json:"step"`
	Loss    float64  `json:"loss"`
	LR      float64  `json:"lr"`
	ValDice *float64 `json:"val_dice,omitempty"` // mean Dice of the validation cases, at steps that validated
}

// ReadTrainLog reads a training log, one JSON object a line, ordered by step. Of a step that a resumed
// run went through twice the later line counts. An unfinished last line, which an interrupted run
// leaves, is left out; any other line that can't be read is an error that names it. Keys that are
// not in TrainPoint are passed over.
func ReadTrainLog(path string) ([]TrainPoint, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read training log: %w", err)
	}
	defer f.Close()
	points, err := parseTrainLog(f)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	return points, nil
}

// check refuses what no training writes.
func (p TrainPoint) check() error {
	switch {
	case p.Step < 0 || p.Step > math.MaxInt32:
		return fmt.Errorf("step is %d, want 0 to %d", p.Step, math.MaxInt32)
	case math.Abs(p.Loss) > math.MaxFloat32:
		return fmt.Errorf("loss is %g, want a float32", p.Loss)
	case p.ValDice != nil && (*p.ValDice < 0 || *p.ValDice > 1):
		return fmt.Errorf("val_dice is %g, want 0 to 1", *p.ValDice)
	}
	return nil
}

// maxLogLine bounds the memory that a damaged log can take, in bytes.
const maxLogLine = 1 << 20

func parseTrainLog(r io.Reader) ([]TrainPoint, error) {
	in := bufio.NewReaderSize(r, maxLogLine)
	at := map[int]int{}
	var points []TrainPoint
	for line := 1; ; line++ {
		text, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			break
		}
		if errors.Is(err, bufio.ErrBufferFull) {
			return nil, fmt.Errorf("line %d: longer than %d bytes: not a training log", line, maxLogLine)
		}
		if err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		var p TrainPoint
		if err := json.Unmarshal(text, &p); err != nil {
			return nil, fmt.Errorf(`line %d: %w; want {"step": 1, "loss": 0.7, "lr": 0.0001}`, line, err)
		}
		if err := p.check(); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
		if n, twice := at[p.Step]; twice {
			points[n] = p
			continue
		}
		at[p.Step] = len(points)
		points = append(points, p)
	}
	sort.Slice(points, func(i, j int) bool { return points[i].Step < points[j].Step })
	return points, nil
}
