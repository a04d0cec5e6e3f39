package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"

	"samtune/eval"
)

// element is what the checks of the page's structure need of it.
type element struct {
	name string
	attr map[string]string
}

// parse returns the elements of a page and fails where tags are not closed in order.
func parse(t *testing.T, html string) []element {
	t.Helper()
	d := xml.NewDecoder(strings.NewReader(html))
	d.Strict, d.AutoClose, d.Entity = false, xml.HTMLAutoClose, xml.HTMLEntity
	var out []element
	var open []string
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			break
		}
		if err != nil {
			t.Fatalf("the page is not well formed: %v", err)
		}
		switch e := token.(type) {
		case xml.StartElement:
			open = append(open, e.Name.Local)
			el := element{e.Name.Local, map[string]string{}}
			for _, a := range e.Attr {
				el.attr[a.Name.Local] = a.Value
			}
			out = append(out, el)
		case xml.EndElement:
			if len(open) == 0 || open[len(open)-1] != e.Name.Local {
				t.Fatalf("</%s> closes %v", e.Name.Local, open)
			}
			open = open[:len(open)-1]
		}
	}
	if len(open) > 0 {
		t.Fatalf("never closed: %v", open)
	}
	return out
}

func TestPageIsAccessible(t *testing.T) {
	for name, in := range map[string]made{"fine-tuned": syntheticRun(), "zero-shot": zeroShotOnly(), "results only": {Results: syntheticRun().Results}} {
		t.Run(name, func(t *testing.T) {
			html, _ := written(t, in)
			n := map[string]int{}
			ids := map[string]bool{}
			elements := parse(t, html)
			for _, e := range elements {
				n[e.name]++
				if id := e.attr["id"]; id != "" {
					if ids[id] {
						t.Errorf("id %q occurs twice", id)
					}
					ids[id] = true
				}
			}
			for _, e := range elements {
				switch {
				case e.name == "html" && e.attr["lang"] != "en":
					t.Error("the page has no language")
				case e.name == "img" && e.attr["alt"] == "":
					t.Error("a picture has no text in its place")
				case e.name == "image" && e.attr["href"] == "":
					t.Error("a layer has no picture")
				case e.name == "svg" && e.attr["class"] == "view" && e.attr["aria-label"] == "":
					t.Error("a picture has no text in its place")
				case e.name == "input" && e.attr["type"] == "range" && e.attr["aria-label"] == "":
					t.Error("a slider has no name")
				case e.name == "th" && e.attr["scope"] == "":
					t.Error("a table heading has no scope")
				case e.name == "svg" && e.attr["role"] != "img" && e.attr["aria-hidden"] != "true":
					t.Error("a plot has no role")
				}
				for _, id := range strings.Fields(e.attr["aria-labelledby"]) {
					if !ids[id] {
						t.Errorf("<%s> is labelled by %q, which is nowhere", e.name, id)
					}
				}
			}
			if n["h1"] != 1 || n["title"] < 1 || n["main"] != 1 {
				t.Errorf("the page has %d h1, %d titles, %d main", n["h1"], n["title"], n["main"])
			}
		})
	}
}

func TestRowsAndMarks(t *testing.T) {
	in := syntheticRun()
	for i := range in.Rows {
		if in.Rows[i].Case == "07_test" && in.Rows[i].Method == eval.MethodAfter {
			in.Rows[i].Dice = 0.1
		}
	}
	html, _ := written(t, in)
	at := 0
	for _, want := range []string{
		`>everything is foreground</th>`,
		`<tr class="compared"><th scope="row">full-image box <b class="mark">before</b></th>`,
		`<th scope="row">no prompt</th>`, `<th scope="row">centre point</th>`,
		`<th scope="row">box around the truth <em class="oracle">oracle</em></th>`,
		`<th scope="row">10 points of the truth <em class="oracle">oracle</em></th>`,
		`<tr class="after"><th scope="row">fine-tuned on 5 images <b class="mark">after</b></th>`,
		`<line class="loss"`, `-0.122</text>`,
		`<tr class="worse" data-name="07_test"><th scope="row">07_test</th><td>0.222</td><td>-0.122</td><td>0.100</td>`,
		`<th scope="row">Encoding</th><td>0:43</td>`, `<th scope="row">Evaluation</th><td>1:01</td>`,
	} {
		n := strings.Index(html[at:], want)
		if n < 0 {
			t.Fatalf("%s is missing, or not where it belongs", want)
		}
		at += n
	}
	// 19 of the 20 lines are gains; the key shows one more loss.
	if gains, losses := strings.Count(html, `<line class="gain"`), strings.Count(html, `<line class="loss"`); gains != 19 || losses != 2 {
		t.Errorf("the plot has %d gains and %d losses, want 19 and 2", gains, losses)
	}
	if n := strings.Count(html, `<tr class="worse"`); n != 1 {
		t.Errorf("%d cases are marked as worse, want 1", n)
	}
}
