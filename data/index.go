package data

import (
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"samtune/internal/featurecache"
)

// indexRule is the version of how pixels are counted. It changes when a volume that is the same gets other counts.
const indexRule = 1

// counts returns for each target how many of its pixels are in each slice. To know them all labels must be read, so they
// are kept in a file of the folder index; without a folder they are counted anew. Labels that changed have another file.
func (v *volume) counts(index string) (map[string][]int, error) {
	path := ""
	if index != "" {
		key, err := v.key()
		if err != nil {
			return nil, err
		}
		path = filepath.Join(index, key+".json")
		if kept, err := featurecache.ReadSlices(path); err == nil && len(kept) == len(v.masks) {
			return kept, nil
		}
	}
	counts, err := v.count()
	if err != nil || path == "" {
		return counts, err
	}
	if err := featurecache.WriteSlices(path, v.decl.Name, counts); err != nil {
		return nil, fmt.Errorf("keep the slices of %q: %w", v.fileCase.image, err)
	}
	return counts, nil
}

// key tells the volume's files, as they are now, and what is counted in them.
func (v *volume) key() (string, error) {
	h := sha256.New()
	fmt.Fprintln(h, indexRule, v.decl.Slices.Axis)
	paths := []string{v.fileCase.image}
	for _, target := range v.targets() {
		fmt.Fprintf(h, "%q %+v %q\n", target, v.decl.Rules[target], v.masks[target])
		paths = append(paths, v.masks[target]...)
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		if strings.Contains(path, "{any}") {
			path = filepath.Dir(path)
		}
		list := []string{path}
		if entries, err := os.ReadDir(path); err == nil { // a series, or a stack of pictures
			for _, e := range entries {
				list = append(list, filepath.Join(path, e.Name()))
			}
		}
		for _, file := range list {
			info, err := os.Stat(file)
			if err != nil {
				return "", fmt.Errorf("%w: read %q: %w", ErrInvalid, file, err)
			}
			fmt.Fprintf(h, "%q %d %d\n", file, info.Size(), info.ModTime().UnixNano())
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// count reads the labels.
func (v *volume) count() (map[string][]int, error) {
	vol, at, err := v.image()
	if err != nil {
		return nil, err
	}
	out, votes, least := map[string][]int{}, map[string][]uint8{}, map[string]int{}
	for target, files := range v.masks {
		if least[target], err = v.agree(target); err != nil {
			return nil, err
		}
		out[target] = make([]int, at.slices())
		if len(files) > 1 {
			votes[target] = make([]uint8, vol.Size[0]*vol.Size[1]*vol.Size[2])
		}
	}
	err = v.labelled(vol, func(target string, voxel [3]int) {
		if all := votes[target]; all != nil {
			i := (voxel[2]*vol.Size[1]+voxel[1])*vol.Size[0] + voxel[0]
			if all[i]++; int(all[i]) != least[target] {
				return
			}
		}
		out[target][voxel[at.axis]]++
	})
	return out, err
}
