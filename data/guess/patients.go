package guess

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// patient says how the patient is found in a case's name.
type patient struct {
	ID                 string // a regular expression
	Table, Case, Group string // or a table's columns
	Comment            string
}

// running are names that go on within a patient.
var running = []*regexp.Regexp{
	regexp.MustCompile(`^(.*\d.*?)[_-](?:slice|frame|image|img|s|f|z)?[_-]?\d+$`),
	regexp.MustCompile(`^(.*\d)[_-]?(?:L|R|OD|OS|left|right)$`),
}

var personal = regexp.MustCompile(`(?i)^(video|vid|patient|pat|case|subject|sub)[_-]?\d+$`)

// findPatients groups cases by patient.
func (g *Guess) findPatients(dir string, tables []string) {
	ids, units := g.Pool.ids, g.Pool.units
	if g.Test != nil {
		ids, units = append(slices.Clone(ids), g.Test.ids...), append(slices.Clone(units), g.Test.units...)
	}
	prefix := ""
	if g.Test != nil && g.Test.Prefix != "" {
		prefix = "(?:" + g.Test.Prefix + ")?"
	}
	if units[0] != "" {
		g.patientFolders(ids, units, prefix)
		return
	}
	for _, path := range tables {
		if g.patientTable(dir, path, ids) {
			return
		}
	}
	for _, re := range running {
		groups := map[string]int{}
		for _, id := range ids {
			m := re.FindStringSubmatch(id)
			if m == nil {
				groups = nil
				break
			}
			groups[m[1]]++
		}
		alone := len(groups) == 1 && personal.MatchString(re.FindStringSubmatch(ids[0])[1])
		if alone || len(groups) > 1 && 6*len(groups) <= 5*len(ids) {
			g.Patient.ID = strings.Replace(re.String(), "^(", "^("+prefix, 1)
			g.Patient.Comment = fmt.Sprintf("%d images in %d groups by the first part of their names, as %q: take this out where these are not patients",
				len(ids), len(groups), re.FindStringSubmatch(ids[0])[1])
			return
		}
	}
}

// patientFolders takes the folders for patients.
func (g *Guess) patientFolders(ids, units []string, prefix string) {
	distinct := slices.Compact(slices.Sorted(slices.Values(units)))
	g.Patient.Comment = fmt.Sprintf("each folder is taken for a patient: %d of them", len(distinct))
	own := true // ids begin with the folder's name
	shapes := map[string]bool{}
	for i, id := range ids {
		own = own && strings.HasPrefix(id, units[i])
		shapes[number.ReplaceAllString(regexp.QuoteMeta(units[i]), `\d+`)] = true
	}
	name := "{set}__{id}"
	g.Patient.ID = "^(" + prefix + ".+?)__"
	if own && len(shapes) == 1 {
		for shape := range shapes {
			name, g.Patient.ID = "", "^("+prefix+shape+")"
		}
	}
	g.Pool.Name = name
	if g.Test != nil {
		g.Test.Name = name
	}
}

// patientTable takes a table with a column of the cases' names and one of patients.
func (g *Guess) patientTable(dir, path string, ids []string) bool {
	f, err := os.Open(filepath.Join(dir, filepath.FromSlash(path)))
	if err != nil {
		return false
	}
	defer f.Close()
	rows, err := csv.NewReader(f).ReadAll()
	if err != nil || len(rows) < 2 {
		return false
	}
	header := rows[0]
	group := slices.IndexFunc(header, func(h string) bool {
		return regexp.MustCompile(`(?i)patient|subject|person|case_?id|lesion_id|video`).MatchString(h)
	})
	if group < 0 {
		return false
	}
	for c, name := range header {
		known := map[string]bool{}
		for _, row := range rows[1:] {
			v := strings.TrimSpace(row[c])
			known[strings.TrimSuffix(v, filepath.Ext(v))] = true
		}
		if c != group && !slices.ContainsFunc(ids, func(id string) bool { return !known[id] }) {
			g.Patient = patient{Table: path, Case: strings.TrimSpace(name), Group: strings.TrimSpace(header[group]), Comment: "the patients stand in a table"}
			return true
		}
	}
	return false
}
