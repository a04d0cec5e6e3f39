package main

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"samtune/data"
	"samtune/eval"
)

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
	lines := [][]string{heads}
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
		lines = append(lines, cells)
	}
	return markdown(lines), nil
}
