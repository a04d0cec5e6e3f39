package guess

import (
	"cmp"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

// series are files whose names differ in one part, by what that part is.
type series struct {
	dir, ext       string
	prefix, suffix string          // of a name, around what differs
	fixed          string          // name of the file in each case's folder, with {c} for the folder's own name; empty where names differ inside
	files          map[string]file // by key: the case's folder, or that and what differs, or what differs
	keys           []string
}

// pattern is how a declaration writes the series.
func (s *series) pattern() string {
	variable, name := "{set}", s.prefix+"{id}"+s.suffix
	if s.fixed != "" {
		variable, name = "{id}", strings.ReplaceAll(s.fixed, "{c}", "{id}")
	}
	return path.Join(strings.ReplaceAll(s.dir, "{c}", variable), name) + s.ext
}

// named is how folder and files are called, for words in it.
func (s *series) named() string {
	name := s.prefix + " " + s.suffix
	if s.fixed != "" {
		name = strings.ReplaceAll(s.fixed, "{c}", "")
	}
	parts := strings.Split(s.dir, "/")
	return strings.ReplaceAll(parts[len(parts)-1], "{c}", "") + " " + name
}

// star is the series' place and names without the word for a side of a split.
func (s *series) star() string {
	parts := append(strings.Split(s.dir, "/"), s.prefix, s.suffix, s.fixed)
	for i, p := range parts {
		_, parts[i] = splitWord(p)
	}
	return strings.Join(parts, "/") + strings.ToLower(s.ext)
}

// sample lists some of the series' files, spread evenly over keys.
func (s *series) sample(keys []string, n int) []file {
	var out []file
	for i := range min(n, len(keys)) {
		out = append(out, s.files[keys[i*len(keys)/min(n, len(keys))]])
	}
	return out
}

// Limits of the search.
const (
	maxNames   = 2000 // of a folder's files
	maxAffixes = 12   // beginnings, and endings, of names that are tried
)

// candidates lists all series that files may be, each in several readings.
func candidates(files []file) []*series {
	type place struct{ dir, ext string }
	groups := map[place][]file{}
	for _, f := range files {
		p := place{f.dir, strings.ToLower(f.ext)}
		groups[p] = append(groups[p], f)
	}
	var out []*series
	for _, p := range slices.SortedFunc(maps.Keys(groups), func(a, b place) int { return cmp.Or(cmp.Compare(a.dir, b.dir), cmp.Compare(a.ext, b.ext)) }) {
		group := groups[p]
		if fixed := fixedNames(group); len(fixed) > 0 {
			out = append(out, fixed...)
			continue
		}
		group = group[:min(len(group), maxNames)]
		for _, prefix := range affixes(group, true) {
			for _, suffix := range affixes(group, false) {
				if s := seriesOf(group, prefix, suffix); len(s.keys) > 0 {
					out = append(out, s)
				}
			}
		}
	}
	return out
}

// seriesOf are the files of a folder whose names begin and end so.
func seriesOf(group []file, prefix, suffix string) *series {
	s := &series{dir: group[0].dir, ext: group[0].ext, prefix: prefix, suffix: suffix, files: map[string]file{}}
	for _, f := range group {
		id, begins := strings.CutPrefix(f.name, prefix)
		id, ends := strings.CutSuffix(id, suffix)
		if !begins || !ends || id == "" {
			continue
		}
		if f.unit != "" {
			id = f.unit + "/" + id
		}
		s.files[id] = f
	}
	s.keys = slices.Sorted(maps.Keys(s.files))
	return s
}

// fixedNames are the series of case folders that hold files of the same names; none where names differ inside.
func fixedNames(group []file) []*series {
	if group[0].unit == "" {
		return nil
	}
	byName, units := map[string]*series{}, map[string]bool{}
	for _, f := range group {
		name := replaceUnit(f.name, f.unit)
		units[f.unit] = true
		s := byName[name]
		if s == nil {
			s = &series{dir: f.dir, ext: f.ext, fixed: name, files: map[string]file{}}
			byName[name] = s
		}
		s.files[f.unit] = f
	}
	var out []*series
	n, shapes := 0, map[string]int{}
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		s := byName[name]
		shape := number.ReplaceAllString(name, "#")
		if shapes[shape]++; shapes[shape] > 2 || shape == "#" { // they count: t1 and t2 do not
			return nil
		}
		if 3*len(s.files) >= 2*len(units) && (len(units) > 1 || len(group) == 1) {
			s.keys = slices.Sorted(maps.Keys(s.files))
			out = append(out, s)
			n += len(s.files)
		}
	}
	if 10*n < 8*len(group) {
		return nil
	}
	return out
}

var channelName = regexp.MustCompile(`^_000\d$`) // in nnU-Net's layout

// affixes lists beginnings or endings that several names share, the empty one first.
func affixes(group []file, begin bool) []string {
	counts := map[string]int{}
	for _, f := range group {
		name := []rune(f.name)
		for i := 1; i < len(name); i++ {
			a, b := name[i-1], name[i]
			word := func(r rune) bool { return unicode.IsLetter(r) || unicode.IsDigit(r) }
			part := string(name[i:])
			edge := !word(b) && word(a) || unicode.IsDigit(a) && unicode.IsLetter(b) || unicode.IsLower(a) && unicode.IsUpper(b)
			if begin {
				part = string(name[:i])
				edge = !word(a) || unicode.IsLetter(a) && unicode.IsDigit(b)
			}
			if edge && (strings.ContainsFunc(part, unicode.IsLetter) || channelName.MatchString(part)) {
				counts[part]++
			}
		}
	}
	var out []string
	for part, n := range counts {
		if n >= max(2, len(group)/50) || len(group) == 1 {
			out = append(out, part)
		}
	}
	slices.SortFunc(out, func(a, b string) int {
		return cmp.Or(cmp.Compare(counts[b], counts[a]), cmp.Compare(len(a), len(b)), cmp.Compare(a, b))
	})
	return append([]string{""}, out[:min(len(out), maxAffixes)]...)
}

// pairing is a series of images with those of its masks.
type pairing struct {
	image  *series
	masks  []*series
	common []string // keys that have an image and a mask
}

// better orders pairings: many pairs, few images without one, many masks, short affixes.
func better(a, b *pairing) int {
	affix := func(p *pairing) int { return len(p.image.prefix) + len(p.image.suffix) }
	word := func(p *pairing) int {
		if imageWords.MatchString(p.image.dir + "/" + p.image.suffix) {
			return 0
		}
		return 1
	}
	return cmp.Or(
		cmp.Compare(len(b.common), len(a.common)), cmp.Compare(len(a.image.keys), len(b.image.keys)), cmp.Compare(len(b.masks), len(a.masks)),
		cmp.Compare(affix(a), affix(b)), cmp.Compare(word(a), word(b)), cmp.Compare(a.image.pattern(), b.image.pattern()),
	)
}

// search finds the pairings of files, the best first; looks keeps what was read.
func search(all []*series, looks map[string]*look) []*pairing {
	var out []*pairing
	for _, image := range all {
		p := &pairing{image: image}
		pairs := map[*series][]string{}
		most := 0
		for _, mask := range all {
			common := mask.common(image)
			if common == nil || 10*len(common) < 9*most || !areMasks(mask.sample(common, maxSamples/2), looks) {
				continue
			}
			p.add(mask, len(common))
			pairs[mask], most = common, max(most, len(common))
		}
		if len(p.masks) == 0 {
			continue
		}
		covered := map[string]int{}                                                                     // by how many of the series
		p.masks = slices.DeleteFunc(p.masks, func(m *series) bool { return 10*len(pairs[m]) < 9*most }) // of some images alone
		for _, m := range p.masks {
			for _, k := range pairs[m] {
				covered[k]++
			}
		}
		maps.DeleteFunc(covered, func(_ string, n int) bool { return n < len(p.masks) })
		p.common = slices.Sorted(maps.Keys(covered))
		if areImages(image.sample(p.common, 4), looks) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, better)
	return out
}

// add takes a series of masks, of several readings of the same files the one with most of them.
func (p *pairing) add(mask *series, n int) {
	for i, other := range p.masks {
		if other.dir == mask.dir && other.ext == mask.ext && other.shares(mask) {
			if len(other.keys) < n {
				p.masks[i] = mask
			}
			return
		}
	}
	p.masks = append(p.masks, mask)
}

func (s *series) shares(o *series) bool {
	for k, f := range s.files {
		if o.files[k].path == f.path {
			return true
		}
	}
	return false
}

// common lists the keys of masks that have an image; nil where these are not nearly all.
func (s *series) common(image *series) []string {
	if s == image || (s.fixed == "") != (image.fixed == "") && (strings.Contains(s.dir, "{c}") && s.fixed == "" || strings.Contains(image.dir, "{c}") && image.fixed == "") {
		return nil
	}
	for _, k := range []int{0, len(s.keys) / 2, len(s.keys) - 1} { // most are thrown out by this
		if _, ok := image.files[s.keys[k]]; !ok && len(s.keys) < 10 {
			return nil
		}
	}
	var out []string
	for _, k := range s.keys {
		if f, ok := image.files[k]; ok && f.path != s.files[k].path {
			out = append(out, k)
		}
	}
	if 10*len(out) < 9*len(s.keys) || len(out) == 0 {
		return nil
	}
	return out
}

func areMasks(files []file, looks map[string]*look) bool {
	good := 0
	for _, f := range files {
		if see(f, looks).isMask() {
			good++
		}
	}
	return 4*good > 3*len(files)
}

func areImages(files []file, looks map[string]*look) bool {
	good := 0
	for _, f := range files {
		if l := see(f, looks); l.err == nil && !l.isMask() {
			good++
		}
	}
	return 2*good > len(files)
}

// see looks at a file once.
func see(f file, looks map[string]*look) *look {
	l := looks[f.path]
	if l == nil {
		l = lookAt(f)
		looks[f.path] = l
	}
	return l
}
