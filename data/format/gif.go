package format

import (
	"bufio"
	"fmt"
	"image"
	"image/gif"
	"io"
)

// Blocks of a GIF, by their first byte (GIF89a, appendix A).
const (
	gifExtension = 0x21
	gifFrame     = 0x2c
)

// decodeGIF reads a GIF of one frame that covers the whole picture. Of several frames the library gives the
// first, and of one that covers a part it gives that part, both without a word.
func decodeGIF(r *bufio.Reader, screen image.Config) (image.Image, error) {
	img, err := gif.Decode(r)
	if err != nil {
		return nil, err
	}
	if b := img.Bounds(); b != image.Rect(0, 0, screen.Width, screen.Height) {
		return nil, fmt.Errorf("%w: a GIF of %d x %d pixels whose frame covers %d x %d of them: convert it to PNG",
			ErrUnsupported, screen.Width, screen.Height, b.Dx(), b.Dy())
	}
	more, err := anotherFrame(r)
	if err != nil {
		return nil, err
	}
	if more {
		return nil, fmt.Errorf("%w: a GIF of several frames: keep one of them, as PNG", ErrUnsupported)
	}
	return img, nil
}

// anotherFrame says whether a frame follows in r, which stands behind a frame. What else follows does not
// matter, nor does an end that is missing: every pixel has been read.
func anotherFrame(r *bufio.Reader) (bool, error) {
	for {
		block, err := r.ReadByte()
		if err == io.EOF {
			return false, nil
		}
		if err != nil {
			return false, err
		}
		if block != gifExtension {
			return block == gifFrame, nil
		}
		size := 1 // the extension's label, then blocks that begin with their size, the last of size 0
		for size > 0 {
			if _, err := r.Discard(size); err != nil && err != io.EOF {
				return false, err
			}
			next, err := r.ReadByte()
			if err == io.EOF {
				return false, nil
			}
			if err != nil {
				return false, err
			}
			size = int(next)
		}
	}
}
