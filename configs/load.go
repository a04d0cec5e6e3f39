package configs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
	"slices"
	"strings"

	"github.com/BurntSushi/toml"
)

// ErrConfig says that a config can't be used: its text is not TOML, a key is unknown, a value is of
// another type or out of range.
var ErrConfig = errors.New("invalid config")

// Layer is a text of TOML laid over the settings before it, with the name that errors call it.
type Layer struct {
	Name string
	Text string
}

// FileLayer reads a config file.
func FileLayer(path string) (Layer, error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return Layer{}, fmt.Errorf("read config: %w", err)
	}
	return Layer{Name: path, Text: string(b)}, nil
}

// SetLayer turns one key=value of the command line into a layer. The value is TOML; text that is not is
// taken as a string, so that quotes may be left out.
func SetLayer(assignment string) (Layer, error) {
	key, value, ok := strings.Cut(assignment, "=")
	key, value = strings.TrimSpace(key), strings.TrimSpace(value)
	if !ok || key == "" {
		return Layer{}, fmt.Errorf("%w: --set %q: want key=value, as train.lr=1e-4", ErrConfig, assignment)
	}
	text := key + " = " + value
	var probe map[string]any
	if _, err := toml.Decode(text, &probe); err != nil {
		text = fmt.Sprintf("%s = %q", key, value)
	}
	return Layer{Name: "--set " + assignment, Text: text}, nil
}

// Apply lays a layer over the settings. Unknown keys are refused with their place and the key that may
// have been meant, values out of range with their place and the range.
func (r *Run) Apply(l Layer) error {
	if err := Decode(l, r); err != nil {
		return err
	}
	if key, err := outside(reflect.ValueOf(r).Elem(), ""); err != nil {
		return At(l, key, 0, fmt.Errorf("%s %w", key, err))
	}
	return nil
}

// TOML returns the settings as a config file that gives them again.
func (r *Run) TOML() ([]byte, error) {
	var b bytes.Buffer
	e := toml.NewEncoder(&b)
	e.Indent = ""
	if err := e.Encode(r); err != nil {
		return nil, fmt.Errorf("write config: %w", err)
	}
	return b.Bytes(), nil
}

// Hash is the SHA-256, in hex, of all that decides a run's result: where data and cache lie, how often
// checkpoints are written and who starts it does not. In the place of a split file's path the caller puts what tells its content.
func (r Run) Hash() (string, error) {
	r.Engine = Engine{}
	r.Weights, r.Cache.Dir, r.Cache.BudgetGB = "", "", 0
	r.Train.CheckpointEvery, r.Train.Keep = 0, 0
	b, err := r.TOML()
	if err != nil {
		return "", err
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:]), nil
}

// Setting is a key with its value as TOML writes it.
type Setting struct {
	Key   string `json:"key"` // dotted
	Value string `json:"value"`
}

// idle are the settings that Hash leaves out.
var idle = []string{"weights", "cache.dir", "cache.budget_gb", "train.checkpoint_every", "train.keep"}

// Decisive lists the settings that decide a run's result, in the order of the file.
func (r *Run) Decisive() ([]Setting, error) {
	text, err := r.TOML()
	if err != nil {
		return nil, err
	}
	var values map[string]any
	meta, err := toml.Decode(string(text), &values)
	if err != nil {
		return nil, fmt.Errorf("list settings: %w", err)
	}
	var out []Setting
	for _, key := range meta.Keys() {
		at := any(values)
		for _, part := range key {
			at = at.(map[string]any)[part]
		}
		if _, table := at.(map[string]any); table || key[0] == "engine" || slices.Contains(idle, key.String()) {
			continue
		}
		value, err := toml.Marshal(map[string]any{"v": at})
		if err != nil {
			return nil, fmt.Errorf("list settings: %s: %w", key, err)
		}
		out = append(out, Setting{key.String(), strings.TrimPrefix(strings.TrimSpace(string(value)), "v = ")})
	}
	return out, nil
}

// Keys lists every key of a file that is read into v, a struct, in the order of its fields; the keys of a map are written as *.
func Keys(v any) []Key { return keysOf(reflect.TypeOf(v), "") }

// Key is one setting.
type Key struct {
	Name string // dotted
	Type string
	Doc  string

	Range string // in words; empty: any value of the type
}

// MapLayer turns settings that were read from another file, as a benchmark's recipe, into a layer.
func MapLayer(name string, settings map[string]any) (Layer, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(settings); err != nil {
		return Layer{}, fmt.Errorf("read %s: %w", name, err)
	}
	return Layer{Name: name, Text: b.String()}, nil
}
