package configs

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"
	"strings"
)

// bounds are what a setting may be, as the tag range of its field says: words "none|x|xy", or an interval of numbers, "[0,1]" with
// its ends, "(0,1)" without them, an end that is left out unbounded. The range of a list is that of its elements; a list with
// the tag empty:"no" holds one at least.
type bounds struct {
	words          []string
	low, high      string
	openLow        bool // the end itself is outside
	openHigh       bool
	least, largest float64
}

// parseBounds reads a tag; nil where it is empty.
func parseBounds(tag string) (*bounds, error) {
	if tag == "" {
		return nil, nil
	}
	if !strings.ContainsAny(tag[:1], "[(") {
		return &bounds{words: strings.Split(tag, "|")}, nil
	}
	low, high, ok := strings.Cut(tag[1:len(tag)-1], ",")
	b := &bounds{low: low, high: high, openLow: tag[0] == '(', openHigh: tag[len(tag)-1] == ')'}
	var err1, err2 error
	if low != "" {
		b.least, err1 = strconv.ParseFloat(low, 64)
	}
	if high != "" {
		b.largest, err2 = strconv.ParseFloat(high, 64)
	}
	if !ok || err1 != nil || err2 != nil {
		return nil, fmt.Errorf("range %q: want words with | between them or an interval as [0,1)", tag)
	}
	return b, nil
}

// String says the range in words.
func (b *bounds) String() string {
	switch {
	case b.words != nil:
		return strings.Join(b.words, ", ")
	case b.low == "" && b.high == "":
		return "any finite number"
	case b.high == "":
		if b.openLow {
			return "above " + b.low
		}
		return b.low + " or more"
	case b.openLow && b.openHigh:
		return "between " + b.low + " and " + b.high
	case b.openHigh:
		return b.low + " to below " + b.high
	case b.openLow:
		return "above " + b.low + " to " + b.high
	}
	return b.low + " to " + b.high
}

// holds says whether a value, a text or a number, is in the range. What is no number is in none.
func (b *bounds) holds(v reflect.Value) bool {
	if b.words != nil {
		return slices.Contains(b.words, v.String())
	}
	x := 0.0
	switch {
	case v.CanInt():
		x = float64(v.Int())
	case v.CanFloat():
		x = v.Float()
	}
	if x-x != 0 { // not finite
		return false
	}
	if b.low != "" && (x < b.least || b.openLow && x == b.least) {
		return false
	}
	return b.high == "" || x < b.largest || !b.openHigh && x == b.largest
}

// Check refuses settings that are out of their ranges. The error wraps ErrConfig.
func (r *Run) Check() error {
	if key, err := outside(reflect.ValueOf(r).Elem(), ""); err != nil {
		return fmt.Errorf("%w: %s %w", ErrConfig, key, err)
	}
	return nil
}

// outside finds the first field of a struct that is out of its range, and what of it is.
func outside(v reflect.Value, prefix string) (key string, err error) {
	for i := range v.NumField() {
		f := v.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("toml"), ",")
		key := prefix + name
		if f.Type.Kind() == reflect.Struct {
			if key, err := outside(v.Field(i), key+"."); err != nil {
				return key, err
			}
			continue
		}
		if f.Tag.Get("empty") == "no" && v.Field(i).Len() == 0 {
			return key, fmt.Errorf("is an empty list, want at least one")
		}
		b, err := parseBounds(f.Tag.Get("range"))
		if err != nil {
			return key, err
		}
		if b == nil {
			continue
		}
		values := []reflect.Value{v.Field(i)}
		if f.Type.Kind() == reflect.Slice {
			values = values[:0]
			for j := range v.Field(i).Len() {
				values = append(values, v.Field(i).Index(j))
			}
		}
		for _, one := range values {
			if !b.holds(one) {
				if b.words != nil {
					return key, fmt.Errorf("is %q, want %s", one.String(), b)
				}
				return key, fmt.Errorf("is %v, want %s", one, b)
			}
		}
	}
	return "", nil
}
