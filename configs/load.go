package configs

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"reflect"
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
// have been meant.
func (r *Run) Apply(l Layer) error {
	meta, err := toml.Decode(l.Text, r)
	if err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return fmt.Errorf("%s:%d:%d: %w: %s\n%s", l.Name, parse.Position.Line, parse.Position.Col, ErrConfig, parse.Message,
				excerpt(l.Text, parse.Position.Line, parse.Position.Col, max(1, parse.Position.Len)))
		}
		return fmt.Errorf("%s: %w: %w", l.Name, ErrConfig, err)
	}
	if extra := meta.Undecoded(); len(extra) > 0 {
		return unknownKey(l, extra[0])
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

// Keys lists every key with its field, in the order of the file.
func Keys() []Key {
	return keysOf(reflect.TypeOf(Run{}), "")
}

// Key is one setting.
type Key struct {
	Name string // dotted
	Type string
	Doc  string
}

func keysOf(t reflect.Type, prefix string) []Key {
	var out []Key
	for i := range t.NumField() {
		f := t.Field(i)
		tag, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		name := prefix + tag
		if f.Type.Kind() == reflect.Struct {
			out = append(out, keysOf(f.Type, name+".")...)
			continue
		}
		out = append(out, Key{Name: name, Type: f.Type.String(), Doc: f.Tag.Get("doc")})
	}
	return out
}

func unknownKey(l Layer, key toml.Key) error {
	line, col := locate(l.Text, key)
	last := key[len(key)-1]
	hint := ""
	best := 0
	for _, k := range Keys() {
		if score := likeness(key.String(), k.Name); score > best {
			best, hint = score, fmt.Sprintf("; did you mean %q?", k.Name)
		}
	}
	return fmt.Errorf("%s:%d:%d: %w: unknown key %q%s\n%s", l.Name, line, col, ErrConfig, key.String(), hint,
		excerpt(l.Text, line, col, len(last)))
}

// locate finds where a key is assigned, as line and column from 1.
func locate(text string, key toml.Key) (line, col int) {
	last := key[len(key)-1]
	table := strings.Join(key[:len(key)-1], ".")
	here := ""
	for i, l := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(l)
		if strings.HasPrefix(trimmed, "[") {
			here = strings.TrimSpace(strings.Trim(strings.SplitN(trimmed, "]", 2)[0], "[]"))
			if here == key.String() {
				return i + 1, strings.Index(l, last) + 1
			}
			continue
		}
		name, _, ok := strings.Cut(trimmed, "=")
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		full := name
		if here != "" {
			full = here + "." + name
		}
		if ok && (full == key.String() || (here == table && name == last)) {
			return i + 1, strings.Index(l, name) + 1 + strings.LastIndex(name, last)
		}
	}
	return 1, 1
}

// excerpt shows a line of text with the place marked.
func excerpt(text string, line, col, length int) string {
	lines := strings.Split(text, "\n")
	if line < 1 || line > len(lines) {
		return ""
	}
	number := fmt.Sprintf("  %d | ", line)
	return number + lines[line-1] + "\n" + strings.Repeat(" ", len(number)+max(0, col-1)) + strings.Repeat("^", length)
}

// likeness is how much two keys look alike: letters shared by their last parts in order, 0 where that is
// little.
func likeness(a, b string) int {
	tail := func(s string) string { return s[strings.LastIndexByte(s, '.')+1:] }
	x, y := tail(a), tail(b)
	common := longestCommon(x, y)
	if initials(x) == y || initials(y) == x {
		common = max(len(x), len(y))
	}
	if 2*common < max(len(x), len(y)) {
		return 0
	}
	score := 4 * common
	if strings.HasPrefix(a, b[:strings.LastIndexByte(b, '.')+1]) {
		score++
	}
	return score
}

func initials(s string) string {
	var out strings.Builder
	for _, part := range strings.Split(s, "_") {
		if part != "" {
			out.WriteByte(part[0])
		}
	}
	return out.String()
}

func longestCommon(a, b string) int {
	row := make([]int, len(b)+1)
	for i := range a {
		diagonal := 0
		for j := range b {
			above := row[j+1]
			if a[i] == b[j] {
				row[j+1] = diagonal + 1
			} else {
				row[j+1] = max(row[j+1], row[j])
			}
			diagonal = above
		}
	}
	return row[len(b)]
}

// MapLayer turns settings that were read from another file, as a benchmark's recipe, into a layer.
func MapLayer(name string, settings map[string]any) (Layer, error) {
	var b bytes.Buffer
	if err := toml.NewEncoder(&b).Encode(settings); err != nil {
		return Layer{}, fmt.Errorf("read %s: %w", name, err)
	}
	return Layer{Name: name, Text: b.String()}, nil
}
