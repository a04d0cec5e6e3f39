package report

import (
	"fmt"
	"strings"

	"samtune/eval"
)

// factsOf is the report's header: all that is needed to judge a run and to repeat it.
func factsOf(r *eval.Results, cases []testCase) []factGroup {
	t := r.Training
	test := make([]string, len(cases))
	for i, c := range cases {
		test[i] = c.id
	}
	data := []fact{
		{Name: "Data set", Value: joinNonEmpty(", ", r.Title, r.Task)},
		{Name: "Target", Value: word(r.Target)},
		{Name: "Layout found", Value: word(r.Layout)},
		{Name: "Data hash", Value: word(r.DataSHA256), Code: true},
		{Name: "Cite", Value: word(r.Citation)},
	}
	split := []fact{}
	if r.After != nil {
		split = append(split,
			fact{Name: "Shots", Value: fmt.Sprintf("%d (seed %d)", r.Shots, r.Seed)},
			fact{Name: fmt.Sprintf("Trained on %d", len(t.TrainCases)), Value: list(t.TrainCases)},
			fact{Name: fmt.Sprintf("Validation %d", len(t.Validation)), Value: list(t.Validation)})
	}
	split = append(split, fact{Name: fmt.Sprintf("Test %d", r.Cases), Value: list(test)})
	model := []fact{
		{Name: "Model", Value: word(r.ModelTitle)},
		{Name: "Weights", Value: word(r.WeightsFile)},
		{Name: "Weights hash", Value: word(r.WeightsSHA256), Code: true},
	}
	if r.After != nil {
		fitted := howFitted(t)
		if len(t.ResumedAt) > 0 {
			fitted.Value += ", resumed at " + strings.Trim(strings.ReplaceAll(fmt.Sprint(t.ResumedAt), " ", ", "), "[]")
		}
		model = append(model,
			fact{Name: "Decoder", Value: fmt.Sprintf("%s, %s trained", word(t.Decoder), count(t.Parameters, "parameter", "parameters"))}, fitted)
		model = append(model, decoderFacts(r)...)
	}
	model = append(model, fact{Name: "Oracle prompts", Value: oracleFact(r)})
	run := []fact{
		{Name: "Date", Value: date(r.Started)},
		{Name: "Device", Value: fmt.Sprintf("%s, %s", word(r.Device), count(r.Threads, "thread", "threads"))},
		{Name: "Config hash", Value: word(r.ConfigSHA256), Code: true},
		{Name: "Versions", Value: versions(r.Versions)},
		{Name: "Command", Value: word(r.Command), Code: true},
	}
	groups := []factGroup{{"Data", data}, {"Split", split}, {"Model", model}, {"Run", run}}
	if dice := thicknessFacts(r); len(dice) > 0 {
		groups = append(groups, factGroup{"Dice by local thickness", dice})
	}
	return groups
}

// costsOf lists times, memory and the encoder's work.
func costsOf(r *eval.Results) []fact {
	s := r.Seconds
	out := []fact{{Name: "Set-up (weights and data)", Value: clock(s.Setup)}, {Name: "Encoding", Value: clock(s.Encode)}}
	if r.After != nil {
		train := clock(s.Train)
		if n := r.Training.Steps; n > 0 && s.Train > 0 && len(r.Training.ResumedAt) == 0 {
			train += fmt.Sprintf(" (%s a step)", shortSeconds(s.Train/float64(n)))
		}
		out = append(out, fact{Name: "Training", Value: train})
	}
	return append(out,
		fact{Name: "Evaluation", Value: clock(s.Evaluate)},
		fact{Name: "Total", Value: clock(s.Total)},
		fact{Name: "Peak memory", Value: mebibytes(r.PeakRSSMB)},
		fact{Name: "Encoder passes", Value: fmt.Sprintf("%s of %s", count(r.EncodedViews, "view", "views"), count(r.EncodedImages, "image", "images"))},
		fact{Name: "Embeddings found in the cache", Value: count(r.CachedViews, "view", "views")},
	)
}

func shortSeconds(s float64) string {
	if s < 1 {
		return fmt.Sprintf("%.0f ms", 1000*s)
	}
	return fmt.Sprintf("%.1f s", s)
}

func versions(m map[string]string) string {
	parts := make([]string, 0, len(m))
	for _, f := range sortedFacts(m) {
		parts = append(parts, f.Name+" "+f.Value)
	}
	return word(strings.Join(parts, ", "))
}

func list(ids []string) string {
	if len(ids) == 0 {
		return "none"
	}
	return strings.Join(ids, ", ")
}

func joinNonEmpty(separator string, parts ...string) string {
	var out []string
	for _, p := range parts {
		if p != "" {
			out = append(out, p)
		}
	}
	return word(strings.Join(out, separator))
}
