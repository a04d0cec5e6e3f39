package doctor

import (
	"cmp"
	"fmt"
	"runtime"
	"slices"
	"strings"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"samtune/configs"
	"samtune/internal/featurecache"
	"samtune/internal/tensor"
	"samtune/model"
)

func (o *Options) processor() []Finding {
	p := o.Machine.Processor()
	kernels := tensor.Capability()
	facts := map[string]any{"model": p.Model, "features": p.Features, "kernels": kernels}
	text := fmt.Sprintf("%s, %s; libtorch's kernels: %s", cmp.Or(p.Model, runtime.GOARCH), cmp.Or(strings.Join(p.Features, ", "), "none of AVX2, FMA, AVX-512, bf16"), kernels)
	switch fast := slices.Contains(p.Features, "AVX2"); {
	case fast && (kernels == "DEFAULT" || kernels == "NO AVX"):
		return one(Warning, text, "the fast kernels are switched off: unset ATEN_CPU_CAPABILITY", facts)
	case !fast && runtime.GOARCH == "amd64":
		return one(Warning, text, "without AVX2 everything takes several times as long: take another machine, or let a virtual one have its host's processor", facts)
	}
	return one(OK, text, "", facts)
}

// threadSettings are the beginnings of names in the environment that change how work is spread over cores.
var threadSettings = []string{"OMP_", "GOMP_", "KMP_", "MKL_", "GOMAXPROCS", "ATEN_CPU_CAPABILITY"}

func (o *Options) threads() []Finding {
	p := o.Machine.Processor()
	var set []string
	for _, v := range o.Environ {
		if slices.ContainsFunc(threadSettings, func(name string) bool { return strings.HasPrefix(v, name) }) {
			set = append(set, v)
		}
	}
	slices.Sort(set)
	facts := map[string]any{"cores": p.Cores, "usable": p.Usable, "limit": p.Limit, "environment": set}
	text := fmt.Sprintf("%d logical cores, %d usable, ", p.Cores, p.Usable)
	if p.Limit > 0 {
		text += fmt.Sprintf("a control group gives the time of %.3g", p.Limit)
	} else {
		text += "no limit by a control group"
	}
	if len(set) > 0 {
		text += "; " + strings.Join(set, ", ")
	}
	if p.Limit > 0 && p.Limit < float64(p.Usable) {
		return one(Warning, text, fmt.Sprintf("a run takes %d threads and they wait for each other: --set train.threads=%d", p.Usable, max(1, int(p.Limit))), facts)
	}
	return one(OK, text, "", facts)
}

func (o *Options) memory() []Finding {
	room, err := o.Machine.Room()
	if err != nil {
		return one(Warning, err.Error(), "samtune can't refuse a model that is too large: look at the free memory yourself", nil)
	}
	const unit = 1 << 20
	text := fmt.Sprintf("%d MiB, %d available, ", room.Total/unit, room.Available/unit)
	if room.Limit > 0 {
		text += fmt.Sprintf("a control group gives %d", room.Limit/unit)
	} else {
		text += "no limit by a control group"
	}
	var large []string
	missing := int64(0) // of the model that runs take
	for _, name := range model.Names() {
		spec, err := model.LookUp(name)
		if err != nil {
			return one(Problem, err.Error(), "", nil)
		}
		held, encoding := spec.Memory()
		if need := held + encoding; need > room.Free() {
			large = append(large, fmt.Sprintf("%s (%d)", name, need/unit))
			if name == o.Model {
				missing = need - room.Free()
			}
		}
	}
	facts := map[string]any{"memory": room, "too_large": large}
	if len(large) > 0 {
		text += "; too little for " + strings.Join(large, ", ")
	}
	if missing > 0 {
		return one(Problem, text, fmt.Sprintf("%d MiB are missing for %s: end other programs, or ask for more where a scheduler or a container bounds it", missing/unit+1, o.Model), facts)
	}
	return one(OK, text, "", facts)
}

// Free space below which what is written there fails soon, in bytes.
const (
	leastCache = 500e6 // the features of a picture, looked at from many sides, take up to this
	leastWork  = 100e6 // a run's folder
)

func (o *Options) disk() []Finding {
	var found []Finding
	if o.Cache != "" {
		found = append(found, o.room("cache folder", o.Cache, leastCache, "--cache or XDG_CACHE_HOME"))
	}
	return append(found, o.room("working folder", o.Work, leastWork, "--out or --runs, or call samtune elsewhere"))
}

// room looks at a folder that is written to.
func (o *Options) room(what, folder string, least int64, elsewhere string) Finding {
	d, err := o.Machine.Disk(folder)
	facts := map[string]any{"folder": folder, "disk": d}
	bad := func(text, remedy string) Finding {
		return Finding{Level: Problem, Text: what + " " + text, Remedy: remedy, Facts: facts}
	}
	another := "choose another one with " + elsewhere
	if err != nil {
		return bad(fmt.Sprintf("%s: %v", folder, err), another)
	}
	text := fmt.Sprintf("%s: %s free of %s", folder, humanize.Bytes(uint64(d.Free)), humanize.Bytes(uint64(d.Total)))
	switch {
	case d.Free < least:
		return bad(text, "make room there, as by samtune cache prune or samtune runs rm, or "+another)
	case d.Files == 0:
		return bad(text+", but no more files can be made", "remove files there, or "+another)
	}
	if err := o.Machine.Writable(folder); err != nil {
		return bad(fmt.Sprintf("%s: %v", folder, err), "let this user write there, or "+another)
	}
	return Finding{Level: OK, Text: what + " " + text, Facts: facts}
}

func (o *Options) cache() []Finding {
	if o.Cache == "" {
		return one(Problem, o.CacheErr.Error(), "name a folder with --cache, or set HOME or XDG_CACHE_HOME", nil)
	}
	dir := featurecache.In(o.Cache)
	files, err := featurecache.List(dir)
	if err != nil {
		return one(Problem, err.Error(), "let this user read there, or choose another folder with --cache", nil)
	}
	var held int64
	for _, f := range files {
		held += f.Size
	}
	budget := int64(configs.Default().Cache.BudgetGB * 1e9)
	facts := map[string]any{"folder": dir, "files": len(files), "bytes": held, "budget_bytes": budget}
	text := fmt.Sprintf("%s: %s, %s of a budget of %s", dir, english.Plural(len(files), "file", ""), humanize.Bytes(uint64(held)), humanize.Bytes(uint64(budget)))
	if d, err := o.Machine.Disk(dir); err == nil && budget-held > d.Free {
		return one(Warning, fmt.Sprintf("%s, and %s are free", text, humanize.Bytes(uint64(d.Free))),
			fmt.Sprintf("the disk is full before the budget is: --set cache.budget_gb=%d, or another folder with --cache", max(1, (held+d.Free*9/10)/1e9)), facts)
	}
	return one(OK, text, "", facts)
}
