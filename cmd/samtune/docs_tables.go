package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"samtune/eval"
)

// drawn is a place in a page that is drawn from files in docs/results: <!-- KIND FILE... --> up to <!-- end -->.
var drawn = regexp.MustCompile(`(?s)(<!-- (compare|sweep|bench|table) ([^>]*?) -->\n).*?(<!-- end -->)`)

// drawTables returns a page with its tables drawn from the files in the folder results.
func drawTables(page, results string) (string, error) {
	var failed error
	out := drawn.ReplaceAllStringFunc(page, func(block string) string {
		m := drawn.FindStringSubmatch(block)
		draw := map[string]func(folder string, names []string) (string, error){
			"compare": compareTable, "sweep": sweepTable, "bench": benchTable, "table": plainTable}[m[2]]
		table, err := draw(results, strings.Fields(m[3]))
		if err != nil {
			failed = err
			return block
		}
		return m[1] + table + m[4]
	})
	return out, failed
}

// diceIn finds the Dice in what a benchmark declares to compare with.
var diceIn = regexp.MustCompile(`Dice (\d\.\d+)`)

// sweepTable is a row for each number of shots of sweep.json's first setting, and one for what the benchmark declares to compare with.
func sweepTable(folder string, names []string) (string, error) {
	if len(names) != 1 {
		return "", fmt.Errorf("draw sweep: %d files, want one sweep.json", len(names))
	}
	s, err := eval.ReadSweep(filepath.Join(folder, names[0]))
	if err != nil {
		return "", err
	}
	if len(s.Settings) == 0 || s.Settings[0].Statistics == nil {
		return "", fmt.Errorf("draw %q: it has no statistics", names[0])
	}
	set := s.Settings[0]
	lines := [][]string{{"shots", "draws", "Dice", "95 % interval", "lowest to highest draw"}}
	number := func(v eval.Float) string { return fmt.Sprintf("%.3f", float64(v)) }
	if z := set.Statistics.ZeroShot; z != nil {
		lines = append(lines, []string{"0: " + set.Before, "", number(z.Mean), number(z.CI95[0]) + " to " + number(z.CI95[1]), ""})
	}
	for _, n := range set.Statistics.Shots {
		spread := ""
		if n.BetweenSeeds.N > 1 && n.BetweenSeeds.Min != n.BetweenSeeds.Max {
			spread = number(n.BetweenSeeds.Min) + " to " + number(n.BetweenSeeds.Max)
		}
		lines = append(lines, []string{strconv.Itoa(n.Shots), strconv.Itoa(n.BetweenSeeds.N), number(n.Mean), number(n.CI95[0]) + " to " + number(n.CI95[1]), spread})
	}
	for who, what := range set.Reference {
		if m := diceIn.FindStringSubmatch(what); m != nil {
			lines = append(lines, []string{"*" + who + "*", "", "*" + m[1] + "*", "", ""})
		}
	}
	return markdown(lines) + fmt.Sprintf("\n`%s`: %s, decoder %s, on %s with %d threads, samtune %s; peak memory %.0f MiB.\n",
		s.Command, set.ModelTitle, set.Decoder, set.Device, set.Threads, s.Versions["samtune"], s.Totals.PeakRSSMB), nil
}

// plainTable is a CSV file as it is. Its lines that begin with # say how it was made, and stand below.
func plainTable(folder string, names []string) (string, error) {
	if len(names) != 1 {
		return "", fmt.Errorf("draw table: %d files, want one", len(names))
	}
	path := filepath.Join(folder, names[0])
	text, err := os.ReadFile(path)
	if err != nil {
		return "", fmt.Errorf("read results: %w", err)
	}
	var by []string
	for line := range strings.Lines(string(text)) {
		if said, is := strings.CutPrefix(line, "# "); is {
			by = append(by, strings.TrimSpace(said))
		}
	}
	if len(by) == 0 {
		return "", fmt.Errorf("draw %q: want lines beginning with # that name the command and the day", path)
	}
	lines, err := csvLines(path)
	if err != nil {
		return "", err
	}
	return markdown(lines) + "\n" + strings.Join(by, "\n") + "\n", nil
}

var numeric = regexp.MustCompile(`^[*(]*[-+–<]?\d[\d.,:]*( %)?[*)]*( \(\d+\))?$`)

// markdown writes lines, the first of which are the heads, as a table; columns of numbers are set to the right.
func markdown(lines [][]string) string {
	var b strings.Builder
	for i, line := range lines {
		for j, cell := range line {
			line[j] = strings.ReplaceAll(cell, "|", `\|`)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(line, " | "))
		if i > 0 {
			continue
		}
		for j := range line {
			right := j > 0
			for _, l := range lines[1:] {
				right = right && (l[j] == "" || l[j] == "–" || numeric.MatchString(l[j]))
			}
			b.WriteString("|---")
			if right {
				b.WriteString(":")
			}
		}
		b.WriteString("|\n")
	}
	return b.String()
}

// dice writes a Dice of a results file with three digits.
func dice(text string) string {
	v, err := strconv.ParseFloat(text, 64)
	if err != nil {
		return "–"
	}
	return fmt.Sprintf("%.3f", v)
}

// readCSV returns the lines of a CSV file by the names in its first one.
func readCSV(path string) ([]map[string]string, error) {
	lines, err := csvLines(path)
	if err != nil {
		return nil, err
	}
	var out []map[string]string
	for _, l := range lines[1:] {
		row := map[string]string{}
		for i, name := range lines[0] {
			row[name] = l[i]
		}
		out = append(out, row)
	}
	return out, nil
}

func csvLines(path string) ([][]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	r.Comment = '#'
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read %q: %w", path, err)
	}
	if len(lines) < 2 {
		return nil, fmt.Errorf("read %q: %d lines, want names and rows", path, len(lines))
	}
	return lines, nil
}
