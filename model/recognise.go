package model

import (
	"errors"
	"fmt"
	"strings"

	"samtune/checkpoints"
)

// ErrNoModel says that weights are of none of the declared models.
var ErrNoModel = errors.New("weights of no known model")

// Recognise returns the declared models that a file's names and shapes fit; its path and what it is called say nothing.
// Several models can have one architecture: they differ in what they were trained on and in how a picture is brought to
// them. Where none fits the error wraps ErrNoModel and lists how the file differs from the one that it is nearest to.
func Recognise(f *checkpoints.File) ([]*Spec, error) {
	var fitting []*Spec
	var nearest *checkpoints.MismatchError
	var of *Spec
	for _, name := range Names() {
		spec, err := LookUp(name)
		if err != nil {
			return nil, err
		}
		err = checkpoints.Match(spec.Params(), f)
		var mismatch *checkpoints.MismatchError
		switch {
		case err == nil:
			fitting = append(fitting, spec)
		case !errors.As(err, &mismatch):
			return nil, err
		case nearest == nil || distance(mismatch) < distance(nearest):
			nearest, of = mismatch, spec
		}
	}
	if len(fitting) == 0 {
		return nil, fmt.Errorf("%w; the nearest is %s (%s): %w", ErrNoModel, of.Name, of.Title, nearest)
	}
	return fitting, nil
}

func distance(e *checkpoints.MismatchError) int {
	return len(e.Missing) + len(e.Unexpected) + len(e.Shapes)
}

// RecogniseFile opens a file of weights and returns the one model that it is of. Where several fit, that with the
// file's checksum is taken; where none has it the error names them, since only the user knows which was meant.
func RecogniseFile(path string) (*Spec, error) {
	f, err := OpenWeights(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	fitting, err := Recognise(f)
	if err != nil {
		return nil, err
	}
	if len(fitting) == 1 {
		return fitting[0], nil
	}
	sum, err := f.SHA256()
	if err != nil {
		return nil, err
	}
	var names []string
	for _, spec := range fitting {
		if spec.Weights.SHA256 == sum {
			return spec, nil
		}
		names = append(names, spec.Name)
	}
	return nil, fmt.Errorf("%q fits %s, which have one architecture and take pictures in different ways: say which with --model", path, strings.Join(names, " and "))
}
