package main

import (
	"github.com/spf13/cobra"

	"samtune/experiment"
	"samtune/internal/featurecache"
	"samtune/model"
)

func (a *app) predict() *cobra.Command {
	var opt experiment.PredictOptions
	var checkpoint string
	c := &cobra.Command{
		Use:   "predict IMAGE...",
		Short: "Segment your own images with the decoder that a run fine-tuned",
		Long: "For each image predict writes NAME_mask.png (255 inside, 0 outside) and NAME_probability.png (0 to 255 for 0 to 1),\n" +
			"both of the image's own size.",
		Example: "  samtune predict --checkpoint runs/drive-5shot-seed1-3f9a12 --out masks eye1.png eye2.tif",
		Args:    cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, images []string) error {
			tuned, err := experiment.OpenTuned(checkpoint)
			if err != nil {
				return err
			}
			spec, err := model.LookUp(tuned.Config.Model)
			if err != nil {
				return err
			}
			if opt.Weights == "" {
				if opt.Weights, err = a.weightsPath(spec); err != nil {
					return err
				}
			}
			cache, err := a.cacheDir()
			if err != nil {
				return err
			}
			bar := newProgress(a.err, a.quiet)
			defer bar.close()
			opt.Tuned, opt.Images, opt.Progress, opt.CacheDir = tuned, images, bar, featurecache.In(cache)
			return experiment.Predict(c.Context(), opt)
		},
	}
	c.Flags().StringVar(&checkpoint, "checkpoint", "", "folder of the run whose best checkpoint is used")
	c.Flags().StringVar(&opt.Out, "out", "masks", "folder of the masks")
	c.Flags().StringVar(&opt.Valid, "valid", "", "mask of the region that counts, as the field of view of a fundus camera, of the images' size")
	c.Flags().StringVar(&opt.Weights, "weights", "", "weights file that the run was fine-tuned from, where it is not the released one")
	c.Flags().StringVar(&opt.Device, "device", "auto", "auto, cpu, cuda or cuda:N")
	require(c, "checkpoint")
	return c
}
