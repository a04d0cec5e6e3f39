package eval

import (
	"fmt"

	"samtune/data"
)

// Dice returns the Dice coefficient alone, as Score does: over the pixels inside valid (nil: all),
// undefined where both masks are empty there.
func Dice(prediction, truth, valid *data.Mask) (Float, error) {
	in := Input{Prediction: prediction, Truth: truth, Valid: valid}
	if err := in.check(); err != nil {
		return Undefined, fmt.Errorf("score: %w", err)
	}
	return in.counts(within(prediction, valid), within(truth, valid)).Dice, nil
}
