package main

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"

	"samtune/data"
	"samtune/eval"
)

// tableMark is a place in a page that is drawn from results files: <!-- compare FILE... --> up to <!-- end -->. The files lie
// beside each other in docs/results.
var tableMark = regexp.MustCompile(`(?s)(<!-- compare ([^>]*?) -->\n).*?(<!-- end -->)`)

// drawTables returns a page with its tables drawn from the files in results.
func drawTables(page, results string) (string, error) {
	var failed error
	out := tableMark.ReplaceAllStringFunc(page, func(block string) string {
		m := tableMark.FindStringSubmatch(block)
		table, err := compareTable(results, strings.Fields(m[2]))
		if err != nil {
			failed = err
			return block
		}
		return m[1] + table + m[3]
	})
	return out, failed
}

// compareTable is a row for each target that was there, with what zero-shot prompts reach, and the fine-tuned decoder of each file.
func compareTable(results string, names []string) (string, error) {
	type row struct {
		target, cases string
		zero          []string
		tuned         []string
	}
	var rows []*row
	at := map[string]*row{}
	heads := []string{"", "test", "everything", "box", "oracle box"}
	for i, name := range names {
		lines, err := readCSV(filepath.Join(results, name))
		if err != nil {
			return "", err
		}
		shots := 0
		for _, l := range lines {
			if l["status"] != eval.StatusOK {
				continue
			}
			key := l["benchmark"] + " " + l["target"]
			r := at[key]
			if r == nil {
				d, err := data.Declaration(l["benchmark"])
				if err != nil {
					return "", err
				}
				cases := l["cases"]
				if l["volumes"] != "0" {
					cases += " of " + l["volumes"] + " volumes"
				}
				r = &row{target: d.Title + ", " + strings.ReplaceAll(l["target"], "_", " "), cases: cases}
				for _, column := range []string{"everything", "box", "oracle_box"} {
					r.zero = append(r.zero, dice(l[column]))
				}
				at[key], rows = r, append(rows, r)
			}
			for len(r.tuned) < 2*i {
				r.tuned = append(r.tuned, "", "")
			}
			n, err := strconv.Atoi(l["shots"])
			if err != nil {
				return "", fmt.Errorf("read %q: shots is %q, want a number", name, l["shots"])
			}
			shots = max(shots, n)
			tuned := dice(l["own"])
			if p, err := strconv.ParseFloat(l["p_holm"], 64); err == nil && p < 0.05 {
				tuned = "**" + tuned + "**"
			}
			r.tuned = append(r.tuned, tuned, l["shots"])
		}
		heads = append(heads, fmt.Sprintf("%d shots", shots))
	}
	var b strings.Builder
	fmt.Fprintf(&b, "| %s |\n|---|---%s|\n", strings.Join(heads, " | "), strings.Repeat("|---:", len(heads)-2))
	for _, r := range rows {
		cells := append([]string{r.target, r.cases}, r.zero...)
		for i := range names {
			cell := ""
			if 2*i+1 < len(r.tuned) {
				cell = r.tuned[2*i]
				if n := r.tuned[2*i+1]; cell != "" && heads[5+i] != n+" shots" {
					cell += " (" + n + ")"
				}
			}
			cells = append(cells, cell)
		}
		fmt.Fprintf(&b, "| %s |\n", strings.Join(cells, " | "))
	}
	return b.String(), nil
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
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	defer f.Close()
	lines, err := csv.NewReader(f).ReadAll()
	if err != nil || len(lines) == 0 {
		return nil, fmt.Errorf("read %q: want a table with a line of names: %w", path, err)
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
