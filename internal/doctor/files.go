package doctor

import (
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"samtune/data"
	"samtune/internal/fetch"
	"samtune/model"
)

// weights has a finding for each model.
func (o *Options) weights() []Finding {
	if o.Cache == "" {
		return one(OK, "not looked for without a cache folder", "", nil)
	}
	var found []Finding
	for _, name := range model.Names() {
		spec, err := model.LookUp(name)
		if err != nil {
			found = append(found, Finding{Level: Problem, Text: err.Error(), Remedy: "this is a fault of samtune: report it"})
			continue
		}
		found = append(found, o.weightsOf(spec))
	}
	return found
}

func (o *Options) weightsOf(spec *model.Spec) Finding {
	facts := map[string]any{"model": spec.Name}
	finding := func(level Level, state, text, remedy string) Finding {
		facts["state"] = state
		return Finding{Level: level, Text: spec.Name + ": " + text, Remedy: remedy, Facts: facts}
	}
	places, err := o.Weights(spec)
	if err != nil {
		return finding(Problem, "unknown", err.Error(), "name a folder with --cache")
	}
	places = slices.Compact(places) // the cache folder may be the usual one
	facts["looked_at"] = places
	at := slices.IndexFunc(places, func(path string) bool { _, err := os.Stat(path); return err == nil })
	if at < 0 {
		text := "absent, looked for at " + strings.Join(places, " and ")
		if spec.Name == o.Model { // without it a run that names no model fails
			return finding(Problem, "absent", text, o.Obtain(spec)+" fetches it")
		}
		return finding(OK, "absent", text+": "+o.Obtain(spec)+" fetches it", "")
	}
	path := places[at]
	facts["file"] = path
	source := fetch.Source{Size: spec.Weights.Size, SHA256: spec.Weights.SHA256, MD5: spec.Weights.MD5}
	switch err := source.Verify(path); {
	case errors.Is(err, fetch.ErrWrong):
		return finding(Problem, "damaged", "damaged, "+err.Error(), fmt.Sprintf("remove %q and fetch it again: %s", path, o.Obtain(spec)))
	case err != nil:
		return finding(Problem, "unreadable", err.Error(), fmt.Sprintf("let this user read %q", path))
	case !source.Known():
		return finding(OK, "present", path+", of which no checksum is published", "")
	}
	return finding(OK, "verified", path+", verified by its checksum", "")
}

// dataSets has a finding for all data sets that are here, and one for each that is not as it should be.
func (o *Options) dataSets() []Finding {
	all, err := data.Survey(o.Data)
	if err != nil {
		return one(Problem, err.Error(), "this is a fault of samtune: report it", nil)
	}
	here, absent := []string{}, []string{}
	var found []Finding
	for _, p := range all {
		switch {
		case p.Err == nil:
			here = append(here, p.Decl.Name)
		case errors.Is(p.Err, data.ErrNotFound):
			absent = append(absent, p.Decl.Name)
		default:
			found = append(found, Finding{Level: Problem, Text: p.Decl.Name + ": " + p.Err.Error(),
				Remedy: "samtune data show " + p.Decl.Name + " says how its files have to lie, and where to get them", Facts: map[string]any{"benchmark": p.Decl.Name}})
		}
	}
	facts := map[string]any{"folder": o.Data, "here": here, "absent": absent}
	text := fmt.Sprintf("%d of %d data sets: %s", len(here), len(all), strings.Join(here, ", "))
	switch _, err := os.Stat(o.Data); {
	case o.Data == "":
		text += "; no folder of others is named (SAMTUNE_DATA or --data)"
	case err != nil:
		return append(one(Warning, text+"; "+err.Error(), "let SAMTUNE_DATA or --data name the folder that holds the data sets", facts), found...)
	default:
		text += "; in " + o.Data
	}
	return append(one(OK, text, "", facts), found...)
}
