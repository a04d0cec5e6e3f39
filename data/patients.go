package data

import (
	"encoding/csv"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"
)

// grouping says which cases are of one patient, volume or video, so that none is on both sides of a split.
type grouping struct {
	ID    string `toml:"id"`    // a regular expression over the case's name; its group, or all of it, is the patient
	Table string `toml:"table"` // or a CSV file in the data set's folder
	Case  string `toml:"case"`  // its column with the case's name, with or without a file's ending
	Group string `toml:"group"` // its column with the patient
}

func (g grouping) check() error {
	if _, err := regexp.Compile(g.ID); err != nil {
		return fmt.Errorf("patient.id: %w", err)
	}
	if g.Table != "" && (g.Case == "" || g.Group == "") {
		return fmt.Errorf("patient.table wants patient.case and patient.group: the names of its columns")
	}
	return nil
}

// assign sets the cases' patients.
func (g grouping) assign(dir string, cases []fileCase) error {
	switch {
	case g.Table != "":
		table, err := g.read(filepath.Join(dir, filepath.FromSlash(g.Table)))
		if err != nil {
			return err
		}
		for i := range cases {
			patient, ok := table[cases[i].id]
			if !ok {
				return fmt.Errorf("%w: case %s is not in %q: its patient is not known", ErrInvalid, cases[i].id, g.Table)
			}
			cases[i].patient = patient
		}
	case g.ID != "":
		re, err := regexp.Compile(g.ID)
		if err != nil {
			return err
		}
		for i := range cases {
			m := re.FindStringSubmatch(cases[i].id)
			if m == nil {
				return fmt.Errorf("%w: the name of case %s does not tell its patient: it does not fit %s", ErrInvalid, cases[i].id, g.ID)
			}
			cases[i].patient = m[len(m)-1]
		}
	}
	return nil
}

func (g grouping) read(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("%w: read the table of patients: %w", ErrInvalid, err)
	}
	defer f.Close()
	r := csv.NewReader(f)
	header, err := r.Read()
	if err != nil {
		return nil, fmt.Errorf("%w: read %q: header: %w", ErrInvalid, path, err)
	}
	column := func(name string) (int, error) {
		for i, h := range header {
			if strings.TrimSpace(h) == name {
				return i, nil
			}
		}
		return 0, fmt.Errorf("%w: read %q: there is no column %q: it has %s", ErrInvalid, path, name, strings.Join(header, ", "))
	}
	id, err := column(g.Case)
	if err != nil {
		return nil, err
	}
	group, err := column(g.Group)
	if err != nil {
		return nil, err
	}
	rows, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("%w: read %q: %w", ErrInvalid, path, err)
	}
	out := map[string]string{}
	for _, row := range rows {
		name := strings.TrimSpace(row[id])
		out[strings.TrimSuffix(name, filepath.Ext(name))] = strings.TrimSpace(row[group])
	}
	return out, nil
}

// alone makes a case of its own of one of many of a patient.
func (c *Case) alone() {
	load, id := c.Load, c.ID
	c.Patient, c.Volume = id, ""
	c.Load = func() (*Sample, error) {
		s, err := load()
		if s != nil {
			s.Patient, s.Volume = id, ""
		}
		return s, err
	}
}
