package eval

import "iter"

// Summaries goes through the method's metrics, each under its name in per_case.csv.
func (m *Method) Summaries() iter.Seq2[string, Summary] {
	return func(yield func(string, Summary) bool) {
		for _, metric := range metrics {
			if !yield(metric.name, *metric.summary(m)) {
				return
			}
		}
	}
}
