package report

import (
	"fmt"
	"strings"

	"samtune/eval"
)

// margin is the loss of Dice up to which a decoder still counts as as good as another one.
const margin = 0.01

// decoder is one of the decoders that a run fitted, whichever it was run for.
type decoder struct {
	training eval.Training
	dice     eval.Float
}

func (d decoder) name() string {
	if d.training.Decoder == "linear" {
		return fmt.Sprintf("convex head, fitted in %s", shortSeconds(d.training.Seconds))
	}
	return fmt.Sprintf("%s decoder, trained in %s", word(d.training.Decoder), shortSeconds(d.training.Seconds))
}

// comparisons says of each further decoder how the run's own compares with it, in a sentence. Where one of the
// two is the convex head the sentence is about that one: whether what takes seconds is as good.
func comparisons(r *eval.Results) []string {
	if r.After == nil {
		return nil
	}
	own := decoder{r.Training, r.After.Dice.Mean}
	var out []string
	for _, o := range r.Others {
		other := decoder{o.Training, o.Method.Dice.Mean}
		if o.Against == nil || o.Against.N == 0 {
			continue
		}
		a, b, p := own, other, *o.Against
		if other.training.Decoder == "linear" && own.training.Decoder != "linear" {
			a, b = other, own
			p.Difference, p.CI95, p.Wins, p.Losses = -p.Difference, eval.Interval{-p.CI95[1], -p.CI95[0]}, p.Losses, p.Wins
		}
		out = append(out, sentence(a, b, p))
	}
	return out
}

// sentence compares a with b; p is the difference of a to b.
func sentence(a, b decoder, p eval.Paired) string {
	what := "no difference is confirmed, and a loss of " + fmt.Sprint(margin) + " is not excluded"
	switch {
	case p.CI95[0] > -margin && p.CI95[1] < margin:
		what = fmt.Sprintf("they are equally good: a difference of %g or more is excluded", margin)
	case judge(&p) == raised:
		what = "the former is better"
	case judge(&p) == lowered:
		what = "the latter is better"
	case p.CI95[0] > -margin:
		what = fmt.Sprintf("the former is as good: a loss of %g or more is excluded", margin)
	}
	return fmt.Sprintf("The %s (Dice %s) against the %s (Dice %s): %s (difference %s, 95 %% interval %s, p = %s).",
		a.name(), number(a.dice, 3), b.name(), number(b.dice, 3), what, signed(p.Difference, 3), interval(p.CI95, 3), probability(p.P))
}

// decoderFacts says how each decoder that was only compared with was made.
func decoderFacts(r *eval.Results) []fact {
	var out []fact
	for _, o := range r.Others {
		out = append(out, fact{Name: "Compared with", Value: fmt.Sprintf("%s, %s, %s", decoder{o.Training, 0}.name(),
			count(o.Training.Parameters, "parameter", "parameters"), o.Prompt)})
	}
	return out
}

// Threshold says where a convex head draws the line: 0 stands for each picture's own threshold.
func Threshold(t float64) string {
	if t == 0 {
		return "each picture's own"
	}
	return fmt.Sprintf("%.2f", t)
}

// howFitted says how the run's own decoder was made.
func howFitted(t eval.Training) fact {
	if t.Decoder == "linear" {
		return fact{Name: "Fit", Value: fmt.Sprintf("convex, ridge %g, threshold %s; shots left out of it: Dice %s", t.Ridge, Threshold(t.Threshold), number(t.LeftOutDice, 3))}
	}
	return fact{Name: "Steps", Value: fmt.Sprintf("%d, step %d taken", t.Steps, t.BestStep)}
}

// thicknessFacts lists Dice by local thickness for each fitted decoder.
func thicknessFacts(r *eval.Results) []fact {
	labels := eval.ThicknessLabels(r.Thickness, r.Unit)
	line := func(m *eval.Method) string {
		var parts []string
		for i, s := range m.ByThickness {
			if i < len(labels) {
				parts = append(parts, labels[i]+": "+cellOf(metric{digits: 3}, s).text())
			}
		}
		return strings.Join(parts, "; ")
	}
	var out []fact
	if r.After != nil && len(r.After.ByThickness) > 0 {
		out = append(out, fact{Name: afterLabel(r), Value: line(r.After)})
	}
	for i := range r.Others {
		if m := &r.Others[i].Method; len(m.ByThickness) > 0 {
			out = append(out, fact{Name: m.Label, Value: line(m)})
		}
	}
	return out
}
