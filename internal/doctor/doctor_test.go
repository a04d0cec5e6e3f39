package doctor

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"samtune/internal/featurecache"
	"samtune/internal/machine"
	"samtune/internal/selftest"
	"samtune/model"
)

// healthy are options under which the checks that these tests do find nothing.
func healthy(t testing.TB) Options {
	t.Helper()
	cache := t.TempDir()
	return Options{
		Samtune: "1.2.3", Cache: cache, Data: t.TempDir(), Work: t.TempDir(), Environ: []string{"OMP_NUM_THREADS=3", "HOME=/root"}, Model: "lite_medsam",
		Weights: func(s *model.Spec) ([]string, error) { return []string{filepath.Join(cache, s.Weights.File)}, nil },
		Obtain:  func(s *model.Spec) string { return "get " + s.Name },
		Machine: Machine{
			Processor: func() machine.Processor {
				return machine.Processor{Model: "a processor", Features: []string{"AVX2", "FMA"}, Cores: 8, Usable: 8}
			},
			Room: func() (machine.Room, error) { return machine.Room{Total: 64e9, Available: 60e9}, nil },
			Disk: func(folder string) (machine.Disk, error) {
				return machine.Disk{Folder: folder, Total: 1e12, Free: 5e11, Files: -1}, nil
			},
		},
	}
}

// only does one check in this process.
func only(t testing.TB, opt Options, name string) *Report {
	t.Helper()
	checks := Checks(opt)
	i := slices.IndexFunc(checks, func(c Check) bool { return c.Name == name })
	if i < 0 {
		t.Fatalf("there is no check %q", name)
	}
	r, err := Examine(context.Background(), checks[i:i+1], nil, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func TestFaultsAreFound(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, []byte("these are no weights"), 0o644); err != nil {
		t.Fatal(err)
	}
	full := func(free, files int64) func(*Options) {
		return func(o *Options) {
			o.Machine.Disk = func(folder string) (machine.Disk, error) {
				return machine.Disk{Folder: folder, Total: 1e12, Free: free, Files: files}, nil
			}
		}
	}
	cores := func(p machine.Processor) func(*Options) {
		return func(o *Options) { o.Machine.Processor = func() machine.Processor { return p } }
	}
	room := func(r machine.Room) func(*Options) {
		return func(o *Options) { o.Machine.Room = func() (machine.Room, error) { return r, nil } }
	}
	altered := selftest.Vectors()
	altered[len(altered)-2] ^= 0x7f
	for name, c := range map[string]struct {
		check  string
		fault  func(*Options)
		level  Level
		says   string
		remedy string
	}{
		"nothing: versions":         {versions, nil, OK, "samtune 1.2.3", ""},
		"nothing: libtorch":         {libtorch, nil, OK, "libtorch_cpu", ""},
		"nothing: processor":        {processor, nil, OK, "AVX2, FMA", ""},
		"nothing: threads":          {threads, nil, OK, "OMP_NUM_THREADS=3", ""},
		"nothing: memory":           {memory, nil, OK, "no limit", ""},
		"nothing: disk":             {disk, nil, OK, "500 GB free", ""},
		"nothing: self-test":        {numbers, nil, OK, "official code", ""},
		"nothing: an empty cache":   {cache, nil, OK, "0 files", ""},
		"no GPU":                    {devices, nil, OK, "cpu", ""},
		"no data set":               {dataSets, nil, OK, "fundus", ""},
		"no data folder is named":   {dataSets, func(o *Options) { o.Data = "" }, OK, "SAMTUNE_DATA", ""},
		"the data folder is not":    {dataSets, func(o *Options) { o.Data = "/nowhere" }, Warning, "/nowhere", "--data"},
		"no AVX2":                   {processor, cores(machine.Processor{Cores: 1, Usable: 1}), Warning, "none of", "another machine"},
		"a container's time":        {threads, cores(machine.Processor{Cores: 64, Usable: 64, Limit: 2.5}), Warning, "the time of 2.5", "train.threads=2"},
		"less than a core's time":   {threads, cores(machine.Processor{Cores: 4, Usable: 4, Limit: 0.5}), Warning, "0.5", "train.threads=1"},
		"enough of a core's time":   {threads, cores(machine.Processor{Cores: 4, Usable: 4, Limit: 8}), OK, "the time of 8", ""},
		"little memory":             {memory, room(machine.Room{Total: 64e9, Available: 2e9}), OK, "too little for", ""},
		"no memory":                 {memory, room(machine.Room{Total: 64e9, Available: 5e7}), Problem, "too little for", "missing for lite_medsam"},
		"a container's memory":      {memory, room(machine.Room{Total: 64e9, Available: 6e10, Limit: 5e7}), Problem, "a control group gives", "container"},
		"full disk":                 {disk, full(1e6, -1), Problem, "cache folder", "samtune cache prune"},
		"no more files":             {disk, full(1e11, 0), Problem, "no more files", "remove files"},
		"a file in the cache's way": {disk, func(o *Options) { o.Cache = file; o.Machine.Disk = nil }, Problem, "no folder", "--cache"},
		"unwritable cache": {disk, func(o *Options) {
			o.Machine.Writable = func(string) error { return os.ErrPermission }
		}, Problem, "permission denied", "let this user write there"},
		"unwritable working folder": {disk, func(o *Options) { o.Work = "/proc/self" }, Problem, "working folder", "--out"},
		"no cache folder":           {cache, func(o *Options) { o.Cache, o.CacheErr = "", errors.New("no home") }, Problem, "no home", "--cache"},
		"a budget beyond the disk":  {cache, full(9e9, -1), Warning, "9.0 GB are free", "cache.budget_gb=8"},
		"no weights":                {weights, nil, Problem, "lite_medsam: absent, looked for at", "get lite_medsam"},
		"no weights of others":      {weights, func(o *Options) { o.Model = "none" }, OK, "sam_vit_h: absent", ""},
		"damaged weights": {weights, func(o *Options) {
			o.Weights = func(*model.Spec) ([]string, error) { return []string{file}, nil }
		}, Problem, "lite_medsam: damaged", "remove \"" + file + "\" and fetch it again: get lite_medsam"},
		"altered values of the self-test": {numbers, func(o *Options) { o.Vectors = altered }, Problem, "off by", "can't be trusted"},
		"cut values of the self-test":     {numbers, func(o *Options) { o.Vectors = altered[:99] }, Problem, "damaged", "can't be trusted"},
	} {
		t.Run(name, func(t *testing.T) {
			opt := healthy(t)
			if c.fault != nil {
				c.fault(&opt)
			}
			r := only(t, opt, c.check)
			worst, said := OK, false
			for _, f := range r.Findings {
				if f.Level == Problem || f.Level == Warning && worst == OK {
					worst = f.Level
				}
				said = said || strings.Contains(f.Text, c.says) && strings.Contains(f.Remedy, c.remedy) && f.Level == c.level
				if (f.Level == OK) != (f.Remedy == "") || f.Check != c.check {
					t.Errorf("%+v: want a remedy where it is not ok, and the check's name", f)
				}
			}
			if worst != c.level || !said || (r.Problems > 0) != (c.level == Problem) || (r.Warnings > 0) != (c.level == Warning) {
				t.Errorf("want %s with %q and the remedy %q: %+v", c.level, c.says, c.remedy, r)
			}
		})
	}
}

func TestCacheIsCounted(t *testing.T) {
	opt := healthy(t)
	path := filepath.Join(featurecache.SlicesIn(featurecache.In(opt.Cache)), strings.Repeat("a", 32)+".json")
	if err := featurecache.WriteSlices(path, "acdc", map[string][]int{"a": {1}}); err != nil {
		t.Fatal(err)
	}
	if r := only(t, opt, cache); !strings.Contains(r.Findings[0].Text, ": 1 file,") {
		t.Errorf("%+v", r)
	}
}

func TestMixedLibraries(t *testing.T) {
	for name, c := range map[string]struct {
		libraries []string
		level     Level
	}{
		"one":           {[]string{"/t/lib/libc10.so", "/t/lib/libtorch_cpu.so", "/t/lib/libgomp.so.1", "/lib/libc.so.6"}, OK},
		"two libtorchs": {[]string{"/t/lib/libc10.so", "/u/lib/libtorch_cpu.so"}, Warning},
		"two OpenMPs":   {[]string{"/t/lib/libc10.so", "/t/lib/libtorch_cpu.so", "/t/lib/libgomp.so.1", "/u/libiomp5.so"}, Warning},
	} {
		t.Run(name, func(t *testing.T) {
			f := libtorchFindings(c.libraries, "new")[0]
			if f.Level != c.level || (f.Remedy == "") != (c.level == OK) || strings.Contains(f.Text, "libc.so.6") {
				t.Errorf("%+v, want %s", f, c.level)
			}
		})
	}
}

func TestRelease(t *testing.T) {
	for version, want := range map[string]int{"2.11.0+cu130": 211, "2.1.0": 201, "1.13.1": 113, "unknown": 0} {
		if n, known := release(version); n != want || known != (want > 0) {
			t.Errorf("%s: %d, %v", version, n, known)
		}
	}
}

// TestAFailingCheckStopsNoOther has checks that panic, end their process, hang up or print rubbish.
func TestAFailingCheckStopsNoOther(t *testing.T) {
	checks := []Check{
		{Name: "panics", Remedy: "r", Run: func(context.Context) []Finding { panic("out of order") }},
		{Name: "killed", Remedy: "r", Apart: true, Run: func(context.Context) []Finding { panic("not here") }},
		Agrees("agrees", "r", func() (string, error) { return "both are the same", nil }),
		Agrees("differs", "do this", func() (string, error) { return "", errors.New("5 is not 6") }),
		{Name: "last", Run: func(context.Context) []Finding { return []Finding{{Level: OK, Text: "fine"}} }},
	}
	scripts := map[string]string{
		"killed": "kill -ILL $$", "agrees": `echo '{"findings": [{"level": "ok", "text": "both are the same"}]}'`, "differs": "echo no library >&2; exit 127",
	}
	r, err := Examine(context.Background(), checks, func(ctx context.Context, name string) ([]Finding, error) {
		return Apart(ctx, "/bin/sh", "-c", scripts[name])
	}, func(string) {})
	if err != nil {
		t.Fatal(err)
	}
	want := []struct{ check, says string }{{"panics", "out of order"}, {"killed", "illegal instruction"}, {"agrees", "same"}, {"differs", "127: no library"}, {"last", "fine"}}
	if len(r.Findings) != len(want) || r.Problems != 3 {
		t.Fatalf("%+v", r)
	}
	for i, w := range want {
		if f := r.Findings[i]; f.Check != w.check || !strings.Contains(f.Text, w.says) {
			t.Errorf("%+v, want %+v", f, w)
		}
	}
	r, err = Examine(context.Background(), checks[3:4], nil, func(string) {})
	if err != nil || r.Problems != 1 || r.Findings[0].Text != "5 is not 6" || r.Findings[0].Remedy != "do this" {
		t.Errorf("in this process: %+v, %v", r, err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err := Examine(ctx, checks, nil, func(string) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}
