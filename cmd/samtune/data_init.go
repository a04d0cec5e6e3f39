package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/data/guess"
)

func (a *app) dataInitCommand() *cobra.Command {
	var out, name string
	var again bool
	c := &cobra.Command{
		Use: "init FOLDER", Short: "Look at a folder of images and masks and write the TOML file that makes a benchmark of it", Args: cobra.ExactArgs(1),
		Long: "init works out by names and content which files are images and which their masks, what the masks' values mean, which cases are of\n" +
			"one patient, and whether there is a test split. It writes its guesses with comments, and opens what it wrote before it says so.",
		Example: "  samtune data init ~/eyes --out eyes.toml\n  samtune finetune --benchmark eyes.toml",
		RunE:    func(_ *cobra.Command, args []string) error { return a.dataInit(args[0], out, name, again) },
	}
	c.Flags().StringVar(&out, "out", "", "file to write; the default is NAME.toml in this folder")
	c.Flags().StringVar(&name, "name", "", "what the benchmark is called; the default is the folder's name")
	c.Flags().BoolVar(&again, "again", false, "write the file anew where it is there already")
	return c
}

func (a *app) dataInit(folder, out, name string, again bool) error {
	dir, err := filepath.Abs(folder)
	if err != nil {
		return err
	}
	if info, err := os.Stat(dir); err != nil || !info.IsDir() {
		return fmt.Errorf("%w: %q is no folder", errUsage, folder)
	}
	if name == "" {
		name = guess.SafeName(filepath.Base(dir))
		if _, err := data.Declaration(name); err == nil { // samtune's own is called so
			name = "my_" + name
		}
	}
	if out == "" {
		out = name + ".toml"
	}
	if !data.IsFile(out) || !strings.HasSuffix(strings.ToLower(out), ".toml") {
		return fmt.Errorf("%w: --out %q: want a file that ends in .toml", errUsage, out)
	}
	if exists(out) && !again {
		return fmt.Errorf("%w: %q is there already: --again writes it anew, --out names another file", errUsage, out)
	}
	g, err := guess.Look(dir)
	var unclear *guess.ErrUnclear
	if errors.As(err, &unclear) {
		a.byHand(dir, unclear)
		return fmt.Errorf("%w: %q: %w: write the file by hand as shown", data.ErrInvalid, folder, unclear)
	}
	if err != nil {
		return err
	}
	target, err := filepath.Abs(out)
	if err != nil {
		return err
	}
	text := g.TOML(name, beside(filepath.Dir(target), dir))
	d, err := data.ParseOwn(out, text)
	if err != nil {
		return err
	}
	_, err = d.Open(data.Options{})
	if err != nil {
		fmt.Fprintln(a.out, text)
		return fmt.Errorf("the declaration above is what was guessed, and it does not open, so it is not written: %w", err)
	}
	if err := renameio.WriteFile(target, []byte(text), 0o644); err != nil {
		return fmt.Errorf("write %q: %w", out, err)
	}
	return a.told(g, out)
}

// beside is how a file in from names a folder: relative where it lies beneath.
func beside(from, folder string) string {
	if rel, err := filepath.Rel(from, folder); err == nil && filepath.IsLocal(rel) {
		return filepath.ToSlash(rel)
	}
	return folder
}

// told loads some cases from the file that was written and says what is in them and what comes next.
func (a *app) told(g *guess.Guess, out string) error {
	b, err := data.Open(out, data.Options{})
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: %d + %d cases, %s\n", out, len(b.Pool), len(b.Test), b.Layout)
	inside, pixels, loaded, broken := map[string]int{}, 0, 0, []string(nil)
	for _, side := range [][]data.Case{b.Pool, b.Test} {
		for i := range min(3, len(side)) {
			c := side[i*len(side)/min(3, len(side))]
			s, err := c.Load()
			if err != nil {
				broken = append(broken, err.Error())
				continue
			}
			loaded++
			pixels += len(s.Valid.Pix)
			for t, m := range s.Masks {
				inside[t] += m.Count()
			}
		}
	}
	for _, t := range b.Targets {
		if pixels > 0 {
			fmt.Fprintf(a.out, "  %s: %.2g %% of the pixels of %d cases\n", t, 100*float64(inside[t])/float64(pixels), loaded)
		}
	}
	for _, o := range g.Others {
		fmt.Fprintln(a.out, "  not taken:", o)
	}
	if len(broken) > 0 {
		return fmt.Errorf("%w: %s is written, and of %d cases %d can't be loaded: %s", data.ErrInvalid, out, loaded+len(broken), len(broken), broken[0])
	}
	_, err = fmt.Fprintf(a.out, "look at %s, rename the targets, and go on with\n  samtune data check %[1]s\n  samtune data preview %[1]s\n  samtune finetune --benchmark %[1]s --shots %d\n",
		commandLine([]string{out})[len("samtune "):], max(1, min(5, len(b.Pool))))
	return err
}

// byHand shows what was seen and what a declaration looks like.
func (a *app) byHand(dir string, u *guess.ErrUnclear) {
	for _, s := range u.Seen {
		fmt.Fprintln(a.out, "  "+s)
	}
	fmt.Fprintf(a.out, `write a file as this one, with the patterns that your files are called by ({id} is what tells cases apart, {set} a further part
that is the same in all files of a case, {any} one that is not looked at):

name = "my_data"
targets = ["lesion"]
engine = "pairs"             # or "volumes", "dicom", "table"
folders = [%q]

[[layout]]
name = "my folders"
[layout.pool]
image = "images/{id}.png"
mask = "masks/{id}_mask.png"
`, dir)
}
