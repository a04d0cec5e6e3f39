package data_test

import (
	"fmt"

	"samtune/data"
)

// Shots are drawn by a seed and nested: the three are among the five.
func ExampleDrawShots() {
	bench, err := data.Open("fundus", data.Options{})
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, shots := range []int{3, 5} {
		split, err := data.DrawShots(bench, shots, 1)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Println(len(split.Train)+len(split.Validation), "shots,", len(split.Test), "tested")
	}
	sample, err := bench.Test[0].Load()
	if err != nil {
		fmt.Println(err)
		return
	}
	fmt.Println(sample.ID, sample.Image.Width, "x", sample.Image.Height)
	// Output:
	// 3 shots, 12 tested
	// 5 shots, 12 tested
	// eye21 288 x 288
}
