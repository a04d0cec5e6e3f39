package experiment

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"

	"samtune/eval"
	"samtune/eval/report"
	"samtune/internal/tfevents"
	"samtune/train"
)

// Names of TensorBoard's event files, the same in every run. A folder of them is what TensorBoard calls a run.
const (
	trainEvents = "events.out.tfevents.0000000000.samtune"
	testEvents  = "events.out.tfevents.0000000001.samtune"
)

// createEvents begins an event file of a method; the empty method stands for the run as a whole.
func (r *Run) createEvents(method, file string) (*tfevents.Writer, error) {
	dir := filepath.Join(r.Dir, EventsDir, method)
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("make folder of events: %w", err)
	}
	return tfevents.Create(filepath.Join(dir, file))
}

// logEvents shows a line of the training log to TensorBoard.
func logEvents(w *tfevents.Writer, p train.Point) error {
	values := []tfevents.Value{
		tfevents.Scalar("train/loss", p.Loss), tfevents.Scalar("train/learning_rate", p.LR), tfevents.Scalar("train/gradient_norm", p.GradNorm),
	}
	if p.ValDice != nil {
		values = append(values, tfevents.Scalar("validation/dice", *p.ValDice))
	}
	return w.Add(p.Step, values...)
}

// writeEvents shows TensorBoard what came out: the mean of each metric under each method, settings and overlays.
func (r *Run) writeEvents(overlays []report.CaseOverlay) error {
	for kind, m := range r.results.Before {
		if err := r.testedEvents("zeroshot-"+kind, 0, m, nil); err != nil {
			return err
		}
	}
	if m := r.results.After; m != nil {
		if err := r.testedEvents(r.results.Training.Decoder, r.results.Training.BestStep, m, r.results.Paired); err != nil {
			return err
		}
	}
	for _, o := range r.results.Others {
		if err := r.testedEvents(o.Training.Decoder, o.Training.BestStep, &o.Method, o.Paired); err != nil {
			return err
		}
	}
	settings := *r.cfg
	settings.Weights, settings.Cache.Dir = filepath.Base(settings.Weights), "" // where things lie is no result
	if r.decl.File() != "" {
		settings.Benchmark = filepath.Base(settings.Benchmark)
	}
	config, err := settings.TOML()
	if err != nil {
		return err
	}
	values := []tfevents.Value{tfevents.Text("config", "    "+string(bytes.ReplaceAll(config, []byte("\n"), []byte("\n    "))))}
	for _, o := range overlays {
		file, err := os.ReadFile(filepath.Join(r.Dir, OverlaysDir, o.FileName()))
		if err != nil {
			return fmt.Errorf("write events: %w", err)
		}
		picture, err := tfevents.Picture("cases/"+o.Role, file)
		if err != nil {
			return err
		}
		values = append(values, picture)
	}
	return r.eventsOfStep("", 0, values)
}

// testedEvents shows how a method did on the test cases with the weights of a step.
func (r *Run) testedEvents(method string, step int, m *eval.Method, paired *eval.Paired) error {
	var values []tfevents.Value
	for name, s := range m.Summaries() {
		if s.Mean.Defined() {
			values = append(values, tfevents.Scalar("test/"+name, float64(s.Mean)))
		}
	}
	if paired != nil && paired.Difference.Defined() {
		values = append(values, tfevents.Scalar("test/dice_gain", float64(paired.Difference)))
	}
	return r.eventsOfStep(method, step, values)
}

// eventsOfStep writes an event file of one step.
func (r *Run) eventsOfStep(method string, step int, values []tfevents.Value) (err error) {
	w, err := r.createEvents(method, testEvents)
	if err != nil {
		return err
	}
	defer func() {
		if closed := w.Close(); err == nil {
			err = closed
		}
	}()
	return w.Add(step, values...)
}
