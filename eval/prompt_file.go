package eval

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// ErrPromptFile says that a file of prompts does not say what is wanted.
var ErrPromptFile = errors.New("unusable file of prompts")

// Bounds of a file of prompts.
const (
	maxPromptFile = 64 << 20 // bytes
	maxPrompts    = 100_000
)

// Object is one thing to segment in one image, with its prompt.
type Object struct {
	ID       string // of the object, for its file; "1", "2", ... by place where the file gives none
	Image    string // the image's file name; empty: any
	Prompt   Prompt // without its mask
	MaskFile string // of the prompt's mask, beside the file of prompts where it is relative; empty: none
	Line     int    // where it stands
}

// ReadPrompts reads prompts for one image or many from a JSON or CSV file, told apart by its ending:
//
//	{"prompts": [{"id": "polyp", "image": "a.png", "points": [[120, 80], [10, 15]], "labels": [1, 0], "box": [90, 60, 180, 140], "mask": "idea.png"}]}
//
//	id,image,type,x,y,label,x0,y0,x1,y1,file
//	polyp,a.png,point,120,80,1,,,,,
//	polyp,a.png,box,,,,90,60,180,140,
//
// Everything but the image is optional in JSON, and labels are 1 where there are none; in CSV rows of one id and image are one
// prompt, and columns that are not needed may be left out. x is the column and y the row of a pixel. The error wraps ErrPromptFile and names the line.
func ReadPrompts(path string) ([]Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read prompts: %w", err)
	}
	defer f.Close()
	text, err := io.ReadAll(io.LimitReader(f, maxPromptFile+1))
	if err != nil {
		return nil, fmt.Errorf("read prompts %q: %w", path, err)
	}
	var objects []Object
	switch ending := strings.ToLower(filepath.Ext(path)); {
	case len(text) > maxPromptFile:
		err = fmt.Errorf("it is larger than %d MiB", maxPromptFile>>20)
	case ending == ".json":
		objects, err = parseJSONPrompts(text)
	case ending == ".csv":
		objects, err = parseCSVPrompts(text)
	default:
		err = fmt.Errorf("its ending is %q, want .json or .csv", ending)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %q: %w", ErrPromptFile, path, err)
	}
	if len(objects) == 0 {
		return nil, fmt.Errorf("%w: %q holds no prompt", ErrPromptFile, path)
	}
	for i := range objects {
		o := &objects[i]
		if o.ID == "" {
			o.ID = strconv.Itoa(i + 1)
		}
		if o.MaskFile != "" && !filepath.IsAbs(o.MaskFile) {
			o.MaskFile = filepath.Join(filepath.Dir(path), o.MaskFile)
		}
	}
	return objects, nil
}

// jsonPrompt is a prompt as JSON has it.
type jsonPrompt struct {
	ID     string       `json:"id"`
	Image  string       `json:"image"`
	Points [][2]float64 `json:"points"`
	Labels []int        `json:"labels"`
	Box    *[4]float64  `json:"box"`
	Mask   string       `json:"mask"`
}

func parseJSONPrompts(text []byte) ([]Object, error) {
	d := json.NewDecoder(bytes.NewReader(text))
	d.DisallowUnknownFields()
	line := func(offset int64) int { return 1 + bytes.Count(text[:min(offset, int64(len(text)))], []byte("\n")) }
	start := int64(0) // of the value that is decoded: errors count from there
	fail := func(err error) error {
		at := d.InputOffset()
		var syntax *json.SyntaxError
		var kind *json.UnmarshalTypeError
		switch {
		case errors.As(err, &syntax):
			at = start + syntax.Offset
		case errors.As(err, &kind):
			at = start + kind.Offset
			err = fmt.Errorf("%s is a %s, which does not belong there", kind.Field, kind.Value)
		}
		return fmt.Errorf("line %d: %w", line(at), err)
	}
	// The outer levels are read token by token, so that each prompt has its line.
	for _, want := range []json.Token{json.Delim('{'), "prompts", json.Delim('[')} {
		t, err := d.Token()
		if err != nil {
			return nil, fail(err)
		}
		if t != want {
			return nil, fail(fmt.Errorf(`it begins with %v, want {"prompts": [`, t))
		}
	}
	var out []Object
	for d.More() {
		var p jsonPrompt
		start = d.InputOffset()
		at := line(start + int64(len(text[start:])-len(bytes.TrimLeft(text[start:], ", \t\r\n"))))
		if err := d.Decode(&p); err != nil {
			return nil, fail(err)
		}
		if p.Labels == nil {
			for range p.Points {
				p.Labels = append(p.Labels, 1)
			}
		}
		o := Object{ID: p.ID, Image: p.Image, MaskFile: p.Mask, Prompt: Prompt{Points: p.Points, Labels: p.Labels, Box: p.Box}, Line: at}
		if len(p.Labels) != len(p.Points) {
			return nil, fmt.Errorf("line %d: prompt %d: %d points and %d labels", at, len(out)+1, len(p.Points), len(p.Labels))
		}
		if out = append(out, o); len(out) > maxPrompts {
			return nil, fmt.Errorf("line %d: more than %d prompts", at, maxPrompts)
		}
	}
	for _, want := range []json.Token{json.Delim(']'), json.Delim('}')} {
		t, err := d.Token()
		if err != nil {
			return nil, fail(err)
		}
		if t != want {
			return nil, fail(fmt.Errorf("%v follows the list of prompts, want %v", t, want))
		}
	}
	if _, err := d.Token(); err != io.EOF {
		return nil, fail(errors.New("something follows the end"))
	}
	return out, nil
}

// csvColumns are the columns that a table of prompts may have.
const csvColumns = "id,image,type,x,y,label,x0,y0,x1,y1,file"

func parseCSVPrompts(text []byte) ([]Object, error) {
	r := csv.NewReader(bytes.NewReader(text))
	r.TrimLeadingSpace = true
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("its header: %w: want %s", err, csvColumns)
	}
	column := map[string]int{}
	for i, name := range header {
		name = strings.TrimSpace(name)
		if !strings.Contains(","+csvColumns+",", ","+name+",") || name == "" {
			return nil, fmt.Errorf("line 1: unknown column %q, want some of %s", name, csvColumns)
		}
		if _, twice := column[name]; twice {
			return nil, fmt.Errorf("line 1: column %q is there twice", name)
		}
		column[name] = i
	}
	if _, ok := column["type"]; !ok {
		return nil, fmt.Errorf("line 1: column type is missing: it says point, box or mask")
	}
	var out []Object
	place := map[[2]string]int{}
	for {
		row, err := r.Read()
		if err == io.EOF {
			return out, nil
		}
		if err != nil {
			return nil, err // with its line
		}
		line, _ := r.FieldPos(0)
		cell := func(name string) string {
			if i, ok := column[name]; ok {
				return strings.TrimSpace(row[i])
			}
			return ""
		}
		key := [2]string{cell("id"), cell("image")}
		i, known := place[key]
		if !known || key[0] == "" { // rows without an id stand alone
			i = len(out)
			place[key] = i
			if out = append(out, Object{ID: key[0], Image: key[1], Line: line}); len(out) > maxPrompts {
				return nil, fmt.Errorf("line %d: more than %d prompts", line, maxPrompts)
			}
		}
		if err := out[i].addRow(cell); err != nil {
			return nil, fmt.Errorf("line %d: %w", line, err)
		}
	}
}

// addRow adds what a row of a table says to a prompt.
func (o *Object) addRow(cell func(column string) string) error {
	numbers := func(columns ...string) ([]float64, error) {
		out := make([]float64, len(columns))
		for i, c := range columns {
			v, err := parseNumbers([]string{cell(c)}, 1)
			if err != nil {
				return nil, fmt.Errorf("column %s: %q is no number", c, cell(c))
			}
			out[i] = v[0]
		}
		return out, nil
	}
	switch kind := cell("type"); kind {
	case "point":
		at, err := numbers("x", "y")
		if err != nil {
			return err
		}
		label := map[string]int{"": 1, "1": 1, "+": 1, "0": 0, "-": 0}
		l, ok := label[cell("label")]
		if !ok {
			return fmt.Errorf("column label: %q, want 1 or + (inside), 0 or - (outside)", cell("label"))
		}
		o.Prompt.Points, o.Prompt.Labels = append(o.Prompt.Points, [2]float64(at)), append(o.Prompt.Labels, l)
	case "box":
		corners, err := numbers("x0", "y0", "x1", "y1")
		if err != nil {
			return err
		}
		if o.Prompt.Box != nil {
			return fmt.Errorf("object %q has two boxes", o.ID)
		}
		o.Prompt.Box = (*[4]float64)(corners)
	case "mask":
		if o.MaskFile != "" || cell("file") == "" {
			return fmt.Errorf("object %q: column file names one mask, and one alone", o.ID)
		}
		o.MaskFile = cell("file")
	default:
		return fmt.Errorf("column type: %q, want point, box or mask", kind)
	}
	return nil
}
