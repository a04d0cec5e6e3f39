package main

import (
	"encoding/json"
	"fmt"
	"os"
	"reflect"
	"strings"

	"github.com/invopop/jsonschema"

	"samtune/checkpoints"
	"samtune/eval"
)

// schemaFiles are what samtune writes as JSON, by the name of its schema in docs/reference/schemas.
var schemaFiles = map[string]struct {
	title string
	of    any
}{
	"results.schema.json":  {"results.json of a run", eval.Results{}},
	"compare.schema.json":  {"compare.json of a comparison", eval.Comparison{}},
	"sweep.schema.json":    {"sweep.json of a sweep", eval.Sweep{}},
	"manifest.schema.json": {"MANIFEST.json of a checkpoint", checkpoints.Manifest{}},
}

// schemas are the JSON schemas, drafts of 2020-12, of what samtune writes. What each key means comes from the comments of the
// source tree.
func schemas(tree string) (map[string]string, error) {
	r := &jsonschema.Reflector{Anonymous: true, Mapper: schemaOf}
	here, err := os.Getwd()
	if err != nil {
		return nil, fmt.Errorf("find the working folder: %w", err)
	}
	if err := os.Chdir(tree); err != nil { // comments are named by folders from the module's root
		return nil, fmt.Errorf("go to the source tree: %w", err)
	}
	defer func() { _ = os.Chdir(here) }() // it was there a moment ago
	for _, folder := range []string{"eval", "checkpoints"} {
		if err := r.AddGoComments("samtune", folder, jsonschema.WithFullComment()); err != nil {
			return nil, fmt.Errorf("read the comments of %q: %w", folder, err)
		}
	}
	out := map[string]string{}
	for name, f := range schemaFiles {
		s := r.Reflect(f.of)
		s.Title = "samtune: " + f.title
		allowNull(s, reflect.TypeOf(f.of), map[reflect.Type]bool{})
		text, err := json.MarshalIndent(s, "", "  ")
		if err != nil {
			return nil, fmt.Errorf("write schema of %s: %w", f.title, err)
		}
		out["docs/reference/schemas/"+name] = strings.TrimSpace(string(text)) + "\n"
	}
	return out, nil
}

// allowNull lets lists, maps and pointers of a struct, and of those inside it, be null, as an empty one is written.
func allowNull(s *jsonschema.Schema, t reflect.Type, seen map[reflect.Type]bool) {
	for t.Kind() == reflect.Pointer || t.Kind() == reflect.Slice || t.Kind() == reflect.Map || t.Kind() == reflect.Array {
		t = t.Elem()
	}
	if t.Kind() != reflect.Struct || seen[t] {
		return
	}
	seen[t] = true
	for _, field := range reflect.VisibleFields(t) { // those of embedded structs are written as its own
		allowNull(s, field.Type, seen)
		name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
		nullable(s.Definitions[t.Name()], name, field.Type)
	}
}

// nullable lets a property be null where its type can be.
func nullable(of *jsonschema.Schema, name string, t reflect.Type) {
	if of == nil || of.Properties == nil {
		return
	}
	property, ok := of.Properties.Get(name)
	if k := t.Kind(); !ok || len(property.OneOf) > 0 || k != reflect.Pointer && k != reflect.Slice && k != reflect.Map || reflect.TypeFor[eval.Counts]() == t {
		return
	}
	of.Properties.Set(name, &jsonschema.Schema{OneOf: []*jsonschema.Schema{property, {Type: "null"}}})
}

// schemaOf is the schema of types that write themselves in their own way.
func schemaOf(t reflect.Type) *jsonschema.Schema {
	switch t {
	case reflect.TypeFor[eval.Float]():
		return &jsonschema.Schema{OneOf: []*jsonschema.Schema{{Type: "number"}, {Type: "null"}}, Description: "null: undefined"}
	case reflect.TypeFor[eval.Counts]():
		return &jsonschema.Schema{Type: "string", Description: "counts of a histogram's bins, by rising probability, with spaces between"}
	}
	return nil
}
