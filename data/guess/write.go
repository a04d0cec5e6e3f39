package guess

import (
	"fmt"
	"path/filepath"
	"regexp"
	"strings"
)

// SafeName makes what run folders may be called of a folder's name.
func SafeName(folder string) string {
	name := strings.Trim(regexp.MustCompile(`[^a-z0-9_-]+`).ReplaceAllString(strings.ToLower(folder), "_"), "_-")
	if name == "" {
		name = "my_data"
	}
	return name[:min(len(name), 60)]
}

// TOML is the declaration, with comments that say what was seen. Folder is the data's, as the file shall name it.
func (g *Guess) TOML(name, folder string) string {
	var b strings.Builder
	line := func(format string, args ...any) { fmt.Fprintf(&b, format+"\n", args...) }
	comment := func(format string, args ...any) {
		for _, l := range strings.Split(fmt.Sprintf(format, args...), "\n") {
			line("# %s", l)
		}
	}
	comment("Written by samtune data init from what lies in %s. Each line is a guess by names and content: look at it, correct it,\nand see with: samtune data check, samtune data preview. docs/reference/benchmark-toml.md explains every key.", filepath.ToSlash(folder))
	comment("Seen:")
	for _, s := range g.Seen {
		comment("  %s", s)
	}
	for _, o := range g.Others {
		comment("Not taken: %s", o)
	}
	line("")
	line("name = %q # of run folders", name)
	line("title = %q", filepath.Base(g.Dir))
	line("task = \"own data\" # EDIT: what is segmented, as \"retinal vessels\"")
	names := make([]string, len(g.Targets))
	for i, t := range g.Targets {
		names[i] = fmt.Sprintf("%q", t.Name)
	}
	line("targets = [%s] # EDIT: call them what they are, here and below", strings.Join(names, ", "))
	line("engine = %q", g.Engine)
	line("folders = [%q] # beside this file, or absolute", filepath.ToSlash(folder))
	unit := "pixels"
	if g.Axis != "" {
		unit = "mm where the files say how far apart voxels are"
	}
	line("nsd_tolerance = 2.0 # %s: how far an outline may be off and still count as right", unit)
	line("citation = \"\"")
	line("licence = \"\"")
	for _, t := range g.Targets {
		if t.Comment == "" && t.Rule == "" {
			continue
		}
		line("")
		if t.Comment != "" {
			comment("%s: %s", t.Name, t.Comment)
		}
		if t.Rule != "" {
			line("[rule.%s]\n%s", t.Name, t.Rule)
		}
	}
	g.writeParts(line, comment)
	if g.Table == nil {
		g.writeLayout(line, comment)
	}
	line("")
	comment("Settings that serve structures of middle size; not tuned on these data. Thin ones, as vessels, want scales = [1, 2].")
	line("[recipe]\ndecoder = \"linear\"\n\n[recipe.train]\nsteps = 100\nvalidate_every = 25\n\n[recipe.head]\ndice = 1.0")
	return b.String()
}

// writeParts writes the tables that belong to no layout.
func (g *Guess) writeParts(line, comment func(format string, args ...any)) {
	if t := g.Table; t != nil {
		line("")
		comment("%s", t.Comment)
		line("[table]\nfile = %q\nimage = %q", t.File, t.Image)
		for _, target := range g.Targets {
			line("masks.%s = %q", target.Name, t.Masks[target.Mask])
		}
		for _, c := range [][2]string{{"id", t.ID}, {"valid", t.Valid}, {"patient", t.Patient}, {"split", t.Split}} {
			if c[1] != "" {
				line("%s = %q", c[0], c[1])
			}
		}
		if t.Split != "" {
			line("train = %s\ntest = %s", quoted(t.Train), quoted(t.Test))
			if len(t.Skip) > 0 {
				line("skip = %s", quoted(t.Skip))
			}
		}
	}
	if p := g.Patient; p.ID != "" || p.Table != "" {
		line("")
		comment("%s. All cases of one are on one side of the split.", p.Comment)
		line("[patient]")
		if p.ID != "" {
			line("id = '%s'", p.ID)
		} else {
			line("table = %q\ncase = %q\ngroup = %q", p.Table, p.Case, p.Group)
		}
	}
	if g.Axis != "" {
		line("")
		comment("Cases are slices: of each volume eight that show the target, spread evenly.")
		line("[slices]\naxis = %q\neach = 8\nmin_pixels = 20", g.Axis)
	}
	if g.Window != "" {
		line("")
		comment("Which values become black and white. EDIT: the window in which you would look at it.")
		line("[intensity]\n%s", g.Window)
	}
}

func (g *Guess) writeLayout(line, comment func(format string, args ...any)) {
	line("")
	name := "every second patient or image is tested"
	if g.Test != nil {
		name = "training and test folders"
	}
	line("[[layout]]\nname = %q", name)
	sides := []*Side{&g.Pool}
	if g.Test != nil {
		sides = append(sides, g.Test)
	}
	for i, s := range sides {
		line("[layout.%s] # %d pairs", []string{"pool", "test"}[i], s.Pairs)
		line("image = %q", s.Image)
		one := len(s.Masks) == 1
		if one {
			line("mask = %q", s.Masks[0])
		} else {
			for _, t := range g.Targets {
				line("masks.%s = %q", t.Name, s.Masks[t.Mask])
			}
		}
		for _, c := range []struct{ key, value, comment string }{
			{"name", s.Name, "of cases, since files of several folders are called alike"},
			{"valid", s.Valid, "field of view: what is outside is neither trained on nor scored"},
			{"prefix", s.Prefix, "since both sides call their cases alike"},
		} {
			if c.value != "" {
				line("%s = %q # %s", c.key, c.value, c.comment)
			}
		}
		if s.Second != "" {
			line("second.%s = %q # a second observer, whose agreement is shown", g.Targets[0].Name, s.Second)
		}
		if s.Partial {
			line("partial = true # files that have no mask are left out")
		}
		if s.Shared {
			line("shared = true # there are masks without an image")
		}
	}
}

func quoted(words []string) string {
	out := make([]string, len(words))
	for i, w := range words {
		out[i] = fmt.Sprintf("%q", w)
	}
	return "[" + strings.Join(out, ", ") + "]"
}
