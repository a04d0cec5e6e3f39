package data

import (
	"cmp"
	"fmt"
	"iter"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"samtune/data/format"
)

// LabelReport lists the values of the mask files of some targets, those of most pixels first.
type LabelReport struct {
	Targets []string     `json:"targets"`
	Values  []LabelValue `json:"values"`
	Others  int          `json:"others,omitempty"` // pixels of values that are not listed, since there are too many
}

// LabelValue is one value, or colour, of mask files.
type LabelValue struct {
	Value  string  `json:"value"` // "3", or of a colour "(255,0,0)"
	Pixels int     `json:"pixels"`
	Share  float64 `json:"share"` // of all pixels of these files
	Files  int     `json:"files"` // that hold it
	Named  bool    `json:"named"` // by a rule, or as what lies outside of all targets
}

// mostLabels is how many different values of mask files are told apart: JPEG masks have thousands.
const mostLabels = 1 << 12

// label is a value of a mask's file: of a picture its channels, of a volume its number.
type label struct {
	number  float32 // of a volume, or of a grey pixel
	colour  [3]uint8
	picture bool
}

func (l label) String() string {
	if c := l.colour; c[0] != c[1] || c[1] != c[2] {
		return fmt.Sprintf("(%d,%d,%d)", c[0], c[1], c[2])
	}
	return fmt.Sprint(l.number)
}

// names says whether a rule tells what a value means. One with a threshold does so of every value.
func (r rule) names(l label) bool {
	switch {
	case len(r.Colours) > 0:
		return slices.Contains(r.Colours, [3]int{int(l.colour[0]), int(l.colour[1]), int(l.colour[2])})
	case len(r.Values) > 0 && l.picture:
		return slices.Contains(r.Values, int(grey(l.colour[0], l.colour[1], l.colour[2])))
	case len(r.Values) > 0:
		return l.number == float32(int(l.number)) && slices.Contains(r.Values, int(l.number))
	}
	return true
}

// labelFacts are what is known of one value.
type labelFacts struct {
	pixels, files int
	first         string // case and file that had it first
}

// labelCount counts the values of the mask files of some targets.
type labelCount struct {
	targets []string
	values  map[label]*labelFacts
	others  int
}

// maskFiles goes through a case's mask files, each once, with the targets whose masks it holds.
func (p *fileCase) maskFiles() iter.Seq2[string, []string] {
	return func(yield func(string, []string) bool) {
		of, order := map[string][]string{}, []string(nil)
		for _, t := range p.targets() {
			for _, path := range p.masks[t] {
				if of[path] == nil {
					order = append(order, path)
				}
				of[path] = append(of[path], t)
			}
		}
		for _, path := range order {
			if !yield(path, of[path]) {
				return
			}
		}
	}
}

// countLabels counts the values of a mask's file, or stack of files, and returns the size of its pictures.
func (in *inspector) countLabels(id, path string, targets []string) (size [2]int, err error) {
	if strings.Contains(path, "{any}") {
		stack, err := match(filepath.Dir(path), filepath.Base(path))
		for _, picture := range stack {
			if err == nil {
				size, err = in.countLabels(id, picture.path, targets)
			}
		}
		return size, err
	}
	key := strings.Join(targets, "\n")
	count := in.labels[key]
	if count == nil {
		count = &labelCount{targets: targets, values: map[label]*labelFacts{}}
		in.labels[key] = count
	}
	here := map[label]int{}
	var order []label       // as they were met, so that what is left out is the same each time
	last, run := label{}, 0 // most pixels are as the one before
	add := func() {
		_, known := here[last]
		switch {
		case run == 0:
		case !known && len(here) >= mostLabels:
			count.others += run
		case !known:
			order = append(order, last)
			fallthrough
		default:
			here[last] += run
		}
		run = 0
	}
	files, size, err := in.decl.eachLabel(path, func(l label) {
		if l != last {
			add()
			last = l
		}
		run++
	})
	if err != nil {
		return size, err
	}
	add()
	in.countFiles(path, files)
	for _, l := range order {
		facts := count.values[l]
		if facts == nil && len(count.values) >= mostLabels {
			count.others += here[l]
			continue
		}
		if facts == nil {
			facts = &labelFacts{first: fmt.Sprintf("case %s, %s", id, path)}
			count.values[l] = facts
		}
		facts.pixels += here[l]
		facts.files++
	}
	return size, nil
}

// eachLabel goes through the values of a mask's file and says how many files that are, a series being several.
func (d *Decl) eachLabel(path string, see func(label)) (files int, size [2]int, err error) {
	numbers := func(_ int, voxels []float32) error {
		for _, v := range voxels {
			l := label{number: v}
			if v != v { // as no label is, and as no key finds again
				l.number = 0
			}
			see(l)
		}
		return nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, size, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	deep := info.IsDir()
	if !deep {
		if deep, err = format.IsVolume(path); err != nil {
			return 0, size, fmt.Errorf("%w: %w", ErrInvalid, err)
		}
	}
	if deep && d.sliced() {
		v, err := openVolume(path)
		if err == nil {
			err = v.Planes(0, numbers)
		}
		if err != nil {
			return 0, size, err
		}
		return max(1, len(v.Names)), [2]int{v.Size[0], v.Size[1]}, nil
	}
	if deep {
		v, voxels, err := readPlane(path, d.Planes.Mask, "mask")
		if err != nil {
			return 0, size, err
		}
		return 1, [2]int{v.Size[0], v.Size[1]}, numbers(0, voxels)
	}
	img, err := ReadImage(path)
	if err != nil {
		return 0, size, err
	}
	for i := 0; i < len(img.Pix); i += 3 {
		c := [3]uint8(img.Pix[i : i+3])
		l := label{colour: c, picture: true}
		if c[0] == c[1] && c[1] == c[2] {
			l.number = float32(c[0])
		}
		see(l)
	}
	return 1, [2]int{img.Width, img.Height}, nil
}

// finishLabels reports the values of mask files, and those that no rule names.
func (in *inspector) finishLabels() {
	for _, key := range slices.Sorted(maps.Keys(in.labels)) {
		in.finishGroup(in.labels[key])
	}
}

func (in *inspector) finishGroup(count *labelCount) {
	rules := func(l label) bool {
		return slices.ContainsFunc(count.targets, func(t string) bool { return in.decl.Rules[t].names(l) })
	}
	order := slices.SortedFunc(maps.Keys(count.values), func(a, b label) int {
		return cmp.Or(count.values[b].pixels-count.values[a].pixels, cmp.Compare(a.String(), b.String()))
	})
	// What lies outside of all targets is 0; where a rule names that, the most frequent value that none names.
	outside := slices.IndexFunc(order, func(l label) bool { return l.number == 0 && l.colour == [3]uint8{} })
	if outside < 0 || rules(order[outside]) {
		outside = slices.IndexFunc(order, func(l label) bool { return !rules(l) })
	}
	all := count.others
	for _, l := range order {
		all += count.values[l].pixels
	}
	report := LabelReport{Targets: count.targets, Values: []LabelValue{}, Others: count.others}
	var strange []string
	pixels, first := 0, ""
	for i, l := range order {
		facts := count.values[l]
		named := rules(l) || i == outside
		report.Values = append(report.Values, LabelValue{l.String(), facts.pixels, float64(facts.pixels) / float64(all), facts.files, named})
		if !named {
			strange = append(strange, l.String())
			pixels += facts.pixels
			if first == "" {
				first = facts.first
			}
		}
	}
	in.report.Labels = append(in.report.Labels, report)
	if len(strange) == 0 {
		return
	}
	shown := strings.Join(strange[:min(len(strange), 6)], ", ")
	if len(strange) > 6 {
		shown += fmt.Sprintf(" and %d more", len(strange)-6)
	}
	in.find(Warning, FindingLabel, "", "", fmt.Sprintf("masks of %s hold what no rule names: %s, in %d pixels, as in %s",
		strings.Join(count.targets, ", "), shown, pixels, in.relativeText(first)))
}

// relativeText takes the data set's folder out of a text.
func (in *inspector) relativeText(text string) string {
	return strings.ReplaceAll(text, in.bench.Root+string(filepath.Separator), "")
}
