package machine

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/shirou/gopsutil/v4/disk"
)

// Disk is what a folder lies on.
type Disk struct {
	Folder string `json:"folder"` // that exists: the one that was asked for, or the first above it
	Total  int64  `json:"total_bytes"`
	Free   int64  `json:"free_bytes"` // for this user
	Files  int64  `json:"free_files"` // that can still be made; -1 where the file system has no bound
}

// ReadDisk asks for the disk of a folder, which need not exist yet.
func ReadDisk(folder string) (Disk, error) {
	folder, err := existing(folder)
	if err != nil {
		return Disk{Folder: folder}, err
	}
	usage, err := disk.Usage(folder)
	if err != nil {
		return Disk{Folder: folder}, fmt.Errorf("read the free space of %q: %w", folder, err)
	}
	d := Disk{Folder: folder, Total: bytes(usage.Total), Free: bytes(usage.Free), Files: -1}
	if usage.InodesTotal > 0 {
		d.Files = bytes(usage.InodesFree)
	}
	return d, nil
}

// Writable tries whether a file can be made in a folder, or the folder itself where it does not exist yet.
func Writable(folder string) error {
	folder, err := existing(folder)
	if err != nil {
		return err
	}
	f, err := os.CreateTemp(folder, ".samtune-")
	if err != nil {
		return fmt.Errorf("write in %q: %w", folder, err)
	}
	_, failed := f.Write(make([]byte, 4096)) // a full disk takes an empty file
	return errors.Join(failed, f.Close(), os.Remove(f.Name()))
}

// existing is a folder, or the first above it that exists. Something else in its place is an error.
func existing(folder string) (string, error) {
	folder, err := filepath.Abs(folder)
	if err != nil {
		return folder, err
	}
	for ; ; folder = filepath.Dir(folder) {
		info, err := os.Stat(folder)
		switch {
		case err == nil && !info.IsDir():
			return folder, fmt.Errorf("%q is no folder", folder)
		case err == nil:
			return folder, nil
		case !errors.Is(err, fs.ErrNotExist) || folder == filepath.Dir(folder):
			return folder, err
		}
	}
}
