package report

import (
	"bytes"
	"encoding/csv"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"text/tabwriter"

	"samtune/eval"
)

// Files of a sweep beside report.html and report.md.
const (
	SweepFile = "sweep.json"
	SweepCSV  = "sweep.csv"
)

// WriteSweep writes sweep.json, sweep.csv, report.md and report.html into dir, which it makes.
func WriteSweep(dir string, s *eval.Sweep) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write sweep: %w", err)
	}
	if err := eval.WriteSweep(filepath.Join(dir, SweepFile), s); err != nil {
		return err
	}
	return renderSweep(sweepFiles(dir), s)
}

func sweepFiles(dir string) Files {
	to := In(dir)
	to.CSV = filepath.Join(dir, SweepCSV)
	return to
}

func renderSweep(to Files, s *eval.Sweep) error {
	p := newSweepPage(s)
	html, err := render("sweep", p)
	if err != nil {
		return fmt.Errorf("write sweep: %w", err)
	}
	return to.write(html, p.markdown(), sweepCSV(s))
}

func againSweep(w io.Writer, dir string, to *Files) error {
	s, err := eval.ReadSweep(filepath.Join(dir, SweepFile))
	if err != nil {
		return err
	}
	if to == nil {
		f := sweepFiles(dir)
		to = &f
	}
	if err := renderSweep(*to, s); err != nil {
		return err
	}
	return SweepTable(w, s)
}

// SweepTable writes what each setting of a sweep showed as lines for a terminal.
func SweepTable(w io.Writer, s *eval.Sweep) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	for _, t := range newSweepPage(s).Settings {
		fmt.Fprintf(tw, "%s\t%s\n", t.Name, strings.Join(t.Headings, "\t"))
		for _, r := range t.Rows {
			fmt.Fprintf(tw, "%s\t%s\n", r.Name, strings.Join(r.Values, "\t"))
		}
		fmt.Fprintln(tw)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	var b strings.Builder
	for i := range s.Settings {
		set := &s.Settings[i]
		fmt.Fprintf(&b, "%s: %s\n", settingTitle(set), strings.Join(settingSentences(set), " "))
	}
	fmt.Fprintln(&b, totalsText(s))
	if _, err := io.WriteString(w, b.String()); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

func settingTitle(s *eval.SweepSetting) string {
	return joinNonEmpty(", ", strings.TrimSpace(s.Title+" "+s.Target), s.ModelTitle, decoderTitle(s.Decoder))
}

func decoderTitle(name string) string {
	if name == "linear" {
		return "convex head"
	}
	return name + " decoder"
}

// countRows says what became of the rows.
func countRows(s *eval.Sweep) string {
	n := map[string]int{}
	for _, r := range s.Rows {
		n[r.Status]++
	}
	text := fmt.Sprintf("%d of %s done", n[eval.SweepDone], count(len(s.Rows), "run", "runs"))
	if n[eval.SweepFailed] > 0 {
		text += fmt.Sprintf(", %d failed", n[eval.SweepFailed])
	}
	if n[eval.SweepLeft] > 0 {
		text += fmt.Sprintf(", %d left", n[eval.SweepLeft])
	}
	return text
}

func totalsText(s *eval.Sweep) string {
	t := s.Totals
	return fmt.Sprintf("%s; %s encoded in %s; time of all runs %s; peak memory %s", countRows(s), count(t.Images, "image", "images"),
		count(t.Views, "view", "views"), clock(t.Seconds), mebibytes(t.PeakRSSMB))
}

// comparisonOf finds the comparison of two numbers of shots; 0 is zero-shot.
func comparisonOf(s *eval.SweepStatistics, from, to int) *eval.ShotsComparison {
	for i := range s.Comparisons {
		if c := &s.Comparisons[i]; c.From == from && c.To == to {
			return c
		}
	}
	return nil
}

// judgeShots says whether a comparison is confirmed, as a run's page does, by the adjusted test and the interval both.
func judgeShots(c *eval.ShotsComparison) outcome {
	if c == nil {
		return noComparison
	}
	return judge(&eval.Paired{Difference: c.Difference, CI95: c.CI95, P: c.PHolm})
}

// settingVerdict says in plain words what fine-tuning on the largest number of images changed and how sure that is.
func settingVerdict(set *eval.SweepSetting) verdict {
	s := set.Statistics
	if s == nil || len(s.Shots) == 0 {
		why := set.Error
		if why == "" {
			why = "no run is done"
		}
		return verdict{Lead: "Nothing can be said: " + why}
	}
	last := s.Shots[len(s.Shots)-1]
	images := count(last.Shots, "image", "images")
	c := comparisonOf(s, 0, last.Shots)
	if c == nil || s.ZeroShot == nil {
		return verdict{Lead: fmt.Sprintf("Fine-tuning on %s reaches mean Dice %s; it was not compared with zero-shot", images, number(last.Mean, 3))}
	}
	v := verdict{Outcome: judgeShots(c), Detail: fmt.Sprintf("difference %s, 95 %% interval %s, p = %s after Holm; %s, %d of %s better", signed(c.Difference, 3),
		interval(c.CI95, 3), probability(c.PHolm), count(c.Seeds, "draw of images", "draws of images"), c.Wins, count(c.N, "case", "cases"))}
	from, to := number(s.ZeroShot.Mean, 3), number(last.Mean, 3)
	switch v.Outcome {
	case raised:
		v.Lead = fmt.Sprintf("Fine-tuning on %s raised mean Dice from %s zero-shot to %s", images, from, to)
	case lowered:
		v.Lead = fmt.Sprintf("Fine-tuning on %s lowered mean Dice from %s zero-shot to %s", images, from, to)
	default:
		v.Lead = fmt.Sprintf("No difference to zero-shot is confirmed: mean Dice is %s zero-shot and %s after fine-tuning on %s", from, to, images)
	}
	return v
}

// settingSentences say what changed, how sure that is, and how many images are enough.
func settingSentences(set *eval.SweepSetting) []string {
	s := set.Statistics
	out := []string{settingVerdict(set).sentence()}
	if s == nil || len(s.Shots) == 0 {
		return out
	}
	last := s.Shots[len(s.Shots)-1]
	if last.BetweenSeeds.N < 2 {
		out = append(out, "With one draw of images nothing is known about another one.")
	}
	out = append(out, plateauSentence(s), curveSentence(s))
	return out
}

func plateauSentence(s *eval.SweepStatistics) string {
	last, p := s.Shots[len(s.Shots)-1].Shots, s.Plateau
	switch {
	case len(s.Shots) < 2:
		return "How many images are enough can't be said from one number of them."
	case p.Status == eval.StatusReached && p.Shots > 0:
		return fmt.Sprintf("%s: that more of them, up to %d, gain %g Dice or more is excluded.", enough(p.Shots), last, p.Margin)
	case p.ByMeans > 0 && p.ByMeans < last:
		return fmt.Sprintf("By the means alone %s: more gain less than %g Dice; but it is not excluded that they gain more.", strings.ToLower(enough(p.ByMeans)), p.Margin)
	case p.Status == eval.StatusNotReached:
		return fmt.Sprintf("More images still help at %d, or it is not excluded that they do: no number in this sweep is shown to be enough.", last)
	}
	return "How many images are enough can't be said: " + p.Status + "."
}

func enough(shots int) string {
	if shots == 1 {
		return "1 image is enough"
	}
	return fmt.Sprintf("%d images are enough", shots)
}

func curveSentence(s *eval.SweepStatistics) string {
	c := s.Curve
	if !c.Predicted.Mean.Defined() {
		return "No learning curve is fitted: " + c.Status + "."
	}
	text := fmt.Sprintf("The learning curve predicts Dice %s (95 %% interval %s) with %s", number(c.Predicted.Mean, 3), interval(c.Predicted.CI95, 3), count(c.Predicted.Shots, "image", "images"))
	if !c.Check.Mean.Defined() {
		return text + "; that prediction is not checked: " + c.Check.Status + "."
	}
	where := "outside"
	if c.Check.Inside {
		where = "inside"
	}
	return text + fmt.Sprintf(". Checked by leaving the last point out: %s was predicted with %s (%s) and %s measured, %s the interval.",
		number(c.Check.Mean, 3), count(c.Check.Shots, "image", "images"), interval(c.Check.CI95, 3), number(c.Check.Observed, 3), where)
}

// sweepVerdict sums up all settings; of one it is what that showed.
func sweepVerdict(s *eval.Sweep) verdict {
	if len(s.Settings) == 1 {
		return settingVerdict(&s.Settings[0])
	}
	var n, up, down, sufficient int
	for _, set := range s.Settings {
		if set.Statistics == nil || len(set.Statistics.Shots) == 0 {
			continue
		}
		n++
		last := set.Statistics.Shots[len(set.Statistics.Shots)-1].Shots
		switch judgeShots(comparisonOf(set.Statistics, 0, last)) {
		case raised:
			up++
		case lowered:
			down++
		}
		if set.Statistics.Plateau.Status == eval.StatusReached && set.Statistics.Plateau.Shots > 0 {
			sufficient++
		}
	}
	if n == 0 {
		return verdict{Lead: "No run of this sweep is done"}
	}
	text := fmt.Sprintf("Fine-tuning on the largest number of images raised mean Dice in %d of %s, confirmed after Holm's correction", up, count(n, "setting", "settings"))
	if down > 0 {
		text += fmt.Sprintf("; it lowered it in %d", down)
	}
	return verdict{Lead: text + fmt.Sprintf("; in %d fewer images are shown to be enough", sufficient)}
}

// sweepCSV has a line for each run with all numbers in full, then one for each number of shots of each setting.
func sweepCSV(s *eval.Sweep) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	// Writing into memory does not fail.
	_ = w.Write([]string{"kind", "setting", "benchmark", "target", "model", "decoder", "shots", "seed", "status", "error", "run", "hash", "dice", "ci95_low", "ci95_high",
		"sd_seeds", "sd_cases", "seeds", "difference", "difference_low", "difference_high", "p", "p_holm", "seconds"})
	for _, r := range s.Rows {
		_ = w.Write([]string{"run", r.Setting, r.Benchmark, r.Target, r.Model, r.Decoder, strconv.Itoa(r.Shots), strconv.FormatInt(r.Seed, 10), r.Status, r.Error, r.Dir, r.Hash,
			full(r.Dice), full(r.CI95[0]), full(r.CI95[1]), "", "", "", "", "", "", "", "", strconv.FormatFloat(r.Seconds, 'g', -1, 64)})
	}
	for _, set := range s.Settings {
		if set.Statistics == nil {
			continue
		}
		line := func(kind string, p *eval.ShotsSummary) {
			cells := []string{kind, set.Name, set.Benchmark, set.Target, set.Model, set.Decoder, strconv.Itoa(p.Shots), "", "", "", "", "",
				full(p.Mean), full(p.CI95[0]), full(p.CI95[1]), full(p.BetweenSeeds.SD), full(p.BetweenCases.SD), strconv.Itoa(p.BetweenSeeds.N)}
			if c := comparisonOf(set.Statistics, 0, p.Shots); c != nil {
				cells = append(cells, full(c.Difference), full(c.CI95[0]), full(c.CI95[1]), full(c.P), full(c.PHolm))
			} else {
				cells = append(cells, "", "", "", "", "")
			}
			_ = w.Write(append(cells, ""))
		}
		if z := set.Statistics.ZeroShot; z != nil {
			line("zero-shot", z)
		}
		for i := range set.Statistics.Shots {
			line("shots", &set.Statistics.Shots[i])
		}
	}
	w.Flush()
	return b.Bytes()
}
