package segment

import (
	"context"
	"encoding/json"
	"errors"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/data"
	"samtune/eval"
)

// truthOf writes the largest mask that the tiny SAM finds in its picture and returns the file: a truth that it can reach.
func truthOf(t *testing.T, masks []Mask) string {
	t.Helper()
	largest := 0
	for i, m := range masks {
		if m.Area > masks[largest].Area {
			largest = i
		}
	}
	truth := masks[largest].RLE.Mask()
	path := filepath.Join(t.TempDir(), "truth.png")
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	if err := png.Encode(f, MaskImage(truth)); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestJob asks the tiny SAM in every way and compares what is written with what was found.
func TestJob(t *testing.T) {
	m, img := tinySAM(t)
	picture := filepath.Join(vectors, "picture.png")
	search := with(func(o *EverythingOptions) { o.PointsPerSide, o.MinIoU, o.MinStability = 8, 0.5, 0.5 })
	found, err := Everything(context.Background(), m, img, search, nil)
	if err != nil || len(found) == 0 {
		t.Fatal(len(found), err)
	}
	path := truthOf(t, found)
	rule := UnionRule{MaxArea: 1}
	for name, job := range map[string]Job{
		"box":                 {Objects: []eval.Object{{ID: "1", Prompt: eval.Prompt{Box: &[4]float64{10, 5, 60, 50}}}}},
		"mask beside a point": {Objects: []eval.Object{{ID: "1", MaskFile: path, Prompt: eval.Prompt{Points: [][2]float64{{20, 20}}, Labels: []int{1}}}}},
		"two objects":         {Objects: []eval.Object{{ID: "a/b", Prompt: eval.Prompt{Box: &[4]float64{10, 5, 60, 50}}}, {ID: "other", Image: "another.png"}, {ID: "c"}}},
		"nothing":             {},
		"multimask":           {Multimask: true},
		"oracle":              {Multimask: true, Choose: ChooseOracle},
		"parts":               {Policy: eval.PromptOracleComponentBoxes},
		"clicks":              {Policy: eval.PromptOracleClicks, Drawn: eval.PromptOptions{Points: 3}},
		"everything":          {Everything: &search, Union: rule},
	} {
		t.Run(name, func(t *testing.T) {
			job.Image, job.Truth = picture, path
			if job.Choose == "" {
				job.Choose = ChooseIoU
			}
			r, err := job.Do(context.Background(), m, nil)
			if err != nil {
				t.Fatal(err)
			}
			dir := t.TempDir()
			files, err := r.Write(dir)
			if err != nil {
				t.Fatal(err)
			}
			var back struct {
				Objects []struct {
					Chosen     int
					Oracle     bool
					Candidates []struct{ Area int }
				}
				Everything []struct{ Area int }
				Dice       []Comparison
			}
			text, err := os.ReadFile(files[len(files)-1])
			if err == nil {
				err = json.Unmarshal(text, &back)
			}
			if err != nil {
				t.Fatal(err)
			}
			masks := map[string]int{}
			for _, f := range files[1 : len(files)-1] {
				if strings.HasSuffix(f, "_mask.png") {
					mask, err := data.ReadMask(f)
					if err != nil || mask.Width != img.Width || mask.Height != img.Height {
						t.Fatal(err, mask)
					}
					masks[filepath.Base(f)] = mask.Count()
				}
			}
			for i, o := range back.Objects {
				if want := o.Candidates[o.Chosen].Area; len(back.Objects) == 1 && masks["picture_mask.png"] != want {
					t.Errorf("object %d has %d pixels, its file has %v", i, want, masks)
				}
				oracle := name == "oracle" || name == "parts" || name == "clicks"
				if o.Oracle != oracle {
					t.Errorf("oracle: %v, want %v", o.Oracle, oracle)
				}
				if three := job.Multimask; (len(o.Candidates) == 3) != three {
					t.Errorf("%d candidates", len(o.Candidates))
				}
			}
			switch name {
			case "two objects":
				if _, ok := masks["picture_a_b_mask.png"]; !ok || len(masks) != 2 {
					t.Errorf("files %v", files)
				}
			case "everything":
				if len(back.Everything) != len(found) || len(back.Dice) != 2 || !back.Dice[0].Oracle || back.Dice[0].Dice < 0.999 || back.Dice[1].Oracle {
					t.Errorf("%d masks, Dice %+v: the truth is one of them", len(back.Everything), back.Dice)
				}
			case "oracle":
				best := r.Objects[0].Candidates[r.Objects[0].Chosen]
				for _, c := range r.Objects[0].Candidates {
					if *c.Dice > *best.Dice {
						t.Errorf("Dice %v is chosen, there is %v", *best.Dice, *c.Dice)
					}
				}
			}
		})
	}
}

func TestJobErrors(t *testing.T) {
	m, _ := tinySAM(t)
	picture := filepath.Join(vectors, "picture.png")
	for name, c := range map[string]struct {
		job  Job
		want string
	}{
		"point outside":        {Job{Objects: []eval.Object{{ID: "1", Prompt: eval.Prompt{Points: [][2]float64{{5000, 3}}, Labels: []int{1}}}}}, "wide"},
		"oracle without truth": {Job{Choose: ChooseOracle}, "true mask"},
		"policy without truth": {Job{Policy: eval.PromptOracleBox}, "true mask"},
		"for other images":     {Job{Objects: []eval.Object{{ID: "1", Image: "b.png"}}}, "b.png"},
		"one name twice":       {Job{Objects: []eval.Object{{ID: "1"}, {ID: "1"}}}, "called"},
		"choice":               {Job{Choose: "best"}, "best"},
	} {
		c.job.Image = picture
		if c.job.Choose == "" {
			c.job.Choose = ChooseIoU
		}
		if _, err := c.job.Do(context.Background(), m, nil); !errors.Is(err, ErrPrompt) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
