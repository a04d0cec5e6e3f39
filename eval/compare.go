package eval

import "fmt"

// Values of CaseResult.Method beside the prompt kinds.
const (
	MethodAfter   = "after"      // the fine-tuned model
	MethodTrivial = "everything" // every pixel of the valid region
)

// Pair is a case under two methods. Slices of one volume are one case.
type Pair struct {
	Case   string `json:"case"`
	Before Float  `json:"before"` // Dice
	After  Float  `json:"after"`
}

// Pairs pairs the cases of two methods by their names, in the order of after; those in which either has no Dice are left out.
func Pairs(before, after []CaseResult) ([]Pair, error) {
	before, after = units(before), units(after)
	first, err := byCase(before)
	if err != nil {
		return nil, fmt.Errorf("before: %w", err)
	}
	if _, err := byCase(after); err != nil {
		return nil, fmt.Errorf("after: %w", err)
	}
	var out []Pair
	for _, row := range after {
		if b, ok := first[row.Case]; ok && b.Dice.Defined() && row.Dice.Defined() {
			out = append(out, Pair{row.Case, b.Dice, row.Dice})
		}
	}
	return out, nil
}

// Compare pairs the cases of two methods by their names and tests Dice after - before over the pairs in
// which both are defined. Before, the key that the result quotes, says which method it is compared
// with. The interval is that of Summarise over the differences. Without a pair every number is undefined.
// Slices of one volume count as one case.
func Compare(key string, before, after []CaseResult, seed int64) (*Paired, error) {
	pairs, err := Pairs(before, after)
	if err != nil {
		return nil, fmt.Errorf("compare with %q: %w", key, err)
	}
	p := &Paired{Before: key}
	var differences []float64
	for _, pair := range pairs {
		differences = append(differences, float64(pair.After-pair.Before))
		switch {
		case pair.After > pair.Before:
			p.Wins++
		case pair.After < pair.Before:
			p.Losses++
		default:
			p.Ties++
		}
	}
	s := summarise(differences, newStream(seed, "paired dice"))
	p.N, p.Difference, p.CI95 = s.N, s.Mean, s.CI95
	if p.N == 0 {
		p.P, p.Test = Undefined, "no pairs to test"
		return p, nil
	}
	value, test := wilcoxon(differences)
	p.P, p.Test = Float(value), test
	return p, nil
}

func byCase(rows []CaseResult) (map[string]*CaseResult, error) {
	m := make(map[string]*CaseResult, len(rows))
	for i := range rows {
		if _, twice := m[rows[i].Case]; twice {
			return nil, fmt.Errorf("case %q occurs twice", rows[i].Case)
		}
		m[rows[i].Case] = &rows[i]
	}
	return m, nil
}

// MethodOf summarises every metric over a method's rows, slices of one volume as one. Each metric's intervals are drawn from a
// stream of its own, so that none depends on which others there are.
func MethodOf(label string, oracle bool, rows []CaseResult, seed int64) *Method {
	rows = units(rows)
	m := &Method{Label: label, Oracle: oracle}
	for i := range rows {
		if s := &rows[i].Scores; s.TP+s.FP+s.FN == 0 {
			m.BothEmpty++
		}
	}
	for _, metric := range metrics {
		values := make([]float64, len(rows))
		for i := range rows {
			values[i] = float64(*metric.value(&rows[i].Scores))
		}
		*metric.summary(m) = summarise(values, newStream(seed, metric.name))
	}
	for k := 0; len(rows) > 0 && k < len(rows[0].ByThickness); k++ {
		values := make([]float64, len(rows))
		for i := range rows {
			values[i] = float64(rows[i].ByThickness[k])
		}
		m.ByThickness = append(m.ByThickness, summarise(values, newStream(seed, fmt.Sprint("thickness ", k))))
	}
	return m
}

// TrivialOf summarises the rows of the baseline that calls everything foreground: each case scored
// with its valid region as the prediction.
func TrivialOf(rows []CaseResult, seed int64) *Trivial {
	m := MethodOf("everything foreground", false, rows, seed)
	return &Trivial{Dice: m.Dice.Mean, Method: *m}
}
