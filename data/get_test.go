package data

import (
	"archive/zip"
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"image"
	"image/png"
	"maps"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"samtune/configs"
	"samtune/internal/fetch"
	"samtune/internal/unpack"
)

// zipOf packs files, stored as they are.
func zipOf(t testing.TB, files map[string][]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := zip.NewWriter(&b)
	for _, name := range slices.Sorted(maps.Keys(files)) {
		content := files[name]
		f, err := w.CreateHeader(&zip.FileHeader{Name: name, Method: zip.Store})
		if err == nil {
			_, err = f.Write(content)
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

// small is a picture or a mask of 40 x 30 pixels that no other number has.
func small(t testing.TB, number int, mask bool) []byte {
	t.Helper()
	img := image.NewGray(image.Rect(0, 0, 40, 30))
	for i := range img.Pix {
		img.Pix[i] = uint8(i*7 + number*31)
		if mask {
			img.Pix[i] = uint8(i/(5+number)%2) * 255
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, img); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

// eyes are two archives of one data set: pictures and masks.
func eyes(t testing.TB) map[string][]byte {
	pictures, masks := map[string][]byte{}, map[string][]byte{}
	for i := range 4 {
		pictures[fmt.Sprintf("images/eye%d.png", i)] = small(t, i, false)
		masks[fmt.Sprintf("masks/eye%d.png", i)] = small(t, i, true)
	}
	return map[string][]byte{"/images.zip": zipOf(t, pictures), "/masks.zip": zipOf(t, masks)}
}

// eyesDeclaration has the archives of eyes as downloads from a server.
func eyesDeclaration(t testing.TB, server string, archives map[string][]byte, change func(text string) string) *Decl {
	t.Helper()
	sum, sum5 := sha256.Sum256(archives["/images.zip"]), md5.Sum(archives["/masks.zip"])
	text := fmt.Sprintf(`name = "my_eyes"
targets = ["vessels"]
engine = "pairs"
folders = ["eyes"]
licence = "CC0"
[[layout]]
name = "folders"
[layout.pool]
image = "images/{id}.png"
mask = "masks/{id}.png"
[[download]]
url = "%s/images.zip"
sha256 = "%x"
unpack = "eyes"
[[download]]
url = "%s/masks.zip"
md5 = "%x"
size = %d
unpack = "eyes"
`, server, sum, server, sum5, len(archives["/masks.zip"]))
	if change != nil {
		text = change(text)
	}
	d, err := ParseOwn(filepath.Join(t.TempDir(), "my_eyes.toml"), text)
	if err != nil {
		t.Fatal(err)
	}
	return d
}

// give answers as a sound server does, ranges and all.
func give(w http.ResponseWriter, r *http.Request, content []byte) {
	http.ServeContent(w, r, "", time.Unix(1, 0), bytes.NewReader(content))
}

func TestFetch(t *testing.T) {
	evil := zipOf(t, map[string][]byte{"images/eye0.png": small(t, 0, false), "../../evil.txt": []byte("evil")})
	for name, c := range map[string]struct {
		answer func(w http.ResponseWriter, r *http.Request, archives map[string][]byte, n int)
		change func(text string) string
		err    error // nil: it must come
		says   string
	}{
		"sound": {},
		"no checksum is known": {change: func(text string) string {
			var kept []string
			for _, l := range strings.Split(text, "\n") {
				if !strings.HasPrefix(l, "sha256") && !strings.HasPrefix(l, "md5") && !strings.HasPrefix(l, "size") {
					kept = append(kept, l)
				}
			}
			return strings.Join(kept, "\n")
		}},
		"the connection breaks": {answer: func(w http.ResponseWriter, r *http.Request, archives map[string][]byte, n int) {
			b := archives[r.URL.Path]
			if r.Method == http.MethodGet && n == 1 {
				w.Header().Set("Accept-Ranges", "bytes")
				w.Header().Set("Content-Length", strconv.Itoa(len(b)))
				w.Write(b[:len(b)/2])
				w.(http.Flusher).Flush()
				panic(http.ErrAbortHandler)
			}
			give(w, r, b)
		}},
		"another file": {answer: func(w http.ResponseWriter, r *http.Request, archives map[string][]byte, n int) {
			give(w, r, append([]byte("x"), archives[r.URL.Path]...))
		}, err: fetch.ErrWrong, says: "SHA-256"},
		"a lie about the length": {answer: func(w http.ResponseWriter, r *http.Request, archives map[string][]byte, n int) {
			if r.URL.Path == "/masks.zip" {
				w.Header().Set("Content-Length", strconv.Itoa(2*len(archives[r.URL.Path])))
				w.Write(archives[r.URL.Path])
				return
			}
			give(w, r, archives[r.URL.Path])
		}, err: fetch.ErrWrong, says: "says that the file has"},
		"a path that leads out": {answer: func(w http.ResponseWriter, r *http.Request, _ map[string][]byte, n int) { give(w, r, evil) },
			change: func(text string) string {
				return strings.Replace(text, fmt.Sprintf("%x", sha256.Sum256(eyes(t)["/images.zip"])), fmt.Sprintf("%x", sha256.Sum256(evil)), 1)
			}, err: unpack.ErrUnsafe, says: "evil.txt"},
		"a page in its place": {answer: func(w http.ResponseWriter, r *http.Request, archives map[string][]byte, n int) {
			give(w, r, []byte("<html>log in</html>"))
		}, change: func(text string) string {
			return strings.Replace(text, fmt.Sprintf("sha256 = \"%x\"", sha256.Sum256(eyes(t)["/images.zip"])), "", 1)
		}, err: unpack.ErrCorrupt, says: "web page"},
	} {
		t.Run(name, func(t *testing.T) {
			archives, gets := eyes(t), 0
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
				if r.Method == http.MethodGet {
					gets++
				}
				if c.answer == nil {
					give(w, r, archives[r.URL.Path])
					return
				}
				c.answer(w, r, archives, gets)
			}))
			defer server.Close()
			root := t.TempDir()
			d := eyesDeclaration(t, server.URL, archives, c.change)
			quick := fetch.Options{Attempts: 4, Pause: time.Millisecond}
			ignore := func(string, int64, int64) {}
			err := d.Fetch(context.Background(), root, quick, ignore)
			if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want %v with %q", err, c.err, c.says)
			}
			if _, failed := os.Stat(filepath.Join(root, "..", "evil.txt")); failed == nil {
				t.Error("a file came to lie outside the data folder")
			}
			_, opened := d.Open(Options{Root: root})
			if c.err != nil {
				if opened == nil {
					t.Error("the benchmark opens all the same")
				}
				return
			}
			b, opened := d.Open(Options{Root: root})
			if opened != nil || len(b.Pool) != 2 || len(b.Test) != 2 {
				t.Fatalf("opened: %v", opened)
			}
			if entries, _ := os.ReadDir(root); len(entries) != 1 {
				t.Errorf("%v is left beside the data", entries)
			}
		})
	}
}

// TestFetchGoesOn stops between two archives: the first is not loaded again.
func TestFetchGoesOn(t *testing.T) {
	archives, asked := eyes(t), map[string]int{}
	down := true
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			asked[r.URL.Path]++
		}
		if down && r.URL.Path == "/masks.zip" {
			http.Error(w, "gone", http.StatusNotFound)
			return
		}
		give(w, r, archives[r.URL.Path])
	}))
	defer server.Close()
	root, ignore := t.TempDir(), func(string, int64, int64) {}
	d := eyesDeclaration(t, "http://127.0.0.1:1", archives, nil)
	if err := d.Mirror(server.URL); !errors.Is(err, ErrInvalid) {
		t.Errorf("one address for two archives: %v", err)
	}
	if err := d.Mirror(server.URL + "/"); err != nil {
		t.Fatal(err)
	}
	quick := fetch.Options{Attempts: 2, Pause: time.Millisecond}
	if err := d.Fetch(context.Background(), root, quick, ignore); !errors.Is(err, fetch.ErrUnreachable) {
		t.Fatalf("error %v, want that the second archive is not there", err)
	}
	down = false
	if err := d.Fetch(context.Background(), root, quick, ignore); err != nil {
		t.Fatal(err)
	}
	if asked["/images.zip"] != 1 {
		t.Errorf("the first archive was asked for %d times", asked["/images.zip"])
	}
	if _, err := d.Open(Options{Root: root}); err != nil {
		t.Error(err)
	}
}

// TestDeclaredDownloads holds what is declared against the layouts: the folder that is unpacked into is one that is looked in.
func TestDeclaredDownloads(t *testing.T) {
	for _, name := range Names() {
		d, err := Declaration(name)
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range d.Downloads {
			if !strings.HasPrefix(a.URL, "https://") {
				t.Errorf("%s: %s is not https", name, a.URL)
			}
			if _, err := hex.DecodeString(a.SHA256 + a.MD5); err != nil {
				t.Errorf("%s: %v", name, err)
			}
		}
	}
	for text, want := range map[string]string{
		"url = \"ftp://x/y.zip\"":                       "http or https",
		"url = \"https://x/y.zip\"\nunpack = \"../up\"": "folder under the data folder",
		"url = \"https://x/y.zip\"\nsha256 = \"abc\"":   "64 digits",
		"url = \"https://x/y.zip\"\nsha265 = \"abc\"":   `did you mean "download.sha256"`,
		"url = \"https://x/\"":                          "",
		"url = \"https:///y.zip\"":                      "http or https",
		"unpack = \"x\"":                                "http or https",
		"url = \"https://x/y.zip\"\nsize = \"two\"":     "download.size",
	} {
		_, err := ParseOwn("x.toml", "name = \"x\"\nengine = \"pairs\"\ntargets = [\"t\"]\n[[layout]]\n[layout.pool]\nimage = \"{id}\"\nmask = \"{id}\"\n[[download]]\n"+text)
		if want != "" && (!errors.Is(err, configs.ErrConfig) || !strings.Contains(err.Error(), want)) {
			t.Errorf("%q: error %v, want one with %q", text, err, want)
		}
	}
}
