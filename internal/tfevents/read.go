package tfevents

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"os"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrFormat says that a file is no event file, or a damaged one.
var ErrFormat = errors.New("not an event file, or a damaged one")

// Event is a record of an event file.
type Event struct {
	Step     int
	WallTime float64
	Version  string // of the file; in its first record alone
	Values   []Shown
}

// Shown is a value as it is read back: of a picture its file of PNG, of the other kinds the zero value.
type Shown struct {
	Tag     string
	Scalar  float32
	Text    string
	Picture []byte
}

// String says what the value is, a picture as its size in bytes.
func (s Shown) String() string {
	switch {
	case s.Picture != nil:
		return fmt.Sprintf("a picture of %d bytes", len(s.Picture))
	case s.Text != "":
		return fmt.Sprintf("a text of %d bytes", len(s.Text))
	}
	return fmt.Sprint(s.Scalar)
}

// Read reads an event file that is whole. Errors wrap ErrFormat where the content is to blame.
func Read(path string) ([]Event, error) {
	rest, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read event file: %w", err)
	}
	var out []Event
	for len(rest) > 0 {
		data, n := unframe(rest)
		if n == 0 {
			return nil, fmt.Errorf("read event file %q: %w: record %d is cut short or fails its checksum", path, ErrFormat, len(out)+1)
		}
		e, err := parseEvent(data)
		if err != nil {
			return nil, fmt.Errorf("read event file %q: %w: record %d: %w", path, ErrFormat, len(out)+1, err)
		}
		out, rest = append(out, e), rest[n:]
	}
	return out, nil
}

// unframe returns the data of the first record and the record's length; 0 where it does not verify.
func unframe(b []byte) (data []byte, n int) {
	const head, tail = 12, 4
	if len(b) < head+tail || binary.LittleEndian.Uint32(b[8:]) != masked(b[:8]) {
		return nil, 0
	}
	length := binary.LittleEndian.Uint64(b)
	if length > uint64(len(b)-head-tail) {
		return nil, 0
	}
	end := head + int(length)
	if data = b[head:end]; binary.LittleEndian.Uint32(b[end:]) != masked(data) {
		return nil, 0
	}
	return data, end + tail
}

func parseEvent(b []byte) (e Event, err error) {
	err = fields(b, func(field protowire.Number, n uint64, content []byte) (err error) {
		switch field {
		case eventWallTime:
			e.WallTime = math.Float64frombits(n)
		case eventStep:
			e.Step = int(n)
		case eventFileVersion:
			e.Version = string(content)
		case eventSummary:
			err = fields(content, func(_ protowire.Number, _ uint64, value []byte) error {
				v, err := parseValue(value)
				e.Values = append(e.Values, v)
				return err
			})
		}
		return err
	})
	return e, err
}

func parseValue(b []byte) (v Shown, err error) {
	err = fields(b, func(field protowire.Number, n uint64, content []byte) error {
		switch field {
		case valueTag:
			v.Tag = string(content)
		case valueSimple:
			v.Scalar = math.Float32frombits(uint32(n))
		case valueImage:
			return pick(content, imagePNG, func(file []byte) { v.Picture = file })
		case valueTensor:
			return pick(content, tensorString, func(text []byte) { v.Text = string(text) })
		}
		return nil
	})
	return v, err
}

// pick hands over one field of a message.
func pick(b []byte, wanted protowire.Number, use func([]byte)) error {
	return fields(b, func(field protowire.Number, _ uint64, content []byte) error {
		if field == wanted {
			use(content)
		}
		return nil
	})
}

// fields calls use with each field of a message: with its number where it is one, else with its bytes.
func fields(b []byte, use func(field protowire.Number, n uint64, content []byte) error) error {
	for len(b) > 0 {
		field, kind, used := protowire.ConsumeTag(b)
		if used < 0 {
			return protowire.ParseError(used)
		}
		b = b[used:]
		var n uint64
		var content []byte
		switch kind {
		case protowire.VarintType:
			n, used = protowire.ConsumeVarint(b)
		case protowire.Fixed32Type:
			var short uint32
			short, used = protowire.ConsumeFixed32(b)
			n = uint64(short)
		case protowire.Fixed64Type:
			n, used = protowire.ConsumeFixed64(b)
		case protowire.BytesType:
			content, used = protowire.ConsumeBytes(b)
		default:
			return fmt.Errorf("field %d is of kind %d", field, kind)
		}
		if used < 0 {
			return protowire.ParseError(used)
		}
		if err := use(field, n, content); err != nil {
			return err
		}
		b = b[used:]
	}
	return nil
}
