package fetch

import (
	"bytes"
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// content is a file of weights, as far as a server is concerned.
func content(seed uint64, n int) []byte {
	r := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(r.UintN(256))
	}
	return b
}

// server counts the bytes that it gave and does with a GET what answer says, the n-th time from 1.
type server struct {
	*httptest.Server
	gets  int
	given int
}

func serve(t *testing.T, answer func(s *server, w http.ResponseWriter, r *http.Request, n int)) *server {
	t.Helper()
	s := &server{}
	s.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodGet {
			s.gets++
		}
		answer(s, w, r, s.gets)
	}))
	t.Cleanup(s.Close)
	return s
}

// give answers as a sound server does, ranges and all.
func (s *server) give(w http.ResponseWriter, r *http.Request, b []byte) {
	counted := &counter{ResponseWriter: w}
	http.ServeContent(counted, r, "weights.pth", time.Unix(1, 0), bytes.NewReader(b))
	s.given += counted.n
}

type counter struct {
	http.ResponseWriter
	n int
}

func (c *counter) Write(b []byte) (int, error) { c.n += len(b); return c.ResponseWriter.Write(b) }

// breakOff gives some bytes of the rest that is asked for and then cuts the connection.
func (s *server) breakOff(w http.ResponseWriter, r *http.Request, b []byte, after int) {
	from := 0
	if text, ok := strings.CutPrefix(r.Header.Get("Range"), "bytes="); ok {
		from, _ = strconv.Atoi(strings.TrimSuffix(text, "-"))
		w.Header().Set("Content-Range", fmt.Sprintf("bytes %d-%d/%d", from, len(b)-1, len(b)))
	}
	w.Header().Set("Accept-Ranges", "bytes")
	w.Header().Set("Content-Length", strconv.Itoa(len(b)-from))
	if from > 0 {
		w.WriteHeader(http.StatusPartialContent)
	}
	w.Write(b[from:min(from+after, len(b))])
	w.(http.Flusher).Flush()
	s.given += after
	panic(http.ErrAbortHandler)
}

func sourceOf(url string, b []byte) Source {
	sum := sha256.Sum256(b)
	return Source{URL: url + "/weights.pth", Size: int64(len(b)), SHA256: hex.EncodeToString(sum[:])}
}

var quick = Options{Attempts: 4, Pause: time.Millisecond}

const large = 1 << 20

func TestGet(t *testing.T) {
	want, other := content(1, large), content(2, large)
	for name, c := range map[string]struct {
		answer func(s *server, w http.ResponseWriter, r *http.Request, n int)
		part   []byte // there from an earlier call
		err    error  // nil: the file must come
		text   string // in the error
		most   int    // bytes that the server may have given; 0: any
	}{
		"sound": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) { s.give(w, r, want) }, most: large},
		"goes on where it was": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) { s.give(w, r, want) },
			part: want[:large/2], most: large / 2},
		"breaks off three times": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) {
			if r.Method == http.MethodGet && n <= 3 {
				s.breakOff(w, r, want, large/4)
			}
			s.give(w, r, want)
		}, most: large},
		"breaks off for ever": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) {
			if r.Method == http.MethodGet {
				s.breakOff(w, r, want, 0)
			}
			s.give(w, r, want)
		}, err: ErrUnreachable, text: "attempts"},
		"knows no ranges": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Content-Length", strconv.Itoa(large))
			if r.Method == http.MethodGet {
				w.Write(want)
			}
		}, part: want[:large/2]},
		"says too much": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Content-Length", strconv.Itoa(2*large))
			if r.Method == http.MethodGet {
				w.Write(want)
			}
		}, err: ErrWrong, text: fmt.Sprint(2 * large)},
		"says too little": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) {
			w.Header().Set("Content-Length", strconv.Itoa(large/2))
			if r.Method == http.MethodGet {
				w.Write(want[:large/2])
			}
		}, err: ErrWrong, text: fmt.Sprint(large / 2)},
		"another file": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) { s.give(w, r, other) }, err: ErrWrong, text: "SHA-256"},
		"the file has changed since": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) { s.give(w, r, want) },
			part: other[:large/2], most: 3 * large / 2},
		"more is there than there can be": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) { s.give(w, r, want) },
			part: append(bytes.Clone(want), 1, 2, 3)},
		"not there": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) { http.NotFound(w, r) }, err: ErrUnreachable, text: "404"},
		"busy at first": {answer: func(s *server, w http.ResponseWriter, r *http.Request, n int) {
			if r.Method == http.MethodGet && n == 1 {
				http.Error(w, "later", http.StatusServiceUnavailable)
				return
			}
			s.give(w, r, want)
		}},
	} {
		t.Run(name, func(t *testing.T) {
			s := serve(t, c.answer)
			path := filepath.Join(t.TempDir(), "folder", "weights.pth")
			if c.part != nil {
				if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
					t.Fatal(err)
				}
				if err := os.WriteFile(path+".part", c.part, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			var last int64
			opt := quick
			opt.Progress = func(done, total int64) { last = done }
			there, err := Get(context.Background(), path, sourceOf(s.URL, want), opt)
			if !errors.Is(err, c.err) || err != nil && !strings.Contains(err.Error(), c.text) {
				t.Fatalf("error %v, want %v with %q", err, c.err, c.text)
			}
			got, readErr := os.ReadFile(path)
			if c.err != nil {
				if readErr == nil {
					t.Error("a file lies under the final name")
				}
				return
			}
			if readErr != nil || !bytes.Equal(got, want) || there || last != large {
				t.Errorf("%d bytes, progress %d, %v", len(got), last, readErr)
			}
			if _, err := os.Stat(path + ".part"); err == nil {
				t.Error("a part is left")
			}
			if c.most > 0 && s.given > c.most {
				t.Errorf("the server gave %d bytes, want %d at most", s.given, c.most)
			}
			gets := s.gets
			if there, err := Get(context.Background(), path, sourceOf(s.URL, want), quick); !there || err != nil || s.gets != gets {
				t.Errorf("once more: there %v, %v, %d more requests", there, err, s.gets-gets)
			}
		})
	}
}

// TestGetInterrupted: what was loaded stays, and the next call goes on from it.
func TestGetInterrupted(t *testing.T) {
	want := content(3, large)
	ctx, cancel := context.WithCancel(context.Background())
	first := true
	s := serve(t, func(s *server, w http.ResponseWriter, r *http.Request, n int) {
		if r.Method == http.MethodGet && first {
			first = false
			w.Header().Set("Content-Length", strconv.Itoa(large))
			w.Header().Set("Accept-Ranges", "bytes")
			w.Write(want[:large/2])
			w.(http.Flusher).Flush()
			time.Sleep(50 * time.Millisecond) // until it has arrived
			cancel()
			<-r.Context().Done()
			return
		}
		s.give(w, r, want)
	})
	path := filepath.Join(t.TempDir(), "weights.pth")
	if _, err := Get(ctx, path, sourceOf(s.URL, want), quick); !errors.Is(err, context.Canceled) {
		t.Fatalf("error %v, want that of the context", err)
	}
	kept := size(path + ".part")
	if kept == 0 {
		t.Fatal("nothing was kept")
	}
	if _, err := Get(context.Background(), path, sourceOf(s.URL, want), quick); err != nil {
		t.Fatal(err)
	}
	if s.given > large-int(kept) {
		t.Errorf("the server gave %d bytes after %d of %d were there", s.given, kept, large)
	}
}

func TestVerify(t *testing.T) {
	b := content(4, 1000)
	path := filepath.Join(t.TempDir(), "weights.pth")
	if err := os.WriteFile(path, b, 0o644); err != nil {
		t.Fatal(err)
	}
	sum := md5.Sum(b)
	if err := (Source{MD5: hex.EncodeToString(sum[:])}).Verify(path); err != nil {
		t.Errorf("by MD5: %v", err)
	}
	s := sourceOf("", b)
	s.Size = 999
	if err := s.Verify(path); !errors.Is(err, ErrWrong) {
		t.Errorf("another length: %v", err)
	}
	if err := sourceOf("", content(5, 1000)).Verify(path); !errors.Is(err, ErrWrong) {
		t.Errorf("another content: %v", err)
	}
	if _, err := Get(context.Background(), path, sourceOf("http://127.0.0.1:1", content(5, 1000)), quick); !errors.Is(err, ErrWrong) || !strings.Contains(err.Error(), "remove it") {
		t.Errorf("another file in the place: %v", err)
	}
	if _, err := Get(context.Background(), path+"2", sourceOf("http://127.0.0.1:1", b), quick); !errors.Is(err, ErrUnreachable) {
		t.Errorf("no server: %v", err)
	}
	if _, err := Get(context.Background(), path+"3", Source{URL: "http://127.0.0.1:1", Size: 1 << 60, SHA256: s.SHA256}, quick); !errors.Is(err, ErrSpace) {
		t.Errorf("a file of 2^60 bytes: %v", err)
	}
}
