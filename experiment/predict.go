package experiment

import (
	"bytes"
	"context"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"samtune/data"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/train"
)

// PredictOptions say what a fine-tuned decoder segments.
type PredictOptions struct {
	Tuned    *Tuned
	Images   []string // files
	Valid    string   // mask of the region that counts, as a field of view, for all of them; empty: the whole pictures
	Out      string   // folder of the masks
	Weights  string   // the model's released weights
	Device   string
	CacheDir string
	Progress Progress
}

// ownImages stands in the feature cache for the benchmark of pictures that are of none.
const ownImages = "predict"

// Predict segments pictures with a fine-tuned decoder. For each it writes NAME_mask.png, 255 inside and 0
// outside, and NAME_probability.png, 0 to 255 for 0 to 1, of the picture's size. Outside the valid region
// both are 0.
func Predict(ctx context.Context, opt PredictOptions) error {
	cfg := opt.Tuned.Config
	names, err := outputNames(opt.Images)
	if err != nil {
		return err
	}
	pictures := newPictures()
	pictures.read = func(id string) (*data.Sample, error) {
		return ownPicture(id, opt.Images[slices.Index(names, id)], opt.Valid)
	}
	for _, id := range names { // what can't be read is said before anything is computed
		if _, err := pictures.get(id); err != nil {
			return err
		}
	}
	spec, err := model.LookUp(cfg.Model)
	if err != nil {
		return err
	}
	dev, err := tensor.Open(opt.Device, cfg.Train.Threads)
	if err != nil {
		return err
	}
	r := &Run{cfg: cfg, dev: dev, pictures: pictures}
	defer r.close()
	if err := r.load(spec, opt.Weights, opt.CacheDir, ownImages); err != nil {
		return err
	}
	f, err := r.openFitted(opt.Tuned)
	if err != nil {
		return err
	}
	defer f.drop()
	if err := os.MkdirAll(opt.Out, 0o755); err != nil {
		return fmt.Errorf("make output folder: %w", err)
	}
	var wants []train.Want
	for _, id := range names {
		sample, err := pictures.get(id)
		if err != nil {
			return err
		}
		more, err := r.views(cfg.Decoder, sample)
		if err != nil {
			return err
		}
		wants = append(wants, more...)
	}
	var stage Stage
	if err := r.cache.Fill(ctx, r.model, wants, func(n int) { stage = opt.Progress.Begin("encode", n) }, func() { stage.Add(1, "") }); err != nil {
		return err
	}
	stage.End("")
	stage = opt.Progress.Begin("predict", len(names))
	err = r.eachCase(ctx, names, func(s *tensor.Scope, _ int, sample *data.Sample) error {
		seg, err := f.segment(s, sample)
		if err != nil {
			return err
		}
		for k, v := range sample.Valid.Pix {
			seg.Mask.Pix[k] &= v
			seg.Probability[k] *= float32(v)
		}
		if err := writeSegmentation(filepath.Join(opt.Out, sample.ID), seg); err != nil {
			return err
		}
		stage.Add(1, fmt.Sprintf("%s: %.1f %% inside", sample.ID, 100*float64(seg.Mask.Count())/float64(len(seg.Mask.Pix))))
		return nil
	})
	if err != nil {
		return err
	}
	stage.End("")
	return nil
}

// ownPicture reads a picture that is of no benchmark, with the region that counts; without a file for that it is all of it.
func ownPicture(id, path, valid string) (*data.Sample, error) {
	img, err := data.ReadImage(path)
	if err != nil {
		return nil, err
	}
	s := &data.Sample{ID: id, Image: img, Valid: data.FullMask(img.Width, img.Height)}
	if valid != "" {
		if s.Valid, err = data.ReadMaskFor(valid, path, img); err != nil {
			return nil, err
		}
	}
	return s, nil
}

// DistinctNames is an error where results for two of the pictures would go to one file.
func DistinctNames(paths []string) error {
	_, err := outputNames(paths)
	return err
}

// outputNames are the files' names without folder and ending; two pictures of one name are refused.
func outputNames(paths []string) ([]string, error) {
	names := make([]string, len(paths))
	seen := map[string]string{}
	for i, p := range paths {
		names[i] = strings.TrimSuffix(filepath.Base(p), filepath.Ext(p))
		if other, twice := seen[names[i]]; twice {
			return nil, fmt.Errorf("%q and %q would be written under one name: give them in two calls with two --out folders", other, p)
		}
		seen[names[i]] = p
	}
	return names, nil
}

func writeSegmentation(base string, seg *train.Segmentation) error {
	size := image.Rect(0, 0, seg.Mask.Width, seg.Mask.Height)
	mask, probability := image.NewGray(size), image.NewGray(size)
	for i, v := range seg.Mask.Pix {
		mask.Pix[i] = v * 255
		probability.Pix[i] = uint8(seg.Probability[i]*255 + 0.5)
	}
	for name, img := range map[string]image.Image{base + "_mask.png": mask, base + "_probability.png": probability} {
		var b bytes.Buffer
		if err := png.Encode(&b, img); err != nil {
			return fmt.Errorf("write %q: %w", name, err)
		}
		if err := writeFile(name, b.Bytes()); err != nil {
			return err
		}
	}
	return nil
}
