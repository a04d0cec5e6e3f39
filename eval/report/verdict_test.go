package report

import (
	"math"
	"strings"
	"testing"

	"samtune/eval"
)

func TestVerdict(t *testing.T) {
	run := func(before, after, difference, low, high, p float64, n, wins int) *eval.Results {
		r := &eval.Results{Shots: 5, Seed: 1, Cases: n, Training: eval.Training{Decoder: "plain"},
			Before: map[string]*eval.Method{"box": {Label: "full-image box", Dice: eval.Summary{Mean: eval.Float(before)}}},
			After:  &eval.Method{Dice: eval.Summary{Mean: eval.Float(after)}}}
		r.Paired = &eval.Paired{Before: "box", Difference: eval.Float(difference),
			CI95: eval.Interval{eval.Float(low), eval.Float(high)}, P: eval.Float(p), N: n, Wins: wins, Losses: n - wins}
		return r
	}
	nan := math.NaN()
	tests := []struct {
		name    string
		r       *eval.Results
		outcome outcome
		want    string
	}{
		{"raised", run(0.227, 0.612, 0.385, 0.371, 0.399, 1.9073e-06, 20, 20), raised,
			"Fine-tuning on 5 images raised mean Dice from 0.227 to 0.612 (difference +0.385, 95 % interval 0.371 to 0.399, p = 1.9e-06, 20 of 20 cases better)."},
		{"lowered", run(0.612, 0.227, -0.385, -0.399, -0.371, 1.9073e-06, 20, 0), lowered,
			"Fine-tuning on 5 images lowered mean Dice from 0.612 to 0.227 (difference -0.385, 95 % interval -0.399 to -0.371, p = 1.9e-06, 0 of 20 cases better)."},
		{"not confirmed by the test", run(0.604, 0.612, 0.008, 0.001, 0.015, 0.21, 20, 12), unconfirmed,
			"No difference is confirmed: mean Dice was 0.604 before and 0.612 after fine-tuning on 5 images (difference +0.008, 95 % interval 0.001 to 0.015, p = 0.21, 12 of 20 cases better)."},
		{"not confirmed by the interval", run(0.604, 0.612, 0.008, -0.004, 0.020, 0.04, 20, 12), unconfirmed, ""},
		{"at the level itself", run(0.5, 0.6, 0.1, 0.05, 0.15, 0.05, 20, 15), unconfirmed, ""},
		{"too few cases to confirm anything", run(0.2, 0.6, 0.4, 0.3, 0.5, 0.125, 4, 4), unconfirmed, ""},
		{"nothing to compare", run(nan, nan, nan, nan, nan, nan, 0, 0), unconfirmed,
			"No difference is confirmed: mean Dice was – before and – after fine-tuning on 5 images (difference –, 95 % interval –, p = –, 0 of 0 cases better)."},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			v := verdictOf(test.r)
			if v.Outcome != test.outcome {
				t.Errorf("outcome is %d, want %d", v.Outcome, test.outcome)
			}
			got := Verdict(test.r)
			if test.want != "" && got != test.want {
				t.Errorf("verdict is\n%s, want\n%s", got, test.want)
			}
			if test.outcome == unconfirmed && (strings.Contains(got, "raised") || strings.Contains(got, "lowered") || !strings.Contains(got, "No difference is confirmed")) {
				t.Errorf("an unconfirmed difference is called one: %s", got)
			}
		})
	}

	t.Run("one image", func(t *testing.T) {
		r := run(0.2, 0.6, 0.4, 0.3, 0.5, 0.001, 20, 20)
		r.Shots = 1
		if got := Verdict(r); !strings.HasPrefix(got, "Fine-tuning on 1 image raised") {
			t.Error(got)
		}
	})
	t.Run("not compared", func(t *testing.T) {
		r := run(0.2, 0.6, 0.4, 0.3, 0.5, 0.001, 20, 20)
		r.Paired = nil
		if got := Verdict(r); !strings.Contains(got, "not compared") {
			t.Error(got)
		}
	})
}

func TestZeroShotVerdictNamesTheBestHonestPrompt(t *testing.T) {
	r := zeroShotOnly().Results
	r.Before["oracle_box"].Dice.Mean = 0.9
	r.Before["aaa"] = &eval.Method{Label: "undefined", Dice: eval.Summary{Mean: eval.Undefined}}
	if got := Verdict(r); !strings.Contains(got, "Zero-shot (full-image box) reaches mean Dice 0.228 (95 % interval 0.214 to 0.242, 20 test cases, everything foreground 0.228; nothing was fine-tuned).") {
		t.Error(got)
	}
	for k, m := range r.Before {
		if !m.Oracle {
			delete(r.Before, k)
		}
	}
	if got := Verdict(r); !strings.Contains(got, "(oracle)") {
		t.Errorf("a prompt made from the ground truth is not called oracle: %s", got)
	}
}

func TestCaveats(t *testing.T) {
	has := func(r *eval.Results, part string) bool { return strings.Contains(strings.Join(caveats(r), "\n"), part) }
	r := syntheticRun().Results
	if !has(r, "One run with one draw of images (seed 1)") {
		t.Error("one seed is not called one")
	}
	if has(r, "does not") || has(r, "not a fair comparison") || has(r, "have a Dice on both sides") {
		t.Errorf("needless doubts: %q", caveats(r))
	}
	if has(r, "calling every pixel foreground") {
		t.Error("a result above the trivial baseline is doubted")
	}
	r.Trivial.Dice = 0.7
	r.Paired.P, r.Paired.N, r.Before["box"].Oracle = 0.0625, 5, true
	for _, want := range []string{"Here it does not", "With 5 pairs the exact test can't fall below p = 0.062", "5 of 20 test cases have a Dice on both sides", "not a fair comparison", "no higher than that of calling every pixel foreground (0.700)", "full-image box (oracle)"} {
		if !has(r, want) {
			t.Errorf("%q is not said in %q", want, caveats(r))
		}
	}
	if got := oracleFact(r); !strings.HasPrefix(got, "yes, in what is compared") {
		t.Error(got)
	}
}
