// Package unpack brings archives of data sets to disk: all of one or nothing, and nothing outside the folder that it is for.
package unpack

import (
	"archive/tar"
	"archive/zip"
	"bytes"
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/shirou/gopsutil/v4/disk"
)

// Errors that a caller branches on; match them with errors.Is.
var (
	// ErrUnsafe says that an archive holds what could harm: paths that lead elsewhere, links, devices, far more data than its size tells.
	ErrUnsafe = errors.New("unsafe archive")
	// ErrCorrupt says that an archive is damaged or incomplete.
	ErrCorrupt = errors.New("damaged archive")
	// ErrUnsupported says that an archive is of a kind that is not unpacked here.
	ErrUnsupported = errors.New("unsupported kind of archive")
	// ErrSpace says that the disk has no room for what an archive holds.
	ErrSpace = errors.New("disk full")
	// ErrExists says that what an archive holds is there already.
	ErrExists = errors.New("already there")
)

// Limits of what is unpacked.
const (
	MaxRatio   = 200     // bytes that come out for each byte of the archive
	MaxEntries = 2000000 // files and folders
	small      = 1 << 20 // bytes that any archive may hold
)

// complete marks a folder of parts that holds all of an archive.
const complete = ".complete"

// Unpack unpacks a zip, tar or tar.gz archive into a folder, which may be there and hold other things. The entries come to a
// folder beside it, named by part, first, and are moved when all of them are on disk; after a break the same call goes on. Told is
// called with how many bytes have come out, of how many in all, 0 where that is not known; it may be nil.
func Unpack(ctx context.Context, archive, folder, part string, told func(done, total int64)) error {
	if _, err := os.Stat(filepath.Join(part, complete)); err != nil {
		if err := os.RemoveAll(part); err != nil {
			return fmt.Errorf("unpack %q: %w", archive, err)
		}
		if err := os.MkdirAll(part, 0o755); err != nil {
			return fmt.Errorf("unpack %q: %w", archive, err)
		}
		if err := intoPart(ctx, archive, part, told); err != nil {
			os.RemoveAll(part)
			return fmt.Errorf("unpack %q: %w", archive, err)
		}
	}
	if err := move(part, folder); err != nil {
		return fmt.Errorf("unpack %q: %w", archive, err)
	}
	return nil
}

// intoPart unpacks all into an empty folder and marks it.
func intoPart(ctx context.Context, archive, part string, told func(done, total int64)) error {
	root, err := os.OpenRoot(part)
	if err != nil {
		return err
	}
	defer root.Close()
	f, err := os.Open(archive)
	if err != nil {
		return err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		return err
	}
	w := &writer{ctx: ctx, root: root, seen: map[string]bool{}, most: max(small, MaxRatio*info.Size()), told: told, free: 1 << 62}
	if usage, err := disk.Usage(part); err == nil {
		w.free = int64(min(usage.Free, 1<<62))
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(f, head)
	if err != nil && !errors.Is(err, io.ErrUnexpectedEOF) {
		return fmt.Errorf("%w: it is empty", ErrCorrupt)
	}
	if _, err := f.Seek(0, io.SeekStart); err != nil {
		return err
	}
	switch head = head[:n]; {
	case bytes.HasPrefix(head, []byte("PK\x03\x04")), bytes.HasPrefix(head, []byte("PK\x05\x06")):
		err = w.zip(f, info.Size())
	case isTar(head):
		err = w.tar(f)
	case bytes.HasPrefix(head, []byte("\x1f\x8b")):
		err = w.tarGz(f)
	default:
		return unsupported(archive, head)
	}
	if err != nil {
		return err
	}
	if len(w.seen) == 0 {
		return fmt.Errorf("%w: it holds no file", ErrCorrupt)
	}
	for _, d := range w.folders {
		if err := sync(root, d); err != nil {
			return err
		}
	}
	if err := w.file(complete, 0, strings.NewReader("")); err != nil {
		return err
	}
	return sync(root, ".")
}

// unsupported names the command for archives of other programs.
func unsupported(archive string, head []byte) error {
	for _, k := range []struct{ magic, name, command string }{
		{"Rar!", "RAR", "unrar x"}, {"7z\xbc\xaf", "7-Zip", "7z x"}, {"\xfd7zXZ", "xz", "tar xJf"}, {"BZh", "bzip2", "tar xjf"}, {"\x28\xb5\x2f\xfd", "zstd", "tar --zstd -xf"},
	} {
		if bytes.HasPrefix(head, []byte(k.magic)) {
			return fmt.Errorf("%w: %s: unpack it with: %s %q", ErrUnsupported, k.name, k.command, archive)
		}
	}
	if bytes.HasPrefix(bytes.ToLower(bytes.TrimSpace(head)), []byte("<")) {
		return fmt.Errorf("%w: it is a web page: the address does not give the archive itself", ErrCorrupt)
	}
	return fmt.Errorf("%w: it begins with % x: want zip, tar or tar.gz", ErrUnsupported, head[:min(len(head), 8)])
}

func isTar(head []byte) bool { return len(head) >= 262 && bytes.HasPrefix(head[257:], []byte("ustar")) }

// writer puts an archive's entries under a folder that nothing leads out of.
type writer struct {
	ctx     context.Context
	root    *os.Root
	seen    map[string]bool // files
	folders []string
	entries int
	written int64
	most    int64 // bytes in all that the archive may hold
	free    int64 // bytes that the disk holds
	total   int64 // 0 where it is not known before all is unpacked
	told    func(done, total int64)
}

func (w *writer) zip(f io.ReaderAt, size int64) error {
	z, err := zip.NewReader(f, size)
	if err != nil && !errors.Is(err, zip.ErrInsecurePath) {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	var total uint64
	for _, e := range z.File { // before a byte of it is unpacked
		if total += e.UncompressedSize64; total > 1<<62 || e.UncompressedSize64 > 1<<62 {
			return w.enough(1 << 62)
		}
	}
	if err := w.enough(int64(total)); err != nil {
		return err
	}
	w.total = int64(total)
	for _, e := range z.File {
		if e.Flags&1 != 0 {
			return fmt.Errorf("%w: %q is encrypted: unpack it with its password: unzip", ErrUnsupported, e.Name)
		}
		mode := e.Mode()
		if strings.HasSuffix(e.Name, "/") {
			mode |= fs.ModeDir
		}
		err := w.entry(e.Name, mode, int64(e.UncompressedSize64), func() (io.ReadCloser, error) {
			r, err := e.Open()
			if errors.Is(err, zip.ErrAlgorithm) {
				return nil, fmt.Errorf("%w: %q is packed by method %d: unpack it with: 7z x", ErrUnsupported, e.Name, e.Method)
			}
			return r, err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (w *writer) tarGz(f io.Reader) error {
	z, err := gzip.NewReader(f)
	if err != nil {
		return fmt.Errorf("%w: %w", ErrCorrupt, err)
	}
	return w.tar(z)
}

func (w *writer) tar(f io.Reader) error {
	t := tar.NewReader(f)
	for {
		e, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil && !errors.Is(err, tar.ErrInsecurePath) {
			return fmt.Errorf("%w: %w", ErrCorrupt, err)
		}
		mode := e.FileInfo().Mode()
		switch e.Typeflag {
		case tar.TypeXGlobalHeader:
			continue
		case tar.TypeLink: // its mode is that of a file
			mode |= fs.ModeSymlink
		}
		if err := w.enough(w.written + e.Size); err != nil {
			return err
		}
		if err := w.entry(e.Name, mode, e.Size, func() (io.ReadCloser, error) { return io.NopCloser(t), nil }); err != nil {
			return err
		}
	}
}

// enough refuses more bytes than the archive's own size tells, or than the disk holds.
func (w *writer) enough(bytes int64) error {
	switch {
	case bytes > w.most || bytes < 0:
		return fmt.Errorf("%w: it holds %d MiB or more, over %d times its own size", ErrUnsafe, bytes>>20, MaxRatio)
	case bytes > w.free:
		return fmt.Errorf("%w: it holds %d MiB and %d MiB are free", ErrSpace, bytes>>20, w.free>>20)
	}
	return nil
}

// entry unpacks one entry.
func (w *writer) entry(name string, mode fs.FileMode, size int64, open func() (io.ReadCloser, error)) error {
	if err := w.ctx.Err(); err != nil {
		return err
	}
	if w.entries++; w.entries > MaxEntries {
		return fmt.Errorf("%w: it holds more than %d files", ErrUnsafe, MaxEntries)
	}
	if err := safeName(name); err != nil {
		return err
	}
	path := filepath.Clean(filepath.FromSlash(name))
	switch {
	case mode.IsDir():
		return w.folder(path)
	case !mode.IsRegular():
		return fmt.Errorf("%w: %q is a link or a device (%s): only files and folders are unpacked", ErrUnsafe, name, mode)
	case w.seen[path]:
		return fmt.Errorf("%w: it holds %q twice", ErrUnsafe, name)
	case path == complete:
		return fmt.Errorf("%w: it holds a file %q", ErrUnsafe, name)
	}
	w.seen[path] = true
	if err := w.folder(filepath.Dir(path)); err != nil {
		return err
	}
	r, err := open()
	if err == nil {
		err = w.file(path, size, r)
		r.Close()
	}
	switch {
	case err == nil, errors.Is(err, ErrUnsafe), errors.Is(err, ErrUnsupported), errors.Is(err, ErrCorrupt), errors.Is(err, w.ctx.Err()) && w.ctx.Err() != nil:
		return err
	case errors.Is(err, fs.ErrExist), errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("write %q: %w", name, err)
	}
	return fmt.Errorf("%w: %q: %w: remove it and download it again", ErrCorrupt, name, err)
}

// safeName refuses names that mean another place on some system.
func safeName(name string) error {
	switch {
	case strings.ContainsRune(name, 0), strings.Contains(name, `\`), len(name) > 1 && name[1] == ':', !filepath.IsLocal(filepath.FromSlash(name)):
		return fmt.Errorf("%w: it holds %q, which would lie outside the folder", ErrUnsafe, name)
	}
	return nil
}

// folder makes a folder and those above it.
func (w *writer) folder(path string) error {
	if path == "." {
		return nil
	}
	if _, err := w.root.Stat(path); err == nil {
		return nil
	}
	if err := w.folder(filepath.Dir(path)); err != nil {
		return err
	}
	w.folders = append(w.folders, path)
	return w.root.Mkdir(path, 0o755)
}

// file writes a file of exactly size bytes to disk.
func (w *writer) file(path string, size int64, r io.Reader) error {
	f, err := w.root.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o644)
	if err != nil {
		return err
	}
	defer f.Close()
	n, err := io.Copy(f, io.LimitReader(&counted{r, w}, size+1))
	switch {
	case err != nil:
		return err
	case n > size:
		return fmt.Errorf("%w: %q has more than the %d bytes that the archive says", ErrUnsafe, path, size)
	case n < size:
		return fmt.Errorf("%w: %q has %d of the %d bytes that the archive says", ErrCorrupt, path, n, size)
	}
	if err := f.Sync(); err != nil {
		return err
	}
	return f.Close()
}

// counted counts the bytes of an entry and stops when the work is called off.
type counted struct {
	io.Reader
	w *writer
}

func (c *counted) Read(p []byte) (int, error) {
	if err := c.w.ctx.Err(); err != nil {
		return 0, err
	}
	n, err := c.Reader.Read(p)
	c.w.written += int64(n)
	if c.w.told != nil {
		c.w.told(c.w.written, c.w.total)
	}
	return n, err
}

func sync(root *os.Root, path string) error {
	d, err := root.Open(path)
	if err != nil {
		return err
	}
	defer d.Close()
	return d.Sync()
}

// move puts what was unpacked into its folder. What is there already stays as it is, and then nothing is moved.
func move(part, folder string) error {
	entries, err := os.ReadDir(part)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, e := range entries {
		to := filepath.Join(folder, e.Name())
		if _, err := os.Lstat(to); err == nil && e.Name() != complete {
			return fmt.Errorf("%q: %w: remove it, or unpack elsewhere", to, ErrExists)
		}
	}
	for _, e := range entries {
		if e.Name() == complete {
			continue
		}
		if err := os.Rename(filepath.Join(part, e.Name()), filepath.Join(folder, e.Name())); err != nil {
			return err
		}
	}
	d, err := os.Open(folder)
	if err != nil {
		return err
	}
	defer d.Close()
	if err := d.Sync(); err != nil {
		return err
	}
	return os.RemoveAll(part)
}
