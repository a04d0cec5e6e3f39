package format

import (
	"bufio"
	"bytes"
	"compress/gzip"
	"fmt"
	"io"

	_ "github.com/spakin/netpbm" // registers PBM, PGM and PPM, plain and raw
)

// maxUnpacked bounds what a packed picture unpacks to: the largest picture that is read, in plain text.
const maxUnpacked = 4 * MaxPixels

// unpack returns what a gzip file holds, as old data sets have their PNM pictures.
func unpack(f io.Reader) (io.ReadSeeker, error) {
	z, err := gzip.NewReader(bufio.NewReader(f))
	if err != nil {
		return nil, fmt.Errorf("%w: gzip: %w", ErrCorrupt, err)
	}
	b, err := io.ReadAll(io.LimitReader(z, maxUnpacked+1))
	switch {
	case err != nil:
		return nil, fmt.Errorf("%w: gzip: %w: copy it again from where you have it", ErrCorrupt, err)
	case len(b) > maxUnpacked:
		return nil, fmt.Errorf("%w: it unpacks to more than %d MiB", ErrUnsupported, maxUnpacked>>20)
	case bytes.HasPrefix(b, gzipMagic):
		return nil, fmt.Errorf("%w: packed twice: unpack it once with gunzip", ErrUnsupported)
	}
	return bytes.NewReader(b), nil
}

var gzipMagic = []byte("\x1f\x8b")
