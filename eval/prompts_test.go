package eval

import (
	"errors"
	"math/rand/v2"
	"strings"
	"testing"

	"samtune/data"

	"github.com/google/go-cmp/cmp"
)

func sampleOf(truth *data.Mask) *data.Sample {
	w, h := truth.Width, truth.Height
	valid := data.NewMask(w, h)
	for i := range valid.Pix {
		valid.Pix[i] = 1
	}
	return &data.Sample{
		ID: "case", Image: &data.Image{Width: w, Height: h, Pix: make([]uint8, 3*w*h)},
		Masks: map[string]*data.Mask{"lesion": truth}, Valid: valid,
	}
}

func TestPrompts(t *testing.T) {
	truth := data.NewMask(11, 6)
	truth.Pix[2*11+3], truth.Pix[2*11+4], truth.Pix[4*11+8] = 1, 1, 1
	sample := sampleOf(truth)
	got, err := Prompts(PromptKinds(), sample, "lesion", PromptOptions{Points: 1, Seed: 1, Jitter: 1e-9})
	if err != nil {
		t.Fatal(err)
	}
	random, point := got[3].Points, got[4].Points
	want := []Prompt{
		{Kind: "none", Label: "no prompt"},
		{Kind: "box", Label: "full-image box", Box: &[4]float64{0, 0, 10, 5}},
		{Kind: "point", Label: "centre point", Points: [][2]float64{{5.5, 3}}, Labels: []int{1}},
		{Kind: "random_point", Label: "random point", Points: random, Labels: []int{1}},
		{Kind: "oracle_point", Label: "1 point from the truth", Oracle: true, Points: point, Labels: []int{1}},
		{Kind: "oracle_box", Label: "box around the truth", Oracle: true, Box: &[4]float64{3, 2, 8, 4}},
		{Kind: "oracle_box_jitter", Label: "box around the truth, sides moved at random", Oracle: true, Box: &[4]float64{3, 2, 8, 4}},
		{Kind: "oracle_component_points", Label: "a point in each part of the truth", Oracle: true, Parts: []Prompt{
			{Points: [][2]float64{{3, 2}}, Labels: []int{1}}, {Points: [][2]float64{{8, 4}}, Labels: []int{1}}}},
		{Kind: "oracle_component_boxes", Label: "a box around each part of the truth", Oracle: true, Parts: []Prompt{
			{Box: &[4]float64{3, 2, 4, 2}}, {Box: &[4]float64{8, 4, 8, 4}}}},
		{Kind: "oracle_clicks", Label: "1 click on the truth", Oracle: true, Clicks: &Clicks{N: 1, Truth: truth, Valid: sample.Valid}},
		{Kind: "everything_oracle", Label: "best mask of a grid of points", Oracle: true, Grid: &Grid{Points: 8, Truth: truth, Valid: sample.Valid}},
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Error(d)
	}
}

func TestOraclePoints(t *testing.T) {
	sample := sampleOf(randomMask(rand.New(rand.NewPCG(12, 12)), 30, 20, 0.2))
	draw := func(points int, seed int64) []Prompt {
		t.Helper()
		got, err := Prompts([]string{PromptOraclePoint}, sample, "lesion", PromptOptions{Points: points, Seed: seed})
		if err != nil {
			t.Fatal(err)
		}
		return got
	}
	ten := draw(0, 1)[0]
	if len(ten.Points) != 10 || len(ten.Labels) != 10 || ten.Label != "10 points from the truth" {
		t.Fatalf("got %+v", ten)
	}
	seen := map[[2]float64]bool{}
	for i, p := range ten.Points {
		if seen[p] || sample.Masks["lesion"].Pix[int(p[1])*30+int(p[0])] != 1 || ten.Labels[i] != 1 {
			t.Errorf("point %d is %v with label %d: drawn twice or outside the truth", i, p, ten.Labels[i])
		}
		seen[p] = true
	}
	if d := cmp.Diff(ten, draw(10, 1)[0]); d != "" {
		t.Errorf("the same seed draws other points: %s", d)
	}
	if d := cmp.Diff(ten.Points[:4], draw(4, 1)[0].Points); d != "" {
		t.Errorf("4 points are not the first of 10: %s", d)
	}
	if cmp.Equal(ten, draw(10, 2)[0]) {
		t.Error("another seed draws the same points")
	}
	sample.ID = "other"
	if cmp.Equal(ten, draw(10, 1)[0]) {
		t.Error("another case draws the same points")
	}
	if all := draw(10_000, 1)[0]; len(all.Points) != sample.Masks["lesion"].Count() {
		t.Errorf("%d points of a truth with %d pixels", len(all.Points), sample.Masks["lesion"].Count())
	}
}

// A prompt that is not called oracle must not know the truth, and one that is must.
func TestOnlyOraclePromptsReadTheTruth(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	sample := sampleOf(randomMask(r, 25, 18, 0.1))
	made := func() []Prompt {
		t.Helper()
		p, err := Prompts(PromptKinds(), sample, "lesion", PromptOptions{Seed: 1})
		if err != nil {
			t.Fatal(err)
		}
		return p
	}
	before := made()
	moved := data.NewMask(25, 18)
	for i := range 40 {
		moved.Pix[25*9+i] = 1
	}
	sample.Masks["lesion"] = moved
	for i, after := range made() {
		if same := cmp.Equal(before[i], after); same == after.Oracle {
			t.Errorf("%s: oracle is %v, and with another truth it is the same: %v", after.Kind, after.Oracle, same)
		}
	}
}

func TestOraclePromptsStayInTheValidRegion(t *testing.T) {
	truth := data.NewMask(10, 10)
	for i := range truth.Pix {
		truth.Pix[i] = 1
	}
	sample := sampleOf(truth)
	for i := range sample.Valid.Pix {
		if i%10 < 3 || i/10 > 6 {
			sample.Valid.Pix[i] = 0
		}
	}
	got, err := Prompts([]string{PromptOracleBox, PromptOraclePoint}, sample, "lesion", PromptOptions{Points: 70})
	if err != nil {
		t.Fatal(err)
	}
	if *got[0].Box != [4]float64{3, 0, 9, 6} || len(got[1].Points) != 49 {
		t.Errorf("box %v and %d points", *got[0].Box, len(got[1].Points))
	}
}

func TestPromptErrors(t *testing.T) {
	empty := sampleOf(data.NewMask(5, 4))
	got, err := Prompts([]string{PromptOracleBox, PromptBox, PromptOraclePoint}, empty, "lesion", PromptOptions{})
	if !errors.Is(err, ErrNoPrompt) || !strings.Contains(err.Error(), `oracle_box, oracle_point for case "case", target "lesion"`) {
		t.Errorf("error is %v", err)
	}
	if len(got) != 1 || got[0].Kind != PromptBox {
		t.Errorf("beside the error come %+v, want the box", got)
	}
	for name, c := range map[string]struct {
		kinds  []string
		target string
		opt    PromptOptions
		want   string
	}{
		"kind":   {[]string{"boxes"}, "lesion", PromptOptions{}, `unknown kind "boxes", want one of none, box, point, random_point, oracle_point`},
		"target": {[]string{"box"}, "organ", PromptOptions{}, `no target "organ"`},
		"points": {[]string{"box"}, "lesion", PromptOptions{Points: -1}, "-1 oracle points"},
	} {
		t.Run(name, func(t *testing.T) {
			if _, err := Prompts(c.kinds, empty, c.target, c.opt); err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error is %v, want one with %q", err, c.want)
			}
		})
	}
	empty.Masks["lesion"] = data.NewMask(4, 5)
	if _, err := Prompts([]string{"box"}, empty, "lesion", PromptOptions{}); err == nil || !strings.Contains(err.Error(), "is 4 x 5, want 5 x 4") {
		t.Errorf("error of a mask of another size is %v", err)
	}
}

// TestSeedDecidesOnlyWhatIsDrawn compares the prompts of two seeds, kind by kind.
func TestSeedDecidesOnlyWhatIsDrawn(t *testing.T) {
	truth := data.NewMask(40, 30)
	for y := 5; y < 20; y++ {
		for x := 8; x < 33; x++ {
			truth.Pix[y*40+x] = 1
		}
	}
	sample := sampleOf(truth)
	for _, kind := range PromptKinds() {
		var got [2][]Prompt
		for i := range got {
			var err error
			if got[i], err = Prompts([]string{kind}, sample, "lesion", PromptOptions{Seed: int64(i + 1)}); err != nil {
				t.Fatal(err)
			}
		}
		if differ := !cmp.Equal(got[0], got[1]); differ != PromptDrawn(kind) {
			t.Errorf("%s: prompts of two seeds differ: %v", kind, differ)
		}
	}
}
