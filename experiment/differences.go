package experiment

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"maps"
	"math"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"

	"samtune/checkpoints"
	"samtune/eval"
	"samtune/internal/tfevents"
	"samtune/train"
)

// FileVerdict says whether a file of two runs has the same bytes.
type FileVerdict struct {
	File       string // within the run's folder
	Difference string // the first one, in words; empty: there is none
}

// compareRuns compares what decides and what came out in two finished runs.
func compareRuns(a, b string) ([]FileVerdict, error) {
	names := map[string]bool{SplitFile: true, CasesFile: true, ResultsFile: true}
	for _, dir := range []string{a, b} {
		if err := listResults(dir, names); err != nil {
			return nil, err
		}
	}
	var out []FileVerdict
	for _, name := range slices.Sorted(maps.Keys(names)) {
		text, err := fileDifference(filepath.Join(a, name), filepath.Join(b, name))
		if err != nil {
			return nil, err
		}
		out = append(out, FileVerdict{File: name, Difference: text})
	}
	return out, nil
}

// listResults adds the names of a run's files whose bytes must repeat.
func listResults(dir string, names map[string]bool) error {
	res, err := eval.ReadResults(filepath.Join(dir, ResultsFile))
	if err != nil {
		return err
	}
	patterns := []string{VolumesFile, "train*.jsonl", filepath.Join(CheckpointsDir, res.Training.Decoder, bestStep(res.Training), train.WeightsFile)}
	for _, o := range res.Others {
		patterns = append(patterns, filepath.Join(CheckpointsDir, o.Training.Decoder, bestStep(o.Training), train.WeightsFile))
	}
	within := os.DirFS(dir)
	for _, p := range patterns {
		found, err := fs.Glob(within, p)
		if err != nil {
			return fmt.Errorf("list %q: %w", dir, err)
		}
		for _, name := range found {
			names[name] = true
		}
	}
	err = fs.WalkDir(within, EventsDir, func(name string, entry fs.DirEntry, err error) error {
		if err == nil && !entry.IsDir() {
			names[name] = true
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("list %q: %w", dir, err)
	}
	return nil
}

// bestStep is the folder of a training's best checkpoint. That of a fit without steps is its first.
func bestStep(t eval.Training) string { return fmt.Sprintf("step-%06d", max(1, t.BestStep)) }

// fileDifference says in words where two files differ first, and nothing where they do not.
func fileDifference(a, b string) (string, error) {
	x, y, where, err := readBoth(a, b)
	if err != nil || where != "" {
		return where, err
	}
	if filepath.Base(a) == ResultsFile {
		return resultsDifference(x, y)
	}
	if bytes.Equal(x, y) {
		return "", nil
	}
	switch {
	case filepath.Base(a) == CasesFile:
		return casesDifference(x, y), nil
	case filepath.Ext(a) == ".safetensors":
		return weightsDifference(a, b), nil
	case strings.Contains(filepath.Base(a), "tfevents"):
		return eventsDifference(a, b), nil
	}
	return linesDifference(x, y), nil
}

// readBoth reads two files; where says that one of them is missing.
func readBoth(a, b string) (x, y []byte, where string, err error) {
	x, err = os.ReadFile(a)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, "it is in the repeat alone", nil
	}
	if err == nil {
		y, err = os.ReadFile(b)
	}
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil, "it is missing in the repeat", nil
	}
	if err != nil {
		return nil, nil, "", fmt.Errorf("compare runs: %w", err)
	}
	return x, y, "", nil
}

// linesDifference tells of the first line that differs.
func linesDifference(x, y []byte) string {
	a, b := strings.Split(string(x), "\n"), strings.Split(string(y), "\n")
	for i := range min(len(a), len(b)) {
		if a[i] != b[i] {
			return fmt.Sprintf("line %d is %s and %s", i+1, short(a[i]), short(b[i]))
		}
	}
	return fmt.Sprintf("it has %d lines and %d", len(a), len(b))
}

// short quotes a text, its end left out where it is long.
func short(s string) string {
	const most = 60
	if r := []rune(s); len(r) > most {
		s = string(r[:most]) + "…"
	}
	return fmt.Sprintf("%q", s)
}

// casesDifference tells of the first cell of two tables of cases that differs, and of the largest difference in Dice.
func casesDifference(x, y []byte) string {
	a, err := eval.ReadCases(bytes.NewReader(x))
	if err != nil {
		return err.Error()
	}
	b, err := eval.ReadCases(bytes.NewReader(y))
	if err != nil {
		return "in the repeat: " + err.Error()
	}
	at := map[[2]string]eval.Float{}
	for _, row := range b {
		at[[2]string{row.Method, row.Case}] = row.Dice
	}
	largest, which := 0.0, ""
	for _, row := range a {
		dice, both := at[[2]string{row.Method, row.Case}]
		if d := math.Abs(float64(row.Dice - dice)); both && d > largest {
			largest, which = d, fmt.Sprintf(" (%s, case %s)", row.Method, row.Case)
		}
	}
	return fmt.Sprintf("%s; largest difference in Dice %.3g%s", linesDifference(x, y), largest, which)
}

// weightsDifference tells of the first tensor that differs, and by how much.
func weightsDifference(a, b string) string {
	x, err := checkpoints.Open(a)
	if err != nil {
		return err.Error()
	}
	defer x.Close()
	y, err := checkpoints.Open(b)
	if err != nil {
		return "in the repeat: " + err.Error()
	}
	defer y.Close()
	if !slices.Equal(x.Names(), y.Names()) {
		return "it holds other tensors"
	}
	first, number := "", 0
	for _, name := range x.Names() {
		v, err := x.Float32(name)
		if err != nil {
			return err.Error()
		}
		w, err := y.Float32(name)
		if err != nil {
			return "in the repeat: " + err.Error()
		}
		if slices.Equal(v, w) {
			continue
		}
		if number++; first == "" {
			first = name + ": " + largestDifference(v, w)
		}
	}
	if number == 0 {
		return "its values are the same, what it says of them is not"
	}
	return fmt.Sprintf("%s (%d of %d tensors differ)", first, number, len(x.Names()))
}

func largestDifference(v, w []float32) string {
	if len(v) != len(w) {
		return fmt.Sprintf("%d numbers and %d", len(v), len(w))
	}
	largest := 0.0
	for i := range v {
		d := math.Abs(float64(v[i]) - float64(w[i]))
		if math.IsNaN(d) && !(v[i] != v[i] && w[i] != w[i]) {
			d = math.Inf(1)
		}
		largest = max(largest, d)
	}
	return fmt.Sprintf("largest difference %.3g", largest)
}

// eventsDifference tells of the first event that differs.
func eventsDifference(a, b string) string {
	x, err := tfevents.Read(a)
	if err != nil {
		return err.Error()
	}
	y, err := tfevents.Read(b)
	if err != nil {
		return "in the repeat: " + err.Error()
	}
	for i := range min(len(x), len(y)) {
		if reflect.DeepEqual(x[i], y[i]) {
			continue
		}
		for k := range min(len(x[i].Values), len(y[i].Values)) {
			if v, w := x[i].Values[k], y[i].Values[k]; !reflect.DeepEqual(v, w) {
				return fmt.Sprintf("step %d: %s is %s and %s", x[i].Step, v.Tag, v, w)
			}
		}
		return fmt.Sprintf("record %d is of step %d and %d, with %d values and %d", i+1, x[i].Step, y[i].Step, len(x[i].Values), len(y[i].Values))
	}
	return fmt.Sprintf("it has %d records and %d", len(x), len(y))
}

// circumstances are the keys of results.json that do not repeat: times, memory, what the cache held, the names of files, and
// machine and versions, which are compared before.
var circumstances = []string{
	"started", "finished", "seconds", "peak_rss_mb", "encoded_images", "encoded_views", "cached_views", "resumed_at",
	"command", "weights_file", "device", "threads", "versions",
}

// resultsDifference tells of the first key of two results.json that differs, circumstances left out.
func resultsDifference(x, y []byte) (string, error) {
	var a, b any
	if err := errors.Join(json.Unmarshal(x, &a), json.Unmarshal(y, &b)); err != nil {
		return "", fmt.Errorf("compare runs: %s: %w", ResultsFile, err)
	}
	return valueDifference("", a, b), nil
}

func valueDifference(key string, a, b any) string {
	switch v := a.(type) {
	case map[string]any:
		w, ok := b.(map[string]any)
		if !ok {
			break
		}
		keys := maps.Clone(v)
		maps.Copy(keys, w)
		for _, k := range slices.Sorted(maps.Keys(keys)) {
			if slices.Contains(circumstances, k) {
				continue
			}
			if text := valueDifference(strings.TrimPrefix(key+"."+k, "."), v[k], w[k]); text != "" {
				return text
			}
		}
		return ""
	case []any:
		w, ok := b.([]any)
		if !ok || len(v) != len(w) {
			break
		}
		for i := range v {
			if text := valueDifference(fmt.Sprintf("%s[%d]", key, i), v[i], w[i]); text != "" {
				return text
			}
		}
		return ""
	}
	if reflect.DeepEqual(a, b) {
		return ""
	}
	return fmt.Sprintf("%s is %s and %s", key, short(fmt.Sprint(a)), short(fmt.Sprint(b)))
}
