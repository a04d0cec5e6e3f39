package report

import (
	"strings"
	"testing"

	"samtune/eval"
)

func TestSentenceOfTwoDecoders(t *testing.T) {
	head := decoder{eval.Training{Decoder: "linear", Seconds: 5.9}, 0.797}
	trained := decoder{eval.Training{Decoder: "plain", Seconds: 51}, 0.657}
	for name, c := range map[string]struct {
		p    eval.Paired
		says string
	}{
		"better":      {eval.Paired{N: 20, Difference: 0.14, CI95: eval.Interval{0.12, 0.15}, P: 1e-6}, "the former is better"},
		"worse":       {eval.Paired{N: 20, Difference: -0.14, CI95: eval.Interval{-0.15, -0.12}, P: 1e-6}, "the latter is better"},
		"equal":       {eval.Paired{N: 20, Difference: 0.001, CI95: eval.Interval{0, 0.003}, P: 0.07}, "equally good"},
		"tiny, sure":  {eval.Paired{N: 20, Difference: 0.001, CI95: eval.Interval{0.0005, 0.002}, P: 1e-4}, "equally good"},
		"not worse":   {eval.Paired{N: 20, Difference: 0.01, CI95: eval.Interval{-0.005, 0.03}, P: 0.2}, "the former is as good"},
		"not decided": {eval.Paired{N: 6, Difference: 0.01, CI95: eval.Interval{-0.05, 0.08}, P: 0.8}, "no difference is confirmed"},
	} {
		got := sentence(head, trained, c.p)
		if !strings.Contains(got, c.says) || !strings.Contains(got, "convex head, fitted in 5.9 s (Dice 0.797)") || !strings.Contains(got, "plain decoder, trained in 51.0 s (Dice 0.657)") {
			t.Errorf("%s: %s", name, got)
		}
	}
}

// TestTheHeadIsNamedFirst turns a comparison round whose own decoder is the trained one.
func TestTheHeadIsNamedFirst(t *testing.T) {
	r := &eval.Results{
		Training: eval.Training{Decoder: "fine"}, After: &eval.Method{Dice: eval.Summary{Mean: 0.70}},
		Others: []eval.Other{{Key: "linear", Method: eval.Method{Dice: eval.Summary{Mean: 0.80}}, Training: eval.Training{Decoder: "linear"},
			Against: &eval.Paired{N: 9, Difference: -0.1, CI95: eval.Interval{-0.12, -0.08}, P: 0.004, Losses: 9}}},
	}
	got := comparisons(r)
	if len(got) != 1 || !strings.HasPrefix(got[0], "The convex head") || !strings.Contains(got[0], "the former is better (difference +0.100, 95 % interval 0.080 to 0.120") {
		t.Errorf("%q", got)
	}
}
