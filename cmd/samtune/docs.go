package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/BurntSushi/toml"
	"github.com/google/renameio/v2"
	"github.com/spf13/cobra"
	"github.com/spf13/cobra/doc"

	"samtune/configs"
)

// docs writes the pages that are made from the program itself, so that they can't say something else than it does.
func (a *app) docs() *cobra.Command {
	var out, man string
	c := &cobra.Command{
		Use:     "docs",
		Short:   "Write the reference pages of commands and settings, or manual pages",
		Example: "  samtune docs --out docs/reference\n  samtune docs --man /usr/local/share/man/man1",
		Args:    cobra.NoArgs,
		Hidden:  true,
		RunE: func(c *cobra.Command, _ []string) error {
			if out == "" && man == "" {
				return fmt.Errorf("%w: want --out or --man", errUsage)
			}
			if man != "" {
				if err := os.MkdirAll(man, 0o755); err != nil {
					return fmt.Errorf("make folder of manual pages: %w", err)
				}
				header := &doc.GenManHeader{Title: "SAMTUNE", Section: "1", Source: "samtune " + versionText(), Manual: "samtune"} // dated by SOURCE_DATE_EPOCH
				if err := doc.GenManTree(c.Root(), header, man); err != nil {
					return fmt.Errorf("write manual pages: %w", err)
				}
			}
			if out == "" {
				return nil
			}
			pages, err := referencePages(c.Root())
			if err != nil {
				return err
			}
			for name, text := range pages {
				if err := renameio.WriteFile(filepath.Join(out, name), []byte(text), 0o644); err != nil {
					return fmt.Errorf("write page: %w", err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&out, "out", "", "folder of the pages")
	c.Flags().StringVar(&man, "man", "", "folder of the manual pages")
	return c
}

// referencePages are the pages, by their file's name.
func referencePages(root *cobra.Command) (map[string]string, error) {
	settings, err := settingsPage()
	return map[string]string{"commands.md": commandsPage(root), "settings.md": settings}, err
}

const madeBy = "<!-- Written by make docs from the program itself. -->\n\n"

func commandsPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands and flags\n\nThis page lists every command of samtune with its flags, as `--help` shows them. " +
		"[Usage](../usage.md) explains how they work together.\n\n" + madeBy)
	var list func(c *cobra.Command)
	list = func(c *cobra.Command) {
		if c.Hidden || c.Name() == "help" || c.Name() == "completion" {
			return
		}
		fmt.Fprintf(&b, "## %s\n\n%s.\n\n", c.CommandPath(), strings.TrimSuffix(c.Short, "."))
		if c.Long != "" {
			fmt.Fprintf(&b, "%s\n\n", c.Long)
		}
		b.WriteString("```text\n")
		if c.Runnable() && c != root {
			fmt.Fprintf(&b, "%s\n", c.UseLine())
		} else {
			fmt.Fprintf(&b, "%s COMMAND\n", c.CommandPath())
		}
		if c.Example != "" {
			fmt.Fprintf(&b, "\nExamples:\n%s\n", c.Example)
		}
		flags := c.LocalNonPersistentFlags()
		flags.SortFlags = true
		if text := flags.FlagUsages(); text != "" {
			fmt.Fprintf(&b, "\nFlags:\n%s", text)
		}
		if c == root {
			fmt.Fprintf(&b, "\nFlags of all commands:\n%s", c.PersistentFlags().FlagUsages())
		}
		b.WriteString("```\n\n")
		for _, sub := range c.Commands() {
			list(sub)
		}
	}
	list(root)
	return strings.TrimSpace(b.String()) + "\n"
}

func settingsPage() (string, error) {
	var b strings.Builder
	b.WriteString("# Settings\n\nThis page lists every key of a run's config file and of `--set`, with its type, its default, and what it does. A " +
		"benchmark's\nrecipe changes defaults: `samtune data show NAME` says how. Unknown keys are refused with the one that may have been meant.\n\n" + madeBy)
	defaults := map[string]any{}
	text, err := configs.Default().TOML()
	if err == nil {
		_, err = toml.Decode(string(text), &defaults)
	}
	if err != nil {
		return "", fmt.Errorf("read the default settings: %w", err)
	}
	section := "none yet"
	for _, k := range configs.Keys(configs.Run{}) {
		if of := k.Name[:max(0, strings.LastIndexByte(k.Name, '.'))]; of != section {
			section = of
			if of != "" {
				fmt.Fprintf(&b, "\n## %s\n\n", of)
			}
			b.WriteString("| key | type | default | meaning |\n|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s |\n", k.Name, typeInWords(k.Type), valueInWords(lookUp(defaults, k.Name)), strings.ReplaceAll(k.Doc, "|", `\|`))
	}
	return b.String(), nil
}

func typeInWords(goType string) string {
	of, list := strings.CutPrefix(goType, "[]")
	words := map[string]string{"string": "text", "int": "whole number", "int64": "whole number", "float64": "number", "bool": "true or false"}[of]
	if list {
		return "list: " + words
	}
	return words
}

// lookUp finds a dotted key in what was read from TOML; nil where it has no value.
func lookUp(in map[string]any, key string) any {
	name, rest, inner := strings.Cut(key, ".")
	if !inner {
		return in[name]
	}
	table, _ := in[name].(map[string]any)
	return lookUp(table, rest)
}

func valueInWords(v any) string {
	switch v := v.(type) {
	case nil:
		return ""
	case string:
		if v == "" {
			return ""
		}
		return fmt.Sprintf("`%q`", v)
	case []any:
		parts := make([]string, len(v))
		for i, e := range v {
			if s, ok := e.(string); ok {
				e = fmt.Sprintf("%q", s)
			}
			parts[i] = fmt.Sprint(e)
		}
		return "`[" + strings.Join(parts, ", ") + "]`"
	}
	return fmt.Sprintf("`%v`", v)
}
