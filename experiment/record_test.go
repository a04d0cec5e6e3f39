package experiment

import (
	"errors"
	"fmt"
	"runtime"
	"strings"
	"testing"

	"samtune/configs"
	"samtune/data"
	"samtune/eval"
	"samtune/internal/tensor"
	"samtune/internal/tensor/tensortest"
	"samtune/model"
)

// TestWhatDiffersFromTheRecordIsNamed sets up a run that is its record's, and one that differs in one thing.
func TestWhatDiffersFromTheRecordIsNamed(t *testing.T) {
	dev := tensortest.CPU(t)
	for name, c := range map[string]struct {
		change  func(rec *Record)
		differs string
		changed string
	}{
		"nothing":           {func(*Record) {}, "", ""},
		"device":            {func(rec *Record) { rec.Results.Device = "cuda:0" }, "device was cuda:0 and is cpu", ""},
		"threads":           {func(rec *Record) { rec.Results.Threads = 8 }, "threads was 8 and is 2", ""},
		"libtorch":          {func(rec *Record) { rec.Results.Versions["libtorch"] = "1.0" }, "libtorch was 1.0", ""},
		"samtune":           {func(rec *Record) { rec.Results.Versions["samtune"] = "0.0.9" }, "samtune was 0.0.9 and is 0.1.0", ""},
		"settings":          {func(rec *Record) { rec.Results.ConfigSHA256 = "00" }, "", "the settings in config.toml"},
		"weights":           {func(rec *Record) { rec.Results.WeightsSHA256 = "00" }, "", "the weights"},
		"other cases":       {func(rec *Record) { rec.Split.DataSHA256 = "00" }, "", "lists 0 training"},
		"fine-tuned weight": {func(rec *Record) { rec.note.Tested = "00" }, "", "the fine-tuned weights"},
	} {
		t.Run(name, func(t *testing.T) {
			cfg := configs.Default()
			hash, err := cfg.Hash()
			if err != nil {
				t.Fatal(err)
			}
			rec := &Record{Dir: "runs/a", Split: &data.Split{Benchmark: cfg.Benchmark, Target: "vessels", DataSHA256: "dd"}, note: runFile{Tested: "tt"}, Results: &eval.Results{
				WeightsSHA256: "ww", ConfigSHA256: hash, Device: "cpu", Threads: 2,
				Versions: map[string]string{"samtune": "0.1.0", "libtorch": tensor.Version(), "go": runtime.Version()},
			}}
			c.change(rec)
			r := &Run{cfg: cfg, decl: &data.Decl{Name: cfg.Benchmark}, dev: dev, split: &data.Split{DataSHA256: "dd"}, bench: &data.Benchmark{Name: cfg.Benchmark, Title: "Eyes", Targets: []string{"vessels"}},
				model: &model.Model{SHA256: "ww"}, opt: Options{Version: "0.1.0", Tuned: &Tuned{SHA256: "tt"}}}
			differs, err := rec.verify(r)
			if got := strings.Join(differs, "; "); !strings.Contains(got, c.differs) || (got == "") != (c.differs == "") {
				t.Errorf("%q differs, want %q", got, c.differs)
			}
			if errors.Is(err, ErrChanged) != (c.changed != "") || !strings.Contains(fmt.Sprint(err), c.changed) {
				t.Errorf("error %v, want %q", err, c.changed)
			}
		})
	}
}

func TestFirstDifferenceOfResults(t *testing.T) {
	for name, c := range map[string]struct{ a, b, want string }{
		"equal":          {`{"x": [1, null]}`, `{"x": [1, null]}`, ""},
		"circumstances":  {`{"seconds": {"train": 1}, "training": {"seconds": 2, "steps": 3}}`, `{"seconds": {}, "training": {"seconds": 4, "steps": 3}}`, ""},
		"a number":       {`{"training": {"steps": 3}}`, `{"training": {"steps": 4}}`, `training.steps is "3" and "4"`},
		"in a list":      {`{"others": [{"p": 0.5}]}`, `{"others": [{"p": 0.25}]}`, `others[0].p is "0.5" and "0.25"`},
		"undefined":      {`{"p": null}`, `{"p": 1}`, `p is "<nil>" and "1"`},
		"a missing key":  {`{"p": 1}`, `{}`, `p is "1" and "<nil>"`},
		"another length": {`{"l": [1]}`, `{"l": [1, 2]}`, `l is "[1]" and "[1 2]"`},
	} {
		if got, err := resultsDifference([]byte(c.a), []byte(c.b)); err != nil || got != c.want {
			t.Errorf("%s: %q (%v), want %q", name, got, err, c.want)
		}
	}
}
