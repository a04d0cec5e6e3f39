package experiment

import (
	"fmt"
	"slices"
	"strings"

	"samtune/configs"
	"samtune/model"
)

// What is trained of the encoder.
const (
	encoderFrozen = "frozen"
	encoderNeck   = "neck"
)

// checkEncoder refuses a tuned encoder where nothing is trained by gradient descent.
func (r *Run) checkEncoder() error {
	kinds := []string{encoderFrozen, encoderNeck}
	encoder := r.cfg.Train.Encoder
	if !slices.Contains(kinds, encoder) {
		return fmt.Errorf("%w: train.encoder is %q, want %s", configs.ErrConfig, encoder, strings.Join(kinds, ", "))
	}
	if encoder != encoderFrozen && r.cfg.Decoder == decoderLinear {
		return fmt.Errorf("%w: train.encoder is %q, but decoder linear is fitted on the frozen encoder's features: choose decoder %s or %s, or train.encoder %s",
			configs.ErrConfig, encoder, decoderPlain, decoderFine, encoderFrozen)
	}
	return nil
}

// tune lets a decoder train what the settings name of the encoder.
func (r *Run) tune(d model.Decoder) model.Decoder {
	if r.cfg.Train.Encoder == encoderNeck {
		return r.model.TuneNeck(d)
	}
	return d
}

// tuned says in words what is trained of the encoder beside the decoder.
func (r *Run) tuned(decoder string) string {
	if r.cfg.Train.Encoder == encoderFrozen || decoder == decoderLinear {
		return ""
	}
	return " and the encoder's " + r.cfg.Train.Encoder
}
