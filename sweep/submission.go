package sweep

import (
	"fmt"
	"path/filepath"
	"strconv"
	"strings"

	"samtune/configs"
)

// Submission is what an engine beyond this machine is told of a sweep: which of its tasks are left, and the command
// that does one of them. All else, which task is done already and how two of them share a cache, is the command's.
type Submission struct {
	Dir     string // folder of the sweep, absolute
	Command string // shell words that do one task once --index I, or --encode --index E, is appended
	Encode  int    // tasks of the encode stage, numbered from 0; 0: no such stage
	Tasks   []int  // rows of the plan that are left, in order, at least one
}

// Titles of the two stages in the files that start them.
const (
	encodeTitle = "Every image once through the encoder, a share of them in each task,"
	trainTitle  = "The runs"
)

// check refuses what has no safe way into a script.
func (s Submission) check() error {
	if len(s.Tasks) == 0 {
		return fmt.Errorf("%w: no task is left to submit", configs.ErrConfig)
	}
	if !filepath.IsAbs(s.Dir) || strings.ContainsAny(s.Dir, "\\\n") {
		return fmt.Errorf("%w: the sweep's folder %q: want an absolute path without backslashes and line breaks, which Slurm does not take", configs.ErrConfig, s.Dir)
	}
	return nil
}

// checkEngine refuses values that would end up as something else than one word of an engine's file.
func checkEngine(table string, words map[string]string, counts map[string]int) error {
	for key, value := range words {
		if strings.ContainsAny(value, " \t\r\n\"'") {
			return fmt.Errorf("%w: %s.%s is %q, want one word without quotes", configs.ErrConfig, table, key, value)
		}
	}
	for key, n := range counts {
		if n < 0 {
			return fmt.Errorf("%w: %s.%s is %d, want 0 or more", configs.ErrConfig, table, key, n)
		}
	}
	return nil
}

// indexList writes rising indices as Slurm takes them: 0,15-29.
func indexList(indices []int) string {
	var parts []string
	for i := 0; i < len(indices); {
		j := i
		for j+1 < len(indices) && indices[j+1] == indices[j]+1 {
			j++
		}
		part := strconv.Itoa(indices[i])
		if j > i {
			part += "-" + strconv.Itoa(indices[j])
		}
		parts, i = append(parts, part), j+1
	}
	return strings.Join(parts, ",")
}

// upTo lists 0 to n-1.
func upTo(n int) []int {
	out := make([]int, n)
	for i := range out {
		out[i] = i
	}
	return out
}
