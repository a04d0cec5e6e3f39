package report

import (
	"fmt"
	"math"
	"strings"

	"samtune/eval"
)

// significance is the level below which the paired test confirms a difference.
const significance = 0.05

// outcome is what the paired comparison allows to say.
type outcome int

const (
	noComparison outcome = iota // nothing was fine-tuned, or nothing compared
	unconfirmed
	raised
	lowered
)

// judge calls a difference confirmed only where the test and the interval both say so.
func judge(p *eval.Paired) outcome {
	if p == nil {
		return noComparison
	}
	if !p.P.Defined() || p.P >= significance {
		return unconfirmed
	}
	switch {
	case p.Difference > 0 && p.CI95[0] > 0:
		return raised
	case p.Difference < 0 && p.CI95[1] < 0:
		return lowered
	}
	return unconfirmed
}

// verdict is the report's first sentence: what happened and, in brackets, how sure that is.
type verdict struct {
	Lead, Detail string
	Outcome      outcome
}

func (v verdict) sentence() string {
	if v.Detail == "" {
		return v.Lead + "."
	}
	return v.Lead + " (" + v.Detail + ")."
}

// Verdict says in one plain sentence what a run showed. It calls a difference one only where the paired
// test (p < 0.05) and the 95 % interval both confirm it.
func Verdict(r *eval.Results) string { return verdictOf(r).sentence() }

func verdictOf(r *eval.Results) verdict {
	shots := count(r.Shots, "image", "images")
	if r.After == nil {
		return zeroShotVerdict(r)
	}
	p := r.Paired
	before, ok := pairedBefore(r)
	if !ok {
		return verdict{Lead: fmt.Sprintf("Fine-tuning on %s reached mean Dice %s; it was not compared with zero-shot", shots, number(r.After.Dice.Mean, 3))}
	}
	v := verdict{
		Outcome: judge(p),
		Detail: fmt.Sprintf("difference %s, 95 %% interval %s, p = %s, %d of %s better",
			signed(p.Difference, 3), interval(p.CI95, 3), probability(p.P), p.Wins, count(p.N, "case", "cases")),
	}
	from, to := number(before.Dice.Mean, 3), number(r.After.Dice.Mean, 3)
	switch v.Outcome {
	case raised:
		v.Lead = fmt.Sprintf("Fine-tuning on %s raised mean Dice from %s to %s", shots, from, to)
	case lowered:
		v.Lead = fmt.Sprintf("Fine-tuning on %s lowered mean Dice from %s to %s", shots, from, to)
	default:
		v.Lead = fmt.Sprintf("No difference is confirmed: mean Dice was %s before and %s after fine-tuning on %s", from, to, shots)
	}
	return v
}

func pairedBefore(r *eval.Results) (*eval.Method, bool) {
	if r.Paired == nil {
		return nil, false
	}
	m := r.Before[r.Paired.Before]
	return m, m != nil
}

func zeroShotVerdict(r *eval.Results) verdict {
	key := comparedBefore(r)
	if key == "" {
		return verdict{Lead: "Nothing was segmented and nothing was fine-tuned"}
	}
	m := r.Before[key]
	v := verdict{
		Lead:   fmt.Sprintf("Zero-shot (%s) reaches mean Dice %s", zeroShotLabel(m), number(m.Dice.Mean, 3)),
		Detail: fmt.Sprintf("95 %% interval %s, %s", interval(m.Dice.CI95, 3), count(m.Dice.N, "test case", "test cases")),
	}
	if r.Trivial != nil {
		v.Detail += ", everything foreground " + number(r.Trivial.Dice, 3)
	}
	v.Detail += "; nothing was fine-tuned"
	return v
}

// caveats are the sentences that a reader of the verdict needs beside it.
func caveats(r *eval.Results) []string {
	var out []string
	say := func(format string, args ...any) { out = append(out, fmt.Sprintf(format, args...)) }
	if before, ok := pairedBefore(r); ok && r.After != nil {
		p := r.Paired
		say("Before: the released weights, zero-shot (%s). After: the same weights with the %s decoder trained on %s (%s).",
			zeroShotLabel(before), word(r.Training.Decoder), count(r.Shots, "annotated image", "annotated images"), afterPromptLabel(r))
		if before.Oracle != r.After.Oracle {
			say("One side was given prompts made from the ground truth and the other was not: this is not a fair comparison.")
		}
		if judge(p) == unconfirmed {
			say("A difference counts as confirmed where p < %g and the 95 %% interval leaves out zero. Here it does not.", significance)
		}
		if least := math.Ldexp(2, -p.N); p.N > 0 && least >= significance {
			say("With %s the exact test can't fall below p = %s: more test cases are needed to confirm any difference.",
				count(p.N, "pair", "pairs"), probability(eval.Float(least)))
		}
		if r.Trivial != nil && r.After.Dice.Mean <= r.Trivial.Dice {
			say("After fine-tuning Dice is no higher than that of calling every pixel foreground (%s).", number(r.Trivial.Dice, 3))
		}
		if p.N < r.Cases {
			say("%d of %s have a Dice on both sides and are compared.", p.N, count(r.Cases, "test case", "test cases"))
		}
		out = append(out, comparisons(r)...)
		say("One run with one draw of images (seed %d): how much another draw would change it is not known from this run.", r.Seed)
	}
	return out
}

func afterPromptLabel(r *eval.Results) string {
	if m := r.Before[r.AfterPrompt]; m != nil {
		return m.Label
	}
	if r.AfterPrompt == "" || r.AfterPrompt == "none" {
		return "no prompt"
	}
	return r.AfterPrompt
}

// oracleFact says where the ground truth was used to make prompts.
func oracleFact(r *eval.Results) string {
	var labels []string
	for _, k := range sortedBefore(r) {
		if m := r.Before[k]; m.Oracle {
			labels = append(labels, m.Label)
		}
	}
	compared := false
	if m := r.Before[comparedBefore(r)]; m != nil && m.Oracle {
		compared = true
	}
	if r.After != nil && r.After.Oracle {
		compared = true
	}
	shown := strings.Join(labels, ", ")
	switch {
	case compared:
		return joinNonEmpty(": ", "yes, in what is compared", shown)
	case len(labels) > 0:
		return "not in what is compared; in the table: " + shown
	}
	return "no"
}

func word(s string) string {
	if s == "" {
		return missing
	}
	return s
}
