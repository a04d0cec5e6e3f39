package main

import (
	"bytes"
	"fmt"
	"image"
	"image/png"
	"os"
	"path/filepath"
	"slices"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/segment"
)

func (a *app) dataExportCommand() *cobra.Command {
	var out string
	c := &cobra.Command{
		Use: "export BENCHMARK", Short: "Write a benchmark's cases as PNG files: images, masks and fields of view as the other commands see them", Args: cobra.ExactArgs(1),
		Long: "Images go to images/, each target's masks to masks/, or with several targets to TARGET_masks/, 255 inside and 0 outside, and\n" +
			"fields of view to fov/, where they leave something out. Slices of volumes are a picture each.",
		Example: "  samtune data export fundus --out eyes",
		RunE:    func(c *cobra.Command, args []string) error { return a.dataExport(c, args[0], out) },
	}
	c.Flags().StringVar(&out, "out", "", "folder to write; files of the same name that are there are written anew")
	require(c, "out")
	return c
}

func (a *app) dataExport(c *cobra.Command, name, out string) error {
	b, err := data.Open(name, data.Options{Root: a.data})
	if err != nil {
		return err
	}
	all := slices.Concat(b.Pool, b.Test)
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	stage := bar.Begin("export", len(all))
	for _, one := range all {
		if err := c.Context().Err(); err != nil {
			return err
		}
		s, err := one.Load()
		if err != nil {
			return err
		}
		if err := exportCase(out, b.Targets, s); err != nil {
			return err
		}
		stage.Add(1, s.ID)
	}
	stage.End("")
	_, err = fmt.Fprintf(a.out, "%s: %d cases of %s\n", out, len(all), b.Title)
	return err
}

func exportCase(out string, targets []string, s *data.Sample) error {
	img := image.NewRGBA(image.Rect(0, 0, s.Image.Width, s.Image.Height))
	for i := range s.Image.Width * s.Image.Height {
		copy(img.Pix[4*i:], s.Image.Pix[3*i:3*i+3])
		img.Pix[4*i+3] = 255
	}
	files := map[string]image.Image{"images": img}
	for _, t := range targets {
		folder := "masks"
		if len(targets) > 1 {
			folder = t + "_masks"
		}
		files[folder] = segment.MaskImage(s.Masks[t])
	}
	if s.Valid.Count() < len(s.Valid.Pix) {
		files["fov"] = segment.MaskImage(s.Valid)
	}
	for folder, picture := range files {
		var b bytes.Buffer
		err := png.Encode(&b, picture)
		if err == nil {
			err = os.MkdirAll(filepath.Join(out, folder), 0o755)
		}
		if err == nil {
			err = renameio.WriteFile(filepath.Join(out, folder, s.ID+".png"), b.Bytes(), 0o644)
		}
		if err != nil {
			return fmt.Errorf("export %s: %w", s.ID, err)
		}
	}
	return nil
}
