package main

import (
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"sort"
	"strconv"
	"strings"
	"text/tabwriter"

	"samtune/checkpoints"
	"samtune/experiment"
	"samtune/internal/fetch"
	"samtune/model"
)

// branch is a part of a tree of parameters, called by the names before a dot.
type branch struct {
	parts   map[string]*branch
	leaf    *checkpoints.Info
	numbers int64
	bytes   int64
}

func (b *branch) add(path []string, info checkpoints.Info) {
	n := int64(1)
	for _, d := range info.Shape {
		n *= d
	}
	b.numbers += n
	b.bytes += n * info.DType.Size()
	if len(path) == 0 {
		b.leaf = &info
		return
	}
	if b.parts == nil {
		b.parts = map[string]*branch{}
	}
	if b.parts[path[0]] == nil {
		b.parts[path[0]] = &branch{}
	}
	b.parts[path[0]].add(path[1:], info)
}

// print writes the tree below b, to a depth (0: all), numbered parts in the order of their numbers.
func (b *branch) print(w io.Writer, indent string, depth, level int) {
	names := make([]string, 0, len(b.parts))
	for n := range b.parts {
		names = append(names, n)
	}
	sort.Slice(names, func(i, j int) bool {
		a, errA := strconv.Atoi(names[i])
		b, errB := strconv.Atoi(names[j])
		if errA == nil && errB == nil {
			return a < b
		}
		return names[i] < names[j]
	})
	for _, n := range names {
		p := b.parts[n]
		name := n
		for len(p.parts) == 1 && p.leaf == nil { // a chain without branches is one line
			for inner, next := range p.parts {
				name, p = name+"."+inner, next
			}
		}
		what := ""
		if p.leaf != nil {
			what = fmt.Sprintf("%v %s", p.leaf.Shape, p.leaf.DType)
		}
		fmt.Fprintf(w, "%s%s\t%s\t%d\n", indent, name, what, p.numbers)
		if depth == 0 || level < depth {
			p.print(w, indent+"  ", depth, level+1)
		}
	}
}

// weightsFile is the file that a user means: a file, or the best fine-tuned weights of a run's folder.
func weightsFile(path string) (string, error) {
	stat, err := os.Stat(path)
	if err != nil || !stat.IsDir() {
		return path, nil // the reader says what is wrong with it
	}
	tuned, err := experiment.OpenTuned(path)
	if err != nil {
		return "", err
	}
	return tuned.Path, nil
}

func (a *app) weightsShow(path string, depth int) error {
	path, err := weightsFile(path)
	if err != nil {
		return err
	}
	f, err := checkpoints.Open(path)
	if err != nil {
		return err
	}
	defer f.Close()
	root := &branch{}
	for _, name := range f.Names() {
		info, _ := f.Info(name)
		root.add(strings.Split(name, "."), info)
	}
	w := tabwriter.NewWriter(a.out, 0, 0, 2, ' ', 0)
	fmt.Fprintln(w, "PARAMETER\tSHAPE AND TYPE\tNUMBERS")
	root.print(w, "", depth, 1)
	if err := w.Flush(); err != nil {
		return err
	}
	_, err = fmt.Fprintf(a.out, "%s: %d tensors, %d numbers, %.1f MiB\n", filepath.Base(path), len(f.Names()), root.numbers, float64(root.bytes)/(1<<20))
	return err
}

// weightsVerify reads everything, which verifies all checksums, refuses what is no number, and says which model the file is of.
func (a *app) weightsVerify(path, name string) error {
	f, err := model.OpenWeights(path)
	if err != nil {
		return err
	}
	defer f.Close()
	for _, n := range f.Names() {
		info, _ := f.Info(n)
		if info.DType == "I64" || info.DType == "I32" || info.DType == "U8" || info.DType == "BOOL" {
			continue
		}
		values, err := f.Float32(n)
		if err != nil {
			return err
		}
		for i, v := range values {
			if math.IsNaN(float64(v)) || math.IsInf(float64(v), 0) {
				return fmt.Errorf("%w: %q: parameter %s holds %g at place %d: the training that made it has failed", checkpoints.ErrCorrupt, path, n, v, i)
			}
		}
	}
	sum, err := f.SHA256()
	if err != nil {
		return err
	}
	fmt.Fprintf(a.out, "%s: %d tensors read, SHA-256 %s\n", path, len(f.Names()), sum)
	fitting, err := model.Recognise(f)
	if err != nil {
		return err
	}
	found := false
	for _, spec := range fitting {
		found = found || spec.Name == name
		released := "other weights than the released ones"
		source := fetch.Source{SHA256: spec.Weights.SHA256, MD5: spec.Weights.MD5}
		switch err := source.Verify(path); {
		case err == nil:
			released = "the released weights"
		case !errors.Is(err, fetch.ErrWrong):
			return err
		}
		fmt.Fprintf(a.out, "it fits %s (%s): %s\n", spec.Name, spec.Title, released)
	}
	if name != "" && !found {
		return fmt.Errorf("%q is not of %s", path, name)
	}
	return nil
}
