package guess

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// general are words that say that something is a mask and not of what.
var general = regexp.MustCompile(`(?i)masks?|labels?|annotations?|annot|manual|ground|truth|gt|segmentations?|seg|images?|img|png|binary|soft|maps?|training|train|test|data|set|st|nd|rd|ho|contours?|outlines?|all|png|tr|ts`)

// describe is what a series' names say of its target; empty where they say nothing.
func describe(named string) string {
	var words []string
	for _, w := range separator.Split(strings.TrimSpace(camel.ReplaceAllString(named, "$1 $2")), -1) {
		w = strings.Trim(number.ReplaceAllString(w, ""), "#{}()[]")
		if general.ReplaceAllString(w, "") == "" {
			continue
		}
		for { // odsegsoftmap: od
			shorter := regexp.MustCompile(`(?i)(masks?|labels?|seg|segmentation|softmap|map|annotation|gt)$`).ReplaceAllString(w, "")
			if shorter == w || shorter == "" {
				break
			}
			w = shorter
		}
		if w = regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(w), ""); w != "" && !slices.Contains(words, w) {
			words = append(words, w)
		}
	}
	return strings.Join(words, "_")
}

// addTargets adds what a series of masks shows.
func (g *Guess) addTargets(mask int, c content, s *series, several bool) {
	name := describe(s.named())
	percent := func(v int) string { return fmt.Sprintf("%.2g %% of the pixels", 100*c.share[v]) }
	add := func(name, rule, comment string) {
		if name == "" || slices.ContainsFunc(g.Targets, func(t Target) bool { return t.Name == name }) {
			name = fmt.Sprintf("label_%d", len(g.Targets)+1)
		}
		g.Targets = append(g.Targets, Target{Name: name, Mask: mask, Rule: rule, Comment: comment})
	}
	if name == "" && !several {
		name = "target"
	}
	switch c.kind {
	case kindOutline:
		add(name, "fill = true", "the masks are thin closed lines: what they enclose is inside")
	case kindSoft:
		add(name, "at_least = 128", fmt.Sprintf("the masks are soft (%v): from 128 on at least half of the experts agree; 191 asks for three of four", c.values))
	case kindInstances:
		add(name, "at_least = 1", fmt.Sprintf("each piece has a grey value of its own, %d to %d: all of them are inside", c.values[0], c.values[len(c.values)-1]))
	case kindLabels:
		for _, v := range c.values {
			label := ""
			if several && name != "" {
				label = fmt.Sprintf("%s_%d", name, v)
			}
			add(label, fmt.Sprintf("values = [%d]", v), fmt.Sprintf("grey value %d, %s", v, percent(v)))
		}
	case kindColours:
		for i, v := range c.colours {
			add("", fmt.Sprintf("colours = [[%d, %d, %d]]", v[0], v[1], v[2]), fmt.Sprintf("red %d, green %d, blue %d, %.2g %% of the pixels", v[0], v[1], v[2], 100*c.shares[i]))
		}
	default:
		switch {
		case c.inverse && len(c.values) == 1:
			add(name, fmt.Sprintf("values = [%d]", c.values[0]), "the target is dark on a bright background")
		case c.inverse:
			add(name, "", "CAREFUL: the masks look bright outside and dark inside, with values between: make them exact, or invert them")
		case c.from > 0:
			add(name, fmt.Sprintf("at_least = %d", c.from), fmt.Sprintf("inside is %d, outside 0; inside %s", c.from, percent(c.from)))
		default:
			add(name, "", fmt.Sprintf("inside from grey value 128 on; %s are white", percent(255)))
		}
	}
}

// nameTargets gives label values the names that a dataset.json has for them.
func (g *Guess) nameTargets(dir string, descriptions []string) {
	value := regexp.MustCompile(`^values = \[(\d+)\]$`)
	for _, path := range descriptions {
		var file struct {
			Labels map[string]json.RawMessage `json:"labels"`
		}
		text, err := os.ReadFile(filepath.Join(dir, filepath.FromSlash(path)))
		if err != nil || json.Unmarshal(text, &file) != nil {
			continue
		}
		names := map[int]string{}
		for key, raw := range file.Labels {
			var word string
			var n int
			if v, err := strconv.Atoi(key); err == nil && json.Unmarshal(raw, &word) == nil {
				names[v] = word
			} else if json.Unmarshal(raw, &n) == nil {
				names[n] = key
			}
		}
		for i := range g.Targets {
			t := &g.Targets[i]
			rule := t.Rule
			if at, ok := strings.CutPrefix(rule, "at_least = "); ok {
				rule = "values = [" + at + "]"
			}
			if m := value.FindStringSubmatch(rule); m != nil {
				v, _ := strconv.Atoi(m[1])
				name := strings.Trim(regexp.MustCompile(`[^a-z0-9]+`).ReplaceAllString(strings.ToLower(names[v]), "_"), "_")
				if name != "" && !slices.ContainsFunc(g.Targets, func(o Target) bool { return o.Name == name }) {
					t.Name, t.Rule = name, rule
				}
			}
		}
	}
}
