package checkpoints

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// What a pickle can be made to do in Python: each of these runs a command, opens a connection, reads a file
// or fills the memory there.
func TestMaliciousPickles(t *testing.T) {
	unicode := func(s string) string {
		return "X" + string(binary.LittleEndian.AppendUint32(nil, uint32(len(s)))) + s
	}
	tests := []struct {
		name, pickle string
		want         error
		says         string
	}{
		{"os.system", "\x80\x02cposix\nsystem\n" + unicode("id") + "\x85R.", ErrUnsafe, "posix.system"},
		{"builtins.eval", "\x80\x02cbuiltins\neval\n" + unicode("1") + "\x85R.", ErrUnsafe, "builtins.eval"},
		{"builtins.getattr", "\x80\x02c__builtin__\ngetattr\n.", ErrUnsafe, "__builtin__.getattr"},
		{"stack global", "\x80\x04\x8c\x02os\x8c\x06system\x93.", ErrUnsafe, "os.system"},
		{"dotted name in an allowed module", "\x80\x04\x8c\x05torch\x8c\x0fhub.load.__call\x93.", ErrUnsafe, "hub.load"},
		{"other function of torch", "\x80\x02ctorch\nload\n.", ErrUnsafe, "torch.load"},
		{"torch's own import helper", "\x80\x02ctorch._utils\n_import_dotted_name\n.", ErrUnsafe, "_import_dotted_name"},
		{"INST", "\x80\x02(X\x02\x00\x00\x00idios\nsystem\n.", ErrUnsafe, "0x69"},
		{"OBJ", "\x80\x02(ccollections\nOrderedDict\no.", ErrUnsafe, "0x6f"},
		{"NEWOBJ_EX", "\x80\x04ccollections\nOrderedDict\n)}\x92.", ErrUnsafe, "0x92"},
		{"EXT1", "\x80\x02\x82\x01.", ErrUnsafe, "0x82"},
		{"PERSID", "\x80\x02Pfile\n.", ErrUnsafe, "0x50"},
		{"NEXT_BUFFER", "\x80\x05\x97.", ErrUnsafe, "0x97"},
		{"reduce of a text", "\x80\x02" + unicode("x") + ")R.", ErrCorrupt, "no known class"},
		{"storage called", "\x80\x02ctorch\nFloatStorage\n)R.", ErrUnsafe, "FloatStorage"},
		{"persistent id of another kind", "\x80\x02(" + unicode("module") + "ctorch\nFloatStorage\n" + unicode("0") + unicode("cpu") + "K\x01tQ.", ErrCorrupt, "not described"},
		{"persistent id that leads outside", "\x80\x02(" + unicode("storage") + "ctorch\nFloatStorage\n" + unicode("../../x") + unicode("cpu") + "K\x01tQ.", ErrCorrupt, "missing"},
		{"parameter of nothing", "\x80\x02ctorch._utils\n_rebuild_parameter\n)R.", ErrCorrupt, "without a tensor"},
		{"tensor of nothing", "\x80\x02ctorch._utils\n_rebuild_tensor_v2\n)R.", ErrCorrupt, "without storage"},
		{"long text", "\x80\x02X\xff\xff\xff\xff", ErrUnsafe, "a text of 4294967295"},
		{"very long text", "\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\xff", ErrUnsafe, "a text of"},
		{"BINBYTES8 length", "\x8e00000000", ErrUnsafe, "0x8e"},
		{"long number", "\x80\x02\x8a\xff", ErrCorrupt, "255 bytes"},
		{"endless line", "\x80\x02c" + strings.Repeat("a", 1<<17), ErrUnsafe, "a line"},
		{"protocol 0", "\x80\x00.", ErrFormat, "protocol 0"},
		{"protocol 6", "\x80\x06.", ErrFormat, "protocol 6"},
		{"empty stack", "\x80\x020.", ErrCorrupt, "stack"},
		{"end of nothing", ".", ErrCorrupt, "stack"},
		{"end at a mark", "\x80\x02(.", ErrCorrupt, "stack"},
		{"pop of a mark", "\x80\x02(0.", ErrCorrupt, "stack"},
		{"tuple without mark", "\x80\x02t.", ErrCorrupt, "stack"},
		{"items for a number", "\x80\x02K\x01(K\x01e.", ErrCorrupt, "takes none"},
		{"odd items", "\x80\x02}(K\x01u.", ErrCorrupt, "takes none"},
		{"memory that is empty", "\x80\x02h\x07.", ErrCorrupt, "memory 7"},
		{"no end", "\x80\x02}", ErrCorrupt, "byte 3"},
		{"no content", "", ErrCorrupt, "byte 0"},
		{"cut within an instruction", "\x80\x02X\x05\x00", ErrCorrupt, "within"},
		{"many objects", "\x80\x02" + strings.Repeat("N", 1<<20), ErrUnsafe, "objects"},
		{"much memory", "\x80\x04N" + strings.Repeat("\x94", 1<<20), ErrUnsafe, "objects"},
		{"deep", "\x80\x02" + strings.Repeat("}"+unicode("d"), 100) + "N" + strings.Repeat("s", 100) + ".", ErrUnsafe, "nested"},
		{"holds itself", "\x80\x02}q\x00" + unicode("d") + "h\x00s.", ErrUnsafe, "nested"},
		{"doubled 60 times", doubled(unicode), ErrUnsafe, "repeat"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			_, err := openBytes(t, pth(t, []byte(test.pickle), floats(1)))
			if !errors.Is(err, test.want) || !strings.Contains(err.Error(), test.says) || !strings.Contains(err.Error(), "m/data.pkl") {
				t.Errorf("got %v, want %v that says %q", err, test.want, test.says)
			}
		})
	}
}

// doubled is a dictionary that holds one twice that holds one twice and so on: 2^60 places from 1 kB.
func doubled(unicode func(string) string) string {
	p := "\x80\x02}q\x00"
	for i := range 60 {
		p += "}" + unicode("a") + fmt.Sprintf("h%cs", i) + unicode("b") + fmt.Sprintf("h%csq%c", i, i+1)
	}
	return p + "."
}

// Protocols 2 to 5 write the same values by other instructions.
func TestPickleInstructions(t *testing.T) {
	tests := []struct {
		name, pickle string
		want         any
	}{
		{"none and truths", "\x80\x02N\x88\x89\x87.", tuple{nil, true, false}},
		{"numbers", "\x80\x02(K\xffM\xff\xffJ\xfe\xff\xff\xff\x8a\x00\x8a\x01\xfe\x8a\x05\x00\x00\x00\x00\x01t.",
			tuple{int64(255), int64(65535), int64(-2), int64(0), int64(-2), int64(1 << 32)}},
		{"largest number", "\x80\x02\x8a\x08\xff\xff\xff\xff\xff\xff\xff\x7f.", int64(1<<63 - 1)},
		{"float", "\x80\x02G\x3f\xf8\x00\x00\x00\x00\x00\x00.", 1.5},
		{"texts", "\x80\x04\x95\x08\x00\x00\x00\x00\x00\x00\x00(X\x01\x00\x00\x00a\x8c\x01b\x8d\x01\x00\x00\x00\x00\x00\x00\x00cU\x01dt.", tuple{"a", "b", "c", "d"}},
		{"tuples", "\x80\x02)K\x01\x85\x86.", tuple{tuple{}, tuple{int64(1)}}},
		{"memory", "\x80\x04K\x07\x940K\x08q\x050K\x09r\x06\x00\x00\x000h\x00h\x05j\x06\x00\x00\x00\x87.", tuple{int64(7), int64(8), int64(9)}},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			u := &unpickler{}
			got, err := u.load(strings.NewReader(test.pickle))
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, got, test.want)
		})
	}
	u := &unpickler{}
	got, err := u.load(strings.NewReader("\x80\x04](K\x01K\x02eK\x03a\x8f(K\x04\x90}(K\x05K\x06uK\x07K\x08s\x87."))
	if err != nil {
		t.Fatal(err)
	}
	items := got.(tuple)
	wantEqual(t, items[0].(*list).items, []any{int64(1), int64(2), int64(3)})
	wantEqual(t, items[1].(*list).items, []any{int64(4)})
	wantEqual(t, items[2].(*dict).keys, []any{int64(5), int64(7)})
	wantEqual(t, items[2].(*dict).values, []any{int64(6), int64(8)})
}

// A damaged archive is refused, or the damage lies where no tensor, name or shape depends on it, as in a
// record's date: never are other values returned.
func TestFlippedBytesOfPTH(t *testing.T) {
	tensors := []Tensor{
		{Info{"a", "F32", []int64{2, 2}}, floats(1, 2, 3, 4)},
		{Info{"b", "U8", []int64{}}, []byte{7}},
	}
	path := filepath.Join(t.TempDir(), "a.pth")
	if err := WritePTH(path, tensors); err != nil {
		t.Fatal(err)
	}
	written, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	stored := pth(t, dictOf(func(p *pickler) {
		p.text("a")
		p.tensor("torch FloatStorage", "0", 4, 0, []int64{2, 2}, []int64{2, 1})
		p.text("b")
		p.tensor("torch ByteStorage", "1", 1, 0, nil, nil)
	}), tensors[0].Data, tensors[1].Data)
	for name, whole := range map[string][]byte{"of our own": written, "with descriptors": stored} {
		t.Run(name, func(t *testing.T) {
			path := writeTemp(t, whole)
			harmless := 0
			for i := range whole {
				for _, flip := range []byte{0x01, 0x80, 0xff} {
					b := bytes.Clone(whole)
					b[i] ^= flip
					if err := os.WriteFile(path, b, 0o644); err != nil {
						t.Fatal(err)
					}
					got, _, err := load(path)
					switch {
					case err == nil:
						harmless++
						wantEqual(t, got, tensors)
					case !isSentinel(err):
						t.Fatalf("byte %d: %v is none of the errors of a damaged file", i, err)
					}
				}
			}
			t.Logf("%d flips, %d of them harmless", 3*len(whole), harmless)
			for n := range whole {
				if err := os.WriteFile(path, whole[:n], 0o644); err != nil {
					t.Fatal(err)
				}
				if _, _, err := load(path); !isSentinel(err) {
					t.Fatalf("cut to %d bytes: %v", n, err)
				}
			}
		})
	}
	at := bytes.Index(written, tensors[0].Data)
	written[at+5] ^= 1
	_, _, err = load(writeTemp(t, written))
	if err == nil || !strings.Contains(err.Error(), "archive/data/0: CRC32 is ") || !strings.Contains(err.Error(), "weights") {
		t.Errorf("got %v", err)
	}
}
