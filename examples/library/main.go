// Command library uses samtune's packages by themselves: it asks SAM for the vessels of a test image, with a box around them, and scores the
// mask. Usage: go run ./examples/library LITE_MEDSAM.pth
package main

import (
	"errors"
	"fmt"
	"log"
	"os"

	"samtune/checkpoints"
	"samtune/data"
	"samtune/eval"
	"samtune/model"
	"samtune/segment"
)

func main() {
	if err := zeroShot(os.Args[len(os.Args)-1]); err != nil {
		log.Fatal(err)
	}
}

func zeroShot(path string) error {
	spec, err1 := model.LookUp("lite_medsam")
	weights, err2 := checkpoints.Open(path)
	bench, err3 := data.Open("fundus", data.Options{})
	dev, err4 := model.OpenDevice("auto", 0)
	if err := errors.Join(err1, err2, err3, err4); err != nil {
		return err
	}
	fmt.Printf("%s: %d tensors\n", spec.Title, len(weights.Names()))
	sample, err1 := bench.Test[0].Load()
	sam, err2 := model.Load(dev, spec, path)
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	picture, err1 := segment.Open(sam, sample.Image) // through the encoder, once for any number of prompts
	prompts, err2 := eval.Prompts([]string{"oracle_box"}, sample, "vessels", eval.PromptOptions{})
	if err := errors.Join(err1, err2); err != nil {
		return err
	}
	answer, err := picture.Ask(prompts[0], nil, false)
	if err != nil {
		return err
	}
	scores, err := eval.Score(eval.Input{Prediction: answer[0].Mask, Truth: sample.Masks["vessels"], Valid: sample.Valid})
	fmt.Printf("%s, %s: Dice %.2f\n", sample.ID, prompts[0].Label, scores.Dice)
	return err
}
