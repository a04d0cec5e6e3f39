package experiment

import (
	"context"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"samtune/checkpoints"
	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/train"
)

// Tuned is a fine-tuned decoder as a run left it.
type Tuned struct {
	Dir    string
	Config *configs.Run // of the run
	Split  *data.Split  // of the run
	Path   string       // the best step's weights
	SHA256 string       // of that file

	HeadPath string // the convex head that they correct; empty where they correct none
}

// OpenTuned opens the best checkpoint of a run's own decoder, after it has verified it.
func OpenTuned(dir string) (*Tuned, error) { return OpenTunedDecoder(dir, "") }

// OpenTunedDecoder opens that of one of the decoders that a run fitted; the empty name is its own.
func OpenTunedDecoder(dir, decoder string) (*Tuned, error) {
	t := &Tuned{Dir: dir}
	var err error
	if t.Config, t.Split, err = readSettings(dir); err != nil {
		return nil, err
	}
	if decoder != "" {
		if !slices.Contains(decoderNames(), decoder) {
			return nil, fmt.Errorf("%w: decoder %q is unknown: there is %s", configs.ErrConfig, decoder, strings.Join(decoderNames(), ", "))
		}
		t.Config.Decoder = decoder
	}
	if t.Path, err = bestOf(dir, t.Config.Decoder); err != nil {
		return nil, err
	}
	if t.Config.Decoder == decoderFine {
		if t.HeadPath, err = bestOf(dir, decoderLinear); err != nil {
			return nil, err
		}
	}
	file, err := checkpoints.Open(t.Path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	t.SHA256, err = file.SHA256()
	return t, err
}

// bestOf returns the best weights of a run's decoder.
func bestOf(dir, decoder string) (string, error) {
	store, err := checkpoints.OpenStore(filepath.Join(dir, CheckpointsDir, decoder), checkpoints.StoreOptions{})
	if err != nil {
		return "", err
	}
	best, err := store.Best()
	if err != nil {
		return "", err
	}
	return best.Path(train.WeightsFile), nil
}

// checkLeaks refuses a test image that the weights were trained on, told by its pixels.
func (t *Tuned) checkLeaks(split *data.Split) error {
	trained := map[string]string{}
	for _, entries := range [][]data.Entry{t.Split.Train, t.Split.Validation} {
		for _, e := range entries {
			trained[e.ImageSHA256] = e.ID
		}
	}
	for _, e := range split.Test {
		if id, ok := trained[e.ImageSHA256]; ok {
			return fmt.Errorf("%w: test case %s has the pixels of %s, which %q was trained on", data.ErrLeak, e.ID, id, t.Dir)
		}
	}
	return nil
}

// testTuned segments the test cases with a decoder that was fitted before.
func (r *Run) testTuned(ctx context.Context) error {
	f, err := r.openFitted(r.opt.Tuned)
	if err != nil {
		return err
	}
	defer f.drop()
	tuned := r.opt.Tuned
	r.results.Shots = tuned.Config.Shots
	f.training.TrainCases, f.training.Validation = ids(tuned.Split.Train), ids(tuned.Split.Validation)
	return r.test(ctx, f)
}

// openFitted loads the decoder that a run left.
func (r *Run) openFitted(t *Tuned) (*fitted, error) {
	if r.cfg.Decoder == decoderLinear {
		h := r.headFeatures()
		head, err := train.LoadHead(h, t.Path)
		if err != nil {
			return nil, err
		}
		return r.linear(h, head), nil
	}
	p, err := r.predictor(r.cfg.Decoder)
	if err != nil {
		return nil, err
	}
	if p.Decoder.Corrects() {
		h := r.headFeatures()
		head, err := train.LoadHead(h, t.HeadPath)
		if err != nil {
			return nil, err
		}
		p.Prior = &train.Prior{Features: h, Head: head}
	}
	weights, err := train.LoadWeights(r.dev, p.Decoder, t.Path)
	if err != nil {
		return nil, err
	}
	f := r.trained(p, weights)
	f.training = eval.Training{Decoder: r.cfg.Decoder, BestDice: eval.Undefined, LeftOutDice: eval.Undefined, Threshold: p.Threshold}
	return f, nil
}
