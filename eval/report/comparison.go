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

// Files of a comparison beside report.html and report.md.
const (
	CompareFile = "compare.json"
	CompareCSV  = "compare.csv"
)

// WriteComparison writes compare.json, compare.csv and report.md into dir, which it makes, and with page report.html too: the
// pictures in it are those that the rows' runs left. It adjusts the rows' p-values.
func WriteComparison(dir string, c *eval.Comparison, page bool) error {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return fmt.Errorf("write comparison: %w", err)
	}
	c.Adjust()
	if err := eval.WriteComparison(filepath.Join(dir, CompareFile), c); err != nil {
		return err
	}
	return renderComparison(dir, comparisonFiles(dir), c, page)
}

func comparisonFiles(dir string) Files {
	to := In(dir)
	to.CSV = filepath.Join(dir, CompareCSV)
	return to
}

// renderComparison writes the forms of a comparison whose runs' folders are under dir.
func renderComparison(dir string, to Files, c *eval.Comparison, page bool) error {
	var html []byte
	if page {
		var err error
		if html, err = comparisonPage(dir, c); err != nil {
			return fmt.Errorf("write comparison: %w", err)
		}
	}
	return to.write(html, comparisonMarkdown(c), comparisonCSV(c))
}

// column is one of the table's columns of Dice.
type column struct {
	Key, Name string
	decoder   bool
	value     func(*eval.Results) eval.Float
}

// columnsOf are the trivial baseline, the prompts and the decoders. The first decoder is that of each run.
func columnsOf(c *eval.Comparison) []column {
	out := []column{{eval.MethodTrivial, "everything", false, func(r *eval.Results) eval.Float {
		if r.Trivial == nil {
			return eval.Undefined
		}
		return r.Trivial.Dice
	}}}
	for _, kind := range c.Prompts {
		out = append(out, column{kind, promptNames[kind], false, func(r *eval.Results) eval.Float {
			if r.Before[kind] == nil {
				return eval.Undefined
			}
			return r.Before[kind].Dice.Mean
		}})
		if out[len(out)-1].Name == "" {
			out[len(out)-1].Name = strings.ReplaceAll(kind, "_", " ")
		}
	}
	for i, name := range c.Decoders {
		shown := name
		if i == 0 {
			shown = "fine-tuned"
		}
		out = append(out, column{name, shown, true, func(r *eval.Results) eval.Float {
			m, _ := r.Decoder(name)
			if i == 0 {
				m = r.After
			}
			if m == nil {
				return eval.Undefined
			}
			return m.Dice.Mean
		}})
	}
	return out
}

// promptNames are the kinds in few letters: a table has many columns.
var promptNames = map[string]string{
	eval.PromptNone: "none", eval.PromptPoint: "centre", eval.PromptBox: "full box", eval.PromptOracleBox: "oracle box",
	eval.PromptEverythingOracle: "oracle grid",
}

// comparisonNotes explain the columns below the table.
func comparisonNotes(c *eval.Comparison) []string {
	return []string{
		"Mean Dice over test cases, or over the volumes that test slices are of. everything: all pixels foreground. Zero-shot by prompt: none; a point in " +
			"the centre; the full-image box, which is what fine-tuning is compared with and prompts the fine-tuned decoders too; and two that only the owner " +
			"of the truth can give: a box around it (oracle box), and the best by Dice of all masks that a grid of points gives (oracle grid).",
		"The difference is fine-tuned less full box, paired by case, with its 95 % bootstrap interval; p is of Wilcoxon's exact signed-rank test, adjusted for " +
			"the number of rows by Holm's method. With few cases no p can be small: of n pairs the least is 2/2ⁿ.",
	}
}

// cases says what a row was tested on.
func casesOf(r *eval.Results) string {
	if r.Volumes > 0 {
		return fmt.Sprintf("%d of %d vol", r.Cases, r.Volumes)
	}
	return strconv.Itoa(r.Cases)
}

// gain is how much the run's decoder gained on zero-shot, with its 95 % interval, and the adjusted p-value.
func gain(r eval.ComparisonRow) (difference, p string) {
	if r.Paired == nil {
		return missing, missing
	}
	difference = signed(r.Paired.Difference, 3)
	if ci := interval(r.Paired.CI95, 3); ci != missing {
		difference += " (" + ci + ")"
	}
	return difference, probability(r.PHolm)
}

// absence says why a row has no figures.
func absence(r eval.ComparisonRow) string {
	if r.Status == eval.StatusAbsent {
		return "absent"
	}
	return "failed: " + oneLine(r.Error)
}

// ComparisonTable writes the table as lines for a terminal.
func ComparisonTable(w io.Writer, c *eval.Comparison) error {
	tw := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	columns := columnsOf(c)
	fmt.Fprintf(tw, "Dice, %s\ttest\tshots", count(c.Shots, "shot", "shots"))
	for _, col := range columns {
		fmt.Fprintf(tw, "\t%s", col.Name)
	}
	fmt.Fprint(tw, "\tdifference (95 % interval)\tp (Holm)\n")
	absent := 0
	for _, r := range c.Rows {
		name := r.Title + " " + r.Target
		if r.Status == eval.StatusAbsent {
			absent++
			continue
		}
		if r.Status != eval.StatusOK {
			fmt.Fprintf(tw, "%s\t%s\n", name, absence(r))
			continue
		}
		fmt.Fprintf(tw, "%s\t%s\t%d", name, casesOf(r.Results), r.Shots)
		for _, col := range columns {
			fmt.Fprintf(tw, "\t%s", number(col.value(r.Results), 3))
		}
		difference, p := gain(r)
		fmt.Fprintf(tw, "\t%s\t%s\n", difference, p)
	}
	if err := tw.Flush(); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	text := "\n" + comparisonVerdict(c) + "\n"
	if absent > 0 {
		text += count(absent, "row is", "rows are") + " absent: the report says how to get the data\n"
	}
	if _, err := io.WriteString(w, text); err != nil {
		return fmt.Errorf("write table: %w", err)
	}
	return nil
}

// comparisonVerdict counts what fine-tuning did.
func comparisonVerdict(c *eval.Comparison) string {
	var n, up, sure, down, sureDown int
	for _, r := range c.Rows {
		if r.Status != eval.StatusOK || r.Paired == nil || !r.Paired.Difference.Defined() {
			continue
		}
		n++
		confirmed := r.PHolm.Defined() && r.PHolm < significance
		switch d := r.Paired.Difference; {
		case d > 0:
			up++
			if confirmed {
				sure++
			}
		case d < 0:
			down++
			if confirmed {
				sureDown++
			}
		}
	}
	if n == 0 {
		return "No row compares fine-tuning with zero-shot."
	}
	text := fmt.Sprintf("Fine-tuning on %s raised mean Dice in %d of %s, confirmed after Holm's correction in %d", atMost(c.Shots), up, count(n, "target", "targets"), sure)
	if down > 0 {
		text += fmt.Sprintf("; it lowered it in %d, confirmed in %d", down, sureDown)
	}
	return text + "."
}

func atMost(shots int) string {
	if shots == 1 {
		return "1 image"
	}
	return fmt.Sprintf("up to %d images", shots)
}

// byTask gives the rows in runs of one task.
func byTask(rows []eval.ComparisonRow) [][]eval.ComparisonRow {
	var out [][]eval.ComparisonRow
	for i, r := range rows {
		if i == 0 || rows[i-1].Task != r.Task {
			out = append(out, nil)
		}
		out[len(out)-1] = append(out[len(out)-1], r)
	}
	return out
}

func comparisonMarkdown(c *eval.Comparison) []byte {
	var b strings.Builder
	columns := columnsOf(c)
	fmt.Fprintf(&b, "# Zero-shot and fine-tuned on %s, over %s\n\n%s\n\n", atMost(c.Shots), count(len(byTask(c.Rows)), "task", "tasks"), comparisonVerdict(c))
	fmt.Fprint(&b, "| Benchmark | Target | Test | Shots |")
	for _, col := range columns {
		fmt.Fprintf(&b, " %s |", col.Name)
	}
	fmt.Fprintf(&b, " Difference (95 %% interval) | p (Holm) |\n|---|---|---:|---:|%s\n", strings.Repeat("---:|", len(columns)+2))
	for _, task := range byTask(c.Rows) {
		fmt.Fprintf(&b, "| **%s** |%s\n", plain(task[0].Task), strings.Repeat(" |", len(columns)+5))
		for _, r := range task {
			if r.Status != eval.StatusOK {
				fmt.Fprintf(&b, "| %s | %s | %s |%s\n", plain(r.Title), plain(r.Target), plain(absence(r)), strings.Repeat(" |", len(columns)+3))
				continue
			}
			fmt.Fprintf(&b, "| %s | %s | %s | %d |", plain(r.Title), plain(r.Target), casesOf(r.Results), r.Shots)
			for _, col := range columns {
				fmt.Fprintf(&b, " %s |", number(col.value(r.Results), 3))
			}
			difference, p := gain(r)
			fmt.Fprintf(&b, " %s | %s |\n", difference, p)
		}
	}
	for _, n := range comparisonNotes(c) {
		fmt.Fprintf(&b, "\n%s\n", plain(n))
	}
	fmt.Fprintf(&b, "\nCommand: `%s`\n", strings.ReplaceAll(c.Command, "`", "'"))
	return []byte(b.String())
}

// comparisonCSV has a line for each row and all numbers in full.
func comparisonCSV(c *eval.Comparison) []byte {
	var b bytes.Buffer
	w := csv.NewWriter(&b)
	columns := columnsOf(c)
	header := []string{"benchmark", "target", "task", "status", "cases", "volumes", "shots", "decoder", "error"}
	for _, col := range columns {
		header = append(header, col.Key)
	}
	// Writing into memory does not fail.
	_ = w.Write(append(header, "difference", "ci95_low", "ci95_high", "p", "p_holm", "wins", "ties", "losses"))
	for _, r := range c.Rows {
		line := []string{r.Benchmark, r.Target, r.Task, r.Status, strconv.Itoa(r.Cases), strconv.Itoa(r.Volumes), strconv.Itoa(r.Shots), r.Training.Decoder, r.Error}
		for _, col := range columns {
			line = append(line, full(col.value(r.Results)))
		}
		if p := r.Paired; p != nil {
			line = append(line, full(p.Difference), full(p.CI95[0]), full(p.CI95[1]), full(p.P), full(r.PHolm),
				strconv.Itoa(p.Wins), strconv.Itoa(p.Ties), strconv.Itoa(p.Losses))
		} else {
			line = append(line, "", "", "", "", "", "", "", "")
		}
		_ = w.Write(line)
	}
	w.Flush()
	return b.Bytes()
}
