package eval

import (
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestParsePointAndBox(t *testing.T) {
	for text, want := range map[string]struct {
		point [2]float64
		label int
	}{"3,4": {[2]float64{3, 4}, 1}, " 3.5 , 4,+": {[2]float64{3.5, 4}, 1}, "10,2,-": {[2]float64{10, 2}, 0}, "10,2,0": {[2]float64{10, 2}, 0}} {
		if p, l, err := ParsePoint(text); err != nil || p != want.point || l != want.label {
			t.Errorf("%q: %v %d %v, want %v", text, p, l, err, want)
		}
	}
	for _, text := range []string{"", "3", "3,4,5", "3,4,+,1", "a,4", "NaN,4", "3,Inf", "3;4"} {
		if p, _, err := ParsePoint(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v, %v: want an error that quotes it", text, p, err)
		}
	}
	if b, err := ParseBox("1,2,30,4"); err != nil || b != [4]float64{1, 2, 30, 4} {
		t.Errorf("%v, %v", b, err)
	}
	for _, text := range []string{"1,2,3", "1,2,3,4,5", "1,2,3,x"} {
		if _, err := ParseBox(text); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

func TestPromptCheck(t *testing.T) {
	for name, p := range map[string]Prompt{
		"x too large":  {Points: [][2]float64{{12, 2}}, Labels: []int{1}},
		"y too large":  {Points: [][2]float64{{2, 7}}, Labels: []int{1}}, // fits where x and y are mixed up
		"negative":     {Points: [][2]float64{{-1, 2}}, Labels: []int{1}},
		"no label":     {Points: [][2]float64{{1, 2}}},
		"label 2":      {Points: [][2]float64{{1, 2}}, Labels: []int{2}},
		"box upside":   {Box: &[4]float64{1, 4, 3, 2}},
		"box too high": {Box: &[4]float64{1, 2, 3, 8}},
		"empty box":    {Box: &[4]float64{1, 2, 1, 3}},
	} {
		if err := p.Check(11, 6); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

const jsonText = `{"prompts": [
  {"id": "bar", "image": "a.png", "points": [[7, 3], [1, 5]], "labels": [1, 0], "box": [6, 3, 9, 4]},
  {"points": [[2, 0]]},
  {"id": "idea", "mask": "m.png"}
]}
`

const csvText = `id,image,type,x,y,label,x0,y0,x1,y1,file
bar,a.png,point,7,3,+,,,,,
bar,a.png,point,1,5,0,,,,,
bar,a.png,box,,,,6,3,9,4,
,,point,2,0,,,,,,
idea,,mask,,,,,,,,m.png
`

func writeText(t testing.TB, name, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), name)
	if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestReadPrompts: both forms say the same.
func TestReadPrompts(t *testing.T) {
	for name, text := range map[string]string{"p.json": jsonText, "p.csv": csvText} {
		path := writeText(t, name, text)
		got, err := ReadPrompts(path)
		if err != nil {
			t.Fatal(err)
		}
		for i := range got {
			if got[i].Line != []int{2, 3, 4}[i] && name == "p.json" || got[i].Line != []int{2, 5, 6}[min(i, 2)] && name == "p.csv" {
				t.Errorf("%s: prompt %d is said to be in line %d", name, i, got[i].Line)
			}
			got[i].Line = 0
		}
		want := []Object{
			{ID: "bar", Image: "a.png", Prompt: Prompt{Points: [][2]float64{{7, 3}, {1, 5}}, Labels: []int{1, 0}, Box: &[4]float64{6, 3, 9, 4}}},
			{ID: "2", Prompt: Prompt{Points: [][2]float64{{2, 0}}, Labels: []int{1}}},
			{ID: "idea", MaskFile: filepath.Join(filepath.Dir(path), "m.png")},
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
}

func TestPromptFileErrors(t *testing.T) {
	for name, c := range map[string]struct{ file, text, want string }{
		"unknown key":       {"p.json", "{\"prompts\": [\n{\"point\": [1, 2]}]}", "line 2"},
		"syntax":            {"p.json", "{\"prompts\": [\n{\"points\": [[1, 2]\n}]}", "line 3"},
		"wrong kind":        {"p.json", "{\"prompts\": [\n\n{\"box\": \"1,2,3,4\"}]}", "line 3"},
		"far down":          {"p.json", "{\"prompts\": [\n{\"id\": \"a\"},\n{\"id\": \"b\"},\n\n{\"box\": [1, 2, 3, \"x\"]}]}", "line 5"},
		"syntax far down":   {"p.json", "{\"prompts\": [\n{\"id\": \"a\"},\n{\"id\": \"b\"},\n\n{\"box\": [1, 2, 3,, 4]}]}", "line 5"},
		"labels and points": {"p.json", "{\"prompts\": [\n{\"points\": [[1, 2]], \"labels\": [1, 0]}]}", "1 points and 2 labels"},
		"no list":           {"p.json", `[{"points": [[1, 2]]}]`, `want {"prompts": [`},
		"none":              {"p.json", `{"prompts": []}`, "no prompt"},
		"more":              {"p.json", `{"prompts": [{"id": "a"}], "other": 1}`, "follows"},
		"empty":             {"p.csv", "", "header"},
		"unknown column":    {"p.csv", "id,type,z\n", `"z"`},
		"no type":           {"p.csv", "id,x,y\n", "type"},
		"no number":         {"p.csv", "type,x,y\npoint,1,two\n", "line 2: column y"},
		"unknown type":      {"p.csv", "type,x,y\npoint,1,2\nscribble,1,2\n", "line 3: column type"},
		"label":             {"p.csv", "type,x,y,label\npoint,1,2,yes\n", "line 2: column label"},
		"two boxes":         {"p.csv", "id,type,x0,y0,x1,y1\na,box,1,2,3,4\na,box,1,2,3,4\n", "line 3"},
		"fields":            {"p.csv", "type,x,y\npoint,1\n", "line 2"},
		"another ending":    {"p.txt", "x", ".json or .csv"},
	} {
		if _, err := ReadPrompts(writeText(t, c.file, c.text)); !errors.Is(err, ErrPromptFile) || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func fuzzPrompts(f *testing.F, parse func([]byte) ([]Object, error), seeds ...string) {
	for _, s := range seeds {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, text []byte) {
		objects, err := parse(text)
		if err != nil {
			return
		}
		for _, o := range objects {
			if len(o.Prompt.Points) != len(o.Prompt.Labels) || o.Line < 1 {
				t.Errorf("%+v", o)
			}
		}
	})
}

func FuzzJSONPrompts(f *testing.F) {
	fuzzPrompts(f, parseJSONPrompts, jsonText, `{"prompts":[]}`, `{"prompts":[{}]}`)
}

func FuzzCSVPrompts(f *testing.F) {
	fuzzPrompts(f, parseCSVPrompts, csvText, "type\npoint\n", "id,type,x,y\n\"a\nb\",point,1,2\n")
}
