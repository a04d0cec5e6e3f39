package train

import (
	"encoding/json"
	"fmt"
	"io"

	"samtune/checkpoints"
	"samtune/internal/tensor"
	"samtune/model"
)

// Files of a checkpoint.
const (
	WeightsFile = "weights.safetensors" // the trained parameters, by their official names
	optimFile   = "optim.safetensors"
	stateFile   = "state.json"
)

// save begins to write a checkpoint of the current step, at which one is due or, between two of those, training stops; the next steps are
// taken meanwhile. Weights that are no numbers are not written.
func (f *fit) save(due bool) error {
	var weights, moments []checkpoints.Tensor
	if err := f.dev.Run(func(s *tensor.Scope) error {
		if !isFinite(s.Item(s.Norm(f.opt.flat))) {
			return f.diverged(fmt.Sprintf("the weights after step %d are no numbers", f.state.Step))
		}
		weights, moments = f.opt.state(s)
		return nil
	}); err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	state, err := json.MarshalIndent(f.state, "", "  ")
	if err != nil {
		return fmt.Errorf("save checkpoint: %w", err)
	}
	meta := map[string]string{"decoder": f.job.Predictor.Decoder.Name(), "model": f.job.Predictor.Model.Spec.Name,
		"base_sha256": f.job.Predictor.Model.SHA256}
	files := map[string]func(io.Writer) error{
		WeightsFile: func(w io.Writer) error { return checkpoints.EncodeSafetensors(w, meta, weights) },
		optimFile:   func(w io.Writer) error { return checkpoints.EncodeSafetensors(w, nil, moments) },
		stateFile:   func(w io.Writer) error { _, err := w.Write(append(state, '\n')); return err },
	}
	if err := f.written(); err != nil {
		return err
	}
	step, best, saving := f.state.Step, f.state.Step == f.state.BestStep, make(chan error, 1)
	f.saved, f.saving = step, saving
	go func() {
		if due {
			saving <- f.job.Store.Save(step, best, files)
		} else {
			saving <- f.job.Store.SaveBetween(step, files)
		}
	}()
	return nil
}

// written waits for the checkpoint that is being written, if there is one.
func (f *fit) written() error {
	if f.saving == nil {
		return nil
	}
	err := <-f.saving
	f.saving = nil
	return err
}

// stop saves a checkpoint because the run is interrupted and returns why.
func (f *fit) stop(why error) error {
	if f.state.Step > f.saved {
		if err := f.save(false); err != nil {
			return err
		}
	}
	if err := f.written(); err != nil {
		return err
	}
	return fmt.Errorf("stopped at step %d of %d, with a checkpoint: the same command goes on from there: %w", f.state.Step, f.job.Config.Steps, why)
}

// resume goes on from the newest checkpoint that verifies, if there is one.
func (f *fit) resume() error {
	latest, damaged, err := f.job.Store.Latest()
	if err != nil {
		return err
	}
	for _, d := range damaged {
		f.job.Warn(fmt.Sprintf("checkpoint passed over: %v", d))
	}
	if latest == nil {
		return nil
	}
	text, err := latest.ReadFile(stateFile)
	if err != nil {
		return err
	}
	if err := json.Unmarshal(text, &f.state); err != nil {
		return fmt.Errorf("resume: %q: %s: %w", latest.Dir, stateFile, err)
	}
	weights, err := checkpoints.Open(latest.Path(WeightsFile))
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	defer weights.Close()
	moments, err := checkpoints.Open(latest.Path(optimFile))
	if err != nil {
		return fmt.Errorf("resume: %w", err)
	}
	defer moments.Close()
	if err := f.dev.Run(func(s *tensor.Scope) error { return f.opt.restore(s, weights, moments, f.state.Step) }); err != nil {
		return fmt.Errorf("resume from %q: %w", latest.Dir, err)
	}
	f.saved, f.resumed = f.state.Step, []int{f.state.Step}
	f.job.Resumed(f.state.Step)
	return nil
}

// best returns the weights of the best step.
func (f *fit) best() (model.Weights, error) {
	best, err := f.job.Store.Best()
	if err != nil {
		return nil, err
	}
	return LoadWeights(f.dev, f.job.Predictor.Decoder, best.Path(WeightsFile))
}

// LoadWeights reads a decoder's fine-tuned parameters from a safetensors file. The caller drops them on
// the device.
func LoadWeights(dev *tensor.Device, decoder model.Decoder, path string) (model.Weights, error) {
	file, err := checkpoints.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	if err := checkpoints.Match(decoder.Trainable(), file); err != nil {
		return nil, err
	}
	w := model.Weights{}
	err = dev.Run(func(s *tensor.Scope) error {
		for _, info := range decoder.Trainable() {
			w[info.Name] = s.Keep(read(s, file, info))
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return w, nil
}
