package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// entry is one of an archive.
type entry struct {
	name, text string
	kind       byte // as tar has it; 0: a file
	link       string
}

func zipOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, e := range entries {
		h := &zip.FileHeader{Name: e.name, Method: zip.Deflate}
		switch e.kind {
		case tar.TypeSymlink:
			h.SetMode(fs.ModeSymlink | 0o777)
		case tar.TypeChar:
			h.SetMode(fs.ModeDevice | fs.ModeCharDevice | 0o600)
		default:
			h.SetMode(0o644)
		}
		f, err := w.CreateHeader(h)
		if err == nil && !strings.HasSuffix(e.name, "/") {
			_, err = io.WriteString(f, e.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func tarOf(t testing.TB, entries ...entry) []byte {
	t.Helper()
	var b bytes.Buffer
	w := tar.NewWriter(&b)
	for _, e := range entries {
		h := &tar.Header{Name: e.name, Typeflag: e.kind, Linkname: e.link, Mode: 0o644, Size: int64(len(e.text))}
		if e.kind == 0 {
			h.Typeflag = tar.TypeReg
		}
		err := w.WriteHeader(h)
		if err == nil {
			_, err = io.WriteString(w, e.text)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func gz(t testing.TB, plain []byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	if _, err := w.Write(plain); err != nil {
		t.Fatal(err)
	}
	if err := w.Close(); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// listing is all files under a folder with what is in them.
func listing(t testing.TB, dir string) map[string]string {
	t.Helper()
	out := map[string]string{}
	err := filepath.WalkDir(dir, func(path string, e fs.DirEntry, err error) error {
		if err != nil || e.IsDir() {
			return err
		}
		text, err := os.ReadFile(path)
		name, _ := filepath.Rel(dir, path)
		out[filepath.ToSlash(name)] = string(text)
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return out
}

// put writes an archive into a folder of its own and says where it is to be unpacked.
func put(t testing.TB, archive []byte) (path, folder, part string) {
	t.Helper()
	dir := t.TempDir()
	path = filepath.Join(dir, "archive")
	if err := os.WriteFile(path, archive, 0o644); err != nil {
		t.Fatal(err)
	}
	return path, filepath.Join(dir, "data"), filepath.Join(dir, "part")
}

func TestUnpack(t *testing.T) {
	entries := []entry{{name: "set/"}, {name: "set/images/1.png", text: "one"}, {name: "set/masks/1.png", text: "mask"}, {name: "readme.txt", text: ""}}
	inTar := slices.Clone(entries)
	inTar[0].kind = tar.TypeDir
	inTar = append([]entry{{name: "./", kind: tar.TypeDir}}, inTar...)
	want := map[string]string{"set/images/1.png": "one", "set/masks/1.png": "mask", "readme.txt": ""}
	for name, archive := range map[string][]byte{"zip": zipOf(t, entries...), "tar": tarOf(t, inTar...), "tar.gz": gz(t, tarOf(t, inTar...))} {
		t.Run(name, func(t *testing.T) {
			path, folder, part := put(t, archive)
			var last int64
			if err := Unpack(context.Background(), path, folder, part, func(done, total int64) { last = done }); err != nil {
				t.Fatal(err)
			}
			if got := listing(t, folder); !maps.Equal(got, want) {
				t.Errorf("%v, want %v", got, want)
			}
			if _, err := os.Stat(part); err == nil {
				t.Error("the folder of parts is left")
			}
			if last != 7 {
				t.Errorf("told of %d bytes, want 7", last)
			}
			if err := Unpack(context.Background(), path, folder, part, nil); !errors.Is(err, ErrExists) {
				t.Errorf("once more: %v, want that it is there", err)
			}
			if got := listing(t, folder); !maps.Equal(got, want) {
				t.Errorf("once more: %v, want %v", got, want)
			}
		})
	}
}

// TestBadArchives leaves nothing behind, inside or outside the folder.
func TestBadArchives(t *testing.T) {
	good := entry{name: "good.txt", text: "good"}
	zeros := strings.Repeat("\x00", 4<<20)
	sound := zipOf(t, good, entry{name: "more.txt", text: strings.Repeat("more and other words ", 100)})
	lying := func(size uint32) []byte { // the first entry's size in the list at the end
		b := bytes.Clone(sound)
		at := bytes.Index(b, []byte("PK\x01\x02"))
		binary.LittleEndian.PutUint32(b[at+24:], size)
		return b
	}
	for name, c := range map[string]struct {
		archive []byte
		err     error
		says    string
	}{
		"zip: up":                {zipOf(t, good, entry{name: "../evil.txt", text: "evil"}), ErrUnsafe, "../evil.txt"},
		"zip: up inside":         {zipOf(t, good, entry{name: "a/../../evil.txt", text: "evil"}), ErrUnsafe, "outside"},
		"zip: absolute":          {zipOf(t, good, entry{name: "/tmp/evil.txt", text: "evil"}), ErrUnsafe, "/tmp/evil.txt"},
		"zip: backslashes":       {zipOf(t, good, entry{name: `..\evil.txt`, text: "evil"}), ErrUnsafe, "outside"},
		"zip: drive letter":      {zipOf(t, good, entry{name: "C:/evil.txt", text: "evil"}), ErrUnsafe, "C:"},
		"zip: NUL":               {zipOf(t, good, entry{name: "evil\x00.txt", text: "evil"}), ErrUnsafe, "outside"},
		"zip: link":              {zipOf(t, good, entry{name: "link", kind: tar.TypeSymlink, text: "/etc"}), ErrUnsafe, "link or a device"},
		"zip: device":            {zipOf(t, good, entry{name: "dev", kind: tar.TypeChar}), ErrUnsafe, "link or a device"},
		"zip: twice":             {zipOf(t, good, good), ErrUnsafe, "twice"},
		"zip: twice, disguised":  {zipOf(t, good, entry{name: "./x/../good.txt", text: "evil"}), ErrUnsafe, "twice"},
		"zip: bomb":              {zipOf(t, good, entry{name: "bomb", text: zeros}), ErrUnsafe, "200 times"},
		"zip: claims much":       {lying(1<<31 + 5), ErrUnsafe, "200 times"},
		"zip: claims too little": {lying(2), nil, ""},
		"zip: claims too much":   {lying(40), nil, ""},
		"zip: cut":               {sound[:len(sound)-30], ErrCorrupt, ""},
		"zip: a bit turned":      {turned(sound, bytes.Index(sound, []byte("more.txt"))+30), nil, ""},
		"zip: nothing in it":     {zipOf(t), ErrCorrupt, "no file"},
		"zip: our own mark":      {zipOf(t, good, entry{name: complete, text: ""}), ErrUnsafe, complete},
		"tar: up":                {tarOf(t, good, entry{name: "../evil.txt", text: "evil"}), ErrUnsafe, "../evil.txt"},
		"tar: absolute":          {tarOf(t, good, entry{name: "/tmp/evil.txt", text: "evil"}), ErrUnsafe, "outside"},
		"tar: link and through":  {tarOf(t, entry{name: "out", kind: tar.TypeSymlink, link: "/tmp"}, entry{name: "out/evil.txt", text: "evil"}), ErrUnsafe, "link or a device"},
		"tar: hard link":         {tarOf(t, good, entry{name: "hard", kind: tar.TypeLink, link: "/etc/passwd"}), ErrUnsafe, "link or a device"},
		"tar: device":            {tarOf(t, good, entry{name: "dev", kind: tar.TypeBlock}), ErrUnsafe, "link or a device"},
		"tar: pipe":              {tarOf(t, good, entry{name: "pipe", kind: tar.TypeFifo}), ErrUnsafe, "link or a device"},
		"tar: twice":             {tarOf(t, good, good), ErrUnsafe, "twice"},
		"tar: cut":               {tarOf(t, good, entry{name: "more", text: strings.Repeat("x", 2000)})[:1700], ErrCorrupt, ""},
		"tar.gz: bomb":           {gz(t, tarOf(t, good, entry{name: "bomb", text: zeros})), ErrUnsafe, "200 times"},
		"tar.gz: cut":            {gz(t, tarOf(t, good))[:60], ErrCorrupt, ""},
		"gzip of something else": {gz(t, []byte("no tar at all")), ErrCorrupt, ""},
		"rar":                    {[]byte("Rar!\x1a\x07\x00 and so on"), ErrUnsupported, "unrar x"},
		"7z":                     {[]byte("7z\xbc\xaf\x27\x1c and so on"), ErrUnsupported, "7z x"},
		"xz":                     {[]byte("\xfd7zXZ\x00 and so on"), ErrUnsupported, "tar xJf"},
		"a web page":             {[]byte("\n<!DOCTYPE html><html>log in</html>"), ErrCorrupt, "web page"},
		"something else":         {[]byte("something else"), ErrUnsupported, "begins with"},
		"nothing":                {nil, ErrCorrupt, "empty"},
	} {
		t.Run(name, func(t *testing.T) {
			path, folder, part := put(t, c.archive)
			err := Unpack(context.Background(), path, folder, part, nil)
			if err == nil || c.err != nil && !errors.Is(err, c.err) || !strings.Contains(err.Error(), c.says) {
				t.Errorf("error %v, want %v with %q", err, c.err, c.says)
			}
			if got := listing(t, filepath.Dir(path)); len(got) != 1 {
				t.Errorf("beside the archive lies %v", slices.Sorted(maps.Keys(got)))
			}
			if _, err := os.Stat("/tmp/evil.txt"); err == nil {
				t.Error("a file came to lie in /tmp")
			}
		})
	}
}

// turned has one bit of a file the other way round.
func turned(b []byte, at int) []byte {
	b = bytes.Clone(b)
	b[at] ^= 4
	return b
}

// TestInterrupted calls it off at every entry and goes on.
func TestInterrupted(t *testing.T) {
	entries := []entry{{name: "a/1", text: "first"}, {name: "a/2", text: "second"}, {name: "b/1", text: "third"}}
	want := map[string]string{"a/1": "first", "a/2": "second", "b/1": "third"}
	for after := range int64(16) {
		path, folder, part := put(t, zipOf(t, entries...))
		ctx, cancel := context.WithCancel(context.Background())
		err := Unpack(ctx, path, folder, part, func(done, _ int64) {
			if done >= after {
				cancel()
			}
		})
		cancel()
		if !errors.Is(err, context.Canceled) {
			t.Fatalf("after %d bytes: error %v, want that of the context", after, err)
		}
		if got := listing(t, folder); len(got) > 0 {
			t.Errorf("after %d bytes there is %v", after, got)
		}
		if err := Unpack(context.Background(), path, folder, part, nil); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, folder); !maps.Equal(got, want) {
			t.Errorf("after %d bytes and again: %v", after, got)
		}
	}
	t.Run("killed while parts are moved", func(t *testing.T) {
		path, folder, part := put(t, zipOf(t, entries...))
		for _, dir := range []string{filepath.Join(folder, "a"), filepath.Join(part, "b")} {
			if err := os.MkdirAll(dir, 0o755); err != nil {
				t.Fatal(err)
			}
		}
		for name, text := range map[string]string{"data/a/1": "first", "data/a/2": "second", "part/b/1": "third", "part/" + complete: ""} {
			if err := os.WriteFile(filepath.Join(filepath.Dir(path), name), []byte(text), 0o644); err != nil {
				t.Fatal(err)
			}
		}
		if err := Unpack(context.Background(), path, folder, part, nil); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, folder); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
	t.Run("killed while it unpacked", func(t *testing.T) {
		path, folder, part := put(t, zipOf(t, entries...))
		if err := os.MkdirAll(filepath.Join(part, "a"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(part, "a", "1"), []byte("fi"), 0o644); err != nil {
			t.Fatal(err)
		}
		if err := Unpack(context.Background(), path, folder, part, nil); err != nil {
			t.Fatal(err)
		}
		if got := listing(t, folder); !maps.Equal(got, want) {
			t.Errorf("%v, want %v", got, want)
		}
	})
}
