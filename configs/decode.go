package configs

import (
	"errors"
	"fmt"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/BurntSushi/toml"
)

// Decode reads a layer's text into what to points at. Text that is no TOML, values of another type and keys that to has no
// field for are refused with their place; what stands in the tables that are named free may have any key. The error wraps ErrConfig.
func Decode(l Layer, to any, free ...string) error {
	meta, err := toml.Decode(l.Text, to)
	if err != nil {
		var parse toml.ParseError
		if errors.As(err, &parse) {
			return place{parse.Position.Line, parse.Position.Col, max(1, parse.Position.Len)}.error(l, errors.New(parse.Message))
		}
		return wrongType(l, err)
	}
	for _, key := range meta.Undecoded() {
		if !slices.Contains(free, key[0]) {
			return unknownKey(l, key, keysOf(reflect.TypeOf(to).Elem(), ""))
		}
	}
	return nil
}

// lastKey is how the TOML library says where a value of a wrong type stands.
var lastKey = regexp.MustCompile(`^toml: (?:line (\d+) )?\(last key "(.*?)"\): (.*)$`)

// wrongType is an error about a value's type with its place.
func wrongType(l Layer, err error) error {
	m := lastKey.FindStringSubmatch(err.Error())
	if m == nil {
		return fmt.Errorf("%s: %w: %w", l.Name, ErrConfig, err)
	}
	key := toml.Key(strings.Split(m[2], "."))
	p := locate(l.Text, key, -1)
	if line, failed := strconv.Atoi(m[1]); failed == nil && line <= strings.Count(l.Text, "\n")+1 { // of the right one of several tables
		last := key[len(key)-1]
		p = place{line, max(0, strings.Index(strings.Split(l.Text, "\n")[line-1], last)) + 1, len(last)}
	}
	return p.error(l, fmt.Errorf("%s: %s", m[2], m[3]))
}

// At says of an error where in a layer its cause stands: at a dotted key, in the nth table, from 0, where its first part is a
// list of tables. A key that is not there is not named. The error wraps ErrConfig.
func At(l Layer, key string, nth int, err error) error {
	return locate(l.Text, toml.Key(strings.Split(key, ".")), nth).error(l, err)
}

// place is where something stands in a text, from 1; line 0: nowhere.
type place struct{ line, col, length int }

// error is err with the place in front and the line's text beneath.
func (p place) error(l Layer, err error) error {
	if p.line < 1 {
		return fmt.Errorf("%s: %w: %w", l.Name, ErrConfig, err)
	}
	return fmt.Errorf("%s:%d:%d: %w: %w\n%s", l.Name, p.line, p.col, ErrConfig, err, excerpt(l.Text, p))
}

// keysOf lists the keys of a struct. The keys of a map are written as *.
func keysOf(t reflect.Type, prefix string) []Key {
	var out []Key
	for i := range t.NumField() {
		f := t.Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		of := f.Type
		if name == "" {
			continue
		}
		name = prefix + name
		if of.Kind() == reflect.Map && of.Elem().Kind() == reflect.Struct {
			name += ".*"
		}
		for k := of.Kind(); k == reflect.Pointer || k == reflect.Slice || k == reflect.Map; k = of.Kind() {
			of = of.Elem()
		}
		if of.Kind() == reflect.Struct {
			out = append(out, keysOf(of, name+".")...)
			continue
		}
		k := Key{Name: name, Type: f.Type.String(), Doc: f.Tag.Get("doc")}
		if b, err := parseBounds(f.Tag.Get("range")); err == nil && b != nil {
			k.Range = b.String()
		}
		out = append(out, k)
	}
	return out
}

func unknownKey(l Layer, key toml.Key, known []Key) error {
	hint := ""
	best := 0
	for _, k := range known {
		if score := likeness(key.String(), k.Name); score > best {
			best, hint = score, fmt.Sprintf("; did you mean %q?", named(k.Name, key))
		}
	}
	return locate(l.Text, key, -1).error(l, fmt.Errorf("unknown key %q%s", key.String(), hint))
}

// named puts what the user wrote in the place of a map's key.
func named(known string, key toml.Key) string {
	parts := strings.Split(known, ".")
	for i, p := range parts {
		if p == "*" && i < len(key) {
			parts[i] = key[i]
		}
	}
	return strings.Join(parts, ".")
}

// locate finds where a key is assigned, or the table that would hold it; nth is which of a list of
// tables, from 0, is meant; -1: any.
func locate(text string, key toml.Key, nth int) place {
	for ; len(key) > 0; key = key[:len(key)-1] {
		if p := locateKey(text, key, nth); p.line > 0 {
			return p
		}
	}
	return place{}
}

func locateKey(text string, key toml.Key, nth int) place {
	last := key[len(key)-1]
	table := strings.Join(key[:len(key)-1], ".")
	here, count := "", -1
	for i, l := range strings.Split(text, "\n") {
		trimmed := strings.TrimSpace(l)
		if strings.HasPrefix(trimmed, "[") {
			here = strings.TrimSpace(strings.Trim(strings.SplitN(trimmed, "]", 2)[0], "[]"))
			if strings.HasPrefix(trimmed, "[[") && here == key[0] {
				count++
			}
			if here == key.String() && (count < 0 || nth < 0 || count == nth) {
				return place{i + 1, strings.Index(l, last) + 1, len(last)}
			}
			continue
		}
		if count >= 0 && nth >= 0 && count != nth {
			continue
		}
		name, _, ok := strings.Cut(trimmed, "=")
		name = strings.Trim(strings.TrimSpace(name), `"'`)
		full := name
		if here != "" {
			full = here + "." + name
		}
		if ok && (full == key.String() || (here == table && name == last)) {
			return place{i + 1, strings.Index(l, name) + 1 + strings.LastIndex(name, last), len(last)}
		}
	}
	return place{}
}

// excerpt shows a line of text with the place marked.
func excerpt(text string, p place) string {
	lines := strings.Split(text, "\n")
	if p.line > len(lines) {
		return ""
	}
	number := fmt.Sprintf("  %d | ", p.line)
	return number + lines[p.line-1] + "\n" + strings.Repeat(" ", len(number)+max(0, p.col-1)) + strings.Repeat("^", p.length)
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
