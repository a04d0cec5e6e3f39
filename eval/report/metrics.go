package report

import (
	"fmt"
	"sort"

	"samtune/eval"
)

// metric is a column of the tables.
type metric struct {
	name    string
	digits  int
	better  string // "↑": higher is better; "↓": lower is
	unit    string
	of      func(*eval.Method) eval.Summary
	score   func(*eval.Scores) eval.Float
	Meaning string
	Source  string
}

// Heading names the metric with its unit or tolerance.
func (m metric) Heading() string {
	if m.unit == "" {
		return m.name
	}
	return m.name + " (" + m.unit + ")"
}

// metricsOf lists the metrics in the order of every table.
func metricsOf(r *eval.Results) []metric {
	tolerance := fmt.Sprintf("at %g %s", r.NSDTolerance, r.Unit)
	list := []metric{
		{"Dice", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.Dice }, func(s *eval.Scores) eval.Float { return s.Dice },
			"Twice the overlap over the sum of both areas: 2 TP / (2 TP + FP + FN). Not defined where truth and prediction are both empty; such cases are counted and never scored 1.",
			"Dice, Ecology 26, 1945"},
		{"IoU", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.IoU }, func(s *eval.Scores) eval.Float { return s.IoU },
			"Overlap over union: TP / (TP + FP + FN).",
			"Jaccard, New Phytologist 11, 1912"},
		{"Sensitivity", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.Sensitivity }, func(s *eval.Scores) eval.Float { return s.Sensitivity },
			"Share of the true structure that was found: TP / (TP + FN).", ""},
		{"Specificity", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.Specificity }, func(s *eval.Scores) eval.Float { return s.Specificity },
			"Share of the background that was left alone: TN / (TN + FP).", ""},
		{"Accuracy", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.Accuracy }, func(s *eval.Scores) eval.Float { return s.Accuracy },
			"Share of pixels that are right. High for an empty prediction where the structure is small.", ""},
		{"AUC", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.AUC }, func(s *eval.Scores) eval.Float { return s.AUC },
			"Area under the ROC curve of the predicted pixel scores: it does not depend on the threshold; 0.5 is chance.",
			"Hanley and McNeil, Radiology 143, 1982"},
		{"clDice", 3, "↑", "",
			func(m *eval.Method) eval.Summary { return m.ClDice }, func(s *eval.Scores) eval.Float { return s.ClDice },
			"Dice of centre lines: whether the skeleton of each mask lies inside the other. It asks whether tubes are connected, not how thick they are. Not defined where a skeleton is empty.",
			"Shit et al., CVPR 2021"},
		{"HD95", 2, "↓", r.Unit,
			func(m *eval.Method) eval.Summary { return m.HD95 }, func(s *eval.Scores) eval.Float { return s.HD95 },
			"95th percentile of the distances from each outline to the other, both directions pooled. Not defined where a mask is empty.",
			"Huttenlocher et al., IEEE TPAMI 15, 1993"},
		{"ASSD", 2, "↓", r.Unit,
			func(m *eval.Method) eval.Summary { return m.ASSD }, func(s *eval.Scores) eval.Float { return s.ASSD },
			"Mean of the distances from each outline to the other, both directions pooled. Not defined where a mask is empty.",
			"Heimann et al., IEEE TMI 28, 2009"},
		{"NSD", 3, "↑", tolerance,
			func(m *eval.Method) eval.Summary { return m.NSD }, func(s *eval.Scores) eval.Float { return s.NSD },
			"Normalised surface Dice: share of both outlines that lies within the tolerance of the other. Not defined where both masks are empty.",
			"Nikolov et al., JMIR 23, 2021"},
	}
	if n, without, _ := volumesOf(r); n > without {
		list = append(list, metricsIn3D(r.Unit, tolerance)...)
	}
	return list
}

// metricsIn3D are those of volumes as a whole. They have no score by case, which is a slice.
func metricsIn3D(unit, tolerance string) []metric {
	of := func(pick func(*eval.In3D) eval.Summary) func(m *eval.Method) eval.Summary {
		return func(m *eval.Method) eval.Summary {
			if m.In3D == nil {
				u := eval.Undefined
				return eval.Summary{Mean: u, CI95: eval.Interval{u, u}, SD: u, Median: u, Min: u, Max: u}
			}
			return pick(m.In3D)
		}
	}
	const meaning = " of the surfaces of each volume in three dimensions, over its scored slices and with the distance between them; the same without 3D is the mean over slices."
	return []metric{
		{"HD95 3D", 2, "↓", unit, of(func(d *eval.In3D) eval.Summary { return d.HD95 }), nil, "HD95" + meaning, ""},
		{"ASSD 3D", 2, "↓", unit, of(func(d *eval.In3D) eval.Summary { return d.ASSD }), nil, "ASSD" + meaning, ""},
		{"NSD 3D", 3, "↑", tolerance, of(func(d *eval.In3D) eval.Summary { return d.NSD }), nil, "NSD" + meaning, ""},
	}
}

// volumesOf counts the volumes that the results are of, for the method that is asked first: all, those that could not be compared in
// three dimensions, and why. All are 0 where cases are pictures, or were scored before there was a comparison in three dimensions.
func volumesOf(r *eval.Results) (all, without int, why string) {
	methods := []*eval.Method{r.After}
	for _, k := range sortedBefore(r) {
		methods = append(methods, r.Before[k])
	}
	for _, m := range methods {
		if m != nil && m.In3D != nil {
			return m.In3D.HD95.N + m.In3D.HD95.Undefined, m.In3D.Without, m.In3D.Why
		}
	}
	return 0, 0, ""
}

// sortedBefore lists the keys of r.Before: prompts that need no ground truth first, then oracle ones.
func sortedBefore(r *eval.Results) []string {
	keys := make([]string, 0, len(r.Before))
	for k, m := range r.Before {
		if m != nil {
			keys = append(keys, k)
		}
	}
	sort.Slice(keys, func(i, j int) bool {
		if a, b := r.Before[keys[i]].Oracle, r.Before[keys[j]].Oracle; a != b {
			return b
		}
		return keys[i] < keys[j]
	})
	return keys
}

// comparedBefore is the zero-shot method that stands for "before": the one of the paired test, without
// it the best one that needs no ground truth, without such a one the first. It is empty where there is none.
func comparedBefore(r *eval.Results) string {
	if r.Paired != nil {
		return r.Paired.Before
	}
	keys := sortedBefore(r)
	best := ""
	for _, k := range keys {
		m := r.Before[k]
		if !m.Oracle && (best == "" || !r.Before[best].Dice.Mean.Defined() || m.Dice.Mean > r.Before[best].Dice.Mean) {
			best = k
		}
	}
	if best == "" && len(keys) > 0 {
		return keys[0]
	}
	return best
}

// zeroShotLabel names a method for people; what was made from the ground truth says so.
func zeroShotLabel(m *eval.Method) string {
	if m.Oracle {
		return m.Label + " (oracle)"
	}
	return m.Label
}

// scores are the rows of one test case, by method.
type scores map[string]*eval.Scores

func (s scores) dice(method string) eval.Float {
	if v, ok := s[method]; ok {
		return v.Dice
	}
	return eval.Undefined
}

// testCase is a test case with what every method made of it.
type testCase struct {
	id, patient string
	scores      scores
}

// groupRows brings rows together by case, ordered by case. It refuses two rows for one case and method
// and rows of a method that the results don't know; those of the trivial baseline and of further decoders are
// not shown by case.
func groupRows(r *eval.Results, rows []eval.CaseResult) ([]testCase, error) {
	at := map[string]int{}
	other := map[string]bool{}
	for _, o := range r.Others {
		other[o.Key] = true
	}
	var cases []testCase
	for i := range rows {
		row := &rows[i]
		switch _, known := r.Before[row.Method]; {
		case row.Method == eval.MethodTrivial || other[row.Method]:
			continue
		case !known && !(row.Method == eval.MethodAfter && r.After != nil):
			return nil, fmt.Errorf("case %q has a row of the method %q, which the results don't hold", row.Case, row.Method)
		}
		n, seen := at[row.Case]
		if !seen {
			n = len(cases)
			at[row.Case] = n
			cases = append(cases, testCase{id: row.Case, patient: row.Patient, scores: scores{}})
		}
		if _, twice := cases[n].scores[row.Method]; twice {
			return nil, fmt.Errorf("case %q has two rows of the method %q", row.Case, row.Method)
		}
		cases[n].scores[row.Method] = &row.Scores
	}
	sort.Slice(cases, func(i, j int) bool { return cases[i].id < cases[j].id })
	return cases, nil
}
