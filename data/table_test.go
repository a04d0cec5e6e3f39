package data

import (
	"bytes"
	"image/png"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

const tableTOML = `
targets = ["disc", "cup"]
engine = "table"
[table]
file = "lists/cases.csv"
id = "name"
patient = "person"
split = "side"
train = ["train", "val"]
skip = ["bad"]
valid = "field"
masks.cup = "inner"
`

func TestTable(t *testing.T) {
	dir := t.TempDir()
	for _, name := range []string{"a", "b", "c", "d"} {
		putImage(t, filepath.Join(dir, "pictures", name+".tif"), int(name[0]))
		for _, mask := range []string{"disc", "cup", "cup2", "field"} {
			put(t, filepath.Join(dir, "masks", name+"_"+mask+".png"), func(b *bytes.Buffer) error { return png.Encode(b, whiteDot(lookWidth, lookHeight)) })
		}
	}
	const header = "name,person,side,image,disc,inner,field\n"
	row := func(name, person, side string) string {
		return name + "," + person + "," + side + ",../pictures/" + name + ".tif,../masks/" + name + "_disc.png,../masks/" + name + "_cup.png; ../masks/" + name + "_cup2.png,../masks/" + name + "_field.png\n"
	}
	write := func(text string) {
		t.Helper()
		if err := os.MkdirAll(filepath.Join(dir, "lists"), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, "lists/cases.csv"), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	write("\ufeff" + header + row("b", "p1", "train") + row("a", "p1", "val") + row("c", "p2", "test") + row("d", "p3", "bad"))
	b, err := openTOML(t, dir, tableTOML, Options{})
	if err != nil {
		t.Fatal(err)
	}
	if len(b.Pool) != 2 || len(b.Test) != 1 || b.Pool[0].ID != "a" || b.Pool[0].Patient != "p1" || b.Test[0].ID != "c" || b.Layout != "table lists/cases.csv" {
		t.Errorf("%+v", b)
	}
	s, err := b.Test[0].Load()
	if err != nil || s.Masks["cup"].Count() != 1 || s.Valid.Count() != 1 || s.Image.Width != lookWidth || s.Patient != "p2" {
		t.Errorf("%+v, %v", s, err)
	}
	b, err = openTOML(t, dir, strings.Replace(tableTOML, "split = \"side\"\n", "", 1), Options{})
	if err != nil || len(b.Pool) != 3 || len(b.Test) != 1 || b.Test[0].Patient != "p2" {
		t.Errorf("without a split: %+v, %v", b, err)
	}
	for name, c := range map[string]struct{ text, want string }{
		"side":       {header + row("a", "p", "train") + row("b", "p", "other"), "line 3: column side is \"other\""},
		"no file":    {header + row("x", "p", "train"), "line 2: column image"},
		"empty cell": {header + strings.Replace(row("a", "p", "train"), "p,", ",", 1), "line 2: column person is empty"},
		"no column":  {strings.Replace(header, "inner", "outer", 1) + row("a", "p", "train"), `no column "inner"`},
		"columns":    {header + "a,b\n", "wrong number of fields"},
		"no test":    {header + row("a", "p", "train"), "none is tested"},
		"no pool":    {header + row("a", "p", "test"), "no case to train on"},
		"empty":      {"", "header"},
		"twice":      {header + row("a", "p", "train") + row("a", "p", "train") + row("b", "q", "test"), "two cases are called a"},
	} {
		write(c.text)
		if _, err := openTOML(t, dir, tableTOML, Options{}); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}

func TestDeclarationsThatCanNotBeMeant(t *testing.T) {
	for name, c := range map[string]struct{ text, want string }{
		"engine":               {"engine = \"pear\"\ntargets = [\"a\"]", "want one of pairs"},
		"table without engine": {"engine = \"pairs\"\ntargets = [\"a\"]\n[table]\nfile = \"x\"", "[table] belongs"},
		"slices of pictures":   {"engine = \"pairs\"\ntargets = [\"a\"]\n[slices]\neach = 2", "[slices] belongs"},
		"no window":            {strings.Replace(volumeTOML, "[intensity]\nwindow = [0, 100]\n", "", 1), "[intensity] is missing"},
		"window":               {strings.Replace(volumeTOML, "[0, 100]", "[100, 0]", 1), "two rising numbers"},
		"percentile":           {strings.Replace(volumeTOML, "window = [0, 100]", "percentiles = [1, 101]", 1), "from 0 to 100"},
		"axis":                 {volumeTOML + "[slices]\naxis = \"frontal\"", "slices.axis"},
		"no mask":              {strings.Replace(volumeTOML, "mask = ", "masks.a = ", 1), "no mask of b"},
		"mask of nothing":      {volumeTOML + "masks.c = \"c\"", "no target"},
		"valid":                {volumeTOML + "valid = \"v\"", "of pictures"},
		"only":                 {volumeTOML + "only = '('", "only"},
		"crop":                 {volumeTOML + "crop = [0, 0, 1, 1]", "crop"},
		"label":                {strings.Replace(volumeTOML, "[1]", "[70000]", 1), "0 to 65535"},
	} {
		if _, err := parseDeclaration("x.toml", c.text); err == nil || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", name, err, c.want)
		}
	}
}
