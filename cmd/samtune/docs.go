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
	var man string
	c := &cobra.Command{
		Use:     "docs [TREE]",
		Short:   "Write what is made from the program and from results in the pages of samtune's source tree, or manual pages",
		Example: "  samtune docs .\n  samtune docs --man /usr/local/share/man/man1",
		Args:    cobra.MaximumNArgs(1),
		Hidden:  true,
		RunE: func(c *cobra.Command, args []string) error {
			if len(args) == 0 && man == "" {
				return fmt.Errorf("%w: want the source tree, or --man", errUsage)
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
			if len(args) == 0 {
				return nil
			}
			pages, err := writtenPages(c.Root(), args[0])
			if err != nil {
				return err
			}
			for name, text := range pages {
				if err := renameio.WriteFile(filepath.Join(args[0], name), []byte(text), 0o644); err != nil {
					return fmt.Errorf("write page: %w", err)
				}
			}
			return nil
		},
	}
	c.Flags().StringVar(&man, "man", "", "folder of the manual pages")
	return c
}

// writtenPages are the pages of the tree that are made, as a whole or in part, by their place in it.
func writtenPages(root *cobra.Command, tree string) (map[string]string, error) {
	settings, err := settingsPage()
	if err != nil {
		return nil, err
	}
	pages, err := schemas(tree)
	if err != nil {
		return nil, err
	}
	pages["docs/reference/commands.md"], pages["docs/reference/settings.md"] = commandsPage(root), settings
	written, err := writtenByHand(tree)
	if err != nil {
		return nil, err
	}
	for name, text := range written {
		page, err := drawTables(text, filepath.Join(tree, "docs", "results"))
		if err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
		pages[name] = page
	}
	return pages, nil
}

// writtenByHand are README.md and the pages of docs that are not made as a whole, by their place in the tree.
func writtenByHand(tree string) (map[string]string, error) {
	pages := map[string]string{}
	for _, pattern := range []string{"README.md", "docs/*.md", "docs/how-to/*.md", "docs/explanation/*.md", "docs/reference/*.md"} {
		found, err := filepath.Glob(filepath.Join(tree, pattern))
		if err != nil {
			return nil, fmt.Errorf("look for pages: %w", err)
		}
		for _, path := range found {
			text, err := os.ReadFile(path)
			if err != nil {
				return nil, fmt.Errorf("read page: %w", err)
			}
			name, err := filepath.Rel(tree, path)
			if err != nil {
				return nil, fmt.Errorf("look for pages: %w", err)
			}
			if !strings.Contains(string(text), madeBy) {
				pages[name] = string(text)
			}
		}
	}
	return pages, nil
}

const madeBy = "<!-- Written by make docs from the program itself. -->\n\n"

func commandsPage(root *cobra.Command) string {
	var b strings.Builder
	b.WriteString("# Commands and flags\n\nThis page lists every command of samtune with its flags, as `--help` shows them. " +
		"[Usage](usage.md) explains how they work together.\n\n" + madeBy)
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
	b.WriteString("# Settings\n\nThis page lists every key of a run's config file and of `--set`, with its type, its range, its default, and what it does. A " +
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
			b.WriteString("| key | type | range | default | meaning |\n|---|---|---|---|---|\n")
		}
		fmt.Fprintf(&b, "| `%s` | %s | %s | %s | %s |\n", k.Name, typeInWords(k.Type), k.Range, valueInWords(lookUp(defaults, k.Name)), strings.ReplaceAll(k.Doc, "|", `\|`))
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
