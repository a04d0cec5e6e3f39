package data

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// datasetFile describes the volumes of a folder in the layouts of the Medical Segmentation Decathlon and nnU-Net.
const datasetFile = "dataset.json"

// datasetJSON is what is read of it. The Decathlon's labels go from value to name, nnU-Net's from name to value, or to values.
type datasetJSON struct {
	Labels   map[string]json.RawMessage `json:"labels"`
	Training []json.RawMessage          `json:"training"` // {"image": path, "label": path}, in the Decathlon's layout
}

// checkList holds a folder against its dataset.json, where it has one: values that are declared must be labels there, and
// volumes that are listed must be there.
func (l layout) checkList(dir string, d *Decl) error {
	path := filepath.Join(dir, datasetFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	var list datasetJSON
	if err := json.Unmarshal(text, &list); err != nil {
		return fmt.Errorf("%w: read %q: %w", ErrInvalid, path, err)
	}
	labels := list.values()
	for _, target := range d.Targets {
		for _, v := range d.Rules[target].Values {
			if len(labels) > 0 && !slices.Contains(labels, v) {
				return fmt.Errorf("%w: read %q: it has the labels %v, and %s is declared as %d", ErrInvalid, path, labels, target, v)
			}
		}
	}
	var lost []string
	only := regexp.MustCompile(l.Pool.Only)
	for _, entry := range list.Training {
		var files struct{ Image, Label string }
		if json.Unmarshal(entry, &files) != nil { // another program's list of other things
			continue
		}
		for _, name := range []string{files.Image, files.Label} {
			id, _, _ := strings.Cut(filepath.Base(name), ".")
			if name == "" || !only.MatchString(id) && !only.MatchString(id[strings.LastIndex(id, "_")+1:]) {
				continue
			}
			if _, err := os.Stat(filepath.Join(dir, filepath.FromSlash(name))); err != nil {
				lost = append(lost, name)
			}
		}
	}
	if len(lost) > 0 {
		return incomplete(dir, []string{fmt.Sprintf("%s lists %s, which is not there", datasetFile, strings.Join(lost, ", "))})
	}
	return nil
}

// values lists the labels.
func (l datasetJSON) values() []int {
	var out []int
	for key, value := range l.Labels {
		var one int
		var several []int
		switch n, err := strconv.Atoi(key); {
		case err == nil:
			out = append(out, n)
		case json.Unmarshal(value, &one) == nil:
			out = append(out, one)
		case json.Unmarshal(value, &several) == nil:
			out = append(out, several...)
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}
