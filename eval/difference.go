package eval

import (
	"cmp"
	"fmt"
	"slices"
)

// Difference is how two runs, a and b, compare on the test cases that both have.
type Difference struct {
	Shared  int                `json:"shared_cases"` // test cases, the same to the pixel
	OnlyA   int                `json:"only_a"`
	OnlyB   int                `json:"only_b"`
	Methods []MethodDifference `json:"methods"` // that both have: zero-shot, then further decoders, then what the runs were about
	Metrics []MetricDifference `json:"metrics"` // of the last of the methods, beside Dice
	Pairs   []Pair             `json:"cases"`   // of the same, a before and b after; the greatest loss first
}

// MethodDifference compares a method of two runs.
type MethodDifference struct {
	Method string  `json:"method"` // as in CaseResult.Method
	LabelA string  `json:"label_a"`
	LabelB string  `json:"label_b"`
	A      Float   `json:"a"` // mean Dice over the pairs
	B      Float   `json:"b"`
	Paired *Paired `json:"paired"` // b - a
}

// MetricDifference are means of a metric over the cases that have it in both runs.
type MetricDifference struct {
	Metric string `json:"metric"` // as in per_case.csv
	A      Float  `json:"a"`
	B      Float  `json:"b"`
}

// Differ compares the runs a and b, whose rows are given, method by method. same says of the name of a case whether it is the same in both.
func Differ(a, b *Results, rowsA, rowsB []CaseResult, same func(id string) bool) (*Difference, error) {
	d := &Difference{Methods: []MethodDifference{}, Metrics: []MetricDifference{}, Pairs: []Pair{}}
	d.Shared, d.OnlyA = split(rowsA, same)
	_, d.OnlyB = split(rowsB, same)
	labelsA, labelsB := a.labels(), b.labels()
	for _, of := range labelsA {
		at := slices.IndexFunc(labelsB, func(l label) bool { return l.method == of.method })
		if at < 0 {
			continue
		}
		before, after := chosen(rowsA, of.method, same), chosen(rowsB, of.method, same)
		pairs, err := Pairs(before, after)
		if err != nil {
			return nil, fmt.Errorf("compare runs: %s: %w", of.method, err)
		}
		if len(pairs) == 0 {
			continue
		}
		paired, err := Compare(of.method, before, after, a.Seed)
		if err != nil {
			return nil, err
		}
		m := MethodDifference{Method: of.method, LabelA: of.text, LabelB: labelsB[at].text, Paired: paired}
		for _, p := range pairs {
			m.A, m.B = m.A+p.Before/Float(len(pairs)), m.B+p.After/Float(len(pairs))
		}
		d.Methods, d.Pairs, d.Metrics = append(d.Methods, m), pairs, metricDifferences(units(before), units(after))
	}
	slices.SortStableFunc(d.Pairs, func(x, y Pair) int { return cmp.Compare(x.After-x.Before, y.After-y.Before) })
	return d, nil
}

// metricDifferences are of all metrics but Dice.
func metricDifferences(a, b []CaseResult) []MetricDifference {
	of := map[string]*CaseResult{}
	for i := range a {
		of[a[i].Case] = &a[i]
	}
	var out []MetricDifference
	for _, m := range metrics[1:] {
		d, n := MetricDifference{Metric: m.name}, 0
		for i := range b {
			if other := of[b[i].Case]; other != nil && m.value(&other.Scores).Defined() && m.value(&b[i].Scores).Defined() {
				d.A, d.B, n = d.A+*m.value(&other.Scores), d.B+*m.value(&b[i].Scores), n+1
			}
		}
		d.A, d.B = d.A/Float(n), d.B/Float(n) // without any they are undefined
		out = append(out, d)
	}
	return out
}

// label is what a method is called for people.
type label struct{ method, text string }

// labels lists the run's methods, the one that it was about last.
func (r *Results) labels() []label {
	var out []label
	for _, kind := range PromptKinds() {
		if m := r.Before[kind]; m != nil {
			out = append(out, label{kind, "zero-shot, " + m.Label})
		}
	}
	for _, o := range r.Others {
		out = append(out, label{o.Key, o.Method.Label})
	}
	if r.After != nil {
		out = append(out, label{MethodAfter, r.After.Label})
	}
	return out
}

// split counts the cases of rows, which have a row for each method, that are the same in another run and those that are not.
func split(rows []CaseResult, same func(id string) bool) (shared, others int) {
	seen := map[string]bool{}
	for _, row := range rows {
		if seen[row.Case] {
			continue
		}
		seen[row.Case] = true
		if same(row.Case) {
			shared++
		} else {
			others++
		}
	}
	return shared, others
}

// chosen are a method's rows of cases that are the same in another run.
func chosen(rows []CaseResult, method string, same func(id string) bool) []CaseResult {
	var out []CaseResult
	for _, row := range rows {
		if row.Method == method && same(row.Case) {
			out = append(out, row)
		}
	}
	return out
}
