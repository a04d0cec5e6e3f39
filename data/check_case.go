package data

import (
	"fmt"
	"maps"
	"math"
	"slices"

	"samtune/data/format"
)

// share gathers the masks of one target.
type share struct {
	empty  int
	shares []float64
}

// sideFacts gathers one side of the split.
type sideFacts struct {
	SideReport
	patients, volumes map[string]bool
	channels          map[int]bool
	shares            map[string]*share
}

func (in *inspector) side(name string) *sideFacts {
	s := &sideFacts{SideReport: SideReport{Side: name}, patients: map[string]bool{}, volumes: map[string]bool{}, channels: map[int]bool{}, shares: map[string]*share{}}
	for _, t := range in.decl.Targets {
		s.shares[t] = &share{}
	}
	return s
}

// widen makes a range hold a value; the first one begins it.
func widen(r *Range, first bool, values ...float64) {
	if first {
		*r = Range{values[0], values[0]}
	}
	for _, v := range values {
		r.Min, r.Max = min(r.Min, v), max(r.Max, v)
	}
}

func (s *sideFacts) see(values Range) {
	if s.Values == nil {
		s.Values = &Range{values.Min, values.Max}
	}
	widen(s.Values, false, values.Min, values.Max)
}

// volume looks at a volume's files as they are, after its labels were counted or could not be.
func (in *inspector) volume(v *volume, err error) {
	fail := func(path string, err error) {
		in.broken[v.id] = true
		in.find(Problem, FindingFile, v.id, path, err.Error())
	}
	if err != nil { // which names the file
		fail("", err)
		return
	}
	vol, at, err := v.image()
	if err != nil {
		fail(v.fileCase.image, err)
		return
	}
	facts := &volumeFacts{slices: at.slices()}
	strange, first := 0, true
	err = vol.Planes(v.decl.Slices.Channel, func(_ int, voxels []float32) error {
		for _, x := range voxels {
			value := float64(x)
			if math.IsNaN(value) || math.IsInf(value, 0) {
				strange++
				continue
			}
			widen(&facts.values, first, value)
			first = false
		}
		return nil
	})
	if err != nil {
		fail(v.fileCase.image, err)
		return
	}
	if strange > 0 {
		in.find(Warning, FindingConstant, v.id, v.fileCase.image, fmt.Sprintf("%d of its voxels are no finite numbers", strange))
	}
	if facts.values.Min == facts.values.Max {
		in.find(Warning, FindingConstant, v.id, v.fileCase.image, fmt.Sprintf("all its voxels are %g", facts.values.Min))
	}
	in.countFiles(v.fileCase.image, max(1, len(vol.Names)))
	for path, targets := range v.maskFiles() {
		if _, err := in.countLabels(v.id, path, targets); err != nil {
			fail(path, err)
			return
		}
	}
	in.volumes[v] = facts
	in.report.Slices += facts.slices
	voxels := 0
	for _, t := range v.targets() {
		n := total(v.pixels[t])
		if voxels += n; n == 0 {
			in.find(Warning, FindingEmpty, v.id, v.masks[t][0], fmt.Sprintf("no voxel is %s", t))
		}
	}
	if voxels > 0 && len(v.chosen) == 0 {
		in.find(Warning, FindingEmpty, v.id, v.fileCase.image, fmt.Sprintf("no slice has the %d pixels of a target that make it a case", v.decl.Slices.MinPixels))
	}
}

func total(counts []int) int {
	n := 0
	for _, c := range counts {
		n += c
	}
	return n
}

// inspectCase looks at a case's files and at what a run would make of them.
func (in *inspector) inspectCase(s *sideFacts, c Case) {
	s.Cases++
	s.patients[c.Patient] = true
	if c.file != nil && in.bench.onePatient {
		s.patients = map[string]bool{c.file.patient: true}
	}
	usable := true
	switch {
	case c.volume != nil && !s.volumes[c.volume.id]:
		s.volumes[c.volume.id] = true
		in.addVolume(s, c.volume)
	case c.volume == nil && c.file != nil:
		usable = in.files(s, c)
	}
	if !usable || c.volume != nil && in.broken[c.volume.id] {
		return
	}
	sample, err := c.Load()
	if err != nil {
		in.find(Problem, FindingFile, c.ID, "", err.Error())
		return
	}
	first := s.Cases == 1 || s.Width.Max == 0
	widen(&s.Width, first, float64(sample.Image.Width))
	widen(&s.Height, first, float64(sample.Image.Height))
	if c.file == nil {
		low, high, channels := spread(sample.Image)
		s.see(Range{low, high})
		s.channels[channels] = true
	}
	for _, t := range in.decl.Targets {
		in.mask(s, c, sample, t)
	}
	in.fingerprint(s.Side, c, sample.Image)
}

// addVolume adds what is known of a volume to the side that its slices are on.
func (in *inspector) addVolume(s *sideFacts, v *volume) {
	facts := in.volumes[v]
	if facts == nil {
		return
	}
	s.see(facts.values)
	s.channels[1] = true
	if s.Slices == nil {
		s.Slices = &Range{float64(facts.slices), float64(facts.slices)}
	}
	widen(s.Slices, false, float64(facts.slices))
	for t, pixels := range v.pixels {
		_, at, err := v.image()
		if err != nil { // it was read before
			continue
		}
		s.shares[t].add(total(pixels), at.width()*at.height()*at.slices())
	}
}

func (s *share) add(inside, of int) {
	if inside == 0 {
		s.empty++
	}
	s.shares = append(s.shares, float64(inside)/float64(max(1, of)))
}

// mask looks at one target's mask of a case.
func (in *inspector) mask(s *sideFacts, c Case, sample *Sample, target string) {
	file := ""
	if c.file != nil && len(c.file.masks[target]) > 0 {
		file = c.file.masks[target][0]
	}
	find := func(sev Severity, kind, text string) { in.find(sev, kind, c.ID, file, text) }
	m := sample.Masks[target]
	if m == nil {
		find(Problem, FindingEmpty, fmt.Sprintf("it has no mask of %s", target))
		return
	}
	inside, valid, all := 0, sample.Valid.Count(), m.Count()
	for i, v := range m.Pix {
		inside += int(v & sample.Valid.Pix[i])
	}
	if c.volume == nil {
		s.shares[target].add(inside, valid)
	}
	switch {
	case all == 0 && c.volume == nil:
		find(Warning, FindingEmpty, fmt.Sprintf("the mask of %s is empty", target))
	case all > 0 && inside == 0:
		find(Problem, FindingOutside, fmt.Sprintf("the mask of %s lies outside the valid region", target))
	case all > 0 && inside == valid:
		find(Warning, FindingFull, fmt.Sprintf("the mask of %s fills the valid region", target))
	}
}

// files looks at a picture's files as they are and says whether they can be used.
func (in *inspector) files(s *sideFacts, c Case) bool {
	f := c.file
	fail := func(path string, err error) { in.find(Problem, FindingFile, c.ID, path, err.Error()) }
	values, size, channels, err := f.decl.imageFacts(f.image)
	usable := err == nil
	if usable {
		in.countFiles(f.image, 1)
		s.see(values)
		s.channels[channels] = true
	} else {
		fail(f.image, err)
	}
	if usable && values.Min == values.Max {
		in.find(Warning, FindingConstant, c.ID, f.image, fmt.Sprintf("all its pixels are %g", values.Min))
	}
	for path, targets := range f.maskFiles() {
		got, err := in.countLabels(c.ID, path, targets)
		switch {
		case err != nil:
			fail(path, err)
			usable = false
		case got != size && size[0] > 0:
			in.find(Problem, FindingSize, c.ID, path, fmt.Sprintf("the mask is %d x %d, want %d x %d as its image %q: put the mask that belongs to it there",
				got[0], got[1], size[0], size[1], in.relative(f.image)))
			usable = false
		}
	}
	if f.valid != "" && usable { // which Load reads
		in.countFiles(f.valid, 1)
	}
	if c.Second != nil && usable {
		if _, err := c.Second(); err != nil {
			fail(f.second, err)
		} else {
			in.countFiles(f.second, 1)
		}
	}
	return usable
}

// countFiles notes that a path, which is n files, was read.
func (in *inspector) countFiles(path string, n int) {
	if !in.read[path] {
		in.read[path] = true
		in.report.Files += n
	}
}

// imageFacts reads the values of a picture's file as they are.
func (d *Decl) imageFacts(path string) (values Range, size [2]int, channels int, err error) {
	deep, err := format.IsVolume(path)
	if err != nil {
		return values, size, 0, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	if !deep {
		img, err := ReadImage(path)
		if err != nil {
			return values, size, 0, err
		}
		low, high, channels := spread(img)
		return Range{low, high}, [2]int{img.Width, img.Height}, channels, nil
	}
	v, voxels, err := readPlane(path, d.Planes.Image, "image")
	if err != nil {
		return values, size, 0, err
	}
	for i, v := range voxels {
		widen(&values, i == 0, float64(v))
	}
	return values, [2]int{v.Size[0], v.Size[1]}, 1, nil
}

// spread is the smallest and largest value of a picture's channels, and 3 where these differ.
func spread(img *Image) (low, high float64, channels int) {
	from, to, channels := img.Pix[0], img.Pix[0], 1
	for i := 0; i < len(img.Pix); i += 3 {
		r, g, b := img.Pix[i], img.Pix[i+1], img.Pix[i+2]
		from, to = min(from, r, g, b), max(to, r, g, b)
		if r != g || g != b {
			channels = 3
		}
	}
	return float64(from), float64(to), channels
}

// end closes one side of the split.
func (in *inspector) end(s *sideFacts) {
	s.Patients, s.Volumes = len(s.patients), len(s.volumes)
	s.Channels = slices.Sorted(maps.Keys(s.channels))
	in.report.Sides = append(in.report.Sides, s.SideReport)
	for _, t := range in.decl.Targets {
		of := s.shares[t]
		if len(of.shares) == 0 {
			continue
		}
		slices.Sort(of.shares)
		n := len(of.shares)
		in.report.Targets = append(in.report.Targets, TargetReport{
			Target: t, Side: s.Side, Masks: n, Empty: of.empty, Foreground: Range{of.shares[0], of.shares[n-1]}, Median: (of.shares[n/2] + of.shares[(n-1)/2]) / 2,
		})
	}
}
