// Package fetch downloads large files, of weights and of data sets: what was begun is gone on with, and nothing takes its place that is not
// what was wanted.
package fetch

import (
	"context"
	"crypto/md5"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"github.com/cavaliergopher/grab/v3"
	"github.com/shirou/gopsutil/v4/disk"
)

// Errors that a caller branches on; match them with errors.Is.
var (
	// ErrWrong says that what a server gave, or what lies in the place, is not the file that was wanted.
	ErrWrong = errors.New("wrong file")
	// ErrUnreachable says that a server did not give the file.
	ErrUnreachable = errors.New("download failed")
	// ErrSpace says that the disk has no room for the file.
	ErrSpace = errors.New("disk full")
)

// Source says where a file is and how it is known.
type Source struct {
	URL    string
	Size   int64  // bytes; 0: not known
	SHA256 string // in hex; empty: see MD5
	MD5    string // in hex; empty where there is a SHA-256, or where the publisher gives no checksum
}

// Options say how patient a download is; zero values are the usual ones.
type Options struct {
	Attempts int                     // in a row without progress; 0: 5
	Pause    time.Duration           // after the first failure, doubled with each further one; 0: 1 s
	Progress func(done, total int64) // bytes; total is 0 where the server does not say; nil: none
}

// Known says whether the publisher gives a checksum; without one only the length of the file is held against what is known.
func (s Source) Known() bool { return s.SHA256 != "" || s.MD5 != "" }

// sum is the checksum that a source is known by; h is nil where there is none.
func (s Source) sum() (name string, h hash.Hash, want []byte, err error) {
	if !s.Known() {
		return "", nil, nil, nil
	}
	name, h = "SHA-256", sha256.New()
	text := s.SHA256
	if text == "" {
		name, h, text = "MD5", md5.New(), s.MD5
	}
	if want, err = hex.DecodeString(text); err == nil && len(want) != h.Size() {
		err = fmt.Errorf("%s has %d digits, want %d", name, len(text), 2*h.Size())
	}
	if err != nil {
		return "", nil, nil, fmt.Errorf("checksum %q: %w", text, err)
	}
	return name, h, want, nil
}

// Verify compares a file with what its source says; the error wraps ErrWrong.
func (s Source) Verify(path string) error {
	name, h, want, err := s.sum()
	if err != nil {
		return err
	}
	f, err := os.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	to := io.Discard
	if h != nil {
		to = h
	}
	n, err := io.Copy(to, f)
	if err != nil {
		return fmt.Errorf("read %q: %w", path, err)
	}
	if s.Size > 0 && n != s.Size {
		return fmt.Errorf("%w: %q has %d bytes, want %d", ErrWrong, path, n, s.Size)
	}
	if h == nil {
		return nil
	}
	if got := h.Sum(nil); hex.EncodeToString(got) != hex.EncodeToString(want) {
		return fmt.Errorf("%w: %q has %s %x, want %x", ErrWrong, path, name, got, want)
	}
	return nil
}

// Get brings a source's file to path, unless it is there already. Until all of it is there and its checksum is right it
// is called path.part; a download that was broken off, also by a kill, goes on from there. What has the wrong checksum is
// thrown away, and once loaded anew where part of it was from an earlier attempt, as the server may have changed it. The error wraps
// ErrWrong, ErrUnreachable, ErrSpace or the context's.
func Get(ctx context.Context, path string, s Source, opt Options) (there bool, err error) {
	if _, err := os.Stat(path); err == nil {
		if err := s.Verify(path); err != nil {
			return false, fmt.Errorf("%w: remove it and try again", err)
		}
		return true, nil
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
		return false, fmt.Errorf("make folder: %w", err)
	}
	part := path + ".part"
	if err := room(part, s.Size); err != nil {
		return false, err
	}
	if opt.Attempts == 0 {
		opt.Attempts = 5
	}
	if opt.Pause == 0 {
		opt.Pause = time.Second
	}
	begun := size(part)
	failures, renewed := 0, false
	for {
		before := size(part)
		err := load(ctx, part, s, opt.Progress)
		switch {
		case err == nil:
			if err := os.Rename(part, path); err != nil {
				return false, fmt.Errorf("put the file in its place: %w", err)
			}
			return false, nil
		case ctx.Err() != nil:
			return false, ctx.Err()
		case errors.Is(err, ErrWrong) && (begun > 0 || failures > 0) && !renewed:
			renewed = true // some of it came from an earlier attempt
			continue
		case errors.Is(err, errTransient):
			if failures++; size(part) > before {
				failures = 1
			}
			if failures < opt.Attempts {
				pause := time.NewTimer(opt.Pause << (failures - 1))
				select {
				case <-ctx.Done():
					pause.Stop()
					return false, ctx.Err()
				case <-pause.C:
				}
				continue
			}
			return false, fmt.Errorf("%w after %d attempts: %w: what is there, %d bytes, is kept, and the same command goes on from it",
				ErrUnreachable, failures, err, size(part))
		}
		return false, err
	}
}

// errTransient marks what another attempt may mend.
var errTransient = errors.New("connection")

// load makes one attempt.
func load(ctx context.Context, part string, s Source, progress func(done, total int64)) error {
	name, h, want, err := s.sum()
	if err != nil {
		return err
	}
	req, err := grab.NewRequest(part, s.URL)
	if err != nil {
		return fmt.Errorf("%w: %q: %w", ErrUnreachable, s.URL, err)
	}
	req = req.WithContext(ctx)
	req.Size = s.Size
	if h != nil {
		req.SetChecksum(h, want, true)
	}
	transport := http.DefaultTransport.(*http.Transport).Clone()
	transport.ResponseHeaderTimeout = time.Minute
	defer transport.CloseIdleConnections()
	client := grab.NewClient()
	client.HTTPClient = &http.Client{Transport: transport}
	client.UserAgent = "samtune"
	resp := client.Do(req)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for running := true; running; {
		select {
		case <-tick.C:
		case <-resp.Done:
			running = false
		}
		if progress != nil {
			progress(resp.BytesComplete(), max(resp.Size(), 0))
		}
	}
	err = resp.Err()
	var status grab.StatusCodeError
	switch {
	case err == nil:
		return nil
	case errors.Is(err, grab.ErrBadChecksum):
		return fmt.Errorf("%w: what %q gave has another %s than %x and was thrown away: the server's file has changed, or something on the way changed it",
			ErrWrong, s.URL, name, want)
	case errors.Is(err, grab.ErrBadLength):
		there := size(part)
		if there > s.Size && s.Size > 0 { // more than there can be
			os.Remove(part)
			return fmt.Errorf("%w: %d bytes, want %d", ErrWrong, there, s.Size)
		}
		return fmt.Errorf("%w: %q says that the file has %d bytes, want %d", ErrWrong, s.URL, resp.Size(), s.Size)
	case errors.As(err, &status) && int(status) == http.StatusRequestedRangeNotSatisfiable:
		os.Remove(part) // longer than what the server has now
		return fmt.Errorf("%w: %w", errTransient, err)
	case errors.As(err, &status) && int(status) < 500 && int(status) != http.StatusTooManyRequests && int(status) != http.StatusRequestTimeout:
		return fmt.Errorf("%w: %q: the server answers %d %s", ErrUnreachable, s.URL, int(status), http.StatusText(int(status)))
	case errors.Is(err, syscall.ENOSPC):
		return fmt.Errorf("%w: %w: make room, and the same command goes on from the %d bytes that are there", ErrSpace, err, size(part))
	}
	return fmt.Errorf("%w: %w", errTransient, err)
}

// room is an error where the disk does not hold what is missing of the file.
func room(part string, want int64) error {
	usage, err := disk.Usage(filepath.Dir(part))
	if err != nil || want == 0 {
		return nil // a system that does not say, or a file that nobody knows the size of
	}
	if missing := want - size(part); missing > 0 && uint64(missing) > usage.Free {
		return fmt.Errorf("%w: %d MiB are missing of the file and %d MiB are free in %q: make room, or name another folder",
			ErrSpace, missing>>20, usage.Free>>20, filepath.Dir(part))
	}
	return nil
}

func size(path string) int64 {
	stat, err := os.Stat(path)
	if err != nil {
		return 0
	}
	return stat.Size()
}
