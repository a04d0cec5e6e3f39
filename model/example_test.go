package model_test

import (
	"fmt"

	"samtune/model"
)

// A picture of 800 x 600 pixels as LiteMedSAM's encoder sees it.
func ExampleSpec_WholeImage() {
	spec, err := model.LookUp("lite_medsam")
	if err != nil {
		fmt.Println(err)
		return
	}
	g := spec.WholeImage(800, 600)
	fmt.Println(spec.Title, g.Width, "x", g.Height, "of", spec.ImageSize)
	for _, tile := range model.Tiles(800, 600, 2, 450) {
		fmt.Println(tile)
	}
	// Output:
	// LiteMedSAM 256 x 192 of 256
	// {0 0 450 450}
	// {350 0 450 450}
	// {0 150 450 450}
	// {350 150 450 450}
}
