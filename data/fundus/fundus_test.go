package fundus

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"math"
	"runtime"
	"testing"
)

func hash(p *Picture) string {
	h := sha256.New()
	for _, plane := range [][]uint8{p.RGB, p.Vessels, p.Field} {
		h.Write(plane)
	}
	return hex.EncodeToString(h.Sum(nil))
}

// The benchmark must stay what it is: results on other pictures can't be compared.
func TestDrawGolden(t *testing.T) {
	if runtime.GOARCH != "amd64" {
		t.Skipf("hashes were noted on amd64; %s may round the last bit of a sum in another way", runtime.GOARCH)
	}
	for n, want := range map[uint64]string{
		0:  "41e35175dfaeac5151c9b12820923f59ab30cb5e7c80939d747f956a8c20a5dc",
		25: "739c8c084f6289a4ac76fa30e9bdf52612cf84c4f071454b5f36f65fd1911b1e",
	} {
		if got := hash(Draw(n)); got != want {
			t.Errorf("picture %d has the hash %s, want %s", n, got, want)
		}
	}
}

func TestDrawIsRepeatable(t *testing.T) {
	seen := map[string]uint64{}
	for n := range uint64(8) {
		h := hash(Draw(n))
		if hash(Draw(n)) != h {
			t.Errorf("picture %d drawn twice differs", n)
		}
		if other, twice := seen[h]; twice {
			t.Errorf("pictures %d and %d are the same", other, n)
		}
		seen[h] = n
	}
}

// What makes a fundus photograph hard and possible to segment: a round field of view, vessels of a tenth of
// it or somewhat more that are darker than the ground, of many widths, and that start at a bright disc.
func TestDrawLooksLikeAFundus(t *testing.T) {
	var total, field int
	for n := range uint64(32) {
		p := Draw(n)
		if len(p.RGB) != 3*p.Side*p.Side || len(p.Vessels) != p.Side*p.Side || len(p.Field) != p.Side*p.Side {
			t.Fatalf("picture %d has planes of %d, %d and %d", n, len(p.RGB), len(p.Vessels), len(p.Field))
		}
		var inField, vessels int
		var vesselGreen, groundGreen, outside float64
		for i, f := range p.Field {
			switch {
			case p.Vessels[i] > 1 || f > 1 || p.Vessels[i] > f:
				t.Fatalf("picture %d: pixel %d is vessel %d in field %d", n, i, p.Vessels[i], f)
			case f == 0:
				outside = math.Max(outside, float64(p.RGB[3*i+1]))
			case p.Vessels[i] == 1:
				vessels++
				vesselGreen += float64(p.RGB[3*i+1])
			default:
				groundGreen += float64(p.RGB[3*i+1])
			}
			inField += int(f)
		}
		if want := math.Pi * radius * radius; math.Abs(float64(inField)-want) > 0.01*want {
			t.Errorf("picture %d: the field of view has %d pixels, a disc would have %.0f", n, inField, want)
		}
		if share := float64(vessels) / float64(inField); share < 0.08 || share > 0.20 {
			t.Errorf("picture %d: vessels are %.3f of the field of view", n, share)
		}
		vesselGreen /= float64(vessels)
		groundGreen /= float64(inField - vessels)
		if vesselGreen > 0.9*groundGreen {
			t.Errorf("picture %d: vessels have a green of %.1f on %.1f", n, vesselGreen, groundGreen)
		}
		if thin, thick := thickness(p); thin < 0.05 || thick < 0.05 {
			t.Errorf("picture %d: %.3f of the vessel pixels lie in thin ones, %.3f in thick ones", n, thin, thick)
		}
		total += vessels
		field += inField
	}
	t.Logf("vessels are %.4f of the field of view", float64(total)/float64(field))
}

// thickness returns the share of vessel pixels that an opening by a 3 x 3 square removes, and the share that
// one by 5 x 5 leaves.
func thickness(p *Picture) (thin, thick float64) {
	n := 0.0
	for _, v := range p.Vessels {
		n += float64(v)
	}
	share := func(side int) float64 {
		left := 0.0
		for _, v := range open(p.Vessels, p.Side, side) {
			left += float64(v)
		}
		return left / n
	}
	return 1 - share(3), share(5)
}

// open keeps the pixels of a mask that a square of the given side within the mask covers.
func open(mask []uint8, width, side int) []uint8 {
	out := make([]uint8, len(mask))
	whole := bytes.Repeat([]byte{1}, side)
	for y := 0; y+side <= width; y++ {
		for x := 0; x+side <= width; x++ {
			fits := true
			for r := 0; r < side && fits; r++ {
				fits = bytes.Equal(mask[(y+r)*width+x:(y+r)*width+x+side], whole)
			}
			for r := 0; r < side && fits; r++ {
				copy(out[(y+r)*width+x:], whole)
			}
		}
	}
	return out
}
