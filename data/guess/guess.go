// Package guess works out what lies in a folder of images and masks, by names and content, and writes the declaration for it.
package guess

import (
	"fmt"
	"maps"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
)

// Guess is what was found in a folder.
type Guess struct {
	Dir     string
	Pool    Side
	Test    *Side // nil: every second patient of the pool is tested
	Targets []Target
	Engine  string
	Table   *table
	Patient patient
	Axis    string // of volumes
	Window  string // how values become grey; empty for pictures of 8 bits
	Seen    []string
	Others  []string // pairs and images that were found beside
}

// Side are the patterns of a side of the split.
type Side struct {
	Image, Valid, Prefix string
	Name                 string // of cases, where {id} alone is not one
	Masks                []string
	Second               string
	Partial, Shared      bool
	Pairs                int

	ids, units []string
}

// Target is one structure.
type Target struct {
	Name    string
	Mask    int    // which of the masks' patterns
	Rule    string // lines of its table; empty: the usual threshold
	Comment string
}

// ErrUnclear says that no images with masks were recognised. Seen is what lies there.
type ErrUnclear struct {
	Reason string
	Seen   []string
}

func (e *ErrUnclear) Error() string { return e.Reason }

// Look looks at a folder. The error is an *ErrUnclear where nothing was recognised.
func Look(dir string) (*Guess, error) {
	files, tables, descriptions, err := list(dir)
	if err != nil {
		return nil, fmt.Errorf("look at %q: %w", dir, err)
	}
	files = gather(dir, files)
	looks := map[string]*look{}
	g := &Guess{Dir: dir, Seen: survey(files, looks)}
	for _, t := range tables {
		if g.readTable(dir, t, looks) {
			return g, nil
		}
	}
	if len(files) == 0 {
		return nil, &ErrUnclear{Reason: "no picture or volume lies in it"}
	}
	cases(files)
	for i := range files {
		for _, part := range strings.Split(files[i].dir, "/") {
			if side, _ := splitWord(part); side != "" && files[i].side == "" {
				files[i].side = side
			}
		}
	}
	of := func(side string) []file {
		return slices.DeleteFunc(slices.Clone(files), func(f file) bool { return side != "" && f.side != side })
	}
	split := true
	found := search(candidates(of(sidePool)), looks)
	if len(found) == 0 {
		split = false
		found = search(candidates(files), looks)
	}
	if len(found) == 0 {
		return nil, &ErrUnclear{Reason: "no series of images was found each of which has a mask", Seen: g.Seen}
	}
	best := found[0]
	if err := g.take(best, looks); err != nil {
		return nil, err
	}
	if split {
		for _, side := range []string{sideTest, sideHeld} {
			if g.takeTest(best, candidates(of(side)), looks, side) {
				break
			}
		}
	}
	g.nameTargets(dir, descriptions)
	g.findPatients(dir, tables)
	g.note(best, found, looks)
	return g, nil
}

// survey counts files by folder and ending, and looks at one of each.
func survey(files []file, looks map[string]*look) []string {
	const most = 20
	var out []string
	for _, shape := range []string{"$0", "#"} { // with many folders, all of their numbers are one
		counts, example := map[string]int{}, map[string]file{}
		for _, f := range files {
			place := strings.TrimPrefix(number.ReplaceAllString(f.dir, shape)+"/*"+f.ext, "/")
			counts[place]++
			if counts[place] == 1 {
				example[place] = f
			}
		}
		if shape == "$0" && len(counts) > most {
			continue
		}
		for _, place := range slices.Sorted(maps.Keys(counts)) {
			if len(out) == most {
				return append(out, fmt.Sprintf("and %d further kinds", len(counts)-most))
			}
			f := example[place]
			out = append(out, fmt.Sprintf("%d %s, as %s: %s", counts[place], place, filepath.Base(f.path), see(f, looks)))
		}
		break
	}
	return out
}

// take makes the pool and the targets of a pairing.
func (g *Guess) take(p *pairing, looks map[string]*look) error {
	keys := p.common
	images := lookAll(p.image.sample(keys, maxSamples), looks)
	if len(images) == 0 {
		return &ErrUnclear{Reason: "the images can't be read", Seen: g.Seen}
	}
	g.Engine = "pairs"
	first := images[0]
	switch {
	case p.image.ext == "/":
		g.Engine = "dicom"
	case first.planes > 1:
		g.Engine = "volumes"
	}
	if first.deep {
		g.Axis, g.Window = first.axis, window(images)
	}
	if g.Engine == "pairs" {
		g.Axis = ""
	}
	var targets []*series
	for _, m := range p.masks {
		if g.Engine == "pairs" && g.Pool.Valid == "" && len(p.masks) > 1 && fieldWords.MatchString(m.named()) &&
			fieldOfView(lookAll(p.image.sample(keys, maxSamples/2), looks), lookAll(m.sample(keys, maxSamples/2), looks)) {
			g.Pool.Valid = m.pattern()
			continue
		}
		targets = append(targets, m)
	}
	if len(targets) == 0 { // all look like fields of view
		targets, g.Pool.Valid = p.masks[:1], ""
	}
	targets, g.Pool.Second = observers(targets)
	g.Pool.fill(p.image, targets, keys)
	for i, m := range targets {
		n := maxSamples
		if first.planes > 1 {
			n /= 3
		}
		c := understand(lookAll(m.sample(m.common(p.image), n), looks), m.named())
		g.addTargets(i, c, m, len(targets) > 1)
	}
	return nil
}

// fill notes the patterns of a side.
func (s *Side) fill(image *series, masks []*series, keys []string) {
	s.Image, s.Pairs = image.pattern(), len(keys)
	s.Partial = len(image.keys) > len(keys)
	for _, m := range masks {
		s.Masks = append(s.Masks, m.pattern())
		s.Shared = s.Shared || len(m.keys) > len(m.common(image))
	}
	for _, k := range keys {
		unit, id, both := strings.Cut(k, "/")
		if !both {
			unit, id = "", k
		}
		s.ids, s.units = append(s.ids, id), append(s.units, unit)
	}
}

func lookAll(files []file, looks map[string]*look) []*look {
	var out []*look
	for _, f := range files {
		if l := see(f, looks); l.err == nil {
			out = append(out, l)
		}
	}
	return out
}

// window is the line of [intensity]: that of soft tissue for CT, percentiles else.
func window(looks []*look) string {
	low, high, whole := looks[0].low, looks[0].high, true
	for _, l := range looks {
		low, high, whole = min(low, l.low), max(high, l.high), whole && l.whole
	}
	if whole && low <= -500 && low >= -4096 && high > 300 && high < 32000 {
		return fmt.Sprintf("window = [-160, 240] # values go from %g to %g, as Hounsfield units of CT do: this window shows soft tissue", low, high)
	}
	return fmt.Sprintf("percentiles = [0.5, 99.5] # values go from %g to %g", low, high)
}

var observer = regexp.MustCompile(`(?i)manual|observer|expert|rater|annotator|grader|\d(st|nd|rd)`)

// alone is a series' name without what tells observers apart.
func alone(s *series) string {
	return regexp.MustCompile(`(?i)\d+(st|nd|rd)?|first|second|third`).ReplaceAllString(s.named(), "")
}

// observers leaves the masks of the first of two observers of one thing, and the pattern of the second's.
func observers(masks []*series) (rest []*series, second string) {
	slices.SortStableFunc(masks, func(a, b *series) int { return strings.Compare(a.pattern(), b.pattern()) })
	for _, m := range masks {
		if len(rest) > 0 && observer.MatchString(m.named()) && alone(m) == alone(rest[0]) {
			if second == "" {
				second = m.pattern()
			}
			continue
		}
		rest = append(rest, m)
	}
	return rest, second
}

// takeTest finds the images and masks of the pool's kinds on another side.
func (g *Guess) takeTest(pool *pairing, all []*series, looks map[string]*look, side string) bool {
	like := func(s *series) *series {
		var best *series
		for _, c := range all {
			if c.star() == s.star() && (best == nil || len(c.keys) > len(best.keys)) {
				best = c
			}
		}
		return best
	}
	image := like(pool.image)
	if image == nil {
		return false
	}
	t := &Side{}
	var masks []*series
	for _, m := range pool.masks {
		found := like(m)
		if found == nil || found.common(image) == nil {
			return false
		}
		switch m.pattern() {
		case g.Pool.Valid:
			t.Valid = found.pattern()
		case g.Pool.Second:
			t.Second = found.pattern()
		default:
			masks = append(masks, found)
		}
	}
	order := map[string]int{}
	for i, p := range g.Pool.Masks {
		order[p] = i
	}
	sorted := make([]*series, len(masks))
	i := 0
	for _, m := range pool.masks {
		if k, ok := order[m.pattern()]; ok {
			sorted[k] = masks[i]
			i++
		}
	}
	masks = sorted
	for _, c := range all { // a second observer on this side alone
		if t.Second == "" && !slices.Contains(masks, c) && c.pattern() != t.Valid && c.common(image) != nil && observer.MatchString(c.named()) && alone(c) == alone(masks[0]) {
			t.Second = c.pattern()
		}
	}
	t.fill(image, masks, masks[0].common(image))
	for _, id := range t.ids {
		if slices.Contains(g.Pool.ids, id) {
			t.Prefix = side + "_"
			break
		}
	}
	g.Test = t
	return true
}

// note says what else was found.
func (g *Guess) note(best *pairing, found []*pairing, looks map[string]*look) {
	used := map[string]bool{}
	mark := func(p *pairing) {
		for _, s := range append([]*series{p.image}, p.masks...) {
			used[s.dir+s.ext] = true
		}
	}
	mark(best)
	for _, p := range found[1:] {
		if used[p.image.dir+p.image.ext] {
			continue
		}
		mark(p)
		shared := false
		for _, m := range p.masks {
			shared = shared || slices.Contains(best.masks, m)
		}
		if shared {
			g.Others = append(g.Others, fmt.Sprintf("further images of the same masks: %s", p.image.pattern()))
			continue
		}
		g.Others = append(g.Others, fmt.Sprintf("%d further pairs, which look like another data set: %s with %s", len(p.common), p.image.pattern(), p.masks[0].pattern()))
	}
}
