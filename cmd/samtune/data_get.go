package main

import (
	"cmp"
	"errors"
	"fmt"

	"github.com/spf13/cobra"

	"samtune/data"
	"samtune/internal/fetch"
)

func (a *app) dataGetCommand() *cobra.Command {
	var mirror, out string
	c := &cobra.Command{
		Use: "get BENCHMARK", Short: "Download a benchmark where licence and site allow, or say what to do by hand", Args: cobra.ExactArgs(1),
		Long: "The publisher's archives are downloaded, verified where a checksum is known, and unpacked into the data folder. A download\n" +
			"that was broken off goes on where it was; an archive is unpacked whole or not at all. Where a publisher wants a\n" +
			"registration, get says what to do by hand and exits with 3.",
		Example: "  samtune data get kvasir_seg",
		RunE:    func(c *cobra.Command, args []string) error { return a.dataGet(c, args[0], mirror, out) },
	}
	c.Flags().StringVar(&mirror, "url", "", "take the archive from there, as from a mirror; of several archives the folder, with a / at its end")
	c.Flags().StringVar(&out, "out", "", "data folder; the default is that of --data")
	return c
}

func (a *app) dataGet(c *cobra.Command, name, mirror, out string) error {
	d, err := data.Declaration(name)
	if err != nil {
		return err
	}
	root := cmp.Or(out, a.data)
	if root == "" {
		return fmt.Errorf("%w: no data folder is named: set SAMTUNE_DATA, or give --data or --out", errUsage)
	}
	switch b, err := d.Open(data.Options{Root: root, Volumes: true}); {
	case err == nil:
		fmt.Fprintf(a.out, "already there: %s in %s: %d + %d cases, %s\n", b.Title, b.Root, len(b.Pool), len(b.Test), b.Layout)
		return nil
	case !errors.Is(err, data.ErrNotFound):
		return err
	}
	if len(d.Downloads) == 0 {
		fmt.Fprintf(a.out, "%s: %s\n%s\n", d.Title, cmp.Or(d.Licence, "terms unknown"), cmp.Or(d.Get, "its declaration does not say how to get it"))
		if d.Expected != "" {
			fmt.Fprintf(a.out, "expected under %s\n%s\n", root, indent(d.Expected))
		}
		return fmt.Errorf("%w: %s is not downloaded by samtune: do it by hand as shown", data.ErrNotFound, d.Title)
	}
	if mirror != "" {
		if err := d.Mirror(mirror); err != nil {
			return fmt.Errorf("%w: --url: %w", errUsage, err)
		}
	}
	if err := a.download(c, d, root); err != nil {
		return err
	}
	b, err := d.Open(data.Options{Root: root, Volumes: true})
	if err != nil {
		return fmt.Errorf("all is unpacked under %s, and it is not what is expected: %w", root, err)
	}
	_, err = fmt.Fprintf(a.out, "%s in %s: %d + %d cases, %s\n", b.Title, b.Root, len(b.Pool), len(b.Test), b.Layout)
	return err
}

// download brings the archives, with a stage of the progress for each part of the work.
func (a *app) download(c *cobra.Command, d *data.Decl, root string) error {
	bar := newProgress(a.err, a.quiet)
	defer bar.close()
	bar.Note("", fmt.Sprintf("%s  ·  %s  ·  cite: %s", d.Title, cmp.Or(d.Licence, "terms unknown"), d.Citation))
	for _, archive := range d.Downloads {
		from := archive.URL
		if !archive.Verified() {
			from += "  ·  the publisher's checksum is not known: not verified by one"
		}
		bar.Note("", from)
	}
	var open *stage
	var what string
	end := func() {
		if open != nil {
			open.End("MiB")
		}
		open = nil
	}
	defer end()
	mib := func(bytes int64) int { return int(bytes >> 20) }
	return d.Fetch(c.Context(), root, fetch.Options{}, func(part string, done, total int64) {
		if part != what {
			end()
			what = part
		}
		if open == nil && total > 0 {
			open = bar.Begin(part, mib(total)).(*stage)
		}
		if open != nil {
			open.Add(max(0, mib(done)-open.done), "MiB")
		}
	})
}
