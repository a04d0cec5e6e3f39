package experiment

import (
	"fmt"

	"samtune/configs"
	"samtune/internal/tensor"
	"samtune/model"
)

// What is trained of the encoder.
const (
	encoderFrozen = "frozen"
	encoderNeck   = "neck"
	encoderLoRA   = "lora"
)

// checkEncoder refuses a tuned encoder where nothing is trained by gradient descent.
func (r *Run) checkEncoder() error {
	encoder := r.cfg.Train.Encoder
	if encoder != encoderFrozen && r.cfg.Decoder == decoderLinear {
		return fmt.Errorf("%w: train.encoder is %q, but decoder linear is fitted on the frozen encoder's features: choose decoder %s or %s, or train.encoder %s",
			configs.ErrConfig, encoder, decoderPlain, decoderFine, encoderFrozen)
	}
	if encoder != encoderFrozen && r.cfg.Precision != tensor.Float32.String() {
		return fmt.Errorf("%w: train.encoder is %q, which trains in float32, but precision is %q: choose precision float32, or train.encoder %s",
			configs.ErrConfig, encoder, r.cfg.Precision, encoderFrozen)
	}
	return nil
}

// tune lets a decoder train what the settings name of the encoder.
func (r *Run) tune(d model.Decoder) (model.Decoder, error) {
	switch r.cfg.Train.Encoder {
	case encoderNeck:
		return r.model.TuneNeck(d), nil
	case encoderLoRA:
		tuned, err := r.model.TuneLoRA(d, r.cfg.Train.Rank)
		if err != nil {
			return nil, fmt.Errorf("%w: train.rank: %w", configs.ErrConfig, err)
		}
		return tuned, nil
	}
	return d, nil
}

// tuned says in words what is trained of the encoder beside a decoder.
func (r *Run) tuned(decoder string) string {
	switch {
	case decoder == decoderLinear:
	case r.cfg.Train.Encoder == encoderNeck:
		return " and encoder neck"
	case r.cfg.Train.Encoder == encoderLoRA:
		return fmt.Sprintf(" and LoRA of rank %d in the encoder", r.cfg.Train.Rank)
	}
	return ""
}
