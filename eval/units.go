package eval

import "math"

// units are what the statistics are over: pictures, and volumes. Slices of one volume are no evidence of their own, so they are
// brought together: overlap and rates from the sum of their counts, the other metrics as means of those that are defined.
func units(rows []CaseResult) []CaseResult {
	var out []CaseResult
	at := map[string][]int{} // slices by volume
	for i, row := range rows {
		switch {
		case row.Volume == "":
			out = append(out, row)
			continue
		case at[row.Volume] == nil:
			out = append(out, CaseResult{Case: row.Volume, Volume: row.Volume, Patient: row.Patient, Method: row.Method})
		}
		at[row.Volume] = append(at[row.Volume], i)
	}
	for i := range out {
		if out[i].Volume == "" {
			continue
		}
		s := &out[i].Scores
		for _, k := range at[out[i].Volume] {
			s.TP, s.FP, s.FN, s.TN = s.TP+rows[k].TP, s.FP+rows[k].FP, s.FN+rows[k].FN, s.TN+rows[k].TN
		}
		for _, m := range metrics {
			*m.value(s) = meanOf(rows, at[out[i].Volume], func(r *CaseResult) Float { return *m.value(&r.Scores) })
		}
		s.overlap()
		for c := range rows[at[out[i].Volume][0]].ByThickness {
			s.ByThickness = append(s.ByThickness, meanOf(rows, at[out[i].Volume], func(r *CaseResult) Float { return r.ByThickness[c] }))
		}
	}
	return out
}

// meanOf is the mean of the defined values of some rows.
func meanOf(rows []CaseResult, which []int, value func(*CaseResult) Float) Float {
	sum, n := 0.0, 0
	for _, i := range which {
		if v := float64(value(&rows[i])); !math.IsNaN(v) {
			sum += v
			n++
		}
	}
	if n == 0 {
		return Undefined
	}
	return Float(sum / float64(n))
}
