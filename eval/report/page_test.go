package report

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
	"testing"
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
	for name, in := range map[string]Input{"fine-tuned": syntheticRun(), "zero-shot": zeroShotOnly(), "results only": {Results: syntheticRun().Results}} {
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
