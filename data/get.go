package data

import (
	"context"
	"errors"
	"fmt"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"samtune/internal/fetch"
	"samtune/internal/unpack"
)

// Download is an archive that a benchmark's publisher gives to everybody.
type Download struct {
	URL    string `toml:"url"`
	Size   int64  `toml:"size"`   // bytes; 0: not known
	SHA256 string `toml:"sha256"` // that the publisher gives; or
	MD5    string `toml:"md5"`    // that
	Unpack string `toml:"unpack"` // folder under the data folder; missing: the data folder
}

func (a Download) check() error {
	u, err := url.Parse(a.URL)
	switch {
	case err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || a.name() == "":
		return fmt.Errorf("download.url is %q, want the http or https address of an archive", a.URL)
	case a.SHA256 != "" && len(a.SHA256) != 64, a.MD5 != "" && len(a.MD5) != 32:
		return fmt.Errorf("download: a SHA-256 has 64 digits, an MD5 32")
	case a.Unpack != "" && !filepath.IsLocal(filepath.FromSlash(a.Unpack)):
		return fmt.Errorf("download.unpack is %q, want a folder under the data folder", a.Unpack)
	}
	return nil
}

// name is what the archive is called.
func (a Download) name() string {
	u, err := url.Parse(a.URL)
	if err != nil {
		return ""
	}
	return strings.Trim(path.Base(u.Path), "./")
}

// Verified says whether the publisher gives a checksum.
func (a Download) Verified() bool { return a.source().Known() }

func (a Download) source() fetch.Source {
	return fetch.Source{URL: a.URL, Size: a.Size, SHA256: a.SHA256, MD5: a.MD5}
}

// Mirror has the archives come from elsewhere: from an address, or under one that ends in / by their names.
func (d *Decl) Mirror(address string) error {
	if !strings.HasSuffix(address, "/") && len(d.Downloads) != 1 {
		return fmt.Errorf("%w: %s has %d archives: name the folder that holds them, with a / at its end", ErrInvalid, d.Title, len(d.Downloads))
	}
	for i := range d.Downloads {
		a := &d.Downloads[i]
		if strings.HasSuffix(address, "/") {
			a.URL = address + a.name()
		} else {
			a.URL = address
		}
		if err := a.check(); err != nil {
			return fmt.Errorf("%w: mirror: %w", ErrInvalid, err)
		}
	}
	return nil
}

// downloads is the folder, under the data folder, of what is not unpacked yet.
const downloads = ".downloads"

// Fetch downloads a benchmark's archives and unpacks them under root. What was broken off goes on from where it was; no archive is
// unpacked by half. Progress is told what is done with which archive, in bytes; total is 0 where it is not known. The error wraps
// those of the packages fetch and unpack, or ErrNotFound where nothing can be downloaded.
func (d *Decl) Fetch(ctx context.Context, root string, opt fetch.Options, progress func(what string, done, total int64)) error {
	if len(d.Downloads) == 0 {
		return fmt.Errorf("%w: %s can't be downloaded without its publisher's consent", ErrNotFound, d.Title)
	}
	dir := filepath.Join(root, downloads, d.Name)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("get %s: %w", d.Title, err)
	}
	for _, a := range d.Downloads {
		if err := a.get(ctx, root, dir, opt, progress); err != nil {
			return fmt.Errorf("get %s: %w", d.Title, err)
		}
	}
	if err := os.RemoveAll(dir); err != nil {
		return fmt.Errorf("get %s: %w", d.Title, err)
	}
	_ = os.Remove(filepath.Dir(dir)) // where nothing else is under way
	return nil
}

// get brings one archive; a file beside it says that it is unpacked.
func (a Download) get(ctx context.Context, root, dir string, opt fetch.Options, progress func(what string, done, total int64)) error {
	archive := filepath.Join(dir, a.name())
	done := archive + ".done"
	if _, err := os.Stat(done); err == nil {
		return nil
	}
	opt.Progress = func(done, total int64) { progress("download "+a.name(), done, total) }
	if _, err := fetch.Get(ctx, archive, a.source(), opt); err != nil {
		return err
	}
	err := unpack.Unpack(ctx, archive, filepath.Join(root, filepath.FromSlash(a.Unpack)), archive+".unpacking",
		func(done, total int64) { progress("unpack "+a.name(), done, total) })
	if errors.Is(err, unpack.ErrCorrupt) || errors.Is(err, unpack.ErrUnsafe) {
		os.Remove(archive) // else the next call would take it again
	}
	if err != nil {
		return err
	}
	if err := renameio.WriteFile(done, nil, 0o644); err != nil {
		return err
	}
	return os.Remove(archive)
}
