package eval

import (
	"bytes"
	"encoding/csv"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"slices"
	"strconv"

	"github.com/google/renameio/v2"
)

// Schema is the version of Results that is written and read.
const Schema = 1

// ErrFormat says that a file is not what this version writes.
var ErrFormat = errors.New("not a file of results")

// counts are the columns before the metrics.
var counts = []struct {
	name  string
	value func(*Scores) *int
}{
	{"tp", func(s *Scores) *int { return &s.TP }},
	{"fp", func(s *Scores) *int { return &s.FP }},
	{"fn", func(s *Scores) *int { return &s.FN }},
	{"tn", func(s *Scores) *int { return &s.TN }},
}

func columns() []string {
	names := []string{"method", "case", "patient", "volume"}
	for _, c := range counts {
		names = append(names, c.name)
	}
	for _, m := range metrics {
		names = append(names, m.name)
	}
	return names
}

// WriteCases writes one line a row, in the order given, under a header: method, case, patient, volume, counts,
// metrics. Numbers are the shortest that read back the same; an undefined metric is an empty cell.
func WriteCases(w io.Writer, rows []CaseResult) error {
	out := csv.NewWriter(w)
	out.Write(columns()) // errors are kept for Flush
	for i := range rows {
		row := &rows[i]
		record := []string{row.Method, row.Case, row.Patient, row.Volume}
		for _, c := range counts {
			record = append(record, strconv.Itoa(*c.value(&row.Scores)))
		}
		for _, m := range metrics {
			record = append(record, cellOf(*m.value(&row.Scores)))
		}
		out.Write(record)
	}
	out.Flush()
	if err := out.Error(); err != nil {
		return fmt.Errorf("write cases: %w", err)
	}
	return nil
}

// cellOf is the shortest text that reads back as the number; nothing where it is undefined.
func cellOf(v Float) string {
	if !v.Defined() {
		return ""
	}
	return strconv.FormatFloat(float64(v), 'g', -1, 64)
}

// WriteCasesFile writes the rows to a file that is replaced as a whole or not at all.
func WriteCasesFile(path string, rows []CaseResult) error {
	var b bytes.Buffer
	if err := WriteCases(&b, rows); err != nil {
		return err
	}
	return writeFile(path, b.Bytes())
}

// ReadCases reads what WriteCases wrote. Errors wrap ErrFormat where the content is to blame.
func ReadCases(r io.Reader) ([]CaseResult, error) {
	in := csv.NewReader(r)
	header, err := in.Read()
	if err == io.EOF {
		return nil, fmt.Errorf("read cases: %w: it is empty", ErrFormat)
	}
	if err != nil {
		return nil, fmt.Errorf("read cases: %w", csvError(err))
	}
	if want := columns(); !slices.Equal(header, want) {
		return nil, fmt.Errorf("read cases: %w: columns are %q, want %q", ErrFormat, header, want)
	}
	var rows []CaseResult
	for {
		record, err := in.Read()
		if err == io.EOF {
			return rows, nil
		}
		if err != nil {
			return nil, fmt.Errorf("read cases: %w", csvError(err))
		}
		row, column, err := parseCase(record)
		if err != nil {
			line, _ := in.FieldPos(0)
			return nil, fmt.Errorf("read cases: line %d, column %q: %w: %w", line, header[column], ErrFormat, err)
		}
		rows = append(rows, row)
	}
}

// csvError tells a broken table from a broken reader.
func csvError(err error) error {
	var parse *csv.ParseError
	if errors.As(err, &parse) {
		return fmt.Errorf("%w: %w", ErrFormat, err)
	}
	return err
}

func parseCase(record []string) (row CaseResult, column int, err error) {
	row.Method, row.Case, row.Patient, row.Volume = record[0], record[1], record[2], record[3]
	column = 4
	for _, c := range counts {
		n, err := strconv.Atoi(record[column])
		if err != nil || n < 0 {
			return row, column, fmt.Errorf("%q is not a count", record[column])
		}
		*c.value(&row.Scores) = n
		column++
	}
	for _, m := range metrics {
		value := math.NaN()
		if cell := record[column]; cell != "" {
			if value, err = strconv.ParseFloat(cell, 64); err != nil || math.IsNaN(value) || math.IsInf(value, 0) {
				return row, column, fmt.Errorf("%q is not a finite number", cell)
			}
		}
		*m.value(&row.Scores) = Float(value)
		column++
	}
	return row, column, nil
}

// ReadCasesFile reads what WriteCasesFile wrote.
func ReadCasesFile(path string) ([]CaseResult, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read cases: %w", err)
	}
	defer f.Close()
	rows, err := ReadCases(f)
	if err != nil {
		return nil, fmt.Errorf("%q: %w", path, err)
	}
	return rows, nil
}

// WriteResults writes the results as indented JSON to a file that is replaced as a whole or not at
// all. It sets the schema.
func WriteResults(path string, r *Results) error {
	r.Schema = Schema
	text, err := json.MarshalIndent(r, "", "  ")
	if err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return writeFile(path, append(text, '\n'))
}

func writeFile(path string, content []byte) error {
	if err := renameio.WriteFile(path, content, 0o644); err != nil {
		return fmt.Errorf("write %q: %w", path, err)
	}
	return nil
}

// ReadResults reads what WriteResults wrote. A field that Results lacks is an error, as is another
// schema; both wrap ErrFormat.
func ReadResults(path string) (*Results, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("read results: %w", err)
	}
	r, err := parseResults(text)
	if err != nil {
		return nil, fmt.Errorf("read %q: %w: %w", path, ErrFormat, err)
	}
	return r, nil
}

func parseResults(text []byte) (*Results, error) {
	// The schema comes first: of another one the fields are not known.
	var head struct {
		Schema *int `json:"schema"`
	}
	if err := json.Unmarshal(text, &head); err != nil {
		return nil, err
	}
	if head.Schema == nil {
		return nil, errors.New("it has no schema number")
	}
	if *head.Schema != Schema {
		return nil, fmt.Errorf("schema is %d, this version reads %d: use the version that wrote it or repeat the run", *head.Schema, Schema)
	}
	in := json.NewDecoder(bytes.NewReader(text))
	in.DisallowUnknownFields()
	r := new(Results)
	if err := in.Decode(r); err != nil {
		return nil, err
	}
	return r, nil
}
