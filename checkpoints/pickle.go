package checkpoints

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math"
)

// Bounds of what a pickle may make. The state dictionary of SAM ViT-H has 600 tensors and about 30,000
// opcodes.
const (
	maxPickleBytes = 64 << 20
	maxObjects     = 1 << 19 // objects made and memorised, and so the size of stack and memo
	maxString      = 1 << 16
)

// The values that the machine works on, beside nil, bool, int64, float64 and string.
type (
	class  string // a global of the allow-list, as "module name"
	mark   struct{}
	tuple  []any
	list   struct{ items []any }
	dict   struct{ keys, values []any }
	object struct{} // something harmless that holds no tensor
)

// unpickler is a machine for the subset of pickle that torch.save writes. It executes nothing: a global
// is looked up in an allow-list, and what REDUCE calls is one of a few functions of our own.
type unpickler struct {
	r          *bufio.Reader
	at         int64
	stack      []any
	memo       map[uint32]any
	objects    int
	persistent func(id tuple) (any, error)
	call       func(c class, args tuple) (any, error)
	allowed    func(c class) bool
}

var errStack = errors.New("the stack is too short")

func (u *unpickler) load(r io.Reader) (any, error) {
	u.r = bufio.NewReader(io.LimitReader(r, maxPickleBytes))
	u.memo = map[uint32]any{}
	for {
		at := u.at
		op, err := u.byte()
		if err != nil {
			return nil, fmt.Errorf("%w: the pickle ends at byte %d without its end mark", ErrCorrupt, at)
		}
		var result any
		if op == '.' {
			result, err = u.pop()
		} else {
			err = u.step(op)
		}
		switch {
		case err != nil:
			return nil, fmt.Errorf("pickle instruction 0x%02x at byte %d: %w", op, at, asSentinel(err))
		case op == '.':
			return result, nil
		}
	}
}

// asSentinel wraps ErrCorrupt around an error that says no other kind of fault.
func asSentinel(err error) error {
	switch {
	case errors.Is(err, ErrUnsafe), errors.Is(err, ErrFormat), errors.Is(err, ErrCorrupt):
		return err
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return fmt.Errorf("%w: the pickle ends within an instruction", ErrCorrupt)
	}
	return fmt.Errorf("%w: %w", ErrCorrupt, err)
}

func (u *unpickler) byte() (byte, error) {
	b, err := u.r.ReadByte()
	if err == nil {
		u.at++
	}
	return b, err
}

func (u *unpickler) bytes(n uint64) ([]byte, error) {
	if n > maxString {
		return nil, fmt.Errorf("%w: a text of %d bytes, more than %d", ErrUnsafe, n, maxString)
	}
	b := make([]byte, n)
	k, err := io.ReadFull(u.r, b)
	u.at += int64(k)
	return b, err
}

func (u *unpickler) uint(size int) (uint64, error) {
	b, err := u.bytes(uint64(size))
	if err != nil {
		return 0, err
	}
	var full [8]byte
	copy(full[:], b)
	return binary.LittleEndian.Uint64(full[:]), nil
}

func (u *unpickler) line() (string, error) {
	var out []byte
	for len(out) < maxString {
		b, err := u.byte()
		if err != nil {
			return "", err
		}
		if b == '\n' {
			return string(out), nil
		}
		out = append(out, b)
	}
	return "", fmt.Errorf("%w: a line of more than %d bytes", ErrUnsafe, maxString)
}

func (u *unpickler) push(v any) error {
	u.stack = append(u.stack, v)
	return u.count()
}

func (u *unpickler) count() error {
	if u.objects++; u.objects > maxObjects {
		return fmt.Errorf("%w: more than %d objects", ErrUnsafe, maxObjects)
	}
	return nil
}

func (u *unpickler) pop() (any, error) {
	if len(u.stack) == 0 {
		return nil, errStack
	}
	v := u.stack[len(u.stack)-1]
	u.stack = u.stack[:len(u.stack)-1]
	if _, ok := v.(mark); ok {
		return nil, errStack
	}
	return v, nil
}

func (u *unpickler) top() (any, error) {
	if len(u.stack) == 0 {
		return nil, errStack
	}
	return u.stack[len(u.stack)-1], nil
}

// popMark takes all values above the topmost mark off the stack, and the mark.
func (u *unpickler) popMark() ([]any, error) {
	for i := len(u.stack) - 1; i >= 0; i-- {
		if _, ok := u.stack[i].(mark); ok {
			items := append([]any(nil), u.stack[i+1:]...)
			u.stack = u.stack[:i]
			return items, nil
		}
	}
	return nil, errStack
}

func (u *unpickler) popN(n int) (tuple, error) {
	items := make(tuple, n)
	for i := n - 1; i >= 0; i-- {
		v, err := u.pop()
		if err != nil {
			return nil, err
		}
		items[i] = v
	}
	return items, nil
}

func (u *unpickler) step(op byte) error {
	switch op {
	case 0x80: // PROTO
		v, err := u.byte()
		if err == nil && (v < 2 || v > 5) {
			err = fmt.Errorf("%w: pickle protocol %d, want 2 to 5", ErrFormat, v)
		}
		return err
	case 0x95: // FRAME
		_, err := u.uint(8)
		return err
	case '(':
		return u.push(mark{})
	case 'N':
		return u.push(nil)
	case 0x88:
		return u.push(true)
	case 0x89:
		return u.push(false)
	case 'J', 'K', 'M', 0x8a, 'G':
		return u.number(op)
	case 'X', 0x8c, 0x8d, 'T', 'U', 'B', 'C':
		return u.text(op)
	case ')', ']', '}', 0x8f, 't', 0x85, 0x86, 0x87:
		return u.container(op)
	case 'a', 'e', 's', 'u', 0x90:
		return u.fill(op)
	case 'q', 'r', 0x94, 'h', 'j':
		return u.memory(op)
	case '0':
		_, err := u.pop()
		return err
	case 'c', 0x93:
		return u.global(op)
	case 'Q':
		id, err := u.popN(1)
		if err != nil {
			return err
		}
		t, ok := id[0].(tuple)
		if !ok {
			return fmt.Errorf("a persistent id that is no tuple")
		}
		v, err := u.persistent(t)
		if err != nil {
			return err
		}
		return u.push(v)
	case 'R', 0x81: // REDUCE, NEWOBJ
		pair, err := u.popN(2)
		if err != nil {
			return err
		}
		c, ok1 := pair[0].(class)
		args, ok2 := pair[1].(tuple)
		if !ok1 || !ok2 {
			return fmt.Errorf("a call of something that is no known class")
		}
		v, err := u.call(c, args)
		if err != nil {
			return err
		}
		return u.push(v)
	case 'b': // BUILD: attributes, as a state dictionary's _metadata; no tensor is among them
		_, err := u.pop()
		return err
	}
	return fmt.Errorf("%w: an instruction that weights do not need", ErrUnsafe)
}

func (u *unpickler) number(op byte) error {
	switch op {
	case 'J':
		v, err := u.uint(4)
		if err != nil {
			return err
		}
		return u.push(int64(int32(v)))
	case 'K', 'M':
		size := 1
		if op == 'M' {
			size = 2
		}
		v, err := u.uint(size)
		if err != nil {
			return err
		}
		return u.push(int64(v))
	case 'G':
		b, err := u.bytes(8)
		if err != nil {
			return err
		}
		return u.push(math.Float64frombits(binary.BigEndian.Uint64(b)))
	}
	n, err := u.byte() // LONG1
	if err != nil {
		return err
	}
	if n > 8 {
		return fmt.Errorf("a whole number of %d bytes", n)
	}
	v, err := u.uint(int(n))
	if err != nil {
		return err
	}
	if n > 0 && n < 8 { // sign extension
		shift := 64 - 8*uint(n)
		v = uint64(int64(v<<shift) >> shift)
	}
	return u.push(int64(v))
}

func (u *unpickler) text(op byte) error {
	size := map[byte]int{'X': 4, 0x8c: 1, 0x8d: 8, 'T': 4, 'U': 1, 'B': 4, 'C': 1}[op]
	n, err := u.uint(size)
	if err != nil {
		return err
	}
	b, err := u.bytes(n)
	if err != nil {
		return err
	}
	return u.push(string(b))
}

func (u *unpickler) container(op byte) error {
	switch op {
	case ')':
		return u.push(tuple{})
	case ']', 0x8f:
		return u.push(&list{})
	case '}':
		return u.push(&dict{})
	case 't':
		items, err := u.popMark()
		if err != nil {
			return err
		}
		return u.push(tuple(items))
	}
	items, err := u.popN(int(op) - 0x84)
	if err != nil {
		return err
	}
	return u.push(items)
}

func (u *unpickler) fill(op byte) error {
	var items []any
	var err error
	switch op {
	case 'a':
		items, err = u.popN(1)
	case 's':
		items, err = u.popN(2)
	default:
		items, err = u.popMark()
	}
	if err != nil {
		return err
	}
	target, err := u.top()
	if err != nil {
		return err
	}
	switch t := target.(type) {
	case *list:
		if op == 'a' || op == 'e' || op == 0x90 { // ADDITEMS: a set is kept as a list
			t.items = append(t.items, items...)
			return nil
		}
	case *dict:
		if (op == 's' || op == 'u') && len(items)%2 == 0 {
			for i := 0; i < len(items); i += 2 {
				t.keys = append(t.keys, items[i])
				t.values = append(t.values, items[i+1])
			}
			return nil
		}
	case object:
		return nil
	}
	return fmt.Errorf("items for something that takes none")
}

func (u *unpickler) memory(op byte) error {
	var index uint64
	var err error
	switch op {
	case 'q', 'h':
		index, err = u.uint(1)
	case 'r', 'j':
		index, err = u.uint(4)
	case 0x94:
		index = uint64(len(u.memo))
	}
	if err != nil {
		return err
	}
	if op == 'h' || op == 'j' {
		v, ok := u.memo[uint32(index)]
		if !ok {
			return fmt.Errorf("it asks for memory %d, which is empty", index)
		}
		return u.push(v)
	}
	v, err := u.top()
	if err != nil {
		return err
	}
	u.memo[uint32(index)] = v
	return u.count()
}

func (u *unpickler) global(op byte) error {
	var module, name string
	var err error
	if op == 'c' {
		if module, err = u.line(); err == nil {
			name, err = u.line()
		}
		if err != nil {
			return err
		}
	} else {
		pair, err := u.popN(2)
		if err != nil {
			return err
		}
		var ok1, ok2 bool
		module, ok1 = pair[0].(string)
		name, ok2 = pair[1].(string)
		if !ok1 || !ok2 {
			return fmt.Errorf("a global whose name is no text")
		}
	}
	c := class(module + " " + name)
	if !u.allowed(c) {
		return fmt.Errorf("%w: it asks for %s.%s, which weights do not need; nothing was executed", ErrUnsafe, module, name)
	}
	return u.push(c)
}
