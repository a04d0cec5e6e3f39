// Command samtune fine-tunes SAM's mask decoder on a few annotated images and compares zero-shot with
// fine-tuned Dice.
package main

import "os"

func main() {
	settle()
	os.Exit(run(os.Args[1:], os.Stdout, os.Stderr))
}
