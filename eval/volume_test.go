package eval

import (
	"fmt"
	"math"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"samtune/data"
)

// stack is slices of a volume, and predictions for them.
func stack(pred, truth []*data.Mask, spacing [3]float64, tolerance float64) VolumeInput {
	in := VolumeInput{Target: "t", NSDTolerance: tolerance}
	extent := map[string][2]int{"t": {0, len(truth) - 1}}
	at := map[string]*data.Mask{}
	for k, m := range truth {
		s := &data.Sample{
			ID: fmt.Sprint("v_", k), Volume: "v", Masks: map[string]*data.Mask{"t": m}, Valid: data.FullMask(m.Width, m.Height),
			Spacing: [2]float64{spacing[1], spacing[2]}, Slice: k, Between: spacing[0], Extent: extent,
		}
		in.Slices = append(in.Slices, s)
		at[s.ID] = pred[k]
	}
	in.Prediction = func(id string) (*data.Mask, error) { return at[id], nil }
	return in
}

func scoreVolume(t *testing.T, in VolumeInput) Surfaces {
	t.Helper()
	s, err := ScoreVolume(in)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// agree says whether two values agree to 1e-9 of their size.
func agree(a, b Float) bool { return near(a, b, 1e-9*(1+math.Abs(float64(b)))) }

// slicesOf cuts a packed volume into its slices.
func slicesOf(t *testing.T, packed string, size [3]int) (out []*data.Mask) {
	t.Helper()
	all := unpack(t, packed, size[2], size[0]*size[1])
	for k := range size[0] {
		n := size[1] * size[2]
		out = append(out, &data.Mask{Width: size[2], Height: size[1], Pix: all.Pix[k*n : (k+1)*n]})
	}
	return out
}

func TestVolumesAgreeWithLibraries(t *testing.T) {
	var golden struct {
		Cases []struct {
			Name            string
			Size            [3]int
			Spacing         [3]float64
			Tolerance       float64
			Pred, Truth     string
			HD95, ASSD, NSD Float
		}
		Surfels []struct {
			Spacing [3]float64
			Areas   []float64
		}
	}
	readGolden(t, "volumes.json", &golden)
	if len(golden.Cases) != 12 {
		t.Fatalf("%d cases, want 12", len(golden.Cases))
	}
	for _, c := range golden.Cases {
		t.Run(c.Name, func(t *testing.T) {
			got := scoreVolume(t, stack(slicesOf(t, c.Pred, c.Size), slicesOf(t, c.Truth, c.Size), c.Spacing, c.Tolerance))
			if got.Why != "" || !agree(got.HD95, c.HD95) || !agree(got.ASSD, c.ASSD) || !agree(got.NSD, c.NSD) {
				t.Errorf("HD95, ASSD and NSD are %+v, want %v, %v, %v", got, c.HD95, c.ASSD, c.NSD)
			}
		})
	}
	for _, c := range golden.Surfels {
		for code, want := range c.Areas {
			// There the first voxel of the first row of the first slice is the highest bit, here the lowest is the last voxel.
			if got := surfelArea(uint8(code), c.Spacing); math.Abs(got-want) > 1e-12*(1+want) {
				t.Errorf("spacing %v: the area of code %08b is %v, want %v", c.Spacing, code, got, want)
			}
		}
	}
}

func randomStack(r *rand.Rand, depth, width, height int, share float64) (out []*data.Mask) {
	for range depth {
		out = append(out, randomMask(r, width, height, share))
	}
	return out
}

func TestVolumesAreSymmetricAndScale(t *testing.T) {
	r := rand.New(rand.NewPCG(11, 11))
	for i := range 20 {
		a, b := randomStack(r, 1+r.IntN(6), 9, 7, 0.2), []*data.Mask(nil)
		b = randomStack(r, len(a), 9, 7, 0.3)
		spacing := [3]float64{3, 0.5, 1 + r.Float64()}
		ab, ba := scoreVolume(t, stack(a, b, spacing, 1)), scoreVolume(t, stack(b, a, spacing, 1))
		if !agree(ab.HD95, ba.HD95) || !agree(ab.ASSD, ba.ASSD) || !agree(ab.NSD, ba.NSD) {
			t.Errorf("pair %d: %+v one way, %+v the other", i, ab, ba)
		}
		twice := scoreVolume(t, stack(a, b, [3]float64{2 * spacing[0], 2 * spacing[1], 2 * spacing[2]}, 2))
		if !agree(twice.HD95, 2*ab.HD95) || !agree(twice.ASSD, 2*ab.ASSD) || !agree(twice.NSD, ab.NSD) {
			t.Errorf("pair %d: %+v, with twice the spacing %+v", i, ab, twice)
		}
		// Slices in another order, and more background on all sides, make no difference.
		in := stack(wider(a), wider(b), spacing, 1)
		r.Shuffle(len(in.Slices), func(i, j int) { in.Slices[i], in.Slices[j] = in.Slices[j], in.Slices[i] })
		if got := scoreVolume(t, in); got != ab {
			t.Errorf("pair %d: %+v, with more around it %+v", i, ab, got)
		}
	}
}

// wider puts two rows, three columns and a slice of background on either side.
func wider(stack []*data.Mask) []*data.Mask {
	w, h := stack[0].Width+6, stack[0].Height+4
	out := []*data.Mask{data.NewMask(w, h)}
	for _, m := range stack {
		wide := data.NewMask(w, h)
		for y := range m.Height {
			copy(wide.Pix[(y+2)*w+3:], m.Pix[y*m.Width:(y+1)*m.Width])
		}
		out = append(out, wide)
	}
	return append(out, data.NewMask(w, h))
}

// TestNearestInVolumesAgainstBruteForce is over points that lie close together and, where looks are given up for envelopes, far apart.
func TestNearestInVolumesAgainstBruteForce(t *testing.T) {
	r := rand.New(rand.NewPCG(12, 12))
	for i := range 40 {
		depth, w, h := 1+r.IntN(8), 1+r.IntN(12), 1+r.IntN(12)
		a, b := randomStack(r, depth, w, h, 0.1), randomStack(r, depth, w, h, []float64{0.01, 0.3}[i%2])
		spacing := [][3]float64{{3, 1, 1}, {5, 0.7, 0.9}, {1, 2, 0.4}, {1, 1, 1}}[i%4]
		p, err := newVolumePair(depth, spacing, func(k int) (pred, truth *data.Mask, err error) { return a[k], b[k], nil })
		if err != nil {
			t.Fatal(err)
		}
		if p == nil {
			continue
		}
		from, to := p.surface(p.pred), p.surface(p.truth)
		if len(from) == 0 || len(to) == 0 {
			continue
		}
		place := func(i int) [3]float64 {
			return [3]float64{float64(i / p.columns / p.rows), float64(i / p.columns % p.rows), float64(i % p.columns)}
		}
		for k, got := range p.nearest(from, to) {
			want := math.Inf(1)
			for _, other := range to {
				u, v, sum := place(from[k]), place(other), 0.0
				for axis := range u {
					sum += (u[axis] - v[axis]) * (u[axis] - v[axis]) * spacing[axis] * spacing[axis]
				}
				want = min(want, sum)
			}
			if math.Abs(got-want) > 1e-12*(1+want) {
				t.Fatalf("volume %d, spacing %v: the squared distance of point %d is %v, want %v", i, spacing, from[k], got, want)
			}
		}
	}
}

func TestSurfelAreasAreSymmetric(t *testing.T) {
	for code := range 256 {
		if a, b := surfelArea(uint8(code), [3]float64{1, 1, 1}), surfelArea(uint8(^code), [3]float64{1, 1, 1}); a != b {
			t.Errorf("code %08b has the area %v, its complement %v", code, a, b)
		}
		if a, b := surfelArea(uint8(code), [3]float64{2, 3, 4}), surfelArea(bits.Reverse8(uint8(code)), [3]float64{2, 3, 4}); math.Abs(a-b) > 1e-12 {
			t.Errorf("code %08b has the area %v, seen from the other side %v", code, a, b)
		}
	}
}

func TestVolumesThatAreNotWhole(t *testing.T) {
	r := rand.New(rand.NewPCG(13, 13))
	for want, change := range map[string]func(in *VolumeInput){
		"were not scored":          func(in *VolumeInput) { in.Slices = append(in.Slices[:2:2], in.Slices[3:]...) },
		"hold the target too":      func(in *VolumeInput) { in.Slices = in.Slices[1:] },
		"slices is not known":      func(in *VolumeInput) { in.Slices[0].Between = 0 },
		"the target is not known":  func(in *VolumeInput) { in.Slices[0].Extent = nil },
		"lie at different distanc": func(in *VolumeInput) { in.Slices[3].Between = 4 },
	} {
		in := stack(randomStack(r, 5, 6, 6, 0.3), randomStack(r, 5, 6, 6, 0.3), [3]float64{3, 1, 1}, 1)
		change(&in)
		got := scoreVolume(t, in)
		if !strings.Contains(got.Why, want) || got.HD95.Defined() || got.ASSD.Defined() || got.NSD.Defined() {
			t.Errorf("%+v, want no values since %q", got, want)
		}
	}
	in := stack(randomStack(r, 2, 6, 6, 0.3), randomStack(r, 2, 6, 6, 0.3), [3]float64{3, 1, 1}, 1)
	in.Prediction = func(string) (*data.Mask, error) { return data.NewMask(5, 6), nil }
	if _, err := ScoreVolume(in); err == nil || !strings.Contains(err.Error(), "slice v_0: prediction is 5 x 6, want 6 x 6") {
		t.Errorf("error is %v, want one about the prediction's size", err)
	}
	if _, err := ScoreVolume(VolumeInput{}); err == nil {
		t.Error("a volume without slices is no error")
	}
}

func TestVolumesSummarisedAndWritten(t *testing.T) {
	u := Undefined
	rows := []VolumeResult{
		{Volume: "a", Patient: "p", Method: "box", Slices: 3, Dice: 0.5, Surfaces: Surfaces{HD95: 2, ASSD: 1, NSD: 0.25}},
		{Volume: "b", Patient: "q", Method: "box", Slices: 8, Dice: u, Surfaces: Surfaces{HD95: u, ASSD: u, NSD: u, Why: "because"}},
	}
	s := SummariseVolumes(rows, 1)
	if s.HD95.Mean != 2 || s.HD95.N != 1 || s.HD95.Undefined != 1 || s.Without != 1 || s.Why != "because" {
		t.Errorf("summary is %+v", s)
	}
	if SummariseVolumes(nil, 1) != nil {
		t.Error("no volumes have a summary")
	}
	path := filepath.Join(t.TempDir(), "per_volume.csv")
	if err := WriteVolumesFile(path, rows); err != nil {
		t.Fatal(err)
	}
	got, err := os.ReadFile(path)
	want := "method,volume,patient,slices,dice,hd95_3d,assd_3d,nsd_3d,why_not_3d\nbox,a,p,3,0.5,2,1,0.25,\nbox,b,q,8,,,,,because\n"
	if err != nil || string(got) != want {
		t.Errorf("%v, the file holds\n%s\nwant\n%s", err, got, want)
	}
}
