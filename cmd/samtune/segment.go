package main

import (
	"cmp"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"text/tabwriter"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/eval"
	"samtune/experiment"
	"samtune/internal/tensor"
	"samtune/model"
	"samtune/segment"
)

// segmentFlags are the flags of samtune segment.
type segmentFlags struct {
	model, weights, precision, device string
	points, boxes                     []string
	mask, prompts, out                string
	everything                        bool
	threads                           int
	job                               segment.Job
	search                            segment.EverythingOptions
}

func (a *app) segment() *cobra.Command {
	f := segmentFlags{search: segment.OfficialEverything()}
	c := &cobra.Command{
		Use:   "segment IMAGE...",
		Short: "Segment your own images with SAM as released: points, boxes, masks, or everything",
		Long: "segment asks SAM for masks without any training: at points (--point x,y,+ inside, x,y,- outside), in a box (--box x0,y0,x1,y1),\n" +
			"from a first mask, by any mix of these, by prompts from a file, by a policy, for everything in the image, or without a prompt.\n" +
			"x is the column and y the row. For each image it writes NAME_mask.png, NAME_overlay.png and NAME.json.",
		Example: "  samtune segment scan.png --box 90,60,180,140 --point 120,80,+\n" +
			"  samtune segment scan.png --everything --out masks\n" +
			"  samtune segment scan.png --policy oracle_clicks --truth scan_mask.png --points 5",
		Args: cobra.MinimumNArgs(1),
		RunE: func(c *cobra.Command, images []string) error { return a.runSegment(c, &f, images) },
	}
	fl := c.Flags()
	fl.StringVar(&f.model, "model", "", "model: samtune weights list shows them (default: the one that --weights is of, or lite_medsam)")
	fl.StringVar(&f.weights, "weights", "", "weights file; the default is the model's released weights in the cache")
	addPrecision(c, &f.precision)
	fl.StringVar(&f.device, "device", "auto", "auto, cpu, cuda or cuda:N")
	fl.IntVar(&f.threads, "threads", 0, "CPU threads; 0: one on each core")
	fl.StringArrayVar(&f.points, "point", nil, "x,y,+ for a point inside, x,y,- for one outside; any number of them")
	fl.StringArrayVar(&f.boxes, "box", nil, "x0,y0,x1,y1; several boxes are several objects")
	fl.StringVar(&f.mask, "mask", "", "file of a first mask, of the image's size")
	fl.StringVar(&f.prompts, "prompts", "", "JSON or CSV file of prompts, for one image or many")
	fl.StringVar(&f.job.Policy, "policy", "", "make the prompt: "+strings.Join(eval.PromptKinds(), ", "))
	fl.IntVar(&f.job.Drawn.Points, "points", 10, "points or clicks of a policy")
	fl.Int64Var(&f.job.Drawn.Seed, "seed", 1, "seed of a policy's draw")
	fl.Float64Var(&f.job.Drawn.Jitter, "jitter", 0.02, "how far oracle_box_jitter moves a side at most, as a share of the longer side")
	fl.BoolVar(&f.job.Multimask, "multimask", false, "ask for SAM's three masks, for a prompt that could mean several things")
	fl.StringVar(&f.job.Choose, "choose", segment.ChooseIoU, "which of them: iou, the one that SAM thinks best, or oracle, the one nearest to --truth")
	fl.StringVar(&f.job.Truth, "truth", "", "file of the true mask: Dice is shown, and oracles can be asked")
	fl.StringVar(&f.job.Valid, "valid", "", "mask of the region that counts, as the field of view of a fundus camera")
	fl.StringVar(&f.out, "out", "segments", "folder of the results")

	fl.BoolVar(&f.everything, "everything", false, "find masks all over the image, as SAM's automatic mask generator does")
	s := &f.search
	fl.IntVar(&s.PointsPerSide, "points-per-side", s.PointsPerSide, "everything: points of the grid in a row")
	fl.IntVar(&s.PointsPerBatch, "points-per-batch", s.PointsPerBatch, "everything: points that are answered together")
	fl.Float64Var(&s.MinIoU, "min-iou", s.MinIoU, "everything: lowest predicted IoU")
	fl.Float64Var(&s.MinStability, "min-stability", s.MinStability, "everything: lowest stability")
	fl.IntVar(&s.CropLayers, "crop-layers", s.CropLayers, "everything: layers of crops that are searched too")
	fl.IntVar(&s.CropPointsFactor, "crop-points-factor", s.CropPointsFactor, "everything: points in a row are divided by this with each layer")
	fl.IntVar(&s.MinRegion, "min-region", s.MinRegion, "everything: holes and islands of fewer pixels are removed")
	u := &f.job.Union
	fl.Float64Var(&u.MinIoU, "union-iou", 0.88, "everything with --truth: lowest predicted IoU of the masks that are united")
	fl.Float64Var(&u.MinStability, "union-stability", 0.95, "and their lowest stability")
	fl.Float64Var(&u.MinArea, "union-min-area", 0, "and their smallest share of the image")
	fl.Float64Var(&u.MaxArea, "union-max-area", 0.5, "and their largest share of it")
	return c
}

// objects are the things to segment that the command line names.
func (f *segmentFlags) objects() ([]eval.Object, error) {
	said := len(f.points) > 0 || len(f.boxes) > 0 || f.mask != ""
	ways := 0
	for _, way := range []bool{said, f.prompts != "", f.job.Policy != "", f.everything} {
		if way {
			ways++
		}
	}
	if ways > 1 {
		return nil, fmt.Errorf("%w: points, boxes and a mask, or --prompts, or --policy, or --everything: one of them", errUsage)
	}
	if p := f.job.Policy; p != "" && !slices.Contains(eval.PromptKinds(), p) {
		return nil, fmt.Errorf("%w: unknown policy %q: there is %s", errUsage, p, strings.Join(eval.PromptKinds(), ", "))
	}
	if f.prompts != "" {
		return eval.ReadPrompts(f.prompts)
	}
	if !said {
		return nil, nil
	}
	first := eval.Object{ID: "1", MaskFile: f.mask}
	for _, text := range f.points {
		p, label, err := eval.ParsePoint(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		first.Prompt.Points, first.Prompt.Labels = append(first.Prompt.Points, p), append(first.Prompt.Labels, label)
	}
	if len(f.boxes) > 1 && (len(f.points) > 0 || f.mask != "") {
		return nil, fmt.Errorf("%w: with several boxes, which are several objects, points and a mask belong to none: write them to a file for --prompts", errUsage)
	}
	objects := []eval.Object{first}
	for i, text := range f.boxes {
		box, err := eval.ParseBox(text)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if i > 0 {
			objects = append(objects, eval.Object{ID: strconv.Itoa(i + 1)})
		}
		objects[i].Prompt.Box = &box
	}
	return objects, nil
}

func (a *app) runSegment(c *cobra.Command, f *segmentFlags, images []string) error {
	err := cmp.Or(within("threads", f.threads, 0, 1024), within("points", f.job.Drawn.Points, 1, 1000))
	if err != nil {
		return err
	}
	if f.job.Objects, err = f.objects(); err != nil {
		return err
	}
	if f.everything {
		f.job.Everything = &f.search
		if err := cmp.Or(f.search.Check(), f.job.Union.Check()); err != nil {
			return fmt.Errorf("%w: --everything: %w", errUsage, err)
		}
	}
	if len(images) > 1 && (f.job.Truth != "" || f.mask != "") {
		return fmt.Errorf("%w: a mask belongs to one image: give the %d images one by one", errUsage, len(images))
	}
	if err := experiment.DistinctNames(images); err != nil {
		return err
	}
	for _, path := range images { // before the first is segmented
		if _, err := os.Stat(path); err != nil {
			return fmt.Errorf("%w: image: %w", data.ErrNotFound, err)
		}
	}
	name, weights, err := a.modelAndWeights(f.model, f.weights)
	if err != nil {
		return err
	}
	spec, err := model.LookUp(name)
	if err != nil {
		return err
	}
	precision, err := tensor.ParseDType(precisionOf(f.precision))
	if err != nil {
		return fmt.Errorf("%w: --precision: %w", errUsage, err)
	}
	dev, err := tensor.Open(f.device, f.threads)
	if err != nil {
		return err
	}
	defer dev.Close()
	m, err := model.Load(dev, spec, weights)
	if err != nil {
		return err
	}
	defer m.Close()
	if err := m.SetPrecision(precision); err != nil {
		return err
	}
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	bar.Note("", fmt.Sprintf("samtune %s  ·  %s (%s %.8s)  ·  %s", versionText(), spec.Title, filepath.Base(weights), m.SHA256, dev))
	for _, path := range images {
		job := f.job
		job.Image = path
		var open experiment.Stage
		r, err := job.Do(c.Context(), m, func(done, total int) {
			if open == nil {
				open = bar.Begin("segment", total)
			}
			open.Add(done-open.(*stage).done, "")
		})
		if err != nil {
			return err
		}
		if open != nil {
			open.End(r.Image)
		}
		files, err := r.Write(f.out)
		if err != nil {
			return err
		}
		if err := segmentTable(a.out, r, files); err != nil {
			return err
		}
	}
	return nil
}

// segmentTable prints what was found in an image.
func segmentTable(out io.Writer, r *segment.Result, files []string) error {
	w := tabwriter.NewWriter(out, 0, 0, 3, ' ', 0)
	share := func(area int) string { return fmt.Sprintf("%.2f %%", 100*float64(area)/float64(r.Width*r.Height)) }
	fmt.Fprintf(w, "%s, %d x %d\tpredicted IoU\tof the image\tDice\n", r.Image, r.Width, r.Height)
	for _, o := range r.Objects {
		for i, c := range o.Candidates {
			what := "object " + o.ID
			if len(o.Candidates) > 1 {
				what += fmt.Sprintf(", mask %d", i+1)
			}
			dice := ""
			if c.Dice != nil {
				dice = diceText(*c.Dice)
			}
			if i == o.Chosen && o.Oracle {
				dice += " (oracle)"
			}
			if i == o.Chosen && len(o.Candidates) > 1 {
				dice += " chosen"
			}
			fmt.Fprintf(w, "%s\t%.3f\t%s\t%s\n", what, c.PredictedIoU, share(c.Area), dice)
		}
	}
	const most = 10
	for i, m := range r.Everything {
		if i == most {
			fmt.Fprintf(w, "and %d more\t\t\t\n", len(r.Everything)-most)
			break
		}
		fmt.Fprintf(w, "mask %d\t%.3f\t%s\t\n", i, m.PredictedIoU, share(m.Area))
	}
	for _, d := range r.Dice {
		oracle := ""
		if d.Oracle {
			oracle = " (oracle)"
		}
		fmt.Fprintf(w, "%s\t\t\t%s%s\n", d.What, diceText(d.Dice), oracle)
	}
	if err := w.Flush(); err != nil {
		return err
	}
	if len(r.Objects) == 0 && len(r.Everything) == 0 {
		fmt.Fprintln(out, "no mask passed: models that were trained with boxes, as LiteMedSAM and MedSAM, are unsure of single points;\n"+
			"--min-iou and --min-stability set lower bounds")
	}
	for _, f := range files {
		if _, err := fmt.Fprintf(out, "written   %s\n", f); err != nil {
			return err
		}
	}
	return nil
}

func diceText(d eval.Float) string {
	if !d.Defined() {
		return "–"
	}
	return fmt.Sprintf("%.3f", float64(d))
}
