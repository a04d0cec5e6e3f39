package main

import (
	"testing"

	"samtune/internal/testkit"
)

func TestZeroShot(t *testing.T) {
	if err := zeroShot(testkit.LiteMedSAM(t)); err != nil {
		t.Fatal(err)
	}
}
