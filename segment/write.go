package segment

import (
	"bytes"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"

	"samtune/data"
	"samtune/eval"
)

// Write leaves what a job found in dir, which it makes, under the image's name: NAME.json with everything in numbers and
// run lengths, NAME_overlay.png to look at, and the masks: NAME_mask.png of a single object, NAME_ID_mask.png of several (255
// inside, 0 outside), or NAME_labels.png of masks all over the picture (16 bits, 0 outside, then the masks by falling
// area, smaller over larger ones). It returns the files' paths, those to look at first.
func (r *Result) Write(dir string) ([]string, error) {
	base := filepath.Join(dir, strings.TrimSuffix(r.Image, filepath.Ext(r.Image)))
	masks := r.Masks()
	var prompts []eval.Prompt
	for _, a := range r.Objects {
		prompts = append(prompts, a.prompt)
		prompts = append(prompts, a.prompt.Parts...)
	}
	type file struct {
		path string
		img  image.Image
	}
	pictures := []file{{base + "_overlay.png", Draw(r.picture, masks, prompts)}}
	switch {
	case r.searched:
		pictures = append(pictures, file{base + "_labels.png", labels(masks, r.Width, r.Height)})
	case len(r.Objects) == 1:
		pictures = append(pictures, file{base + "_mask.png", MaskImage(masks[0])})
	default:
		for i, a := range r.Objects {
			pictures = append(pictures, file{base + "_" + fileName(a.ID) + "_mask.png", MaskImage(masks[i])})
		}
	}
	record, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("write %q: %w", base+".json", err)
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make output folder: %w", err)
	}
	var out []string
	for _, p := range pictures {
		var b bytes.Buffer
		if err := png.Encode(&b, p.img); err != nil {
			return nil, fmt.Errorf("write %q: %w", p.path, err)
		}
		if err := renameio.WriteFile(p.path, b.Bytes(), 0o644); err != nil {
			return nil, fmt.Errorf("write %q: %w", p.path, err)
		}
		out = append(out, p.path)
	}
	path := base + ".json"
	if err := renameio.WriteFile(path, append(record, '\n'), 0o644); err != nil {
		return nil, fmt.Errorf("write %q: %w", path, err)
	}
	return append(out, path), nil
}

// fileName keeps what is harmless in a file's name.
func fileName(id string) string {
	return strings.Map(func(r rune) rune {
		if r == '-' || r == '.' || r >= '0' && r <= '9' || r >= 'A' && r <= 'Z' || r >= 'a' && r <= 'z' {
			return r
		}
		return '_'
	}, id)
}

// MaskImage draws a mask: 255 inside, 0 outside.
func MaskImage(m *data.Mask) image.Image {
	out := image.NewGray(image.Rect(0, 0, m.Width, m.Height))
	for i, v := range m.Pix {
		out.Pix[i] = v * 255
	}
	return out
}

func labels(masks []*data.Mask, width, height int) image.Image {
	out := image.NewGray16(image.Rect(0, 0, width, height))
	for k, m := range masks {
		for i, v := range m.Pix {
			if v != 0 {
				out.SetGray16(i%width, i/width, color.Gray16{Y: uint16(k + 1)})
			}
		}
	}
	return out
}
