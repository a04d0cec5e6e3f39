package checkpoints

import (
	"fmt"
	"slices"
	"strings"
)

// MismatchError lists how a file differs from the tensors that were wanted.
type MismatchError struct {
	Path       string
	Missing    []string // wanted and not there
	Unexpected []string // there and not wanted
	Shapes     []string // of another shape, as "name: [2 3], want [3 3]"
}

func (e *MismatchError) Error() string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q does not fit the model: %d names missing, %d unexpected, %d of another shape",
		e.Path, len(e.Missing), len(e.Unexpected), len(e.Shapes))
	for _, group := range []struct {
		title string
		names []string
	}{{"missing", e.Missing}, {"unexpected", e.Unexpected}, {"of another shape", e.Shapes}} {
		for _, name := range group.names {
			fmt.Fprintf(&b, "\n  %s: %s", group.title, name)
		}
	}
	return b.String()
}

// Match compares a file's tensors with those that are wanted, by name and shape, and returns a
// *MismatchError that lists every difference in order.
func Match(want []Info, f *File) error {
	e := &MismatchError{Path: f.path}
	wanted := make(map[string]bool, len(want))
	sorted := slices.Clone(want)
	sortInfos(sorted)
	for _, w := range sorted {
		wanted[w.Name] = true
		got, ok := f.Info(w.Name)
		switch {
		case !ok:
			e.Missing = append(e.Missing, w.Name)
		case !slices.Equal(got.Shape, w.Shape):
			e.Shapes = append(e.Shapes, fmt.Sprintf("%s: %v, want %v", w.Name, got.Shape, w.Shape))
		}
	}
	for _, name := range f.Names() {
		if !wanted[name] {
			e.Unexpected = append(e.Unexpected, name)
		}
	}
	if len(e.Missing)+len(e.Unexpected)+len(e.Shapes) > 0 {
		return e
	}
	return nil
}
