package data

import (
	"fmt"
	"math"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"

	"samtune/data/format"
)

// volume is a volume with its label volumes. Its slices are cases.
type volume struct {
	fileCase
	pixels map[string][]int // of each target in each slice, along the volume's axis; nil before they are counted
	chosen []int            // slices, by their number
	shelf  *shelf
}

// shelf keeps the slices of the volume that was read last: cases of one volume are read one after the other, and a packed
// volume can only be read whole.
type shelf struct {
	mu      sync.Mutex
	of      *volume
	samples map[int]*Sample
}

// cases lists the volume's slices in which a target is seen; target is empty for any of them.
func (v *volume) cases(target, index string) ([]Case, error) {
	counts, err := v.counts(index)
	if err != nil {
		return nil, err
	}
	v.pixels = counts
	pixels := counts[target]
	if target == "" {
		for _, n := range counts {
			pixels = slices.Grow(pixels, len(n))[:len(n)]
			for i := range n {
				pixels[i] = max(pixels[i], n[i])
			}
		}
	}
	v.chosen = v.decl.Slices.choose(pixels)
	digits := max(3, len(fmt.Sprint(len(pixels)-1)))
	files := v.files()
	var out []Case
	for _, s := range v.chosen {
		id := fmt.Sprintf("%s_%0*d", v.id, digits, s)
		out = append(out, Case{ID: id, Patient: v.patient, Volume: v.id, Files: files, Load: func() (*Sample, error) { return v.slice(s, id) },
			file: &v.fileCase, volume: v})
	}
	return out, nil
}

// whole stands for all slices of a volume that is not read.
func (v *volume) whole() Case {
	return Case{ID: v.id, Patient: v.patient, Volume: v.id, Files: v.files(), Load: func() (*Sample, error) {
		return nil, fmt.Errorf("%w: volume %s was listed, not read", ErrInvalid, v.id)
	}}
}

// slice returns one of the chosen slices.
func (v *volume) slice(number int, id string) (*Sample, error) {
	v.shelf.mu.Lock()
	defer v.shelf.mu.Unlock()
	if v.shelf.of != v {
		samples, err := v.read()
		if err != nil {
			return nil, err
		}
		v.shelf.of, v.shelf.samples = v, samples
	}
	s := *v.shelf.samples[number]
	s.ID = id
	return &s, nil
}

// openVolume opens a volume's file, or the series in a folder.
func openVolume(path string) (*format.Volume, error) {
	info, err := os.Stat(path)
	var vol *format.Volume
	if err == nil && info.IsDir() {
		vol, err = format.OpenSeries(path)
	} else {
		vol, err = format.OpenVolume(path)
	}
	if err != nil {
		return nil, fmt.Errorf("%w: %w", ErrInvalid, err)
	}
	return vol, nil
}

// image opens the volume and says how its slices lie.
func (v *volume) image() (*format.Volume, view, error) {
	vol, err := openVolume(v.fileCase.image)
	if err != nil {
		return nil, view{}, err
	}
	if channel := v.decl.Slices.Channel; channel >= vol.Channels {
		return nil, view{}, fmt.Errorf("%w: read %q: slices.channel is %d and it has %d channels, from 0", ErrInvalid, v.fileCase.image, channel, vol.Channels)
	}
	at, err := v.decl.Slices.viewOf(vol)
	if err != nil {
		return nil, view{}, fmt.Errorf("%w: read %q: %w", ErrInvalid, v.fileCase.image, err)
	}
	return vol, at, nil
}

// read reads the chosen slices.
func (v *volume) read() (map[int]*Sample, error) {
	vol, at, err := v.image()
	if err != nil {
		return nil, err
	}
	chosen, grey := map[int]bool{}, map[int][]uint8{}
	for _, s := range v.chosen {
		chosen[s], grey[s] = true, make([]uint8, at.width()*at.height())
	}
	channel := v.decl.Slices.Channel
	window, err := v.decl.Intensity.window(func(see func([]float32)) error {
		return vol.Planes(channel, func(_ int, voxels []float32) error { see(voxels); return nil })
	})
	if err == nil {
		window.inverted = vol.Inverted
		err = vol.Planes(channel, func(z int, voxels []float32) error {
			at.scatter(z, voxels, chosen, func(slice, pixel int, value float32) { grey[slice][pixel] = window.grey(value) })
			return nil
		})
	}
	if err != nil {
		return nil, fmt.Errorf("%w: read %q: %w", ErrInvalid, v.fileCase.image, err)
	}
	masks, err := v.masksOf(vol, at, chosen)
	if err != nil {
		return nil, err
	}
	out := map[int]*Sample{}
	unit, spacing, between := "mm", at.spacing, vol.Spacing[at.axis]
	if !vol.Physical {
		unit, spacing = "px", [2]float64{1, 1}
	}
	if !vol.Physical || vol.Guessed {
		between = 0
	}
	extent := v.extent()
	for _, s := range v.chosen {
		sample := &Sample{
			Patient: v.patient, Volume: v.id, Image: greyImage(at.width(), at.height(), grey[s]), Masks: map[string]*Mask{},
			Valid: FullMask(at.width(), at.height()), Spacing: spacing, Unit: unit, Slice: s, Between: between, Extent: extent,
		}
		for target := range v.masks {
			sample.Masks[target] = masks[target][s]
		}
		out[s] = sample
	}
	return out, nil
}

// extent is the first and the last slice that hold each target; of one that is nowhere the first lies behind the last.
func (v *volume) extent() map[string][2]int {
	out := map[string][2]int{}
	for target, pixels := range v.pixels {
		first, last := len(pixels), -1
		for s, n := range pixels {
			if n > 0 {
				first, last = min(first, s), s
			}
		}
		out[target] = [2]int{first, last}
	}
	return out
}

// masksOf reads the masks of chosen slices, by target.
func (v *volume) masksOf(vol *format.Volume, at view, chosen map[int]bool) (map[string]map[int]*Mask, error) {
	out := map[string]map[int]*Mask{}
	for target := range v.masks {
		out[target] = map[int]*Mask{}
		for s := range chosen {
			out[target][s] = NewMask(at.width(), at.height())
		}
	}
	err := v.labelled(vol, func(target string, voxel [3]int) {
		if s := voxel[at.axis]; chosen[s] {
			out[target][s].Pix[at.pixel(voxel)]++ // votes, for the moment
		}
	})
	for target, bySlice := range out {
		least, wrong := v.agree(target)
		if wrong != nil {
			return nil, wrong
		}
		for _, m := range bySlice {
			for i, votes := range m.Pix {
				m.Pix[i] = 0
				if int(votes) >= least {
					m.Pix[i] = 1
				}
			}
		}
	}
	return out, err
}

// agree is how many files must have a voxel that is inside a target.
func (v *volume) agree(target string) (int, error) {
	least, err := v.decl.Rules[target].Agree.of(len(v.masks[target]))
	if err != nil {
		return 0, fmt.Errorf("%w: rule.%s, masks of %q: %w", ErrInvalid, target, v.fileCase.image, err)
	}
	return least, nil
}

// labelled goes through the voxels that are inside a target, once for each file that says so. Each file is read once.
func (v *volume) labelled(vol *format.Volume, see func(target string, voxel [3]int)) error {
	var paths []string
	for _, files := range v.masks {
		paths = append(paths, files...)
	}
	slices.Sort(paths)
	for _, path := range slices.Compact(paths) {
		err := v.labels(vol, path, func(z int, inside func(r rule, put func(i int)) error) error {
			for target, files := range v.masks {
				if !slices.Contains(files, path) {
					continue
				}
				err := inside(v.decl.Rules[target], func(i int) { see(target, [3]int{i % vol.Size[0], i / vol.Size[0], z}) })
				if err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fmt.Errorf("%w: read %q: %w", ErrInvalid, path, err)
		}
	}
	return nil
}

// labels goes through the planes of a label volume, or of a stack of pictures, that belongs to vol. With a rule inside
// tells which of a plane's voxels are inside.
func (v *volume) labels(vol *format.Volume, path string, each func(z int, inside func(r rule, put func(i int)) error) error) error {
	if strings.Contains(path, "{any}") {
		return v.stack(vol, path, each)
	}
	m, err := openVolume(path)
	if err != nil {
		return err
	}
	if err := sameSpace(m, vol, v.fileCase.image); err != nil {
		return err
	}
	return m.Planes(0, func(z int, voxels []float32) error {
		return each(z, func(r rule, put func(i int)) error { return r.labels(voxels, put) })
	})
}

// stack goes through pictures, one for each plane of a series, as labels does.
func (v *volume) stack(vol *format.Volume, pattern string, each func(z int, inside func(r rule, put func(i int)) error) error) error {
	pictures, err := match(filepath.Dir(pattern), filepath.Base(pattern))
	if err != nil {
		return err
	}
	names := make([]string, len(pictures))
	for i, p := range pictures {
		names[i] = filepath.Base(p.path)
	}
	order, err := pairNames(vol.Names, names)
	if err != nil {
		return fmt.Errorf("%w, beside %q", err, v.fileCase.image)
	}
	for z, k := range order {
		img, err := ReadImage(pictures[k].path)
		if err != nil {
			return err
		}
		if img.Width != vol.Size[0] || img.Height != vol.Size[1] {
			return fmt.Errorf("%q is %d x %d, want %d x %d as %q", names[k], img.Width, img.Height, vol.Size[0], vol.Size[1], vol.Names[z])
		}
		err = each(z, func(r rule, put func(i int)) error {
			for i, inside := range r.mask(img).Pix {
				if inside == 1 {
					put(i)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
	}
	return nil
}

// sameSpace is an error where a label volume does not lie as the volume, from path, that it belongs to.
func sameSpace(labels, vol *format.Volume, path string) error {
	if labels.Size != vol.Size {
		return fmt.Errorf("it has %v voxels, want %v as %q: put the labels that belong to it there", labels.Size, vol.Size, path)
	}
	if !labels.Physical || !vol.Physical {
		return nil
	}
	for k := range 3 {
		if math.Abs(labels.Spacing[k]-vol.Spacing[k]) > 0.01*vol.Spacing[k] {
			return fmt.Errorf("its voxels are %.4g mm apart, want %.4g as in %q: put the labels that belong to it there", labels.Spacing, vol.Spacing, path)
		}
	}
	if !labels.Oriented || !vol.Oriented {
		return nil
	}
	axes, up := orientation(labels.Affine)
	if want, wantUp := orientation(vol.Affine); axes != want || up != wantUp {
		return fmt.Errorf("its axes lie otherwise in the patient than those of %q: write it again in that orientation", path)
	}
	return nil
}
