package configs

import (
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
)

func TestUnknownKeysAreRefusedWithTheirPlace(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		says []string
	}{
		"in a table":    {"shots = 3\n[train]\nlearning_rate = 1e-4\n", []string{"my.toml:3:1", `"train.learning_rate"`, `"train.lr"`, "  3 | learning_rate = 1e-4\n      ^^^^^^^^^^^^^"}},
		"dotted":        {"train.stepz = 3", []string{"my.toml:1:7", `"train.stepz"`, `"train.steps"`, "^^^^^"}},
		"at the top":    {"\n\nseeed = 3", []string{"my.toml:3:1", `"seed"`}},
		"unknown table": {"[optimiser]\nlr = 3", []string{`"optimiser`}},
		"like nothing":  {"qqq = 1", []string{`unknown key "qqq"`}},
	} {
		t.Run(name, func(t *testing.T) {
			err := Default().Apply(Layer{"my.toml", c.text})
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("error %v, want ErrConfig", err)
			}
			for _, want := range c.says {
				if !strings.Contains(err.Error(), want) {
					t.Errorf("it does not say %q: %v", want, err)
				}
			}
		})
	}
	if err := Default().Apply(Layer{"my.toml", "qqq = 1"}); strings.Contains(err.Error(), "did you mean") {
		t.Errorf("a hint where nothing is like it: %v", err)
	}
}

func TestBadTOMLIsRefusedWithItsPlace(t *testing.T) {
	for name, c := range map[string][2]string{
		"syntax":     {"shots = = 3", "my.toml:1:"},
		"wrong type": {"[train]\nsteps = \"many\"", "train.steps"},
		"fraction":   {"shots = 2.5", "shots"},
		"twice":      {"shots = 1\nshots = 2", "my.toml:2:"},
	} {
		t.Run(name, func(t *testing.T) {
			err := Default().Apply(Layer{"my.toml", c[0]})
			if !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), c[1]) {
				t.Errorf("error %v, want ErrConfig with %q", err, c[1])
			}
		})
	}
}

func TestValuesOutOfRangeAreRefusedWithTheirPlace(t *testing.T) {
	for text, want := range map[string]string{
		"shots = 0":                         "my.toml:1:1: invalid config: shots is 0, want 1 or more",
		"[train]\nlr = -1.0":                "my.toml:2:1: invalid config: train.lr is -1, want above 0",
		"[train]\nlr = nan":                 "train.lr is NaN, want above 0",
		"[head]\nmirrors = \"y\"":           `head.mirrors is "y", want none, x, xy`,
		"[head]\nthreshold = 1.0":           "head.threshold is 1, want 0 to below 1",
		"[head]\nridges = []":               "my.toml:2:1: invalid config: head.ridges is an empty list, want at least one",
		"[head]\nscales = [1, 65]":          "head.scales is 65, want 1 to 64",
		"[train]\nthreads = 1000000":        "train.threads is 1000000, want 0 to 1024",
		"[head]\nridges = [1e-3, 0.0]":      "head.ridges is 0, want above 0",
		"[eval]\nthreshold = 0.0":           "eval.threshold is 0, want between 0 and 1",
		"[eval]\neverything_points = 65":    "want 1 to 64",
		"compare = [\"plain\", \"lienar\"]": `compare is "lienar", want plain, linear, fine`,
		"[engine.slurm]\ncpus = -1":         "engine.slurm.cpus is -1, want 0 or more",
		"[views]\nmin_valid = inf":          "views.min_valid is +Inf, want 0 to 1",
	} {
		if err := Default().Apply(Layer{"my.toml", text}); !errors.Is(err, ErrConfig) || !strings.Contains(err.Error(), want) {
			t.Errorf("%q: %v, want ErrConfig with %q", text, err, want)
		}
	}
	if err := Default().Check(); err != nil {
		t.Error(err)
	}
	for text, want := range map[string]string{"[0,)": "0 or more", "(0,1]": "above 0 to 1", "a|b": "a, b", "(,)": "any finite number"} {
		b, err := parseBounds(text)
		if err != nil || b.String() != want {
			t.Errorf("%q: %v, %v, want %q", text, b, err, want)
		}
	}
	for _, text := range []string{"[a,b]", "[1]"} {
		if _, err := parseBounds(text); err == nil {
			t.Errorf("%q is taken", text)
		}
	}
}

func TestSetLayer(t *testing.T) {
	for assignment, check := range map[string]func(r *Run) bool{
		"train.lr=1e-3":                  func(r *Run) bool { return r.Train.LR == 1e-3 },
		"train.device=cuda:1":            func(r *Run) bool { return r.Train.Device == "cuda:1" },
		"benchmark = drive":              func(r *Run) bool { return r.Benchmark == "drive" },
		`benchmark="drive"`:              func(r *Run) bool { return r.Benchmark == "drive" },
		`eval.prompts=["box", "none"]`:   func(r *Run) bool { return reflect.DeepEqual(r.Eval.Prompts, []string{"box", "none"}) },
		"train.flips=false":              func(r *Run) bool { return !r.Train.Flips },
		`cache.dir=/with "quotes" in it`: func(r *Run) bool { return r.Cache.Dir == `/with "quotes" in it` },
	} {
		t.Run(assignment, func(t *testing.T) {
			l, err := SetLayer(assignment)
			if err != nil {
				t.Fatal(err)
			}
			r := Default()
			if err := r.Apply(l); err != nil {
				t.Fatal(err)
			}
			if !check(r) {
				t.Errorf("it has no effect: %+v", r)
			}
		})
	}
	for _, bad := range []string{"", "train.lr", "=3"} {
		if _, err := SetLayer(bad); !errors.Is(err, ErrConfig) {
			t.Errorf("%q: error %v, want ErrConfig", bad, err)
		}
	}
}

func TestTOMLGivesTheSameSettings(t *testing.T) {
	r := Default()
	r.Benchmark, r.Train.LR, r.Eval.Prompts, r.Weights = "drive", 0.1, []string{"box"}, `a "b" \c`
	text, err := r.TOML()
	if err != nil {
		t.Fatal(err)
	}
	again := &Run{}
	if err := again.Apply(Layer{"again", string(text)}); err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(r, again) {
		t.Errorf("%+v became %+v", r, again)
	}
}

// TestEngineIsWrittenWhereItIsSet keeps the files of runs that know no engine as they were.
func TestEngineIsWrittenWhereItIsSet(t *testing.T) {
	r := Default()
	plain, err := r.TOML()
	if err != nil || strings.Contains(string(plain), "engine") {
		t.Errorf("error %v, or an engine that nobody asked for in\n%s", err, plain)
	}
	r.Engine.Slurm.Partition = "gpu"
	with, err := r.TOML()
	if err != nil || !strings.HasPrefix(string(with), string(plain)) || !strings.HasSuffix(string(with), "\n[engine]\n[engine.slurm]\npartition = \"gpu\"\n") {
		t.Errorf("error %v, want the settings of before and one of the engine, not\n%s", err, with)
	}
	if err := r.Apply(Layer{"cluster.toml", "[engine.slurm]\npartion = 'cpu'"}); err == nil || !strings.Contains(err.Error(), `"engine.slurm.partition"`) {
		t.Errorf("error %v, want the key that was meant", err)
	}
}

// TestHash changes every setting in turn.
func TestHash(t *testing.T) {
	without := map[string]bool{"weights": true, "cache.dir": true, "train.checkpoint_every": true, "train.keep": true, "cache.budget_gb": true}
	base, err := Default().Hash()
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range Keys(Run{}) {
		value := map[string]string{"string": `"other"`, "int": "37", "int64": "37", "float64": "0.977", "bool": "false", "[]string": `["none"]`, "[]int": "[7]", "[]float64": "[0.977]"}[k.Type]
		if k.Name == "head.context" { // the one switch that is off
			value = "true"
		}
		switch words := strings.Split(k.Range, ", "); {
		case k.Name == "head.pixels":
			value = "977"
		case k.Name == "train.loss.gamma":
			value = "1.5"
		case len(words) > 1 && strings.HasPrefix(k.Type, "[]"):
			value = fmt.Sprintf("[%q]", words[1])
		case len(words) > 1:
			value = fmt.Sprintf("%q", words[1])
			if k.Name == "head.mirrors" { // whose second is its default
				value = `"xy"`
			}
		}
		if value == "" {
			t.Fatalf("%s has type %s, which this test does not know", k.Name, k.Type)
		}
		r := Default()
		if err := r.Apply(Layer{k.Name, k.Name + " = " + value}); err != nil {
			t.Fatal(err)
		}
		got, err := r.Hash()
		if err != nil {
			t.Fatal(err)
		}
		listed, err := r.Decisive()
		if err != nil {
			t.Fatal(err)
		}
		if got == base && slices.ContainsFunc(listed, func(s Setting) bool { return s.Key == k.Name }) {
			t.Errorf("%s is listed and decides nothing", k.Name)
		}
		if want := without[k.Name] || strings.HasPrefix(k.Name, "engine."); (got == base) != want {
			t.Errorf("%s: the hash is the same: %v, want %v", k.Name, got == base, want)
		}
		if k.Doc == "" {
			t.Errorf("%s has no description", k.Name)
		}
		if got != base { // it is listed among what decides, with the value that it was given
			if !slices.ContainsFunc(listed, func(s Setting) bool { return s.Key == k.Name && strings.Trim(s.Value, `"`) == strings.Trim(value, `"`) }) {
				t.Errorf("%s = %s is not listed: %v", k.Name, value, listed)
			}
		}
	}
}

func TestDeclarations(t *testing.T) {
	for kind, want := range map[string]string{Benchmarks: "drive", Models: "lite_medsam"} {
		names := Names(kind)
		found := false
		for _, n := range names {
			found = found || n == want
			if _, text, err := Declaration(kind, n); err != nil || text == "" {
				t.Errorf("%s %s: %v", kind, n, err)
			}
		}
		if !found {
			t.Errorf("%s: %v, want %s among them", kind, names, want)
		}
		if _, _, err := Declaration(kind, "../models/lite_medsam"); err == nil && kind == Benchmarks {
			t.Error("a name with a path in it is taken")
		}
	}
}

func TestRecipesApply(t *testing.T) {
	l, err := MapLayer("recipe", map[string]any{"train": map[string]any{"steps": int64(7)}})
	if err != nil {
		t.Fatal(err)
	}
	r := Default()
	if err := r.Apply(l); err != nil || r.Train.Steps != 7 {
		t.Errorf("%d steps, %v", r.Train.Steps, err)
	}
}

// FuzzConfig: a text is taken or refused with ErrConfig, and what is taken gives itself again.
func FuzzConfig(f *testing.F) {
	for _, text := range []string{"shots = 3\n[train]\nlr = 1e-4\n", "compare = []\n[head]\nscales = [1, 2]", "qqq = 1", "shots = = 3", "[engine.slurm]\nextra = '''\n--x'''"} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		r := Default()
		if err := r.Apply(Layer{"fuzz.toml", text}); err != nil {
			if !errors.Is(err, ErrConfig) {
				t.Fatalf("%v is not ErrConfig", err)
			}
			return
		}
		if err := r.Check(); err != nil {
			t.Fatalf("what Apply took Check refuses: %v", err)
		}
		written, err := r.TOML()
		if err != nil {
			t.Fatal(err)
		}
		again := Default()
		if err := again.Apply(Layer{"again.toml", string(written)}); err != nil {
			t.Fatalf("%s: %v", written, err)
		}
	})
}
