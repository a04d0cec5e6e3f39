package eval_test

import (
	"fmt"

	"samtune/data"
	"samtune/eval"
)

// A mask that is one column too wide.
func ExampleScore() {
	truth, prediction := data.NewMask(6, 4), data.NewMask(6, 4)
	for y := range 4 {
		for x := range 3 {
			truth.Pix[y*6+x] = 1
		}
		for x := range 4 {
			prediction.Pix[y*6+x] = 1
		}
	}
	s, err := eval.Score(eval.Input{Prediction: prediction, Truth: truth, Spacing: [2]float64{0.5, 0.5}, NSDTolerance: 0.5})
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("Dice %.3f, HD95 %.1f mm, %d pixels too many\n", s.Dice, s.HD95, s.FP)
	// Output: Dice 0.857, HD95 0.5 mm, 4 pixels too many
}

// Twelve cases, all of them better after than before.
func ExampleCompare() {
	var before, after []eval.CaseResult
	for i := range 12 {
		id := fmt.Sprintf("case%02d", i)
		before = append(before, eval.CaseResult{Case: id, Scores: eval.Scores{Dice: 0.20 + 0.01*eval.Float(i)}})
		after = append(after, eval.CaseResult{Case: id, Scores: eval.Scores{Dice: 0.75 + 0.006*eval.Float(i)}})
	}
	p, err := eval.Compare("box", before, after, 1)
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Printf("difference %+.3f, %d of 12 better, p = %.5f\n", p.Difference, p.Wins, p.P)
	// Output: difference +0.528, 12 of 12 better, p = 0.00049
}
