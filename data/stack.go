package data

import (
	"fmt"
	"maps"
	"regexp"
	"sort"
	"strconv"
)

var digits = regexp.MustCompile(`\d+`)

// numbersIn lists the numbers in a file's name, in order.
func numbersIn(name string) []int {
	var out []int
	for _, d := range digits.FindAllString(name, -1) {
		n, err := strconv.Atoi(d)
		if err != nil { // longer than a number is, as of a series' UID
			n = -1
		}
		out = append(out, n)
	}
	return out
}

// naturally orders names so that numbers in them count: slice9 comes before slice10.
func naturally(names []string) []int {
	order := make([]int, len(names))
	for i := range order {
		order[i] = i
	}
	less := func(a, b string) bool {
		textA, textB := digits.ReplaceAllString(a, "0"), digits.ReplaceAllString(b, "0")
		if textA != textB {
			return textA < textB
		}
		na, nb := numbersIn(a), numbersIn(b)
		for i := range na {
			if na[i] != nb[i] {
				return na[i] < nb[i]
			}
		}
		return a < b
	}
	sort.Slice(order, func(i, j int) bool { return less(names[order[i]], names[order[j]]) })
	return order
}

// pairNames finds for each file of a series its mask, whose names go in the same order. The numbers in a mask's name and in its
// file's must differ by the same in all of them: a mask that is missing would otherwise shift all others.
func pairNames(series, masks []string) ([]int, error) {
	if len(series) != len(masks) {
		return nil, fmt.Errorf("there are %d masks and %d files of the series: each wants its own", len(masks), len(series))
	}
	out := make([]int, len(series))
	files, pictures := naturally(series), naturally(masks)
	var steady map[int]int // by the number's place in a file's name: what it differs by
	for k, f := range files {
		m := pictures[k]
		out[f] = m
		own, of := numbersIn(masks[m]), numbersIn(series[f])
		if len(own) == 0 || len(of) == 0 {
			continue
		}
		differ := map[int]int{}
		for place, n := range of {
			differ[place] = own[len(own)-1] - n
		}
		if steady == nil {
			steady = differ
		}
		maps.DeleteFunc(steady, func(place, by int) bool { d, there := differ[place]; return !there || d != by })
		if len(steady) == 0 {
			return nil, fmt.Errorf("mask %q would belong to %q, and their numbers do not go together: one of either may be missing", masks[m], series[f])
		}
	}
	return out, nil
}
