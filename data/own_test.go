package data

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"samtune/configs"
)

// ownText declares two targets in images/ and masks/ beside it.
const ownText = `name = "my_eyes"
targets = ["disc", "cup"]
engine = "pairs"

[rule.disc]
at_least = 100
[rule.cup]
at_least = 200

[[layout]]
name = "folders"
[layout.pool]
image = "images/{id}.png"
mask = "masks/{id}.png"
`

// ownFolder is a folder with pictures, masks and a declaration.
func ownFolder(t testing.TB, text string) (dir, file string) {
	t.Helper()
	dir = t.TempDir()
	for i := range 4 {
		for folder, mask := range map[string]bool{"images": false, "masks": true} {
			if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(filepath.Join(dir, folder, fmt.Sprintf("eye%d.png", i)), small(t, i, mask), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	file = filepath.Join(dir, "my.toml")
	if err := os.WriteFile(file, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return dir, file
}

func TestOwnBenchmark(t *testing.T) {
	dir, file := ownFolder(t, ownText)
	b, err := Open(file, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if b.Name != "my_eyes" || b.Title != "my_eyes" || b.Task == "" || len(b.Pool) != 2 || len(b.Test) != 2 {
		t.Errorf("%+v", b)
	}
	s, err := b.Pool[0].Load()
	if err != nil || s.Masks["disc"].Count() == 0 || s.Masks["cup"] == nil {
		t.Errorf("%v", err)
	}
	t.Run("its folder under the data folder", func(t *testing.T) {
		alone := filepath.Join(t.TempDir(), "my.toml")
		put := strings.Replace(ownText, "engine", fmt.Sprintf("folders = [%q]\nengine", filepath.Base(dir)), 1)
		if err := os.WriteFile(alone, []byte(put), 0o644); err != nil {
			t.Fatal(err)
		}
		if _, err := Open(alone, Options{Root: filepath.Dir(dir)}); err != nil {
			t.Error(err)
		}
		if _, err := Open(alone, Options{}); !errors.Is(err, ErrNotFound) || !strings.Contains(err.Error(), alone) {
			t.Errorf("without the data folder: %v", err)
		}
	})
	t.Run("an absolute folder", func(t *testing.T) {
		d, err := ParseOwn(filepath.Join(t.TempDir(), "my.toml"), strings.Replace(ownText, "engine", fmt.Sprintf("folders = [%q]\nengine", dir), 1))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := d.Open(Options{}); err != nil {
			t.Error(err)
		}
	})
	t.Run("a copy finds the files of the original", func(t *testing.T) {
		d, err := Declaration(file)
		if err != nil {
			t.Fatal(err)
		}
		for _, text := range []string{d.Copy(), ""} {
			path := filepath.Join(t.TempDir(), "benchmark.toml")
			if text == "" { // the copy of a copy
				again, err := ParseOwn(path, d.Copy())
				if err != nil {
					t.Fatal(err)
				}
				text = again.Copy()
			}
			c, err := ParseOwn(path, text)
			if err != nil {
				t.Fatal(err)
			}
			if _, err := c.Open(Options{}); err != nil {
				t.Error(err)
			}
			if strings.Count(text, "base =") != 1 || !strings.Contains(text, ownText) {
				t.Errorf("the copy is\n%s", text)
			}
		}
	})
}

// TestIdentity changes what decides the pixels, and what does not.
func TestIdentity(t *testing.T) {
	id := func(text string) string {
		d, err := ParseOwn(filepath.Join(t.TempDir(), "x.toml"), text)
		if err != nil {
			t.Fatal(err)
		}
		s, err := d.Identity()
		if err != nil {
			t.Fatal(err)
		}
		return s
	}
	base := id(ownText)
	for name, c := range map[string]struct {
		text string
		same bool
	}{
		"a comment":       {"# eyes\n" + ownText, true},
		"a title":         {"title = \"Eyes\"\n" + ownText, true},
		"another folder":  {"folders = [\"elsewhere\"]\n" + ownText, true},
		"a recipe":        {ownText + "[recipe]\ndecoder = \"linear\"\n", true},
		"a threshold":     {strings.Replace(ownText, "100", "101", 1), false},
		"a pattern":       {strings.Replace(ownText, "masks/", "truth/", 1), false},
		"a name":          {strings.Replace(ownText, "my_eyes", "our_eyes", 1), false},
		"a field of view": {ownText + "valid = \"fov/{id}.png\"\n", false},
		"patients":        {ownText + "[patient]\nid = '^(.)'\n", false},
	} {
		if got := id(c.text); (got == base) != c.same {
			t.Errorf("%s: the identity stays: %v, want %v", name, got == base, c.same)
		}
	}
	d, err := Declaration("drive")
	if err != nil {
		t.Fatal(err)
	}
	if got, _ := d.Identity(); got != "drive" {
		t.Errorf("drive is %q: runs that are finished would not be found", got)
	}
}

// TestBadOwnBenchmark: what is wrong, at which place, and what was meant.
func TestBadOwnBenchmark(t *testing.T) {
	for name, c := range map[string]struct{ from, to, says string }{
		"syntax":                   {`engine = "pairs"`, `engine = pairs`, "my.toml:3:10"},
		"unknown key":              {`engine`, `engin`, `my.toml:3:1: invalid config: unknown key "engin"; did you mean "engine"?`},
		"unknown key in a layout":  {`mask = `, `maks = `, `my.toml:14:1: invalid config: unknown key "layout.pool.maks"; did you mean "layout.pool.mask`},
		"unknown key in a rule":    {`at_least = 200`, `atleast = 200`, `my.toml:8:1: invalid config: unknown key "rule.cup.atleast"; did you mean "rule.cup.at_least"?`},
		"another type":             {`at_least = 100`, `at_least = "100"`, "my.toml:6:1: invalid config: rule.disc.at_least: incompatible types"},
		"unknown engine":           {`"pairs"`, `"pair"`, `my.toml:3:1: invalid config: engine is "pair", want one of pairs, volumes, dicom, table, fundus; did you mean "pairs"?`},
		"no targets":               {`["disc", "cup"]`, `[]`, "my.toml:2:1"},
		"endless cases":            {`engine = "pairs"`, "engine = \"fundus\"\npool = 1000000000000\ntest = 4", "my.toml:4:1: invalid config: pool is 1000000000000, want 1 to 100000"},
		"a tolerance below 0":      {`engine = "pairs"`, "engine = \"pairs\"\nnsd_tolerance = -1.0", "my.toml:4:1: invalid config: nsd_tolerance is -1, want 0 or more"},
		"a target twice":           {`["disc", "cup"]`, `["disc", "disc"]`, "my.toml:2:1"},
		"a rule of another target": {`[rule.cup]`, `[rule.cups]`, `my.toml:7:7: invalid config: rule.cups is of no target; did you mean "cup"?`},
		"a rule out of range":      {`at_least = 200`, `at_least = 300`, "my.toml:7:7: invalid config: rule.cup: grey values go from 0 to 255"},
		"masks of another target":  {`mask = `, `masks.cups = `, `my.toml:14:7: invalid config: layout "folders" names masks of "cups", which is no target; did you mean "cup"?`},
		"unknown variable":         {`images/{id}`, `images/{name}`, `my.toml:13:1: invalid config: "images/{name}.png" holds {name}: patterns know {id}, {set}, {any}`},
		"no image":                 {`image = "images/{id}.png"`, ``, "my.toml:12:9: invalid config: layout \"folders\" names no image"},
		"bad expression":           {`mask = `, "only = '('\nmask = ", "my.toml:14:1"},
		"in the second layout":     {"[[layout]]", ownLayout + "[[layout]]\nname = \"b\"\n[layout.pool]\nimage=\"{id}\"\nmask=\"{x}\"\n[[layout]]", "my.toml:19:1"},
		"no name":                  {`name = "my_eyes"`, ``, "name is missing"},
		"a path as name":           {`my_eyes`, `../eyes`, "my.toml:1:1: invalid config: name is \"../eyes\""},
		"the name of another":      {`my_eyes`, `DRIVE`, "my.toml:1:1: invalid config: name is \"DRIVE\", as a benchmark of samtune's own is called: choose another, as \"my_DRIVE\""},
		"volumes without a window": {`"pairs"`, `"volumes"`, "[intensity] is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			text := strings.Replace(ownText, c.from, c.to, 1)
			if text == ownText {
				t.Fatal("nothing was changed")
			}
			_, file := ownFolder(t, text)
			_, err := Declaration(file)
			if !errors.Is(err, configs.ErrConfig) || !strings.Contains(err.Error(), c.says) {
				t.Fatalf("error %v, want ErrConfig with %q", err, c.says)
			}
			if strings.HasPrefix(c.says, "my.toml:") && !strings.Contains(err.Error(), "^") {
				t.Errorf("it does not show the place: %v", err)
			}
		})
	}
	for _, c := range [][2]string{{"nowhere/my.toml", "data init"}, {t.TempDir(), "folder"}, {"driv", `"drive"`}} {
		if _, err := Declaration(c[0]); !errors.Is(err, ErrUnknown) || !strings.Contains(err.Error(), c[1]) {
			t.Errorf("%s: error %v, want ErrUnknown with %q", c[0], err, c[1])
		}
	}
}

const ownLayout = "[[layout]]\nname = \"a\"\n[layout.pool]\nimage=\"{id}\"\nmask=\"{id}\"\n"

// TestReference: the page of all keys names each of them.
func TestReference(t *testing.T) {
	page, err := os.ReadFile("../docs/reference/benchmark-toml.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, k := range configs.Keys(Decl{}) {
		parts := strings.Split(strings.TrimSuffix(k.Name, ".*"), ".")
		last := parts[len(parts)-1]
		if !regexp.MustCompile("`(\\[+|[a-z]+\\.)?" + last + "(\\.[A-Z]+)?\\]*`").Match(page) {
			t.Errorf("%s is not on the page", k.Name)
		}
		if table := parts[0]; len(parts) > 1 && !strings.Contains(string(page), "["+table) {
			t.Errorf("the table %s is not on the page", table)
		}
	}
}

// FuzzDeclaration: a benchmark's file is taken or refused as a config, and what is taken says so again.
func FuzzDeclaration(f *testing.F) {
	for _, name := range []string{"drive", "acdc", "chaos_ct", "duke_dme"} {
		_, text, err := configs.Declaration(configs.Benchmarks, name)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		d, err := ParseOwn("fuzz.toml", text)
		if err != nil {
			if !errors.Is(err, configs.ErrConfig) {
				t.Fatalf("%v is not ErrConfig", err)
			}
			return
		}
		if d.Name == "" || len(d.Targets) == 0 {
			t.Fatalf("taken without a name or a target: %+v", d)
		}
	})
}
